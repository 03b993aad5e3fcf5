"""The fields of each person of a delta beside what became of them: tables ``outcome_0``, ``outcome_1`` and so on.

Beside what was to be sent (``field_…``) they hold what the ledger learns whatever becomes of the sending (``noted_…``):
what was seen in the target; of a sum whose outcome is unknown the value that was tried, since it may have been added
and must not be added again (the receipts table says what is in doubt); of other fields that may have been written that
they are in doubt.

A statement keeps 2,048 values of each of its expressions in memory, in each thread, however few rows there are. So a
goal with many fields has them in several tables: what a statement takes does not grow with the fields.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.columns import FIELD_PREFIX, INCREASE_PREFIX
from airflow_provider_braze_blueconic.sync.engine.database import quote
from airflow_provider_braze_blueconic.sync.engine.relations import column_names
from airflow_provider_braze_blueconic.sync.state.doubt import doubt_if
from airflow_provider_braze_blueconic.sync.state.outcomes import noted_beside
from airflow_provider_braze_blueconic.sync.state.refusal import hash_sql, refused_text_sql

if TYPE_CHECKING:
    import duckdb

__all__ = ["FIELDS_AT_ONCE", "field_groups", "load_fields"]

FIELDS_AT_ONCE = 100
"""Fields in a table: of some twelve expressions each, with two threads, 80 MB in memory."""


def field_groups(fields: Sequence[str]) -> list[list[str]]:
    """Divide field columns into those of each table; at least one, which may be empty."""
    ordered = sorted(fields)
    return [ordered[first : first + FIELDS_AT_ONCE] for first in range(0, max(len(ordered), 1), FIELDS_AT_ONCE)]


def load_fields(
    connection: duckdb.DuckDBPyConnection, delta: str, groups: Sequence[Sequence[str]], policy: str
) -> list[str]:
    """Load the fields of the people in ``outcome``, and add to it what all their fields together say.

    That is ``learns`` (whether the ledger learns anything without a sending) and ``refused_hash`` (the fingerprint of
    what the target did not take).

    :param delta: relation of the delta.
    :param groups: see :func:`field_groups`; fields that the delta does not have are NULL.
    :return: the fields that are added to.
    """
    there = set(column_names(connection, f"SELECT * FROM {delta}"))
    for number, group in enumerate(groups):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE noted AS SELECT {', '.join(_columns(group, there))} "
            f"FROM outcome AS c JOIN {delta} AS d ON d.identifier = c.identifier"
        )
        learns = " OR ".join(f"{quote(noted_beside(field))} IS NOT NULL" for field in group)
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE outcome_{number} AS SELECT *, {learns or 'FALSE'} AS learns FROM noted"
        )
    tables = [f"outcome_{number}" for number in range(len(groups))]
    joined = " ".join(f"JOIN {table} ON {table}.identifier = c.identifier" for table in tables)
    learns = " OR ".join(f"{table}.learns" for table in tables)
    refused_hash = hash_sql(policy, [f"{table}.refused" for table in tables])
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE outcome AS "
        f"SELECT c.*, {learns} AS learns, {refused_hash} AS refused_hash FROM outcome AS c {joined}"
    )
    return [field for group in groups for field in group if _increase_beside(field) in there]


def _columns(group: Sequence[str], there: Collection[str]) -> list[str]:
    """SQL for the columns of a table, over ``c`` (outcome) and ``d`` (delta).

    :param there: columns of the delta.
    """
    return [
        "d.identifier",
        *(f"d.{quote(field)}" if field in there else f"NULL::VARCHAR AS {quote(field)}" for field in group),
        *(f"{_noted_sql(field, there)} AS {quote(noted_beside(field))}" for field in group),
        f"{refused_text_sql([field for field in group if field in there])} AS refused",
    ]


def _noted_sql(field: str, there: Collection[str]) -> str:
    """SQL for what the ledger learns of a field whatever became of the sending."""
    known = [f"d.{quote(noted_beside(field))}"] if noted_beside(field) in there else []
    increase = _increase_beside(field)
    if increase in there:
        tried = f"c.outcome = 'unknown' AND d.{quote(increase)} IS NOT NULL"
        known.append(f"CASE WHEN {tried} THEN d.{quote(field)} END")
    elif field in there:
        # The record may have been applied without a word of it.
        known.append(doubt_if(f"c.doubted AND d.{quote(field)} IS NOT NULL"))
    return f"coalesce({', '.join([*known, 'NULL::VARCHAR'])})"


def _increase_beside(field: str) -> str:
    return INCREASE_PREFIX + field.removeprefix(FIELD_PREFIX)
