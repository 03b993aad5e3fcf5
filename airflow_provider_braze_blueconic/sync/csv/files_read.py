"""A list of CSV files, read into parts of a snapshot and a document of what can't be read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_braze_blueconic.exceptions import GoalError, Problem
from airflow_provider_braze_blueconic.sync.csv.downloads import downloaded
from airflow_provider_braze_blueconic.sync.csv.file_rows import FileRows
from airflow_provider_braze_blueconic.sync.csv.files import CsvFile, SourceStaging
from airflow_provider_braze_blueconic.sync.csv.parts_beside import PartsBeside
from airflow_provider_braze_blueconic.sync.csv.reading import CsvReading
from airflow_provider_braze_blueconic.sync.csv.records import large_cells
from airflow_provider_braze_blueconic.sync.csv.row_parts import PARQUET, RowParts
from airflow_provider_braze_blueconic.sync.store.parts import PartWriter, Progress
from airflow_provider_braze_blueconic.sync.store.rejects import Rejects

__all__ = ["ROWS_PER_PART", "FilesRead", "first_row_of_share", "read_files"]

log = logging.getLogger(__name__)

ROWS_PER_PART = 50_000
_REJECTED_TEXT = 2_000
"""Characters of a rejected row that are kept."""

_ROWS_PER_SHARE = 1 << 40


@dataclass(frozen=True)
class FilesRead:
    """What reading files came to.

    :param rows: rows in the parts.
    :param repaired: those among them with a text that held half a character.
    :param bytes: of the parts.
    :param entries: an entry for each file that was read: which version of it, and its rows.
    :param rejects: what can't be read; its file is local.
    """

    rows: int
    repaired: int
    bytes: int
    entries: Sequence[Mapping[str, Any]]
    rejects: Rejects


def first_row_of_share(share: int) -> int:
    """Return the number of a share's first row.

    Of two rows about one person the higher number counts, so a share has to hold files that all come after those of the
    shares before it.
    """
    return share * _ROWS_PER_SHARE


def read_files(
    files: Sequence[CsvFile],
    reading: CsvReading,
    *,
    source: SourceStaging,
    columns: Mapping[str, str],
    folder: Path,
    publish: Callable[[Path], int],
    label: str,
    first_row: int = 0,
    rows_per_part: int = ROWS_PER_PART,
    should_stop: Callable[[], bool] = lambda: False,
) -> FilesRead:
    """Read files one after another. After the first fault of a file, the others are only looked at for faults.

    :param files: in the order in which they count, the latest last.
    :param columns: columns that the goal needs → the place in the goal that names each.
    :param folder: local; holds at most two of the files, and the part in hand.
    :param publish: uploads a part under its own name and returns its size in bytes.
    :param label: of the log's lines.
    :param first_row: number of the first row.
    :param should_stop: asked after each part; a true answer ends the read, and what it returns is of no use.
    :raises GoalError: with what is wrong with each of the files.
    :raises TransientError: a file is gone.
    """
    written = PartWriter(folder, publish, PARQUET)
    rejects = Rejects(folder / "rejects.jsonl", longest=_REJECTED_TEXT)
    with PartsBeside(written) as beside, rejects, large_cells():
        parts = RowParts(list(columns), beside, rows_per_part=rows_per_part, first_row=first_row)
        rows = FileRows(reading, columns, parts, rejects)
        entries = _read_all(files, rows, source, folder, label=label, should_stop=should_stop)
        parts.flush()
    return FilesRead(parts.rows, parts.repaired, written.bytes, entries, rejects)


def _read_all(
    files: Sequence[CsvFile],
    rows: FileRows,
    source: SourceStaging,
    folder: Path,
    *,
    label: str,
    should_stop: Callable[[], bool],
) -> list[dict[str, Any]]:
    problems: list[Problem] = []
    entries: list[dict[str, Any]] = []
    progress = Progress()
    parts, rejects = rows.parts, rows.rejects
    with closing(downloaded(files, source, folder)) as copies:
        for file, path in copies:
            before, broken = parts.rows, rejects.count
            try:
                for _ in rows.read(file, path, only_look=bool(problems)):
                    if seconds := progress.due():
                        log.info("%s: file %s of %s, %s rows read, %s/s", label, len(entries) + 1, len(files),
                                 f"{parts.rows:,}", f"{parts.rows / seconds:,.0f}")  # fmt: skip
                    if should_stop():
                        return entries
            except GoalError as error:
                problems += error.problems
            entries.append(_entry(file, rows=parts.rows - before, broken=rejects.count - broken))
    if problems:
        raise GoalError(problems)
    return entries


def _entry(file: CsvFile, *, rows: int, broken: int) -> dict[str, Any]:
    return {
        "uri": file.uri,
        "size": file.size,
        "modified": file.modified.isoformat(),
        "as_of": file.as_of.isoformat(),
        "fingerprint": file.fingerprint,
        "etag": file.etag,
        "rows": rows,
        "broken": broken,
    }
