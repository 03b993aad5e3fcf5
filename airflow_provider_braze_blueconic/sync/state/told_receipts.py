"""What part receipts say about each person.

Of a record that must not be sent twice the parts also hold an intent, written before it is sent. If the server
certainly did nothing with it, the intent is withdrawn. A record whose intent nothing followed was sent or not, and may
have been applied: whoever reads the parts is told that its outcome is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.database import literal, parquet_source

if TYPE_CHECKING:
    import duckdb

__all__ = ["OPEN_INTENT", "are_plain", "best_receipts", "settled_identifiers", "told_receipts"]

OPEN_INTENT = "the upload ended before it kept an answer for this record; the target may have applied it"
"""Reason of a record whose intent nothing followed."""


def _part_rows(parts: Sequence[Path]) -> str:
    """SQL for the rows of part receipts as they are; parts of an older version have no refused fields."""
    rows = f"SELECT * FROM {parquet_source(parts, union_by_name=True)}"
    return f"{rows} UNION ALL BY NAME SELECT NULL::VARCHAR[] AS refused_fields WHERE FALSE"


_OWN_BOOKS = "outcome IN ('intended', 'withdrawn')"


def are_plain(connection: duckdb.DuckDBPyConnection, parts: Sequence[Path]) -> bool:
    """Tell whether there is one receipt a person and no intent, so that each receipt is read as it stands.

    It is a look at two columns, and spares what several receipts of one person take.
    """
    ((plain,),) = connection.execute(
        f"SELECT count(*) = count(DISTINCT identifier) AND count(*) FILTER (WHERE {_OWN_BOOKS}) = 0 "
        f"FROM {parquet_source(parts, union_by_name=True)}"
    ).fetchall()
    return bool(plain)


def told_receipts(parts: Sequence[Path], *, plain: bool = False) -> str:
    """SQL for part receipts as they are to be read: without the intents, but with an unknown outcome for an open one.

    Intents are counted, not compared by their times: a clock that was set back must not withdraw what was sent.

    :param plain: see :func:`are_plain`.
    """
    rows = _part_rows(parts)
    if plain:
        return rows
    own_books = _OWN_BOOKS
    return f"""
        SELECT * FROM ({rows}) WHERE NOT {own_books}
        UNION ALL BY NAME
        SELECT identifier, 'unknown' AS outcome, {literal(OPEN_INTENT)} AS reason, max(sent_at) AS sent_at
        FROM ({rows}) AS i
        WHERE {own_books}
            AND NOT EXISTS (SELECT 1 FROM ({rows}) AS r WHERE r.identifier = i.identifier AND NOT r.{own_books})
        GROUP BY identifier
        HAVING count(*) FILTER (WHERE outcome = 'intended') > count(*) FILTER (WHERE outcome = 'withdrawn')
        """


def settled_identifiers(parts: Sequence[Path], *, repeatable: bool) -> str:
    """SQL for the identifiers that must not be sent again: accepted, or not taken for what they are.

    :param repeatable: of records that may be sent twice. Of the others an unknown outcome is settled too: it is held,
        not repeated.
    """
    settled = "'accepted', 'rejected', 'not_found', 'no_consent'" + ("" if repeatable else ", 'unknown'")
    return f"SELECT identifier FROM ({told_receipts(parts)}) WHERE outcome IN ({settled})"


def best_receipts(parts: Sequence[Path], *, plain: bool = False) -> str:
    """SQL for the outcome of each person, a row each.

    Columns: ``identifier``, ``receipts`` (how many there are), ``outcome``, ``reason``, ``status``, ``refused_fields``.

    A retry may have tried a person again, so the best receipt counts: accepted over not taken over unknown. The ledger
    and the report both ask here, so that they can't tell different stories.

    :param plain: see :func:`are_plain`.
    """
    if plain:
        columns = "identifier, 1::BIGINT AS receipts, outcome, reason, status, refused_fields"
        return f"SELECT {columns} FROM ({_part_rows(parts)})"
    # A struct, since min_by passes over rows in which its value is NULL.
    return f"""
        SELECT identifier, receipts, best.outcome, best.reason, best.status, best.refused_fields
        FROM (
            SELECT identifier, count(*) AS receipts,
                min_by(
                    {{'outcome': outcome, 'reason': reason, 'status': status, 'refused_fields': refused_fields}},
                    CASE outcome WHEN 'accepted' THEN 0 WHEN 'unknown' THEN 2 ELSE 1 END
                ) AS best
            FROM ({told_receipts(parts)})
            GROUP BY identifier
        )
        """
