"""Retention: old files of a goal in S3 are removed, except those that are still needed.

What belongs to a run goes together, once nothing in its folder has changed for ``work_days``: mapped snapshots, deltas,
part receipts, exports, reports. Of a snapshot that is kept for past dates only the age of its data counts; see
:mod:`~airflow_provider_braze_blueconic.sync.upkeep.kept_snapshots`. Never removed are the files of the run at work, the
delta of an upload whose outcome is not in the ledger yet, and the goal's newest read, which other goals look at. Tables
keep all their rows; files of theirs that only versions older than ``history_days`` need are removed.

The entry of a kept snapshot goes before its files, so that a kill in between leaves no entry that leads nowhere: the
files then are work files like any other. The mark that all is done comes last; without it the next run cleans up.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypedDict

from airflow_provider_braze_blueconic.sync.state.goal_tables import open_tables
from airflow_provider_braze_blueconic.sync.store.staging import StagedFile, Staging
from airflow_provider_braze_blueconic.sync.upkeep.kept_snapshots import KeptEntry, kept_entries, read_entry

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["CleanedUp", "RetentionDays", "clean_up"]

log = logging.getLogger(__name__)

_EVERY = dt.timedelta(hours=20)
"""Between two clean-ups: a nightly goal cleans up every night, and an hourly one does not list everything each hour."""

_SNAPSHOT = "snapshot-"
"""How the extracts name the folders of their snapshots."""

_PAGE = 1_000
"""Objects that are removed at once, which is what S3 takes in one request."""


@dataclass(frozen=True)
class RetentionDays:
    """How long things are kept, in days.

    :param work: files of a run.
    :param snapshots: snapshots with which a past date can be run again.
    :param history: versions of the tables.
    """

    work: int
    snapshots: int
    history: int


class CleanedUp(TypedDict):
    """What a clean-up removed. ``due`` tells whether there was one; ``compacted_files`` became fewer, larger ones."""

    due: bool
    snapshots: int
    files: int
    bytes: int
    compacted_files: int
    table_files: int


def clean_up(workspace: Workspace, days: RetentionDays, *, now: dt.datetime, always: bool = False) -> CleanedUp:
    """Remove what is older than a goal's retention, and tidy its tables.

    :param now: UTC.
    :param always: also if the last clean-up was not long ago.
    :raises WriterConflict: if another run wrote a table meanwhile; the rest is done.
    """
    staging, folder = workspace.staging, workspace.folder
    if not always and not _is_due(staging, folder.cleaned, days, now):
        return CleanedUp(due=False, snapshots=0, files=0, bytes=0, compacted_files=0, table_files=0)
    entries = kept_entries(staging, folder)
    expired = [entry for entry in entries if entry.as_of < now - dt.timedelta(days=days.snapshots)]
    expired_uris = _snapshot_uris(staging, expired)
    # By the run and not by the snapshot, which would mean to read every entry.
    kept = [f"{folder.run(entry.run_key)}{_SNAPSHOT}" for entry in entries if entry not in expired]
    _delete(staging, [entry.uri for entry in expired])
    old = _old_files(workspace, now - dt.timedelta(days=days.work), expired=expired_uris, kept=kept)
    _delete(staging, [file.uri for file in old])
    _delete(staging, _old_locks(workspace, now - dt.timedelta(days=days.work)))
    compacted, removed = _tidy_tables(workspace, days)
    cleaned = CleanedUp(
        due=True,
        snapshots=len(expired),
        files=len(old),
        bytes=sum(file.size for file in old),
        compacted_files=compacted,
        table_files=removed,
    )
    mark = {"at": now.isoformat(), "retention": asdict(days), "removed": cleaned}
    staging.write_bytes(folder.cleaned, json.dumps(mark, indent=1).encode())
    return cleaned


def _is_due(staging: Staging, uri: str, days: RetentionDays, now: dt.datetime) -> bool:
    try:
        mark = json.loads(staging.read_bytes(uri))
        return mark["retention"] != asdict(days) or dt.datetime.fromisoformat(mark["at"]) <= now - _EVERY
    except FileNotFoundError:
        return True
    except (ValueError, KeyError, TypeError):  # somebody else's writing: it costs one clean-up to put it right
        return True


def _snapshot_uris(staging: Staging, entries: Iterable[KeptEntry]) -> list[str]:
    snapshots = (read_entry(staging, entry) for entry in entries)
    return [f"{snapshot['uri']}/" for snapshot in snapshots if snapshot is not None]


def _needed(workspace: Workspace) -> Iterator[str]:
    """Name what must stay whatever its age, as the beginnings of URIs."""
    staging, folder = workspace.staging, workspace.folder
    yield folder.run(workspace.run_key)
    for mark in staging.list_objects(folder.open_uploads):
        try:
            yield f"{json.loads(staging.read_bytes(mark.uri))['uri']}/"
        except FileNotFoundError:  # another run has just committed it
            continue
    try:
        observed = json.loads(staging.read_bytes(folder.observed))
    except FileNotFoundError:
        return
    yield f"{observed['uri']}/"
    yield f"{observed['mapped']}/"


def _old_files(
    workspace: Workspace, before: dt.datetime, *, expired: Sequence[str], kept: Sequence[str]
) -> list[StagedFile]:
    """Find the files of runs in whose folder nothing changed since a time, and those of expired snapshots.

    :param expired: beginnings of URIs that go whatever their run's age.
    :param kept: beginnings of URIs that stay whatever their run's age.
    """
    runs: dict[str, list[StagedFile]] = {}
    for file in workspace.staging.list_objects(workspace.folder.work):
        runs.setdefault(file.uri.removeprefix(workspace.folder.work).partition("/")[0], []).append(file)
    needed, gone, stays = tuple(_needed(workspace)), tuple(expired), tuple(kept)
    old = []
    for files in runs.values():
        is_old = max(file.modified for file in files) < before
        for file in files:
            goes = file.uri.startswith(gone) or (is_old and not file.uri.startswith(stays))
            if goes and not file.uri.startswith(needed):
                old.append(file)
    return old


def _old_locks(workspace: Workspace, before: dt.datetime) -> list[str]:
    """Find generations of the lock that nobody removed, and runs that stopped waiting for it without saying so.

    The highest generation is the lock.
    """
    found = sorted(workspace.staging.list_objects(workspace.folder.lock), key=lambda file: file.uri)
    generations = [file for file in found if file.uri.endswith(".json")]
    waiting = [file for file in found if file.uri.startswith(workspace.folder.waiting)]
    return [file.uri for file in (*generations[:-1], *waiting) if file.modified < before]


def _delete(staging: Staging, uris: Sequence[str]) -> None:
    for start in range(0, len(uris), _PAGE):
        page = uris[start : start + _PAGE]
        staging.delete(page)
        if len(uris) > _PAGE:
            log.info("%s of %s objects removed", f"{start + len(page):,}", f"{len(uris):,}")


def _tidy_tables(workspace: Workspace, days: RetentionDays) -> tuple[int, int]:
    """Compact and vacuum the goal's tables.

    :return: files that were put together, and files that were removed.
    """
    compacted, removed = 0, 0
    for table in open_tables(workspace):
        # First, since what is forgotten at a checkpoint can't be kept afterwards.
        table.keep_history(days.history, workspace.staging)
        compacted += table.compact()
        removed += table.vacuum(days.history)
    return compacted, removed
