"""The rows of a ledger that is rebuilt from the receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.columns import field_column
from airflow_provider_braze_blueconic.sync.engine.database import parquet_source, quote
from airflow_provider_braze_blueconic.sync.upkeep.sent_values import Sum, known_sql, split_fields

if TYPE_CHECKING:
    import duckdb

__all__ = ["ledger_rows"]

_DECIDED = "outcome IN ('accepted', 'rejected', 'not_found', 'no_consent')"
_WHOLE = "(outcome = 'accepted' AND coalesce(len(refused_fields), 0) = 0)"


def ledger_rows(
    connection: duckdb.DuckDBPyConnection, parts: Sequence[Path], partition: int, sums: Mapping[str, Sum]
) -> str:
    """SQL for the rows of one partition of the ledger.

    :param parts: local receipts of that partition.
    :param sums: target → how it is added to.
    """
    _load_told(connection, parts)
    split_fields(connection)
    keys = [key for (key,) in connection.execute("SELECT DISTINCT key FROM sent ORDER BY key").fetchall()]
    fields = [f"{known_sql(key, sums.get(key))} AS {quote(field_column(key))}" for key in keys]
    known = ", ".join(["identifier", *fields])
    has_level = " OR ".join(f"v.{quote(field_column(key))} IS NOT NULL" for key in keys) or "FALSE"
    return f"""
        WITH known AS (SELECT {known} FROM sent GROUP BY identifier), books AS ({_books_sql()})
        SELECT identifier, {partition:d}::INTEGER AS partition, b.as_of, NULL::BOOLEAN AS in_segment, b.run_key,
            CASE WHEN NOT b.whole THEN b.reason END AS rejection,
            coalesce(len([f FOR f IN b.failed IF f IS NOT DISTINCT FROM b.tried]), 0)::INTEGER AS attempts,
            NULL::VARCHAR AS refused_hash,
            CASE WHEN NOT b.whole THEN b.refused_as END AS refused_as,
            CASE WHEN NOT b.whole THEN b.tried_at END AS tried_at,
            b.known_by,
            v.* EXCLUDE (identifier)
        FROM books AS b FULL JOIN known AS v USING (identifier)
        WHERE b.identifier IS NOT NULL OR {has_level}
        """


def _load_told(connection: duckdb.DuckDBPyConnection, parts: Sequence[Path]) -> None:
    """Load what was told of each person and delta into ``told``, with the delta's version."""
    # Of a delta the best receipt of a person counts, as for the ledger: accepted over not taken over unknown.
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE told AS
        SELECT identifier, delta_id, best.*, d.as_of FROM (
            SELECT identifier, delta_id, min_by(
                {{'outcome': outcome, 'reason': reason, 'refused_fields': refused_fields, 'fields': fields,
                  'run_key': run_key, 'sent_at': sent_at, 'matching': matching}},
                (CASE outcome WHEN 'accepted' THEN 0 WHEN 'unknown' THEN 2 ELSE 1 END, sent_at)
            ) AS best
            FROM {parquet_source(parts, union_by_name=True)} GROUP BY identifier, delta_id
        ) JOIN deltas AS d USING (delta_id)
        """
    )


def _books_sql() -> str:
    """SQL for what the ledger says of each person beside the values, from what was told of each delta."""
    # Counted from the last time that the record was taken whole; the same values refused again are one more attempt.
    return f"""
        WITH ordered AS (
            SELECT *, {_WHOLE} AS whole, row_number() OVER last_first AS place,
                sum({_WHOLE}::INTEGER) OVER last_first AS taken_since
            FROM told WHERE {_DECIDED}
            WINDOW last_first AS (PARTITION BY identifier ORDER BY sent_at DESC, delta_id DESC)
        )
        SELECT identifier,
            max_by(as_of, sent_at) FILTER (WHERE outcome = 'accepted') AS as_of,
            any_value(run_key) FILTER (WHERE place = 1) AS run_key,
            bool_or(whole) FILTER (WHERE place = 1) AS whole,
            any_value(reason) FILTER (WHERE place = 1) AS reason,
            any_value(CASE outcome WHEN 'accepted' THEN 'fields' ELSE outcome END) FILTER (WHERE place = 1)
                AS refused_as,
            any_value(as_of) FILTER (WHERE place = 1) AS tried_at,
            any_value(fields) FILTER (WHERE place = 1) AS tried,
            any_value(matching) FILTER (WHERE place = 1) AS known_by,
            list(fields) FILTER (WHERE taken_since = 0) AS failed
        FROM ordered GROUP BY identifier
        """
