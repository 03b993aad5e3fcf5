"""The records of a CSV file as Python's csv module reads them: the careful road, which says what is wrong with each."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from airflow_provider_braze_blueconic.sync.csv.file_bytes import FileBytes

__all__ = ["Broken", "Records", "large_cells", "largest_cell"]

_LARGEST_CELL = 16 * 1024 * 1024
"""Characters of one cell. A quote that is never closed makes the rest of the file one cell: it ends there at the
latest."""


def largest_cell() -> int:
    """Return how many characters a cell may have."""
    return _LARGEST_CELL


@contextmanager
def large_cells() -> Iterator[None]:
    """Let Python's reader take larger cells for the time of a block than it does by itself."""
    before = csv.field_size_limit(_LARGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


@dataclass(frozen=True)
class Broken:
    """A record that can't be read.

    :param line: of the file, from 1.
    :param text: as it is written.
    """

    line: int
    error: str
    text: str


class Records:
    """Reads records from a file's position on, one at a time, and moves the position behind each.

    A broken record costs its first line only: the lines that a quote without an end swallowed are read again.

    :ivar line: number of the line, from 1, at which the record in hand begins.
    :ivar length: bytes of the record in hand.
    """

    def __init__(self, source: FileBytes, delimiter: str) -> None:
        self._source = source
        self._delimiter = delimiter
        self._taken: list[str] = []
        self._ends = [0]
        self._reader = self._new_reader()
        self.line = 1
        self.length = 0

    def text(self) -> str:
        """Return the record in hand as it is written."""
        return "".join(self._taken)

    def take(self) -> list[str] | Broken | None:
        """Read the next record; ``None`` after the last. A line without anything in it is an empty one."""
        self.line = self._source.lines + 1
        self._taken.clear()
        self._ends = [0]
        try:
            row = next(self._reader, None)
        except csv.Error as error:
            # A reader that met the end of the text inside a quote reads on only if it is made anew.
            self._reader = self._new_reader()
            self._move(lines=1)
            return Broken(self.line, str(error), self._taken[0])
        self._move(lines=len(self._taken))
        return row

    def _move(self, *, lines: int) -> None:
        self.length = self._ends[lines]
        self._source.advance(self.length, lines=lines)

    def _new_reader(self) -> Iterator[list[str]]:
        return csv.reader(self._lines(), delimiter=self._delimiter, strict=True)

    def _lines(self) -> Iterator[str]:
        while line := self._source.line(self._ends[-1]):
            self._ends.append(self._ends[-1] + len(line))
            # Halves of characters pass here, and are repaired where the cells are written.
            self._taken.append(line.decode(errors="surrogatepass"))
            yield self._taken[-1]
