"""The cells of clean text as columns of a snapshot: Arrow's reader, and whole columns from then on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CellLayout", "clean_row"]


def clean_row(row: Sequence[str], delimiter: str) -> bytes:
    """Write cells as clean text."""
    return (delimiter.join([f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row]) + "\n").encode()


@dataclass(frozen=True)
class CellLayout:
    """Where the cells of a file's rows stand, and how each is read.

    :param width: cells of a row.
    :param places: for each column of the snapshot, which cell goes there; ``None`` for none.
    :param delimiter: one byte between two cells.
    :param separator: text between two values in a cell; ``None`` takes each cell as one value.
    """

    width: int
    places: Sequence[int | None]
    delimiter: str
    separator: str | None

    def columns(self, text: bytes) -> tuple[int, list[pa.Array]]:
        """Read rows of clean text.

        :param text: each record has the width, and only quotes, line feeds and delimiters have a meaning.
        :return: rows, and for each place a column of lists of texts; NULL where a cell is empty.
        """
        import pyarrow as pa

        table = self._cells(text)
        nothing = pa.nulls(len(table), pa.list_(pa.string()))
        return len(table), [
            nothing if place is None else _lists(table.column(str(place)), self.separator) for place in self.places
        ]

    def _cells(self, text: bytes) -> pa.Table:
        import pyarrow as pa
        from pyarrow import csv

        names = [str(place) for place in range(self.width)]
        needed = {str(place) for place in self.places if place is not None}
        return csv.read_csv(
            pa.BufferReader(text),
            # All text as one block, since a block's edge may lie in a value.
            csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
            csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            csv.ConvertOptions(
                check_utf8=False,  # known
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                include_columns=sorted(needed, key=int) or names[:1],
            ),
        )


def _lists(cells: pa.ChunkedArray, separator: str | None) -> pa.Array:
    """Make lists of the values in cells, without empty ones; NULL for no value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = cells.chunk(0) if cells.num_chunks == 1 else pa.concat_arrays([pa.array([], pa.string()), *cells.chunks])
    if separator is None or not _may_hold(column, separator.encode()):
        return pa.ListArray.from_arrays(_counted(column.is_valid()), column.drop_null(), mask=column.is_null())
    several = pc.split_pattern(column, separator)
    is_value = pc.not_equal(several.values, "")
    counted = _counted(is_value).take(several.offsets)
    return pa.ListArray.from_arrays(counted, several.values.filter(is_value), mask=pc.equal(counted[1:], counted[:-1]))


def _may_hold(texts: pa.Array, part: bytes) -> bool:
    """Tell whether a text may hold a part: looks at all of them as one, which takes a thirtieth of the time."""
    held = texts.buffers()[2]
    return held is not None and part in held.to_pybytes()


def _counted(flags: pa.Array) -> pa.Array:
    """Count the true ones before each element, and at last all of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(flags.cast(pa.int32()))])
