"""The receipts of a goal, loaded for a recovery: by partition, and with the version of what each upload sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.database import literal, parquet_source
from airflow_provider_braze_blueconic.sync.engine.partitions import partition_sql
from airflow_provider_braze_blueconic.sync.state.receipt_table import ReceiptTable
from airflow_provider_braze_blueconic.sync.state.runs import RunTable

if TYPE_CHECKING:
    import duckdb

__all__ = ["divide_receipts", "load_deltas"]


def divide_receipts(
    connection: duckdb.DuckDBPyConnection, table: ReceiptTable, out: Path, partitions: int, waiting: Sequence[str]
) -> dict[int, list[Path]]:
    """Copy the receipts into local files by partition, so that only one of them has to be in memory.

    :param waiting: deltas whose receipts are left out.
    :return: partition → files.
    """
    wanted = ["identifier", "run_key", "delta_id", "outcome", "reason", "sent_at", "refused_fields", "fields"]
    rows = table.rows([*wanted, "matching"])
    # Only an import tells by what it asked, and receipts of before do not.
    asked = "" if "matching" in table.columns() else ", NULL::VARCHAR AS matching"
    out.mkdir(parents=True)
    connection.register("receipt_rows", rows)
    left_out = "".join(f" AND delta_id <> {literal(delta_id)}" for delta_id in waiting)
    with table.reading():
        connection.execute(
            f"COPY (SELECT *{asked}, {partition_sql('identifier', partitions)} AS partition FROM receipt_rows "
            f"WHERE TRUE{left_out}) TO {literal(str(out))} (FORMAT parquet, PARTITION_BY (partition))"
        )
    connection.unregister("receipt_rows")
    divided: dict[int, list[Path]] = {}
    for path in sorted(out.rglob("*.parquet")):
        divided.setdefault(int(path.parent.name.removeprefix("partition=")), []).append(path)
    return divided


def load_deltas(
    connection: duckdb.DuckDBPyConnection, divided: Mapping[int, Sequence[Path]], runs: RunTable
) -> list[str]:
    """Load the deltas with their versions into ``deltas``, and say which they are.

    A delta is as old as the read of its run; where the run was killed before its report, as its first sending, which is
    later and so keeps the same data out.
    """
    connection.register("run_rows", runs.reads())
    everything = parquet_source([path for parts in divided.values() for path in parts])
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE deltas AS
        SELECT delta_id, receipts, first, last, coalesce(
            (SELECT min_by(r.read_started_at, r.reported_at) FROM run_rows AS r
             WHERE r.run_key = d.run_key AND r.reported_at >= d.last),
            first
        ) AS as_of
        FROM (
            SELECT delta_id, any_value(run_key) AS run_key, count(*) AS receipts, min(sent_at) AS first,
                max(sent_at) AS last
            FROM {everything} GROUP BY delta_id
        ) AS d
        """
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE confirmed AS SELECT max(read_started_at) AS as_of FROM run_rows WHERE committed"
    )
    connection.unregister("run_rows")
    return [delta_id for (delta_id,) in connection.execute("SELECT delta_id FROM deltas ORDER BY as_of").fetchall()]
