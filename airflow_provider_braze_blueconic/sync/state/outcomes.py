"""The outcome for each person of a delta: the delta joined with its receipts, as the table ``outcome``.

Beside what was to be sent (``field_…``) the table holds what the ledger learns whatever became of the sending
(``noted_…``): what was seen in the target; of a sum whose outcome is unknown the value that was tried, since it may
have been added and must not be added again (the receipts table says what is in doubt); of other fields that may have
been written that they are in doubt.

The constants are SQL over a row ``c`` of that table.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.columns import FIELD_PREFIX, NOTED_PREFIX
from airflow_provider_braze_blueconic.sync.engine.database import literal, parquet_source
from airflow_provider_braze_blueconic.sync.engine.relations import column_names
from airflow_provider_braze_blueconic.sync.state.acknowledged import Acknowledged
from airflow_provider_braze_blueconic.sync.state.told_receipts import are_plain, best_receipts

if TYPE_CHECKING:
    import duckdb

__all__ = ["ACCEPTED", "FAILED", "PARTLY", "REFUSED", "SETTLED", "load_outcomes", "noted_beside", "receipts_sql"]

_IN_SOME_DELTAS: Mapping[str, tuple[str, str]] = {
    "seen_as_of": ("d.seen_as_of", "NULL::TIMESTAMPTZ"),
    "repair_hash": ("d.repair_hash", "NULL::VARCHAR"),
    "sticks": ("coalesce(d.sticks, FALSE)", "FALSE"),
    "absent": ("d.absent", "NULL::BOOLEAN"),
    "takes_over": ("coalesce(d.takes_over, FALSE)", "FALSE"),
    "crossed": ("d.crossed", "NULL::VARCHAR[]"),
    "known_by": ("d.known_by", "NULL::VARCHAR"),
    "matching": ("d.matching", "NULL::VARCHAR"),
}
"""Column that only some deltas have → SQL for it where the delta has it, and where it does not."""

_NO_RECEIPTS = (
    "SELECT NULL::VARCHAR AS identifier, NULL::VARCHAR AS outcome, NULL::VARCHAR AS reason, "
    "NULL::INTEGER AS status, NULL::VARCHAR[] AS refused_fields LIMIT 0"
)

_FIRST_FAILURE = 400
"""HTTP status from which an answer tells of a failure."""

_UNCLEAR = f"coalesce(c.outcome = 'unknown' AND c.status < {_FIRST_FAILURE}, FALSE)"
"""SQL that tells whether the target took the request and did not say what became of the record. If that comes back
every night, it is the record; where there was no answer, or a failure, it may be anything."""

ACCEPTED = "c.outcome = 'accepted'"
"""SQL that tells whether the target took the record, maybe without some fields."""

PARTLY = f"({ACCEPTED} AND len(c.refused_fields) > 0)"
"""SQL that tells whether the target took the record without some fields."""

_WHOLE = f"({ACCEPTED} AND coalesce(len(c.refused_fields), 0) = 0)"
"""SQL that tells whether the target took the record with every field."""

REFUSED = f"(c.outcome IN ('rejected', 'not_found', 'no_consent') OR {_UNCLEAR})"
"""SQL that tells whether the target did not take the record."""

FAILED = f"({REFUSED} OR {PARTLY})"
"""SQL that tells whether the target did not take the record, or not whole."""

SETTLED = f"({_WHOLE} OR c.kind = 'move')"
"""SQL that tells whether nothing is held against the person: whoever moved is not tried here any more either."""


def receipts_sql(connection: duckdb.DuckDBPyConnection, outcome: Acknowledged, partition: int) -> str:
    """SQL for the best receipt of each person of a partition."""
    parts = outcome.receipts_of(partition)
    return best_receipts(parts, plain=are_plain(connection, parts)) if parts else _NO_RECEIPTS


def load_outcomes(
    connection: duckdb.DuckDBPyConnection, outcome: Acknowledged, partition: int, *, receipts: str, only: str = "TRUE"
) -> None:
    """Load what became of the people of a partition's delta into ``outcome``: one row a person, without fields.

    :param receipts: SQL for the best receipt of each person.
    :param only: SQL over ``d`` (delta) that tells which people are loaded.
    """
    delta = parquet_source([outcome.delta[partition]])
    there = set(column_names(connection, f"SELECT * FROM {delta}"))
    # Of a number that is added to, what has no receipt was not sent: its intent would be there.
    untold = "unknown" if partition in outcome.broken_off and not outcome.late else "unsent"
    doubted = f"(d.to_send AND coalesce(r.outcome, {literal(untold)}) = 'unknown')"
    # Rows that have nothing to send only keep our own books (who is in the segment) and need no receipt.
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE outcome AS
        SELECT d.identifier, d.kind, d.as_of, d.to_send, {", ".join(_sometimes(there))},
            r.reason, r.status, r.refused_fields, {doubted} AS doubted,
            coalesce(r.outcome, CASE WHEN d.to_send THEN 'unsent' ELSE 'noted' END) AS outcome
        FROM {delta} AS d LEFT JOIN ({receipts}) AS r ON r.identifier = d.identifier
        WHERE {only}
        """
    )


def noted_beside(field: str) -> str:
    """Name the column of what the ledger learns of a field without a sending.

    :param field: field column.
    """
    return NOTED_PREFIX + field.removeprefix(FIELD_PREFIX)


def _sometimes(there: Collection[str]) -> list[str]:
    """SQL for the columns that only some deltas have."""
    # Deltas of before did not look at how the target finds people, so what they were told proves nothing of it.
    ignored = () if "known_by" in there else ("matching",)
    return [
        f"{known if name in there and name not in ignored else unknown} AS {name}"
        for name, (known, unknown) in _IN_SOME_DELTAS.items()
    ]
