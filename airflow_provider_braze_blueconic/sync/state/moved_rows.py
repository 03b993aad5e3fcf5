"""The rows of whole partitions after a run, in the files in which the table keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.columns import FIELD_PREFIX
from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect, parquet_source, quote
from airflow_provider_braze_blueconic.sync.engine.relations import column_names
from airflow_provider_braze_blueconic.sync.state.acknowledged import Acknowledged
from airflow_provider_braze_blueconic.sync.state.changed_settings import NO_DOUBTS, Doubts
from airflow_provider_braze_blueconic.sync.state.ledger_columns import BOOKS, ledger_schema
from airflow_provider_braze_blueconic.sync.state.ledger_rows import LedgerRows
from airflow_provider_braze_blueconic.sync.state.moved_partition import moved_partition
from airflow_provider_braze_blueconic.sync.state.table_rows import write_file

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from deltalake.transaction import AddAction

__all__ = ["move_rows"]


def move_rows(
    ledger: LedgerRows, engine: Engine, outcome: Acknowledged, partitions: Sequence[int], doubts: Doubts, folder: Path
) -> tuple[list[AddAction], pa.Schema]:
    """Put the new rows of the touched partitions into the ledger's folder, for a commit to name.

    One partition is worked on at a time, and its local file is gone before the next one.

    :param doubts: what changed settings put in doubt.
    :param folder: gets the files.
    :return: the new files, and the schema of the ledger.
    """
    put = []
    with connect(engine) as connection:
        fields, with_known_by = _columns(connection, ledger, outcome)
        moving = _Moving(connection, ledger, outcome, fields, with_known_by, doubts, folder)
        for partition in partitions:
            file = folder / f"moved-{partition}.parquet"
            if moving.write(partition, file):
                put.append(ledger.put_file(file, partition=partition))
    return put, ledger_schema(fields, with_known_by=with_known_by)


@dataclass(frozen=True)
class _Moving:
    """How partitions of a ledger move.

    :param fields: field columns of the ledger after the run.
    :param with_known_by: the ledger has that column then.
    """

    connection: duckdb.DuckDBPyConnection
    ledger: LedgerRows
    outcome: Acknowledged
    fields: Sequence[str]
    with_known_by: bool
    doubts: Doubts
    folder: Path

    def write(self, partition: int, file: Path) -> int:
        """Write a partition after the run to a file, and say how many rows there are."""
        with self.ledger.holding(partition, self.outcome.partitions, self.folder) as held:
            self._open(partition, held)
            if partition in self.outcome.delta:
                moved = moved_partition(
                    self.connection, self.outcome, partition, self.fields, with_known_by=self.with_known_by
                )
            else:
                moved = "SELECT * FROM ledger"
            columns = [name for name in BOOKS if name != "known_by" or self.with_known_by]
            listed = ", ".join(map(quote, [*columns, *self.fields]))
            return write_file(self.connection, f"SELECT {listed} FROM ({moved})", file, fields=len(self.fields))

    def _open(self, partition: int, held: Sequence[Path] | None) -> None:
        """Give the partition's rows before the run the name ``ledger``.

        :param held: local copies of the ledger's files, where there are any.
        """
        if held is not None and self.doubts == NO_DOUBTS:
            self.ledger.attach(self.connection, held, self.fields, with_known_by=self.with_known_by)
            return
        self.ledger.load(
            self.connection,
            partition,
            self.fields,
            partitions=self.outcome.partitions,
            doubts=self.doubts,
            with_known_by=self.with_known_by,
            files=held,
        )


def _columns(
    connection: duckdb.DuckDBPyConnection, ledger: LedgerRows, outcome: Acknowledged
) -> tuple[list[str], bool]:
    """Name the field columns of the ledger after the run, and tell whether it has ``known_by``."""
    names = ledger.columns()
    for file in outcome.delta.values():
        names += column_names(connection, f"SELECT * FROM {parquet_source([file])}")
    fields = [name for name in dict.fromkeys(names) if name.startswith(FIELD_PREFIX)]
    return fields, "known_by" in names
