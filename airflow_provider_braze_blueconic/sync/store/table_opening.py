"""One Delta table, opened: its content, in the version that was read first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.exceptions import BrokenTable, SyncError, UnsupportedTable, WriterConflict
from airflow_provider_braze_blueconic.sync.store.table_faults import store_failure, what_is_wrong
from airflow_provider_braze_blueconic.sync.store.table_features import unsupported_features
from airflow_provider_braze_blueconic.sync.store.table_head import TableHead, read_head
from airflow_provider_braze_blueconic.sync.store.table_options import only_told, with_bucket
from airflow_provider_braze_blueconic.sync.store.table_transactions import Transactions

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

__all__ = ["OpenedTable"]


class OpenedTable:
    """One Delta table at a URI, to be read.

    :param uri: ``s3://…`` or a local path.
    :param storage_options: for delta-rs; see ``StagingHook.storage_options``. Holds credentials: never shown.
    """

    replaces = False
    """Rows are replaced, and not only added."""

    def __init__(self, uri: str, storage_options: Mapping[str, str]) -> None:
        self.uri = uri
        self._options = with_bucket(uri, storage_options)
        self._table: DeltaTable | None = None
        self._looked = False
        self._transactions: Transactions | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    @property
    def exists(self) -> bool:
        """Tell whether the table was ever written."""
        return self.open() is not None

    def open(self) -> DeltaTable | None:
        """Return the table as it was when this object first looked, or ``None`` if it was not there.

        What is read and what is then replaced must be one version, or the writes of another run in between would be
        lost: a write against an older version ends in :class:`WriterConflict`. After a write it looks again.

        :raises UnsupportedTable: somebody gave the table a feature that this package can't use.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        if not self._looked:
            # Not is_deltatable(): it waits for the network with Python's lock held, so no other thread goes on.
            try:
                with self.reading(), only_told(self._options):
                    self._table = DeltaTable(self.uri, storage_options=self._options)
            except TableNotFoundError:
                self._table = None
            except BrokenTable:
                # Of some features delta-rs says that the log is odd.
                with only_told(self._options):
                    self._refuse_features(read_head(self.uri, self._options))
                raise
            self._refuse_features(None if self._table is None else TableHead.of(self._table))
            self._looked = True
        return self._table

    def _refuse_features(self, head: TableHead | None) -> None:
        found = [] if head is None else list(unsupported_features(head, self.uri, replaces=self.replaces))
        if found:
            names, ways = zip(*found, strict=True)
            raise UnsupportedTable(
                f"Remove {', '.join(names)} from {self.uri}, for example in Spark: {'; '.join(ways)}. Somebody "
                "turned it on, and this package can't work with it. Or restore the folder to its earlier state. "
                "The table isn't damaged, so there is nothing to recover."
            )

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what reading a broken table raises, here and in DuckDB or Arrow, into one error that says what to do.

        :raises BrokenTable: if a file of the table is missing or damaged, or its log is.
        :raises AccessError: the store refuses access.
        :raises TransientError: the store failed or could not be reached; the table may be well.
        """
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            yield
        except (TableNotFoundError, SyncError):
            raise
        except Exception as error:
            # All of them: DuckDB, Arrow and delta-rs each have their own for the same missing file.
            if failed := store_failure(str(error), self.uri, doing="read"):
                raise failed from None
            wrong = what_is_wrong(str(error), in_log=isinstance(error, DeltaError))
            if wrong is None:
                raise
            raise BrokenTable(f"{self.uri} can't be read: {wrong}. {self.remedy}") from None

    @property
    def remedy(self) -> str:
        """What to do when the table can't be read."""
        return "Restore the missing files from a version of the bucket or a backup."

    def _look_again(self) -> None:
        """Let the next use open the table anew: it has, or may have, another version now."""
        self._table, self._looked, self._transactions = None, False, None

    def _conflict(self) -> WriterConflict:
        return WriterConflict(f"Another run wrote {self.uri} at the same time; this one changed nothing. Run it again.")

    @property
    def version(self) -> int | None:
        """Version of the table, ``None`` before the first write."""
        table = self.open()
        return None if table is None else table.version()

    def columns(self) -> list[str]:
        """Names of the columns, empty before the first write."""
        table = self.open()
        return [] if table is None else [field.name for field in table.schema().fields]

    def rows(self, columns: Sequence[str] | None = None) -> pa.RecordBatchReader | None:
        """Stream all rows; ``None`` before the first write. To be read within :meth:`reading`.

        :param columns: all of the table by default; those that the table does not have are left out.
        """
        table = self.open()
        if table is None:
            return None
        wanted = None if columns is None else [name for name in self.columns() if name in columns]
        # No threads: see RunTable.last_good_read.
        return table.to_pyarrow_dataset().scanner(columns=wanted, use_threads=False).to_reader()

    def transaction(self, name: str) -> int | None:
        """Return the last number committed under a name."""
        table = self.open()
        if table is None:
            return None
        if self._transactions is None:
            self._transactions = Transactions(table, self.uri, self._options)
        return self._transactions.number(name)
