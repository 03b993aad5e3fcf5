"""Rows of CSV files on their way into the parts of a snapshot, in the columns of a segment's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.sync.blueconic.profile_columns import profile_schema
from airflow_provider_braze_blueconic.sync.store.parts import PartWriter
from airflow_provider_braze_blueconic.sync.values.characters import text_array

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["NO_DATA", "RowParts"]

_CHARACTERS_PER_PART = 64_000_000
"""A part is also full at so much text, whatever the rows are like: it is held in memory."""

NO_DATA = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
"""Version of a snapshot without files. It knows nothing, so no data may look older than it."""


class RowParts:
    """Gathers rows, and writes a part whenever there are enough.

    :param columns: names of the cells that are kept.
    :param written: writes the parts.
    :param rows_per_part: rows that make a part full.
    :ivar rows: rows so far.
    :ivar repaired: those among them with a text that held half a character.
    """

    def __init__(self, columns: Sequence[str], written: PartWriter, *, rows_per_part: int) -> None:
        self._written = written
        self._rows_per_part = rows_per_part
        self._schema = profile_schema(columns)
        self._columns: list[list[Any]] = [[] for _ in columns]
        self._as_of: list[dt.datetime] = []
        self._places: list[int | None] = []
        self._separator: str | None = None
        self._moment = NO_DATA
        self._characters = 0
        self.rows = 0
        self.repaired = 0

    def begin(self, as_of: dt.datetime, places: Sequence[int | None], separator: str | None) -> None:
        """Get ready for the rows of a file, of which it is known where each column stands."""
        self._moment = as_of
        self._places = list(places)
        self._separator = separator

    def add(self, row: Sequence[str], characters: int) -> bool:
        """Take a row; tell whether it made a part full, which was then written."""
        for column, place in zip(self._columns, self._places, strict=True):
            cell = "" if place is None else row[place]
            if not cell:
                column.append(None)
            elif self._separator is None:
                column.append([cell])
            else:
                column.append([value for value in cell.split(self._separator) if value] or None)
        self._as_of.append(self._moment)
        self._characters += characters
        self.rows += 1
        if len(self._as_of) < self._rows_per_part and self._characters < _CHARACTERS_PER_PART:
            return False
        self.flush()
        return True

    def flush(self) -> None:
        """Write what is left as the last part."""
        import pyarrow as pa

        count = len(self._as_of)
        # Also without rows: no file is a snapshot too, and the mapping wants its columns.
        if not count and self._written.written:
            return
        nothing = [None] * count
        known = {
            "row": range(self.rows - count, self.rows),
            "as_of": self._as_of,
            # Of several rows about one person the latest file counts, and in a file the last row: with nothing in
            # profile_id, the row's number decides between equals.
            "last_modified": self._as_of,
            **dict(zip(self._schema.names[len(self._schema) - len(self._columns) :], self._columns, strict=True)),
        }
        arrays: list[pa.Array] = []
        repaired: set[int] = set()
        for field in self._schema:
            array, rows = text_array(known.get(field.name, nothing), field.type)
            arrays.append(array)
            repaired |= rows
        self._written.write(pa.Table.from_arrays(arrays, schema=self._schema))
        self.repaired += len(repaired)
        self._columns = [[] for _ in self._columns]
        self._as_of = []
        self._characters = 0
