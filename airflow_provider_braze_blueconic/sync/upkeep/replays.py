"""The replay of a past date: the kept snapshot that a run uses instead of a read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.references import SnapshotRef
from airflow_provider_braze_blueconic.sync.store.staging import Staging
from airflow_provider_braze_blueconic.sync.upkeep.kept_snapshots import (
    KeptDocument,
    KeptEntry,
    kept_entries,
    read_document,
)
from airflow_provider_braze_blueconic.sync.upkeep.past_dates import day_of

__all__ = ["NoSnapshot", "SnapshotNeeds", "find_snapshot"]

_NAMED_AT_MOST = 10


class NoSnapshot(Exception):
    """A past date can't be replayed. The text says why, for people; the run is skipped, which is no failure."""


@dataclass(frozen=True)
class SnapshotNeeds:
    """What a run needs of a snapshot.

    :param source: id or exact name of the segment.
    :param connection: Airflow connection of the system that is read.
    :param holds: names of what the mapping reads.
    :param whole: a read of the changes alone is not enough.
    """

    source: str
    connection: str
    holds: Sequence[str]
    whole: bool = False


def find_snapshot(
    staging: Staging, folder: GoalFolder, needs: SnapshotNeeds, *, logical_date: dt.datetime, timezone: str
) -> SnapshotRef:
    """Find the snapshot to replay for a past date.

    First what a run of that very logical date read, if it read it on that day before what it read later; then the
    newest of the others that were read on that day. The first one that fits is taken.

    :raises NoSnapshot: there is none, or none that fits; the text says what is missing.
    """
    day = day_of(logical_date, timezone)
    faults = []
    for entry in _candidates(staging, folder, logical_date=logical_date, timezone=timezone):
        document = read_document(staging, entry)
        if document is None:
            continue
        snapshot = document["snapshot"]
        fault = _fault(document, needs)
        if fault is None and not staging.list_objects(f"{snapshot['uri']}/"):
            fault = "its files are gone"
        if fault is None:
            return {**snapshot, "replayed": True}
        faults.append(f"The snapshot that was read at {entry.as_of:%Y-%m-%d %H:%M} UTC doesn't fit: {fault}.")
    live = (
        f'{folder.goal_id}: the run did nothing for {day}. The segment "{needs.source}" can only be read as it is now'
    )
    if faults:
        raise NoSnapshot(f"{live}. {faults[0]}")
    raise NoSnapshot(
        f"{live}, and no snapshot of that day is kept: no run read it then, or it is older than "
        "retention.snapshot_days. To send the segment as it is now, trigger the goal without a date."
    )


def _candidates(staging: Staging, folder: GoalFolder, *, logical_date: dt.datetime, timezone: str) -> list[KeptEntry]:
    """List what may be replayed for a date, the best first."""
    day = day_of(logical_date, timezone)
    candidates = [
        entry
        for entry in kept_entries(staging, folder)
        if entry.logical_date == logical_date or day_of(entry.as_of, timezone) == day
    ]
    return sorted(
        candidates,
        key=lambda entry: (entry.logical_date == logical_date, day_of(entry.as_of, timezone) == day, entry.as_of),
        reverse=True,
    )


def _fault(document: KeptDocument, needs: SnapshotNeeds) -> str | None:
    """Say why a snapshot does not fit; ``None`` if it does."""
    snapshot, connection = document["snapshot"], document["connection"]
    if needs.source not in (snapshot["segment_id"], snapshot["segment_name"]):
        return f'it is of the segment "{snapshot["segment_name"]}"'
    if connection != needs.connection:
        return f'it was read with the connection "{connection}", and the goal now uses "{needs.connection}"'
    if needs.whole and snapshot["read"] == "modified":
        return "it contains only changes, but the run asks for a full read"
    missing = [name for name in dict.fromkeys(needs.holds) if name not in document["holds"]]
    if missing:
        more = f" and {len(missing) - _NAMED_AT_MOST:,} more" if len(missing) > _NAMED_AT_MOST else ""
        return f"it lacks what the goal reads now: {', '.join(missing[:_NAMED_AT_MOST])}{more}"
    return None
