"""The lines of a segment export's files, compressed or not."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import IO

from airflow_provider_braze_blueconic.exceptions import TransientError, UnexpectedAnswer

__all__ = ["LINES_PER_LOOK", "Lines", "read_lines"]

_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # an archive, and one without entries
_BOM = b"\xef\xbb\xbf"
_BUFFER_BYTES = 1 << 20
_LONGEST_LINE = 64 << 20
"""Bytes of a line that are read, at most. A nested attribute has up to 100 KB (Braze docs "Nested custom attributes",
read 2026-11), so a longer line is no user; the rest of it is skipped, and its beginning is a broken line."""
LINES_PER_LOOK = 1_000
"""Lines between two looks at the clock and at the order to stop."""


def read_lines(path: Path, *, name: str = "") -> Iterator[bytes]:
    """Read the lines of a local file, whatever its name says: gzip, zip (each entry) or plain text.

    :param name: what errors call the file; by default its own name.
    :return: lines with their line end; memory does not grow with the file.
    :raises TransientError: the file ends too early, as one does that is still growing or was not copied to its end.
    :raises UnexpectedAnswer: the file is damaged, or packed in a way that can't be read.
    """
    return (line for _, _, line in _numbered_lines(path, name or path.name))


class Lines:
    """The lines of all files that are not blank, each with where it stands.

    :ivar files: files begun.
    :ivar count: lines so far.
    :ivar stopped: the order to stop came before the end.
    """

    def __init__(self, files: Iterable[tuple[str, Path]], should_stop: Callable[[], bool]) -> None:
        self._files = files
        self._should_stop = should_stop
        self.files = 0
        self.count = 0
        self.stopped = False

    def __iter__(self) -> Iterator[tuple[str, int, bytes]]:
        for name, path in self._files:
            self.files += 1
            with closing(_numbered_lines(path, name)) as numbered:
                for place, number, line in numbered:
                    if not line or line.isspace():
                        continue
                    self.count += 1
                    yield place, number, line
                    if self.count % LINES_PER_LOOK == 0 and self._should_stop():
                        self.stopped = True
                        return
            if self._should_stop():
                self.stopped = True
                return


def _numbered_lines(path: Path, name: str) -> Generator[tuple[str, int, bytes], None, None]:
    """Yield each line with where it stands: the file, or the entry where an archive has several, and 1-based number."""
    try:
        for place, stream in _streams(path, name):
            lines = iter(partial(stream.readline, _LONGEST_LINE), b"")
            for number, line in enumerate(lines, start=1):
                if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                    _skip_line(stream)
                yield place, number, line.removeprefix(_BOM) if number == 1 else line
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
