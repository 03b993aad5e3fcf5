"""The fast road's proof: which part of a block of bytes holds only records that nobody can read in two ways.

A regular expression describes every record that Python's csv module takes as a row of the right width, apart from a few
oddities that it leaves to that module. Arrow's RE2 walks over a block once, as an automaton, at hundreds of megabytes a
second. What matches means the same to Python's reader and to Arrow's; all else, broken or merely odd, goes the careful
road.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.values.space import SPACE

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CleanRecords"]

_MOST_COLUMNS = 500
"""A wider record is read carefully: RE2 counts to 1,000, and its automaton falls out of its memory at about that."""

_NAMES_ALIKE = 3
"""So many cells at the beginning of a line have to look like column names before it is taken for a header."""


class CleanRecords:
    """Tells which bytes of a file are clean records: UTF-8, as wide as the header, without a line that repeats it.

    :param names: the header, without space at the edges of the names.
    :param delimiter: one character.
    :ivar delimiter: the one of clean text: the file's, if Arrow can read it.
    """

    def __init__(self, names: Sequence[str], delimiter: str) -> None:
        mark = delimiter.encode(errors="surrogatepass")
        self._probe = max((name.encode() for name in names if '"' not in name), key=len, default=b"")
        is_readable = len(mark) == 1 and mark != b"\0"
        self.delimiter = delimiter if is_readable else ","
        # A name with a line feed would make headers of several lines.
        self._can_prove = is_readable and len(names) <= _MOST_COLUMNS and not any("\n" in name for name in names)
        if self._can_prove:
            fields = _fields(len(names), f"\\x{mark[0]:02x}")
            header = _header(names, f"\\x{mark[0]:02x}")
            self._block = rf"^(?:(?:{fields})?\r?\n)*\z"
            self._line = rf"^(?:{fields})?\r?\z"
            self._header = rf"(?:^|\n){header}"

    def stretches(self, block: bytes) -> Iterator[tuple[int, int]]:
        """Find what is clean in a block that begins with a record and ends with a line feed.

        :return: from where to where, in order. Of a stretch that begins behind something unclean, lines may belong to a
            record that begins in there; what follows that record is clean.
        """
        if not self._can_prove:
            return iter(())
        if self._is_clean(block):
            return iter([(0, len(block))])
        return self._clean_lines(block)

    def _is_clean(self, block: bytes) -> bool:
        import pyarrow.compute as pc

        text = _one_text(block)
        if not _is_utf8(text):
            return False
        if self._probe in block and pc.match_substring_regex(text, pattern=self._header)[0].as_py():
            return False
        return bool(pc.match_substring_regex(text, pattern=self._block)[0].as_py())

    def _clean_lines(self, block: bytes) -> Iterator[tuple[int, int]]:
        lines = block.split(b"\n")[:-1]
        starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
        clean_from = 0
        for number in self._unclean(lines):
            if number > clean_from:
                yield starts[clean_from], starts[number]
            clean_from = number + 1
        if clean_from < len(lines):
            yield starts[clean_from], starts[-1]

    def _unclean(self, lines: Sequence[bytes]) -> list[int]:
        """Number the lines that are no clean record on their own."""
        import pyarrow as pa
        import pyarrow.compute as pc

        array = pa.array(lines, pa.binary())
        odd = pc.or_(
            pc.invert(pc.match_substring_regex(array, pattern=self._line)),
            pc.match_substring_regex(array, pattern=self._header),
        )
        numbers: list[int] = pc.indices_nonzero(odd).to_pylist()
        if _is_utf8(array):
            return numbers
        return sorted({*numbers, *(number for number, line in enumerate(lines) if not _is_utf8(_one_text(line)))})


def _fields(width: int, mark: str) -> str:
    """Return the expression of a record without its line end.

    A quote counts only at the beginning of a cell. Inside quotes there may be line feeds, with or without a carriage
    return before; a carriage return elsewhere is odd, and so is a NUL.
    """
    plain = rf'[^"{mark}\r\n\x00][^{mark}\r\n\x00]*'
    quoted = r'"(?:[^"\r\x00]|\r\n|"")*"'
    field = f"(?:{plain}|{quoted}|)"
    return f"(?:{field}{mark}){{{width - 1}}}{field}" if width > 1 else field


def _header(names: Sequence[str], mark: str) -> str:
    """Return the expression of the beginning of a line that may name the columns: of more lines than really do."""
    quote = _escaped(b'"')
    edge = f"[{quote}{_escaped(bytes(set(SPACE.encode())))}]*"
    # In a name they are doubled.
    name = "|".join(_escaped(name.encode()).replace(quote, f"{quote}+") for name in sorted(set(names)))
    cells = mark.join([f"{edge}(?:{name}){edge}"] * min(len(names), _NAMES_ALIKE))
    return rf"{cells}(?:{mark}|\r|\n|\z)"


def _escaped(text: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text)


def _one_text(text: bytes) -> pa.Array:
    """Return a column of one text, without copying it."""
    import pyarrow as pa

    offsets = pa.array([0, len(text)], pa.int32()).buffers()[1]
    return pa.Array.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(text)])


def _is_utf8(texts: pa.Array) -> bool:
    import pyarrow as pa

    try:
        texts.cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True
