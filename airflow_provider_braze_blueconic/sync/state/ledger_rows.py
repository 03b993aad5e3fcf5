"""The rows of the ledger, to be read.

Beside its rows the ledger remembers numbers: the application transactions of its commits.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.sync.engine.columns import FIELD_PREFIX
from airflow_provider_braze_blueconic.sync.engine.database import parquet_source, quote
from airflow_provider_braze_blueconic.sync.engine.partitions import partition_sql
from airflow_provider_braze_blueconic.sync.engine.relations import column_names
from airflow_provider_braze_blueconic.sync.state.changed_settings import NO_DOUBTS, Doubts, doubts_of
from airflow_provider_braze_blueconic.sync.state.ledger_columns import BOOKS
from airflow_provider_braze_blueconic.sync.state.release import FORGOTTEN
from airflow_provider_braze_blueconic.sync.store.table_files import FiledTable
from airflow_provider_braze_blueconic.sync.store.tables import from_microseconds

if TYPE_CHECKING:
    import duckdb
    from deltalake import DeltaTable

__all__ = ["AS_OF", "LAST", "LINKS", "PARTITIONS", "RELEASED", "LedgerRows"]

AS_OF = "as_of"
"""Application transaction that holds the newest committed ``as_of`` in microseconds since 1970. People whose values
did not change keep the ``as_of`` of their row, so the row alone can't tell that a newer read confirmed it."""

PARTITIONS = "partitions"
"""Application transaction that holds the number of partitions that the rows are divided by."""

LAST = "last"
"""Application transaction that holds the number of the delta that moved the ledger last."""

RELEASED = "released"
"""Application transaction that holds when people were last released, in microseconds since 1970."""

LINKS = "links"
"""Application transaction that holds a fingerprint of the identifier links of the last run that read everybody."""


