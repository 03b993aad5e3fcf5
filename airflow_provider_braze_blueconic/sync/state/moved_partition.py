"""One partition after a run: the plain rows by the short way, and the others by the long one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.database import parquet_source
from airflow_provider_braze_blueconic.sync.engine.relations import column_names
from airflow_provider_braze_blueconic.sync.state.acknowledged import Acknowledged
from airflow_provider_braze_blueconic.sync.state.moved_row import moved_sql
from airflow_provider_braze_blueconic.sync.state.outcome_fields import field_groups, load_fields
from airflow_provider_braze_blueconic.sync.state.outcomes import load_outcomes, receipts_sql
from airflow_provider_braze_blueconic.sync.state.plain_row import plain_sql, plainly_taken

if TYPE_CHECKING:
    import duckdb

__all__ = ["moved_partition"]


def moved_partition(
    connection: duckdb.DuckDBPyConnection,
    outcome: Acknowledged,
    partition: int,
    fields: Sequence[str],
    *,
    with_known_by: bool,
) -> str:
    """SQL for a partition after the run, over the relation ``ledger`` and tables that are made for it.

    The plain rows are told from the others by a look at a few columns.

    :param fields: field columns of the ledger.
    :param with_known_by: the ledger has that column.
    """
    receipts = receipts_sql(connection, outcome, partition)
    delta = parquet_source([outcome.delta[partition]])
    there = column_names(connection, f"SELECT * FROM {delta}")
    plain, others = _divide(connection, delta, there, receipts, late=outcome.late)
    ((is_new,),) = connection.execute("SELECT count(*) = 0 FROM ledger").fetchall()
    if not others:
        known = None if is_new else "ledger"
        return plain_sql(fields, outcome, there, taken=delta, ledger=known, with_known_by=with_known_by)
    theirs = "identifier IN (SELECT identifier FROM others)"
    only, ledger = (f"d.{theirs}", f"(SELECT * FROM ledger WHERE {theirs})") if plain else ("TRUE", "ledger")
    load_outcomes(connection, outcome, partition, receipts=receipts, only=only)
    groups = field_groups(fields)
    sums = load_fields(connection, delta, groups, outcome.policy)
    moved = moved_sql(connection, groups, outcome, sums, with_known_by=with_known_by, ledger=ledger)
    if not plain:
        return moved
    taken, untouched = (f"(SELECT * FROM {rows} WHERE NOT ({theirs}))" for rows in (delta, "ledger"))
    known = None if is_new else untouched
    most = plain_sql(fields, outcome, there, taken=taken, ledger=known, with_known_by=with_known_by)
    return f"{most} UNION ALL BY NAME {moved}"


def _divide(
    connection: duckdb.DuckDBPyConnection, delta: str, there: Sequence[str], receipts: str, *, late: bool
) -> tuple[int, int]:
    """Collect who is no plain case in the table ``others``, and say how many people are one, and how many not."""
    # What comes late may be older than what the ledger knows.
    plain = "FALSE" if late else plainly_taken(there)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE others AS SELECT d.identifier FROM {delta} AS d "
        f"LEFT JOIN ({receipts}) AS r ON r.identifier = d.identifier WHERE NOT {plain}"
    )
    ((everybody, others),) = connection.execute(
        f"SELECT (SELECT count(*) FROM {delta}), (SELECT count(*) FROM others)"
    ).fetchall()
    return everybody - others, others
