"""Finished files: versions of CSV files of which everything was acknowledged, so that no run reads them again.

::

    <staging>/<goal id>/files/<fingerprint>.json  everything in this version of the file was acknowledged
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from airflow_provider_braze_blueconic.exceptions import TransientError
from airflow_provider_braze_blueconic.sync.csv.file_pattern import DONE_SUFFIX
from airflow_provider_braze_blueconic.sync.csv.files import SourceStaging, file_version
from airflow_provider_braze_blueconic.sync.store.paths import files_document

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.store.references import SnapshotRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["ConditionalStaging", "finished_files", "mark_files_finished"]

log = logging.getLogger(__name__)


class ConditionalStaging(Protocol):
    """What a store can do besides whose listings tell an ETag."""

    def move_object(self, source_uri: str, target_uri: str, *, etag: str) -> bool: ...


def finished_files(workspace: Workspace) -> set[str]:
    """Return the fingerprints of the file versions that are finished."""
    prefix = workspace.folder.finished_files
    return {staged.uri.removeprefix(prefix).removesuffix(".json") for staged in workspace.staging.list_objects(prefix)}


def mark_files_finished(
    workspace: Workspace, snapshot: SnapshotRef, *, source: SourceStaging | None = None, done: bool = False
) -> int:
    """Remember that everything in a run's files was acknowledged, and say how many files they were; twice is once.

    To be called when a run ended with everybody accepted, never after a dry run.

    The marks come first: a kill between them leaves a file that is read again. A kill before the renaming leaves a
    finished file with its old name, which is not read again either; running the step again renames it.

    :param source: where the files lie; needed for ``done``.
    :param done: add ``.done`` to the files' names. A file that was replaced since it was read keeps its name, since
        what it holds now was not read.
    """
    if snapshot["read"] != "files":
        return 0
    entries: list[dict[str, Any]] = json.loads(workspace.staging.read_bytes(files_document(snapshot["uri"])))
    for entry in entries:
        mark = {**entry, "run_key": workspace.run_key, "finished_at": dt.datetime.now(dt.UTC).isoformat()}
        workspace.staging.write_bytes(
            workspace.folder.finished_file(entry["fingerprint"]), json.dumps(mark).encode(), if_absent=True
        )
    if done and source is not None:
        for entry in entries:
            _rename(source, entry)
    return len(entries)


def _rename(source: SourceStaging, entry: Mapping[str, Any]) -> None:
    """Rename a file. A copy comes first, so that a kill leaves the file twice and never not at all.

    A store that names versions does both only for the one that was read: what comes in between is not renamed unread.
    """
    uri = entry["uri"]
    there = next((listed for listed in source.list_objects(uri) if listed.uri == uri), None)
    if there is None:
        return
    now = file_version(there)
    is_moved = entry["fingerprint"] in now.fingerprints
    try:
        if is_moved and now.etag:
            is_moved = cast("ConditionalStaging", source).move_object(uri, uri + DONE_SUFFIX, etag=now.etag)
        elif is_moved:
            source.copy_object(uri, uri + DONE_SUFFIX)
            source.delete([uri])
    except FileNotFoundError:
        raise TransientError(f"{uri} was removed during its renaming.") from None
    if not is_moved:
        log.warning("%s keeps its name: it was replaced after the read, so a later run reads it again", uri)
