"""The records of delimited text, and which lines each was made of."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

__all__ = ["Broken", "Records", "large_cells"]

_LARGEST_CELL = 16 * 1024 * 1024
"""Characters of one cell. A quote that is never closed makes the rest of the file one cell: it ends there at the
latest."""


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
    """Records of delimited text, and which lines each was made of.

    A broken record costs its first line only: the lines that a quote without an end swallowed are read again.
    """

    def __init__(self, text: IO[str], delimiter: str) -> None:
        self._text = text
        self._waiting: deque[str] = deque()
        self._taken: list[str] = []
        self._reader = csv.reader(self._lines(), delimiter=delimiter, strict=True)
        self._delimiter = delimiter
        self._read = 0

    @property
    def line(self) -> int:
        """Number of the line, from 1, at which the record in hand begins."""
        return self._read - len(self._taken) + 1

    @property
    def characters(self) -> int:
        """Length of the record in hand."""
        return sum(map(len, self._taken)) if len(self._taken) > 1 else len(self._taken[0])

    def text(self) -> str:
        """Return the record in hand as it is written."""
        return "".join(self._taken)

    def __iter__(self) -> Iterator[list[str] | Broken]:
        while True:
            self._taken.clear()
            try:
                row = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                first, *rest = self._taken
                self._waiting.extendleft(reversed(rest))
                self._read -= len(rest)
                del self._taken[1:]
                # A reader that met the end of the text inside a quote reads on only if it is made anew.
                self._reader = csv.reader(self._lines(), delimiter=self._delimiter, strict=True)
                yield Broken(self.line, str(error), first)
                continue
            yield row

    def _lines(self) -> Iterator[str]:
        while True:
            line = self._waiting.popleft() if self._waiting else self._text.readline()
            if not line:
                return
            self._read += 1
            self._taken.append(line)
            yield line
