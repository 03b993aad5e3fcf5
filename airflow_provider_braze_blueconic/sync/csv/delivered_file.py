"""The file of a delivery: its name, its text, and whether it exists."""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from airflow_provider_braze_blueconic.sync.csv.file_pattern import DONE_SUFFIX
from airflow_provider_braze_blueconic.sync.csv.format import CsvFormat

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.store.references import DeltaRef
    from airflow_provider_braze_blueconic.sync.store.staging import Staging

__all__ = ["delivery_uri", "is_there", "write_lines"]


def delivery_uri(folder: str, goal_id: str, delta: DeltaRef, format_: CsvFormat) -> str:
    """Name the file of a delta: the same in every attempt."""
    as_of = dt.datetime.fromisoformat(delta["as_of"]).astimezone(dt.UTC)
    return f"{folder.rstrip('/')}/{goal_id}_{as_of:%Y%m%dT%H%M%SZ}_{delta['delta_id']}{format_.suffix}"


def is_there(staging: Staging, uri: str) -> bool:
    """Tell whether a file lies in its place, or was renamed by its reader."""
    there = {staged.uri for staged in staging.list_objects(uri)}
    return uri in there or uri + DONE_SUFFIX in there


def write_lines(path: Path, header: str, batches: Iterable[list[str]], format_: CsvFormat) -> int:
    """Write a file on the local disk, and count its lines below the header."""
    rows = 0
    with _open(path, format_) as file:
        file.write(f"{header}\n".encode())
        for lines in batches:
            file.write(("\n".join(lines) + "\n").encode() if lines else b"")
            rows += len(lines)
    return rows


@contextmanager
def _open(path: Path, format_: CsvFormat) -> Iterator[IO[bytes]]:
    with path.open("wb") as file:
        if not format_.gzip:
            yield file
            return
        # Without a name and a time inside, the same rows are the same bytes.
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            yield cast("IO[bytes]", packed)
