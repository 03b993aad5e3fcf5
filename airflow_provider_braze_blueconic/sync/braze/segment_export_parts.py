"""The parts of a snapshot of a Braze segment, put together from the rows of many batches."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.store.parts import PartWriter

if TYPE_CHECKING:
    import datetime as dt

    import pyarrow as pa

__all__ = ["SnapshotParts"]

_ID = "profile_id"
_PART_BYTES = 64 << 20
_PART_CELLS = 10_000_000
"""A part ends early at so many bytes of lines, or rows times columns: its memory must not depend on the workspace."""


class SnapshotParts:
    """Cuts rows into parts, in their order, and writes one part while the next comes together.

    :param writer: of the parts.
    :param columns: columns that each part has; others are only in parts where somebody has a value there.
    :param as_of: of all rows.
    :param rows_per_part: rows of a part, at most.
    :ivar rows: rows so far.
    """

    def __init__(self, writer: PartWriter, columns: list[str], *, as_of: dt.datetime, rows_per_part: int) -> None:
        self._writer = writer
        self._columns = columns
        self._as_of = as_of
        self._rows_per_part = rows_per_part
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="snapshot-part")
        self._writing: Future[None] | None = None
        self.rows = 0
        self._begin()

    def __enter__(self) -> SnapshotParts:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown()

    def _begin(self) -> None:
        self._batches: list[pa.RecordBatch] = []
        self._found: set[str] = set()
        self._held = 0
        self._bytes = 0

    def add(self, rows: pa.RecordBatch, size: int) -> None:
        """Add the rows of a batch.

        :param size: bytes of its lines.
        """
        while rows.num_rows:
            limit = self._most_rows(rows)
            if self._held >= limit:
                self._write()
                continue
            room = limit - self._held
            rest = rows.num_rows > room
            self._hold(_without_empty(rows.slice(0, room), self._columns) if rest else rows)
            rows = _without_empty(rows.slice(room), self._columns) if rest else rows.slice(rows.num_rows)
            if self._held >= limit:
                self._write()
        self._bytes += size
        if self._held and self._bytes >= _PART_BYTES:
            self._write()

    def finish(self) -> None:
        """Write what is left.

        Also without rows: an empty segment is a snapshot too, and the mapping wants its columns.
        """
        if self._held or not self.rows:
            self._write()
        self._settle()

    def _most_rows(self, rows: pa.RecordBatch) -> int:
        """Tell how many rows the part in hand may have once it has the columns of these."""
        columns = self._found.union(rows.schema.names) - {_ID}
        return min(self._rows_per_part, -(-_PART_CELLS // max(1, len(columns))))

    def _hold(self, rows: pa.RecordBatch) -> None:
        if rows.num_rows:
            self._batches.append(rows)
            self._found.update(rows.schema.names)
            self._held += rows.num_rows
            self.rows += rows.num_rows

    def _write(self) -> None:
        self._settle()
        self._writing = self._thread.submit(self._writer.write, self._table())
        self._begin()

    def _settle(self) -> None:
        if self._writing is not None:
            self._writing.result()

    def _table(self) -> pa.Table:
        import pyarrow as pa

        moment, lists = pa.timestamp("us", tz="UTC"), pa.list_(pa.string())
        columns: dict[str, pa.Array | pa.ChunkedArray] = {
            "row": pa.array(range(self.rows - self._held, self.rows), pa.int64()),
            _ID: pa.chunked_array([rows.column(_ID) for rows in self._batches], pa.string()),
            "as_of": pa.repeat(pa.scalar(self._as_of, moment), self._held),
            "last_modified": pa.nulls(self._held, moment),
            "consented": pa.nulls(self._held, lists),
        }
        chunks = self._chunks()
        columns |= {name: pa.chunked_array(chunks.get(name, []), lists) for name in [*self._columns, *chunks]}
        return pa.table(columns)

    def _chunks(self) -> dict[str, list[pa.Array]]:
        """Give the chunks of each column, with nulls for the batches in which nobody has a value."""
        import pyarrow as pa

        chunks: dict[str, list[pa.Array]] = {}
        filled: dict[str, int] = {}
        nulls: dict[int, pa.Array] = {}  # shared, as a wide user has thousands of columns for one row

        def fill(name: str, upto: int) -> None:
            if gap := upto - filled.get(name, 0):
                if gap not in nulls:
                    nulls[gap] = pa.nulls(gap, pa.list_(pa.string()))
                chunks.setdefault(name, []).append(nulls[gap])

        begin = 0
        for rows in self._batches:
            for name, column in zip(rows.schema.names[1:], rows.columns[1:], strict=True):
                fill(name, begin)
                chunks.setdefault(name, []).append(column)
                filled[name] = begin + rows.num_rows
            begin += rows.num_rows
        for name in chunks:
            fill(name, begin)
        return chunks


def _without_empty(rows: pa.RecordBatch, columns: list[str]) -> pa.RecordBatch:
    """Leave out the columns that nobody has a value in, after a cut; but none of those that each part has."""
    kept = [
        name for name in rows.schema.names if name in (_ID, *columns) or rows.column(name).null_count < rows.num_rows
    ]
    return rows.select(kept)