class LedgerRows(FiledTable):
    """The ledger of one goal, as who only reads it needs it."""

    replaces = True

    @property
    def links(self) -> int | None:
        """Fingerprint of the links by which the last run that read everybody knew people; ``None`` if it left none."""
        return self.transaction(LINKS)

    @property
    def last_delta(self) -> int | None:
        """Number of the delta that moved the ledger last; ``None`` before the first one."""
        return self.transaction(LAST)

    @property
    def released_at(self) -> dt.datetime | None:
        """When people were last released from their rest, UTC; ``None`` if nobody ever was."""
        number = self.transaction(RELEASED)
        return None if number is None else from_microseconds(number)

    def newest_as_of(self) -> dt.datetime | None:
        """Return the version of the newest data that a run has committed, UTC."""
        number = self.transaction(AS_OF)
        return None if number is None else from_microseconds(number)

    def fields(self) -> list[str]:
        """Name the field columns, none before the first write."""
        return [name for name in self.columns() if name.startswith(FIELD_PREFIX)]

    def doubts(self, settings: Mapping[str, int]) -> Doubts:
        """Say what settings other than those of the last commit put in doubt of everybody.

        :param settings: name → number.
        """
        doubts = doubts_of(settings, known=self.transaction)
        known = self.columns()
        fields, forgotten = (
            tuple(field for field in some if field in known) for some in (doubts.fields, doubts.forgotten)
        )
        return replace(doubts, fields=fields, forgotten=forgotten)

    def load(
        self,
        connection: duckdb.DuckDBPyConnection,
        partition: int,
        targets: Sequence[str],
        *,
        partitions: int | None = None,
        doubts: Doubts = NO_DOUBTS,
        with_known_by: bool = False,
        but: str | None = None,
        files: Sequence[Path] | None = None,
    ) -> None:
        """Load one partition into the temporary table ``ledger``.

        :param targets: field columns that must be there; those the table does not have yet are NULL.
        :param partitions: by how many partitions to divide; ``None`` for what the table is divided by. For another
            number than that, all rows are looked through.
        :param doubts: what changed settings put in doubt, on top of what the table says.
        :param with_known_by: also if the table does not have that column yet.
        :param but: SQL for the identifiers of rows to leave out; ``None`` for none.
        :param files: see :meth:`holding`.
        """
        books = [name for name in BOOKS if name != "known_by" or with_known_by or name in self.columns()]
        columns = list(dict.fromkeys([*books, *targets, *self.fields()]))
        if not self.exists:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE ledger AS SELECT {self._texts(columns)} LIMIT 0")
            return
        others = f" WHERE identifier NOT IN ({but})" if but is not None else ""
        with self.partition_rows(connection, partition, columns, partitions=partitions, files=files) as rows:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE ledger AS SELECT * FROM {rows}{others}")
        doubts.apply(connection)
        if doubts.elsewhere:
            # What another target refused, did not have or did not keep says nothing of this one.
            released = ", ".join(f"{book} = {value}" for book, value in FORGOTTEN.items())
            connection.execute(f"UPDATE ledger SET {released}")

    @staticmethod
    def attach(
        connection: duckdb.DuckDBPyConnection, files: Sequence[Path], targets: Sequence[str], *, with_known_by: bool
    ) -> None:
        """Give one partition the name ``ledger``: a view of its files, so that nothing is in memory.

        :param files: see :meth:`holding`.
        :param targets: field columns that must be there; those the table does not have yet are NULL.
        """
        books = [name for name in BOOKS if name != "known_by" or with_known_by]
        rows = _file_rows(connection, files, list(dict.fromkeys([*books, *targets])))
        connection.execute(f"CREATE OR REPLACE TEMP VIEW ledger AS SELECT * FROM {rows}")

    @contextmanager
    def holding(self, partition: int, partitions: int, folder: Path) -> Iterator[Sequence[Path] | None]:
        """Give local copies of one partition's files for the time of a block: DuckDB reads them several times as fast.

        :param partitions: by how many partitions to divide.
        :param folder: gets the copies.
        :return: ``None`` where the table is divided otherwise, or is not there.
        :raises BrokenTable: a file is missing or damaged.
        """
        import duckdb

        if not self.exists or self.transaction(PARTITIONS) not in (None, partitions):
            yield None
            return
        folder.mkdir(parents=True, exist_ok=True)
        files = self.fetch_files(partition, folder)
        try:
            yield files
        except duckdb.Error:
            self.check_files(files)
            raise
        finally:
            for copy in files:
                if copy.parent == folder:
                    copy.unlink(missing_ok=True)

    @contextmanager
    def partition_rows(
        self,
        connection: duckdb.DuckDBPyConnection,
        partition: int,
        columns: Sequence[str],
        *,
        partitions: int | None = None,
        files: Sequence[Path] | None = None,
    ) -> Iterator[str]:
        """Give SQL for some columns of one partition of a ledger that exists, for the time of a block.

        :param columns: see :meth:`narrow`.
        :param partitions: see :meth:`load`.
        :param files: see :meth:`holding`.
        """
        table = self.open()
        if table is None:
            raise ValueError(f"{self.uri} does not exist")
        if files is not None:
            yield _file_rows(connection, files, columns)
            return
        rows, here = self._partition(table, partition, partitions)
        with self._registered(connection, rows):
            yield f"(SELECT {self._texts(columns)} FROM ledger_rows WHERE {here})"

    @contextmanager
    def narrow(self, connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> Iterator[str]:
        """Give SQL for some columns of all rows, of all partitions, for the time of a block.

        :param columns: of the books or fields; those that the table does not have yet are NULL.
        """
        texts = self._texts(columns)
        table = self.open()
        if table is None:
            yield f"(SELECT {texts} WHERE FALSE)"
            return
        with self._registered(connection, table.to_pyarrow_dataset()):
            yield f"(SELECT {texts} FROM ledger_rows)"

    def _texts(self, columns: Sequence[str]) -> str:
        """SQL for columns; those that the table does not have yet are NULL."""
        present = self.columns()
        return ", ".join(
            quote(name) if name in present else f"NULL::{BOOKS.get(name, 'VARCHAR')} AS {quote(name)}"
            for name in columns
        )

    def _partition(self, table: DeltaTable, partition: int, partitions: int | None) -> tuple[Any, str]:
        """Give rows among which those of a partition are, and SQL that tells which these are."""
        if partitions is None or partitions == (self.transaction(PARTITIONS) or partitions):
            rows = table.to_pyarrow_dataset(file_pruning_predicate=[("partition", "=", partition)])
            return rows, f"partition = {partition:d}"
        return table.to_pyarrow_dataset(), f"{partition_sql('identifier', partitions)} = {partition:d}"

    @contextmanager
    def _registered(self, connection: duckdb.DuckDBPyConnection, rows: Any) -> Iterator[None]:
        """Give rows the name ``ledger_rows`` for the time of a block in which they are read."""
        connection.register("ledger_rows", rows)
        try:
            with self.reading():
                yield
        finally:
            connection.unregister("ledger_rows")

    @property
    def remedy(self) -> str:
        """What to do when the ledger can't be read."""
        return (
            "If the bucket keeps old versions of its objects, restore those files; otherwise run `braze-blueconic "
            "recover <goal file>`, which moves the broken ledger aside and rebuilds it from the receipts. Don't "
            "restore an older version of the table: it lacks what was acknowledged since, so that would be sent "
            "again."
        )


def _file_rows(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], columns: Sequence[str]) -> str:
    """SQL for some columns of local files of the ledger; those that they do not have are NULL."""
    source = parquet_source(files, union_by_name=True) if files else "(SELECT NULL::VARCHAR AS identifier)"
    there = set(column_names(connection, f"SELECT * FROM {source}"))
    # Cast, since Spark writes moments without their zone, which is UTC.
    texts = ", ".join(
        f"{quote(name) if name in there else 'NULL'}::{BOOKS.get(name, 'VARCHAR')} AS {quote(name)}" for name in columns
    )
    return f"(SELECT {texts} FROM {source}{'' if files else ' WHERE FALSE'})"
