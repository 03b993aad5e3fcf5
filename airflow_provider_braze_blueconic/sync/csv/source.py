"""The snapshot of CSV files: rows of delimited text, written as Parquet parts in the columns of a segment's snapshot.

A row that can't be read is counted and kept in ``rejects.jsonl`` with its file and line, and the rest goes on; what is
wrong with a file as a whole (its columns, its encoding) ends the run before anything is sent.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_braze_blueconic.exceptions import (
    LimitExceeded,
    TransientError,
)
from airflow_provider_braze_blueconic.sync.csv.file_choice import FileChoice, choose_files, run_day
from airflow_provider_braze_blueconic.sync.csv.file_pattern import DONE_SUFFIX
from airflow_provider_braze_blueconic.sync.csv.files import SourceStaging, count_done_files, list_csv_files
from airflow_provider_braze_blueconic.sync.csv.files_read import ROWS_PER_PART, read_files
from airflow_provider_braze_blueconic.sync.csv.finished_files import finished_files
from airflow_provider_braze_blueconic.sync.csv.reading import CsvReading
from airflow_provider_braze_blueconic.sync.csv.row_parts import NO_DATA
from airflow_provider_braze_blueconic.sync.store.paths import files_document, rejects_document
from airflow_provider_braze_blueconic.sync.store.rejects import Rejects

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.store.references import SnapshotRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["read_csv_files"]

log = logging.getLogger(__name__)


def read_csv_files(
    workspace: Workspace,
    reading: CsvReading,
    *,
    source: SourceStaging,
    columns: Mapping[str, str],
    logical_date: dt.datetime | None,
    timezone: str = "UTC",
    everything: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    rows_per_part: int = ROWS_PER_PART,
) -> SnapshotRef:
    """Read the files that a run is about into a snapshot, with two files on disk and two parts in memory at most.

    Beside the parts stands ``files.json``, the list of the files, for
    :func:`~airflow_provider_braze_blueconic.sync.csv.finished_files.mark_files_finished`.

    :param columns: columns that the goal needs → the place in the goal that names each; a column without a place is
        taken along where it is there.
    :param logical_date: the run's; ``None`` if it has none.
    :param timezone: the goal's.
    :param everything: read finished files too.
    :param should_stop: asked once in a while; a true answer ends the read, and what it returns is of no use.
    :return: ``complete`` is false: a file of changes says nothing of who is absent.
    :raises GoalError: with what is wrong with each of the files.
    :raises LimitExceeded: more rows than ``broken_percent`` can't be read.
    :raises TransientError: no file is there, and the goal requires one.
    """
    goal_id = workspace.folder.goal_id
    choice = _choose(workspace, reading, source, run_day(logical_date, timezone), everything=everything)
    uri = workspace.folder.step(workspace.run_key, "snapshot")
    rejects_uri = rejects_document(uri)
    with workspace.local("snapshot") as local:
        read = read_files(
            choice.files,
            reading,
            source=source,
            columns=columns,
            folder=local,
            publish=lambda path: workspace.staging.upload_file(path, f"{uri}/{path.name}"),
            label=goal_id,
            rows_per_part=rows_per_part,
            should_stop=should_stop,
        )
        if read.rejects.count:
            workspace.staging.upload_file(read.rejects.path, rejects_uri)
    workspace.staging.write_bytes(files_document(uri), json.dumps(read.entries, indent=1).encode())
    _check_share(goal_id, reading, rows=read.rows, rejects=read.rejects, rejects_uri=rejects_uri)
    if choice.late:
        log.info("%s: %s of %s files have an earlier date", goal_id, choice.late, len(choice.files))
    reference: dict[str, Any] = {
        "uri": uri,
        "profiles": read.rows,
        "segment_id": "",
        "segment_name": reading.pattern.text,
        "segment_size": None,
        "read": "files",
        "complete": False,
        "as_of": max((file.as_of for file in choice.files), default=NO_DATA).isoformat(),
        "bytes": read.bytes,
        "property_types": {},
        "files": len(choice.files),
    }
    if read.repaired:
        reference["repaired"] = read.repaired
    if read.rejects.count:
        reference |= {"broken_lines": read.rejects.count, "rejects_uri": rejects_uri}
    return cast("SnapshotRef", reference)


def _choose(
    workspace: Workspace, reading: CsvReading, source: SourceStaging, day: dt.date | None, *, everything: bool
) -> FileChoice:
    """Choose the files that the run reads.

    :raises TransientError: none is there, and the goal requires one.
    """
    goal_id = workspace.folder.goal_id
    listed = list_csv_files(source, reading.pattern)
    finished = finished_files(workspace)
    choice = choose_files(listed, day=day, finished=finished, everything=everything)
    if reading.required and not choice.expected:
        raise TransientError(_nothing_found(goal_id, reading, source, day, len(listed)))
    if not choice.files:
        known = sum(not file.fingerprints.isdisjoint(finished) for file in listed)
        log.info("%s: no file to read for %s; %s files are there, %s of them finished", goal_id,
                 reading.pattern.text, len(listed), known)  # fmt: skip
    return choice


def _nothing_found(goal_id: str, reading: CsvReading, source: SourceStaging, day: dt.date | None, listed: int) -> str:
    of_day = f" of {day.isoformat()}" if day is not None and reading.pattern.is_dated else ""
    done = count_done_files(source, reading.pattern)
    renamed = f" {done:,} more end in {DONE_SUFFIX}, because earlier runs read them." if done else ""
    return (
        f"{goal_id}: there is no file{of_day} for {reading.pattern.text}, but the goal says required: true. "
        f"{listed:,} other files match the pattern.{renamed} Check that BlueConic's connection ran, and where it "
        "writes."
    )


def _check_share(goal_id: str, reading: CsvReading, *, rows: int, rejects: Rejects, rejects_uri: str) -> None:
    if not rejects.count:
        return
    share = 100 * rejects.count / (rows + rejects.count)
    message = (
        f"{rejects.count:,} of {rows + rejects.count:,} rows can't be read ({share:.1f} %), such as "
        f"{'; '.join(rejects.first)}. They are all in {rejects_uri}."
    )
    if share > reading.broken_percent:
        raise LimitExceeded(
            f"{goal_id}: {message} That is more than source.broken_percent = {reading.broken_percent:g}. "
            "Nothing was sent."
        )
    log.warning("%s: %s The run continues with the rest", goal_id, message)
