"""The delta's rows of people who left."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.news import News
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.engine.columns import field_column
from airflow_provider_braze_blueconic.sync.engine.database import literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.engine.partitions import partition_sql
from airflow_provider_braze_blueconic.sync.mapping.values import withheld_sql
from airflow_provider_braze_blueconic.sync.values.texts import CLEAR

if TYPE_CHECKING:
    import duckdb

__all__ = ["collect_leavers"]


def collect_leavers(
    connection: duckdb.DuckDBPyConnection,
    plan: DeltaPlan,
    partition: int,
    skipped: Path | None,
    floor: dt.datetime | None,
    news: News,
) -> int:
    """Add the people of whom the ledger says that they are in the segment, and whom this read did not meet.

    A read that is older than what the ledger knows is silent about them, also where its values are sent: they may have
    come since.

    :param skipped: people who were read but not mapped; they did not leave.
    :param floor: version of the newest data that was committed, where older data are stale for everybody.
    :return: how many of them may only be missing from the read, and stay as they are; those whose data are newest.
    """
    if floor is not None and plan.as_of < floor:
        return 0
    here = _here_sql(plan, partition, skipped, news)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE gone AS SELECT * FROM ledger WHERE in_segment AND identifier NOT IN ({here})"
    )
    spared = 0
    if plan.missing:
        kept = "SELECT identifier FROM gone ORDER BY as_of DESC NULLS LAST, identifier LIMIT ?"
        stay = connection.execute(f"DELETE FROM gone WHERE identifier IN ({kept})", [plan.missing])
        spared = stay.fetchall()[0][0]
    anything = " OR ".join(f"{quote(column)} IS NOT NULL" for column in plan.all_columns)
    told = ", ".join(f"{_told_sql(plan, column)} AS {quote(column)}" for column in plan.all_columns)
    connection.execute(
        f"""
        INSERT INTO delta BY NAME
        SELECT identifier, 'leave' AS kind, as_of, ({anything}) AS to_send, 0 AS data_points,
            {", ".join(quote(column) for column in plan.all_columns)}
        FROM (SELECT l.identifier, $as_of::TIMESTAMPTZ AS as_of, {told} FROM gone AS l)
        """,
        {"as_of": plan.as_of},
    )
    return spared


def _here_sql(plan: DeltaPlan, partition: int, skipped: Path | None, news: News) -> str:
    """SQL for the people of the partition who did not leave."""
    here = "SELECT identifier FROM mapped"
    if skipped is not None:
        skipped_here = partition_sql("identifier", plan.partitions)
        here += (
            f" UNION ALL SELECT identifier FROM {parquet_source([skipped])} "
            f"WHERE identifier IS NOT NULL AND {skipped_here} = {partition:d}"
        )
    if news.is_told:
        here += " UNION ALL SELECT identifier FROM present"
    return here


def _told_sql(plan: DeltaPlan, column: str) -> str:
    """SQL for what a field of somebody who left is to hold; NULL to say nothing."""
    text = plan.to_leavers.get(column)
    if text is None:
        return "NULL::VARCHAR"
    # Who never had anything acknowledged has nothing of ours: nothing to mark, and marking might create them.
    known = " OR ".join(["l.as_of IS NOT NULL", *(f"l.{quote(name)} IS NOT NULL" for name in plan.all_columns)])
    differs = known
    if column in plan.columns:
        # What a field holds is known, so the same is not sent again, and what was never set is not cleared.
        differs = f"({known}) AND l.{quote(column)} IS DISTINCT FROM {literal(text)}"
        differs += f" AND l.{quote(column)} IS NOT NULL" if text == CLEAR else ""
    # Of another attribute it is only known what the last departure left there, and not what came after it.
    withheld = {field_column(target): beginnings for target, beginnings in plan.withheld.items()}
    told = f"({differs}) AND NOT {withheld_sql(withheld.get(column, ()))}"
    return f"CASE WHEN {told} THEN {literal(text)} END"
