"""Doubt: the target may hold something other than the ledger says.

It has one mark, :data:`IN_DOUBT`, which stands in a field of the ledger instead of the acknowledged value. The mark
differs from every value, so the one comparison of :mod:`~..delta.looks` sends the field again, whatever the source
holds by then, and clears it if the source holds nothing. The next acknowledgement replaces the mark.

=====================================================  =====================================================
what happened                                          where the mark is set
=====================================================  =====================================================
no answer came, or no receipt was kept                 the commit: :mod:`.outcomes`
an answer came after a newer run had committed         the commit: :mod:`.moved_row`
a setting changed: merge, creation, connection         :mod:`.changed_settings`
the target may find somebody else by now               :mod:`~..delta.news`, :mod:`~..delta.takeovers`
what leavers get may reach the same user               :mod:`~..delta.takeovers`, then :mod:`.moved_row`
a read of everybody did not meet the person            :mod:`~..delta.absent`
the ledger was rebuilt from receipts without outcome   :mod:`~..upkeep.sent_values`
=====================================================  =====================================================

A number that is added to is the exception: what may have been added must not be added again. So the level that was
tried counts as acknowledged (:mod:`.outcomes`), and the receipts say that it is unknown.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.columns import FIELD_PREFIX
from airflow_provider_braze_blueconic.sync.engine.database import literal, quote
from airflow_provider_braze_blueconic.sync.engine.relations import column_names

if TYPE_CHECKING:
    import duckdb

__all__ = ["IN_DOUBT", "doubt_everything", "doubt_fields", "doubt_if", "doubt_known", "is_certain"]

IN_DOUBT = '["in doubt" ]'
"""The mark. No mapped value is written so, since a canonical text has no space there. It is not NULL, because there may
be something of ours to clear."""


def doubt_if(condition: str, *, otherwise: str = "NULL") -> str:
    """SQL for a field that is in doubt under a condition.

    :param otherwise: SQL for the field where it is not.
    """
    return f"CASE WHEN {condition} THEN {literal(IN_DOUBT)} ELSE {otherwise} END"


def doubt_known(known: str) -> str:
    """SQL that puts a field in doubt if anything is known of it, and leaves it NULL if nothing is.

    :param known: SQL for what is known.
    """
    return doubt_if(f"{known} IS NOT NULL")


def is_certain(known: str) -> str:
    """SQL that tells whether a field is not in doubt; nothing known is certain too.

    :param known: SQL for what the ledger holds.
    """
    return f"({known} IS DISTINCT FROM {literal(IN_DOUBT)})"


def doubt_everything(connection: duckdb.DuckDBPyConnection, condition: str, *, but: Collection[str] = ()) -> None:
    """Put every acknowledged field of some rows of the temporary table ``ledger`` in doubt.

    :param condition: SQL over the ledger's columns.
    :param but: field columns that stay as they are.
    """
    fields = [name for name in column_names(connection, "ledger") if name.startswith(FIELD_PREFIX)]
    doubt_fields(connection, [name for name in fields if name not in but], condition)


def doubt_fields(connection: duckdb.DuckDBPyConnection, fields: Collection[str], condition: str) -> None:
    """Put what was acknowledged of some fields in doubt, in one pass over the temporary table ``ledger``.

    :param fields: field columns.
    :param condition: SQL over the ledger's columns.
    """
    if fields:
        doubted = ", ".join(f"{quote(field)} = {doubt_known(quote(field))}" for field in fields)
        connection.execute(f"UPDATE ledger SET {doubted} WHERE {condition}")
