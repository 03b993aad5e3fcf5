"""Local copies of CSV files, each downloaded while the one before it is read."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from airflow_provider_braze_blueconic.exceptions import TransientError
from airflow_provider_braze_blueconic.sync.csv.files import CsvFile, SourceStaging

__all__ = ["downloaded"]


def downloaded(files: Sequence[CsvFile], source: SourceStaging, folder: Path) -> Generator[tuple[CsvFile, Path]]:
    """Download files in their order; each is removed again before the next is returned, so there are at most two.

    Close it if you stop early: it then waits for the download in hand.

    :raises TransientError: a file is gone.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="csv-download") as thread:
        paths = [folder / f"file-{number:05d}" for number in range(1, len(files) + 1)]
        coming = [thread.submit(_download, files[0], source, paths[0])] if files else []
        for number, (file, path) in enumerate(zip(files, paths, strict=True), start=1):
            coming.pop().result()
            if number < len(files):
                coming.append(thread.submit(_download, files[number], source, paths[number]))
            try:
                yield file, path
            finally:
                path.unlink(missing_ok=True)


def _download(file: CsvFile, source: SourceStaging, path: Path) -> None:
    try:
        source.download_file(file.uri, path)
    except FileNotFoundError:
        raise TransientError(f"{file.uri} was removed during the read.") from None
