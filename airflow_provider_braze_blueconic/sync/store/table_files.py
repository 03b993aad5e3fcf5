"""Parquet files that a task wrote itself, taken into a Delta table as they are.

A stream that is handed to delta-rs is encoded a second time. A file is uploaded as it is, and the commit only names it,
with what its own footer says of its values. A kill between the two leaves files that no version names; a vacuum removes
them.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from airflow_provider_braze_blueconic.exceptions import BrokenTable
from airflow_provider_braze_blueconic.sync.store.file_statistics import file_statistics
from airflow_provider_braze_blueconic.sync.store.staging import Staging
from airflow_provider_braze_blueconic.sync.store.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import Schema
    from deltalake.transaction import AddAction

__all__ = ["FiledTable"]

_BATCH = 20_000
"""Rows that are read at once where a file's rows are written once more."""


class FiledTable(Table):
    """A Delta table that takes files.

    :param staging: the store that the table is in; ``None`` for a table on a local path.
    """

    def __init__(self, uri: str, storage_options: Mapping[str, str], *, staging: Staging | None = None) -> None:
        super().__init__(uri, storage_options)
        self._staging = staging

    def fetch_files(self, partition: int, folder: Path) -> list[Path]:
        """Give local copies of a partition's files; of a table on a local path, the files themselves.

        :param folder: gets the copies.
        :raises BrokenTable: a file is missing, or isn't Parquet.
        """
        table = self.open()
        if table is None:
            return []
        with self.reading():
            files = table.get_add_actions(flatten=True)
        places = zip(files.column("path").to_pylist(), files.column("partition.partition").to_pylist(), strict=True)
        return [self._fetch(unquote(path), folder) for path, number in places if number == partition]

    def _fetch(self, path: str, folder: Path) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        local = Path(self.uri) / path if self._staging is None else folder / f"{uuid.uuid4()}.parquet"
        try:
            if self._staging is not None:
                self._staging.download_file(f"{self.uri}/{path}", local)
            pq.read_metadata(local)
        except FileNotFoundError:
            raise self._broken(f"its file {path} is missing") from None
        except pa.ArrowInvalid:
            raise self._broken(f"its file {path} is damaged") from None
        return local

    def check_files(self, files: Iterable[Path]) -> None:
        """Make sure that files of the table can be read to their end.

        :raises BrokenTable: one of them can't.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        for file in files:
            try:
                for _ in pq.ParquetFile(file).iter_batches(_BATCH):
                    pass
            except (pa.ArrowException, OSError):
                raise self._broken("one of its files is damaged") from None

    def _broken(self, wrong: str) -> BrokenTable:
        return BrokenTable(f"{self.uri} can't be read: {wrong}. {self.remedy}")

    def put_file(self, local: Path, *, partition: int | None = None) -> AddAction:
        """Upload a file for a commit to come, and remove it here.

        :param local: Parquet file, without the column ``partition``.
        :param partition: that its rows are in; ``None`` for a table without partitions.
        :return: what the commit says of the file.
        """
        from deltalake.transaction import AddAction

        folder = "" if partition is None else f"partition={partition}/"
        path = f"{folder}part-{uuid.uuid4()}.parquet"
        size, modified, statistics = local.stat().st_size, local.stat().st_mtime, file_statistics(local)
        self._put(local, f"{self.uri}/{path}")
        values = {} if partition is None else {"partition": str(partition)}
        return AddAction(path, size, values, int(modified * 1000), True, statistics)

    def _put(self, local: Path, uri: str) -> None:
        if self._staging is not None:
            self._staging.upload_file(local, uri)
            local.unlink()
            return
        if "://" in uri:
            raise ValueError(f"{self.uri} is in a store that nobody named")
        Path(uri).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(local, uri)

    def append_local(self, files: Sequence[Path], *, transactions: Mapping[str, int]) -> None:
        """Add the rows of local files, and remove these; a table that is not there yet is made.

        :param files: Parquet files with the same columns, at least one.
        :raises WriterConflict: if another writer was faster.
        """
        import pyarrow.dataset as ds
        import pyarrow.parquet as pq

        schema = pq.read_schema(files[0])
        table = self.open()
        if table is not None and not set(schema.names) <= set(self.columns()):
            # A commit that only adds files can't add a column, as a table of an older version needs it once.
            rows = ds.dataset(list(files), schema=schema, format="parquet").scanner(batch_size=_BATCH).to_reader()
            self.append(rows, transactions=transactions)
            return
        put = [self.put_file(file) for file in files if pq.read_metadata(file).num_rows]
        if table is None:
            self.create_with_files(put, schema, transactions=transactions, by_partition=False)
        else:
            self.append_files(put, transactions=transactions)

    def append_files(self, files: Sequence[AddAction], *, transactions: Mapping[str, int]) -> None:
        """Add files to a table that has all their columns.

        :raises WriterConflict: if another writer was faster.
        """
        table = self.open()
        if table is None:
            raise ValueError("There is no table yet, so nobody knows its columns")
        self._commit(
            lambda properties: table.create_write_transaction(
                list(files), mode="append", schema=table.schema(), commit_properties=properties
            ),
            transactions=transactions,
            adds=True,
        )

    def create_with_files(
        self, files: Sequence[AddAction], schema: pa.Schema, *, transactions: Mapping[str, int], by_partition: bool
    ) -> None:
        """Make a table of files.

        :raises WriterConflict: if another writer made it meanwhile.
        """
        from deltalake import Schema
        from deltalake.transaction import create_table_with_add_actions

        self._commit(
            lambda properties: create_table_with_add_actions(
                self.uri,
                Schema.from_arrow(_nullable(schema)),
                list(files),
                mode="error",
                partition_by=["partition"] if by_partition else None,
                storage_options=self._options,
                commit_properties=properties,
            ),
            transactions=transactions,
            makes=True,
        )

    def replace_with_files(
        self,
        files: Sequence[AddAction],
        schema: pa.Schema,
        partitions: Iterable[int] | None,
        *,
        transactions: Mapping[str, int],
    ) -> None:
        """Put files in the place of all rows of some partitions, in one commit; a table that is not there is made.

        :param schema: of the rows with ``partition``; columns that the table does not have yet are added to it.
        :param partitions: ``None`` for all that there are.
        :raises WriterConflict: if another writer changed the table meanwhile; nothing was changed here.
        """
        table = self.open()
        if table is None:
            self.create_with_files(files, schema, transactions=transactions, by_partition=True)
            return
        chosen = None if partitions is None else [("partition", "in", [str(number) for number in partitions])]
        self._commit(
            lambda properties: table.create_write_transaction(
                list(files),
                mode="overwrite",
                schema=_merged(table.schema(), schema),
                partition_by=["partition"],
                partition_filters=chosen,
                commit_properties=properties,
            ),
            transactions=transactions,
        )


def _nullable(schema: pa.Schema) -> pa.Schema:
    """Let every column be NULL: a file says otherwise of a column in which it happens to have none."""
    import pyarrow as pa

    return pa.schema([field.with_nullable(True).remove_metadata() for field in schema])


def _merged(known: Schema, wanted: pa.Schema) -> Schema:
    """Add the columns that a table does not have yet, at its end."""
    from deltalake import Schema

    there = {field.name for field in known.fields}
    return Schema(
        [*known.fields, *(field for field in Schema.from_arrow(_nullable(wanted)).fields if field.name not in there)]
    )
