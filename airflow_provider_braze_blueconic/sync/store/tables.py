"""Delta Lake tables of a goal: rows appended or replaced, each change at most once.

A commit carries a named, growing number as a Delta application transaction; a commit whose number the table
already has is not made again. That makes committing twice committing once, whatever was killed in between.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.exceptions import SyncError
from airflow_provider_braze_blueconic.sync.store.table_faults import store_failure
from airflow_provider_braze_blueconic.sync.store.table_options import only_told
from airflow_provider_braze_blueconic.sync.store.table_upkeep import KeptTable

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable

__all__ = ["Table", "from_microseconds", "microseconds"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def microseconds(moment: dt.datetime) -> int:
    """Write a moment as the number of a transaction: microseconds since 1970, UTC."""
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def from_microseconds(number: int) -> dt.datetime:
    """Read a moment that is written as microseconds since 1970; aware, UTC."""
    return _EPOCH + dt.timedelta(microseconds=number)


class Table(KeptTable):
    """One Delta table at a URI, to be written; see :class:`~.table_opening.OpenedTable`."""

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

    def _write(
        self, rows: pa.Table | pa.RecordBatchReader, *, transactions: Mapping[str, int], mode: str, **how: Any
    ) -> None:
        from deltalake import write_deltalake

        existing = self.open()
        where: dict[str, Any] = (
            {"table_or_uri": self.uri, "storage_options": self._options}
            if existing is None
            else {"table_or_uri": existing, "schema_mode": "merge"}
        )

        def write(properties: CommitProperties) -> None:
            write_deltalake(data=rows, mode=mode, commit_properties=properties, **where, **how)  # type: ignore[call-overload]  # the mode decides which

        self._commit(write, transactions=transactions, adds=mode == "append", makes=mode == "error")

    def _commit(
        self,
        change: Callable[[CommitProperties], None],
        *,
        transactions: Mapping[str, int],
        adds: bool = False,
        makes: bool = False,
    ) -> None:
        """Make a change of the table: every commit of rows comes through here.

        :param change: makes it, with the properties of a commit that it is handed.
        :param adds: it only adds rows, so that delta-rs may try again after a lost race.
        :param makes: it makes the table, so that one which is there by then is another writer's.
        :raises WriterConflict: if another writer was faster.
        """
        from deltalake import CommitProperties, Transaction
        from deltalake.exceptions import CommitFailedError, DeltaError

        existing = self.open()
        properties = CommitProperties(
            app_transactions=[Transaction(name, number) for name, number in transactions.items()],
            # A lost race must be looked at, not repeated with what was read before it.
            max_commit_retries=None if adds else 0,
        )
        try:
            with only_told(self._options) if existing is None else nullcontext():
                change(properties)
        except (DeltaError, OSError) as error:
            self._look_again()
            if not _holds(existing, transactions) and self._holds_now(transactions):
                return
            if isinstance(error, CommitFailedError) or (makes and "already exists" in str(error)):
                raise self._conflict() from error
            if failed := store_failure(str(error), self.uri, doing="written"):
                raise failed from None
            raise
        finally:
            self._look_again()

    def _holds_now(self, transactions: Mapping[str, int]) -> bool:
        """Tell whether a commit is in the table although it was told to have failed.

        Where the answer to a commit is lost, delta-rs either says so or tries again and meets its own commit, which it
        takes for another writer's.
        """
        try:
            return _holds(self.open(), transactions)
        except SyncError:
            return False


def _holds(table: DeltaTable | None, transactions: Mapping[str, int]) -> bool:
    if table is None or not transactions:
        return False
    return all(table.transaction_version(name) == number for name, number in transactions.items())
