"""The content of a CSV file: opening it, compressed or not, and reporting what is wrong with the whole file."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from airflow_provider_braze_blueconic.exceptions import GoalError, Problem
from airflow_provider_braze_blueconic.sync.csv.file_bytes import FileBytes
from airflow_provider_braze_blueconic.sync.csv.files import CsvFile
from airflow_provider_braze_blueconic.sync.csv.reading import FILES_PLACE

__all__ = ["file_faults", "open_bytes"]

_GZIP_MAGIC = b"\x1f\x8b"


@contextmanager
def file_faults(file: CsvFile, path: Path) -> Iterator[None]:
    """Turn what is wrong with a file as a whole into a sentence that says where."""
    try:
        yield
    except UnicodeDecodeError:
        message = f"line {_undecodable_line(path)} isn't UTF-8. Have the files written in UTF-8."
    except (EOFError, zlib.error, gzip.BadGzipFile):
        message = "is compressed and incomplete or damaged. Have it written again."
    else:
        return
    raise GoalError([Problem(FILES_PLACE, f"{file.uri}: {message}")]) from None


@contextmanager
def open_bytes(path: Path) -> Iterator[FileBytes]:
    """Open a local file, unpacked if it is compressed."""
    with _open(path) as file:
        yield FileBytes(file)


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        is_compressed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    # By the first bytes and not by the name: S3 may also have been told to unpack a ".gz" while sending.
    return cast("IO[bytes]", gzip.open(path)) if is_compressed else path.open("rb")


def _undecodable_line(path: Path) -> int:
    """Find the first line that is not UTF-8: the reader of text only knows the block."""
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode(errors="surrogatepass")
            except UnicodeDecodeError:
                return number
    return 0
