"""Delta Lake tables of a goal: opening, appending and replacing partitions, each change at most once.

A commit carries a named, growing number as a Delta application transaction; a commit whose number the table
already has is not made again. That makes committing twice committing once, whatever was killed in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.exceptions import WriterConflict

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

__all__ = ["Table"]


class Table:
    """One Delta table at a URI.

    :param uri: ``s3://…`` or a local path.
    :param storage_options: for delta-rs; see ``StagingHook.storage_options``. Holds credentials: never shown.
    """

    def __init__(self, uri: str, storage_options: Mapping[str, str]) -> None:
        self.uri = uri
        self._options = dict(storage_options)
        self._table: DeltaTable | None = None
        self._looked = False

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
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        if not self._looked:
            # Not is_deltatable(): it waits for the network with Python's lock held, so no other thread goes on.
            try:
                self._table = DeltaTable(self.uri, storage_options=self._options)
            except TableNotFoundError:
                self._table = None
            self._looked = True
        return self._table

    @property
    def version(self) -> int | None:
        """Version of the table, ``None`` before the first write."""
        table = self.open()
        return None if table is None else table.version()

    def columns(self) -> list[str]:
        """Names of the columns, empty before the first write."""
        table = self.open()
        return [] if table is None else [field.name for field in table.schema().fields]

    def transaction(self, name: str) -> int | None:
        """Return the last number committed under a name."""
        table = self.open()
        return None if table is None else table.transaction_version(name)

    def append(self, rows: pa.Table | pa.RecordBatchReader, *, transactions: Mapping[str, int]) -> None:
        """Add rows; a table that is not there yet is made.

        :raises WriterConflict: if another writer was faster.
        """
        self._write(rows, transactions=transactions, mode="append")

    def replace_partitions(
        self, rows: pa.RecordBatchReader, partitions: Sequence[int], *, transactions: Mapping[str, int]
    ) -> None:
        """Put rows in the place of all rows of some partitions, in one commit.

        :param rows: with an int32 column ``partition`` that holds no other numbers.
        :raises WriterConflict: if another writer changed the table meanwhile; nothing was changed here.
        """
        predicate = f"partition IN ({', '.join(str(int(partition)) for partition in partitions)})"
        if self.exists:
            self._write(rows, transactions=transactions, mode="overwrite", predicate=predicate)
        else:
            # Not append: of two runs that make the table at once, the slower one must lose.
            self._write(rows, transactions=transactions, mode="error", partition_by=["partition"])

    def replace_all(self, rows: pa.RecordBatchReader, *, transactions: Mapping[str, int]) -> None:
        """Put rows in the place of all rows of a table that exists, in one commit.

        :raises WriterConflict: if another writer changed the table meanwhile; nothing was changed here.
        """
        self._write(rows, transactions=transactions, mode="overwrite")

    def _write(
        self, rows: pa.Table | pa.RecordBatchReader, *, transactions: Mapping[str, int], mode: str, **how: Any
    ) -> None:
        from deltalake import CommitProperties, Transaction, write_deltalake
        from deltalake.exceptions import CommitFailedError, DeltaError

        existing = self.open()
        where: dict[str, Any] = (
            {"table_or_uri": self.uri, "storage_options": self._options}
            if existing is None
            else {"table_or_uri": existing, "schema_mode": "merge"}
        )
        properties = CommitProperties(
            app_transactions=[Transaction(name, number) for name, number in transactions.items()],
            # A lost race must be looked at, not repeated with what was read before it.
            max_commit_retries=None if mode == "append" else 0,
        )
        conflict = WriterConflict(
            f"Another run wrote {self.uri} at the same time; this one changed nothing. Run it again."
        )
        try:
            write_deltalake(data=rows, mode=mode, commit_properties=properties, **where, **how)  # type: ignore[call-overload]  # the mode decides which
        except CommitFailedError as error:
            raise conflict from error
        except DeltaError as error:
            if mode == "error" and "already exists" in str(error):
                raise conflict from error
            raise
        finally:
            self._table, self._looked = None, False
