"""Rows of CSV files on their way into the parts of a snapshot, in the columns of a segment's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.blueconic.profile_columns import profile_schema
from airflow_provider_braze_blueconic.sync.csv.cells import CellLayout
from airflow_provider_braze_blueconic.sync.csv.parts_beside import PartsBeside

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["NO_DATA", "PARQUET", "RowParts"]

PARQUET = MappingProxyType(
    {
        "use_dictionary": ["as_of", "last_modified"],
        "write_statistics": ["row", "as_of", "last_modified"],
        "write_batch_size": 50_000,
    }
)
"""How the parts are written. Dictionaries and statistics of the cells take two fifths of the time of writing, and save
nothing: the files are smaller without dictionaries, and nobody looks for cells by their statistics."""

_BYTES_PER_PART = 64_000_000
"""A part is also full at so much text, whatever the rows are like: it is held in memory."""

_BYTES_AT_ONCE = 4 * 1024 * 1024
"""Text that is made columns of at once: large enough that the calls cost nothing, and small in memory."""

NO_DATA = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
"""Version of a snapshot without files. It knows nothing, so no data may look older than it."""


class RowParts:
    """Gathers rows, and writes a part whenever there are enough.

    :param columns: names of the cells that are kept.
    :param written: writes the parts.
    :param rows_per_part: rows that make a part full.
    :param first_row: number of the first row.
    :ivar rows: rows in parts so far, also in the one in hand.
    :ivar repaired: those of all rows with a text that held half a character.
    """

    def __init__(self, columns: Sequence[str], written: PartsBeside, *, rows_per_part: int, first_row: int = 0) -> None:
        self._written = written
        self._rows_per_part = rows_per_part
        self._first_row = first_row
        self._schema = profile_schema(columns)
        self._layout: CellLayout | None = None
        self._moment = NO_DATA
        self._text: list[bytes] = []
        self._text_bytes = 0
        self._part: list[pa.Table] = []
        self._part_rows = 0
        self._part_bytes = 0
        self.rows = 0
        self.repaired = 0

    def begin(self, as_of: dt.datetime, layout: CellLayout) -> None:
        """Get ready for rows whose cells stand in other places, after :meth:`end`."""
        self._moment = as_of
        self._layout = layout

    def add(self, text: bytes) -> Iterator[None]:
        """Take rows of clean text; yields after each part."""
        self._text.append(text)
        self._text_bytes += len(text)
        if self._text_bytes >= _BYTES_AT_ONCE:
            yield from self.end()

    def end(self) -> Iterator[None]:
        """Put the rows of all text so far into parts; yields after each part."""
        text, self._text, self._text_bytes = b"".join(self._text), [], 0
        if not text or self._layout is None:
            return
        rows, columns = self._layout.columns(text)
        taken = 0
        while taken < rows:
            # As if all rows were equally long: they come from a text that is short beside a part.
            fitting = max(1, -(-(_BYTES_PER_PART - self._part_bytes) * rows // len(text)))
            count = min(rows - taken, self._rows_per_part - self._part_rows, fitting)
            self._part.append(self._table(count, [column.slice(taken, count) for column in columns]))
            taken += count
            self.rows += count
            self._part_rows += count
            self._part_bytes += len(text) * count // rows
            if self._part_rows >= self._rows_per_part or self._part_bytes >= _BYTES_PER_PART:
                self._write()
                yield

    def flush(self) -> None:
        """Write what is left as the last part."""
        # Also without rows: no file is a snapshot too, and the mapping wants its columns.
        if self._part or not self._written.parts:
            self._write()

    def _write(self) -> None:
        import pyarrow as pa

        self._written.write(pa.concat_tables(self._part) if self._part else self._schema.empty_table())
        self._part, self._part_rows, self._part_bytes = [], 0, 0

    def _table(self, count: int, columns: Sequence[pa.Array]) -> pa.Table:
        """Return the columns of a snapshot for the next rows."""
        import pyarrow as pa
        import pyarrow.compute as pc

        ones = pa.repeat(pa.scalar(1, pa.int64()), count)
        moments = pa.repeat(pa.scalar(self._moment, pa.timestamp("us", tz="UTC")), count)
        known = {
            "row": pc.cumulative_sum(ones, start=self._first_row + self.rows - 1),
            "as_of": moments,
            # Of several rows about one person the latest file counts, and in a file the last row: with nothing in
            # profile_id, the row's number decides between equals.
            "last_modified": moments,
            **dict(zip(self._schema.names[len(self._schema) - len(columns) :], columns, strict=True)),
        }
        arrays = [known[field.name] if field.name in known else pa.nulls(count, field.type) for field in self._schema]
        return pa.Table.from_arrays(arrays, schema=self._schema)
