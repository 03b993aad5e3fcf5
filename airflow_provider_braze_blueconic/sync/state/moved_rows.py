"""The rows of whole partitions after a run, as a stream that one commit takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.columns import FIELD_PREFIX
from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect, parquet_source
from airflow_provider_braze_blueconic.sync.engine.relations import column_names
from airflow_provider_braze_blueconic.sync.state.acknowledged import Acknowledged
from airflow_provider_braze_blueconic.sync.state.changed_settings import Doubts
from airflow_provider_braze_blueconic.sync.state.ledger_files import stream_files, write_file
from airflow_provider_braze_blueconic.sync.state.ledger_rows import LedgerRows
from airflow_provider_braze_blueconic.sync.state.moved_row import moved_sql
from airflow_provider_braze_blueconic.sync.state.outcomes import load_outcomes

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["moved_rows"]


def moved_rows(
    ledger: LedgerRows, engine: Engine, outcome: Acknowledged, partitions: Sequence[int], doubts: Doubts, folder: Path
) -> pa.RecordBatchReader:
    """Write the new rows of the touched partitions to local files, one partition in memory at a time, and stream them.

    :param doubts: what changed settings put in doubt.
    :param folder: gets the files.
    """
    with connect(engine) as connection:
        fields, with_known_by = _columns(connection, ledger, outcome)
        files = []
        for partition in partitions:
            ledger.load(
                connection,
                partition,
                fields,
                partitions=outcome.partitions,
                doubts=doubts,
                with_known_by=with_known_by,
            )
            if partition in outcome.delta:
                sums = load_outcomes(connection, outcome, partition, fields)
                moved = moved_sql(fields, partition, outcome, sums, with_known_by=with_known_by)
            else:
                moved = f"SELECT {partition:d}::INTEGER AS partition, * FROM ledger"
            files.append(write_file(connection, moved, folder / f"moved-{partition}.parquet"))
    return stream_files(files, fields, with_known_by=with_known_by)


def _columns(
    connection: duckdb.DuckDBPyConnection, ledger: LedgerRows, outcome: Acknowledged
) -> tuple[list[str], bool]:
    """Name the field columns of the ledger after the run, and tell whether it has ``known_by``."""
    names = ledger.columns()
    for file in outcome.delta.values():
        names += column_names(connection, f"SELECT * FROM {parquet_source([file])}")
    fields = [name for name in dict.fromkeys(names) if name.startswith(FIELD_PREFIX)]
    return fields, "known_by" in names
