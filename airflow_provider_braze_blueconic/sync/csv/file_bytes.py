"""The bytes of a CSV file, read forward a block at a time, with a look ahead as far as somebody needs it."""

from __future__ import annotations

import codecs
import re
from typing import IO

__all__ = ["FileBytes"]

_READ_BYTES = 1024 * 1024
_LINE_END = re.compile(rb"\r\n?|\n")


class FileBytes:
    """The bytes of a file from a position on, which moves forward as records are read.

    :param file: opened for reading, at its beginning. A byte order mark there is skipped.
    :ivar lines: lines before the position. A line ends in a line feed, a carriage return, or both.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._read = b""
        self._start = 0
        self._ended = False
        self.lines = 0
        self._reach(len(codecs.BOM_UTF8))
        if self._read.startswith(codecs.BOM_UTF8):
            self._start = len(codecs.BOM_UTF8)
        elif codecs.BOM_UTF8.startswith(self._read):  # a mark that is cut off is all there is: Python's codec skips it
            self._start = len(self._read)

    def is_at_end(self) -> bool:
        return not self._reach(1)

    def advance(self, count: int, *, lines: int) -> None:
        """Move forward over bytes that hold so many lines."""
        self._start += count
        self.lines += lines

    def block(self, longest: int) -> bytes:
        """Return what follows, up to the last line feed that doesn't seem to stand inside quotes.

        This is a guess, which is right wherever quotes come in pairs: whoever takes the block for whole records has to
        prove it.

        :param longest: bytes.
        :return: empty if there is no such line feed within that length.
        """
        self._reach(longest)
        text, start = self._read, self._start
        end = text.rfind(b"\n", start, start + longest) + 1 or start
        is_inside = text.count(b'"', start, end) % 2
        while is_inside:
            before = text.rfind(b"\n", start, text.rfind(b'"', start, end)) + 1 or start
            is_inside ^= text.count(b'"', before, end) % 2
            end = before
        return text[start:end]

    def line(self, offset: int) -> bytes:
        """Return the line that begins at a distance from the position, with its end; empty after the last."""
        found, searched = None, offset
        while found is None:
            found = _LINE_END.search(self._read, self._start + searched)
            # After a carriage return at the edge of what was read, a line feed may follow.
            if found is None or found.end() == len(self._read):
                searched = max(offset, len(self._read) - self._start - 1)
                if self._reach(len(self._read) - self._start + 1):
                    found = None
                else:
                    return self._read[self._start + offset :]
        return self._read[self._start + offset : found.end()]

    def _reach(self, count: int) -> bool:
        """Read until so many bytes follow the position; tell whether they do."""
        while (missing := count - (len(self._read) - self._start)) > 0 and not self._ended:
            more = self._file.read(max(missing, _READ_BYTES))
            self._ended = not more
            self._read = self._read[self._start :] + more
            self._start = 0
        return missing <= 0
