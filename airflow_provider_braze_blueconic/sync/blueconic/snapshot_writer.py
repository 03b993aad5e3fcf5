"""The parts of a snapshot of profiles in the making."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from airflow_provider_braze_blueconic.sync.blueconic.profile_columns import ProfileColumns
from airflow_provider_braze_blueconic.sync.store.parts import PartWriter

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ROWS_PER_PART", "SnapshotWriter"]

ROWS_PER_PART = 50_000
_BYTES_PER_PART = 64 << 20
"""Bytes of columns after which a part ends before it has its rows, so that long values don't fill the memory."""


class SnapshotWriter:
    """Gathers rows, and writes and uploads a part in a thread of its own while the next rows come.

    At most two parts are in memory. The writer is a context; :meth:`finish` writes the last part.

    :param as_of: how old the rows are.
    :param rows_per_part: rows after which a part ends.
    :ivar rows: rows so far, of all parts.
    """

    def __init__(
        self, columns: ProfileColumns, as_of: dt.datetime, parts: PartWriter, rows_per_part: int = ROWS_PER_PART
    ) -> None:
        self._schema = columns.schema
        self._told = columns.told
        self._as_of = as_of
        self._parts = parts
        self._rows_per_part = rows_per_part
        self._batches: list[pa.RecordBatch] = []
        self._held = 0
        self._bytes = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="snapshot-parts")
        self._writing: Future[None] | None = None
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    @property
    def bytes(self) -> int:
        """Bytes of the parts that are written."""
        return self._parts.bytes

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._batches.append(batch)
        self._held += batch.num_rows
        self._bytes += batch.nbytes
        self.rows += batch.num_rows
        if self._held >= self._rows_per_part or self._bytes >= _BYTES_PER_PART:
            self._write()

    def finish(self) -> None:
        """Write what is left, and wait until all is uploaded."""
        # Also without rows: an empty segment is a snapshot too, and the mapping wants its columns.
        if self._held or not self.rows:
            self._write()
        self._wait()

    def _write(self) -> None:
        self._wait()
        self._writing = self._pool.submit(self._parts.write, self._table())
        self._batches, self._held, self._bytes = [], 0, 0

    def _table(self) -> pa.Table:
        import pyarrow as pa

        first = self.rows - self._held
        of_the_read = {
            "row": pa.array(range(first, self.rows), pa.int64()),
            "as_of": pa.repeat(pa.scalar(self._as_of, self._schema.field("as_of").type), self._held),
        }
        told = pa.Table.from_batches(self._batches, self._told)
        columns = [of_the_read[name] if name in of_the_read else told.column(name) for name in self._schema.names]
        return pa.Table.from_arrays(columns, schema=self._schema)

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()
        self._writing = None
