"""The lines of a segment export's files, compressed or not, in batches."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from airflow_provider_braze_blueconic.exceptions import TransientError, UnexpectedAnswer

__all__ = ["LineBatch", "line_batches", "read_lines"]

_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # an archive, and one without entries
_BOM = b"\xef\xbb\xbf"
_BUFFER_BYTES = 1 << 20
_LONGEST_LINE = 64 << 20
"""Bytes of a line that are read, at most. A nested attribute has up to 100 KB (Braze docs "Nested custom attributes",
read 2026-11), so a longer line is no user; the rest of it is skipped, and its beginning is a broken line."""
_BATCH_LINES = 1_000
_BATCH_BYTES = 4 << 20
"""A batch ends at so many lines or bytes: its users are Python objects, several times as large as their lines."""


@dataclass(frozen=True)
class LineBatch:
    """Lines that follow each other in one file, without the blank ones.

    :param place: the file, or the entry where an archive has several.
    :param numbers: of each line, its 1-based number in there.
    :param lines: with their line ends.
    """

    place: str
    numbers: list[int] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)

    def cut(self, count: int) -> tuple[LineBatch, LineBatch]:
        """Give the first so many lines, and the others."""
        first = LineBatch(self.place, self.numbers[:count], self.lines[:count])
        return first, LineBatch(self.place, self.numbers[count:], self.lines[count:])


def read_lines(path: Path, *, name: str = "") -> Iterator[bytes]:
    """Read the lines of a local file, whatever its name says: gzip, zip (each entry) or plain text.

    :param name: what errors call the file; by default its own name.
    :return: lines with their line end; memory does not grow with the file.
    :raises TransientError: the file ends too early, as one does that is still growing or was not copied to its end.
    :raises UnexpectedAnswer: the file is damaged, or packed in a way that can't be read.
    """
    with _faults(name or path.name):
        for _, stream in _streams(path, name or path.name):
            for number, line in enumerate(iter(partial(stream.readline, _LONGEST_LINE), b""), start=1):
                if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                    _skip_line(stream)
                yield line.removeprefix(_BOM) if number == 1 else line


def line_batches(path: Path, name: str) -> Generator[LineBatch, None, None]:
    """Read the lines of a local file in batches; :func:`read_lines` says what it raises.

    Where a batch ends depends on the file alone, so a file is always cut alike.
    """
    with _faults(name):
        for place, stream in _streams(path, name):
            yield from _batches(place, stream)


def _batches(place: str, stream: IO[bytes]) -> Iterator[LineBatch]:
    batch, size, number = LineBatch(place), 0, 1
    for lines in _line_blocks(stream):
        if number == 1:
            lines[0] = lines[0].removeprefix(_BOM)
        # Nearly always there is no blank one to look for.
        is_full = not any(map(bytes.isspace, lines)) and all(lines)
        kept = range(len(lines)) if is_full else [at for at, line in enumerate(lines) if line and not line.isspace()]
        batch.numbers.extend(number + at for at in kept)
        batch.lines.extend(lines if is_full else [lines[at] for at in kept])
        size += sum(map(len, lines))
        number += len(lines)
        while len(batch.lines) >= _BATCH_LINES:
            full, batch = batch.cut(_BATCH_LINES)
            size = sum(map(len, batch.lines))
            yield full
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = LineBatch(place), 0
    if batch.lines:
        yield batch


def _line_blocks(stream: IO[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines that end in each block of the stream; the last one may have no end."""
    # So only the first line of a block can be too long.
    size = min(_BUFFER_BYTES, _LONGEST_LINE)
    rest = b""
    while block := stream.read(size):
        lines = io.BytesIO(rest + block).readlines()  # splits in C, and at \n alone
        rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
        if len(rest) >= _LONGEST_LINE:
            _skip_line(stream)
            lines, rest = [*lines, rest], b""
        if lines:
            lines[0] = lines[0][:_LONGEST_LINE]
            yield lines
    if rest:
        yield [rest]


@contextmanager
def _faults(name: str) -> Iterator[None]:
    try:
        yield
    except EOFError as error:
        raise TransientError(_too_short(name)) from error
    except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise UnexpectedAnswer(
            f"{name} is damaged, or compressed in an unreadable way ({_damage(error)}). Export the segment again; "
            "if that doesn't help, check what else writes into the bucket."
        ) from None


def _damage(error: Exception) -> str:
    # The libraries' texts can quote bytes of the file.
    return "it is encrypted" if type(error) is RuntimeError else type(error).__name__


def _streams(path: Path, name: str) -> Iterator[tuple[str, IO[bytes]]]:
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic.startswith(_GZIP):
            # The buffer round it finds the lines in C; GzipFile does so in Python.
            with gzip.GzipFile(fileobj=file) as packed, io.BufferedReader(packed, _BUFFER_BYTES) as stream:
                yield name, stream
        elif magic in _ZIP:
            with _open_zip(file, name) as archive:
                entries = [entry for entry in archive.infolist() if not entry.is_dir()]
                for entry in entries:
                    place = name if len(entries) == 1 else f"{name}/{entry.filename}"
                    # An entry of an archive can be read into a buffer; its declared type doesn't say so.
                    with archive.open(entry) as unzipped, io.BufferedReader(unzipped, _BUFFER_BYTES) as stream:  # type: ignore[type-var]
                        yield place, stream
        else:
            yield name, file


def _open_zip(file: IO[bytes], name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:  # the table of its entries stands at the end
        raise TransientError(_too_short(name)) from error


def _too_short(name: str) -> str:
    return (
        f"{name} ends too early: it is still being written, or its copy is incomplete. Try again; if that doesn't "
        "help, export the segment again."
    )


def _skip_line(stream: IO[bytes]) -> None:
    while (rest := stream.readline(_BUFFER_BYTES)) and not rest.endswith(b"\n"):
        pass
