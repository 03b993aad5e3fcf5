"""Kept snapshots: what a live source held at the time of each read, so that a past date can be run again as it was.

A live source has only today. So whenever an extract has made a snapshot, an entry says where it lies, for which date it
was made and what it holds. The snapshot itself stays where it is, among the work files of its run, until
``retention.snapshot_days`` are over; see :mod:`~airflow_provider_braze_blueconic.sync.retention`.

::

    <staging>/<goal id>/snapshots/<as of>~<logical date or "none">~<run key>.json

The name tells the dates, so that looking for one reads few documents. A run that is cleared and reads again has
several.
"""

from __future__ import annotations

import datetime as dt
import json
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.references import SnapshotRef
from airflow_provider_braze_blueconic.sync.staging import GoalFolder, Staging

__all__ = [
    "KeptEntry",
    "NoSnapshot",
    "SnapshotNeeds",
    "asks_for_the_past",
    "date_of_read",
    "find_snapshot",
    "keep_snapshot",
    "kept_entries",
    "read_entry",
]

_SET_IN_THE_PAST = dt.timedelta(days=1)
"""How much older than its start a manual run's logical date must be to ask for the past. Airflow's form fills in the
present moment, which may be a while ago when it is sent."""

_NAMED_AT_MOST = 10
_MOMENT = "%Y%m%dT%H%M%S.%fZ"
_NONE = "none"


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


@dataclass(frozen=True)
class KeptEntry:
    """One kept snapshot as its entry's name tells it.

    :param uri: of the entry.
    :param as_of: start of the read, UTC.
    :param logical_date: of the run that made it, UTC; ``None`` if that had none.
    :param run_key: of that run.
    """

    uri: str
    as_of: dt.datetime
    logical_date: dt.datetime | None
    run_key: str


def asks_for_the_past(
    run_type: str,
    logical_date: dt.datetime,
    *,
    run_after: dt.datetime | None,
    now: dt.datetime,
    timezone: str,
) -> bool:
    """Tell whether a run is about a past date, rather than about what the source holds now.

    A backfill is, if its day is over. So is a manual run whose logical date somebody set more than a day back. A
    scheduled run reads what there is now, also if it is late or cleared.

    :param run_type: in Airflow's words.
    :param run_after: when the run was to begin; ``None`` where Airflow doesn't tell. Then the moment of the read
        decides, and a manual run that is cleared days later asks for its own day.
    :param now: the moment of the read.
    :param timezone: IANA name; where the days begin.
    """
    if run_type == "backfill":
        return _day(logical_date, timezone) < _day(now, timezone)
    return run_type == "manual" and (run_after or now) - logical_date > _SET_IN_THE_PAST


def date_of_read(
    run_type: str, logical_date: dt.datetime | None, *, read_at: dt.datetime, timezone: str
) -> dt.datetime | None:
    """Return the date under which a read of the source is kept; ``None`` if it is no read of the run's date.

    A run of a past date may have to read what there is now: a reconcile compares two systems as they are, and a manual
    run may be cleared days later. What it read is what the source held at that moment, and must not be replayed as
    what it held on the run's date. A scheduled run has no other date than its own, however late it is.
    """
    if logical_date is None or asks_for_the_past(
        run_type, logical_date, run_after=None, now=read_at, timezone=timezone
    ):
        return None
    return logical_date


def keep_snapshot(
    staging: Staging,
    folder: GoalFolder,
    snapshot: SnapshotRef,
    *,
    run_key: str,
    logical_date: dt.datetime | None,
    connection: str,
    holds: Sequence[str],
) -> None:
    """Remember a snapshot that was just made.

    :param connection: Airflow connection of the system that was read.
    :param holds: names of what was read of each person.
    """
    as_of = dt.datetime.fromisoformat(snapshot["as_of"])
    document = _Document(
        snapshot=snapshot,
        logical_date=logical_date.isoformat() if logical_date else None,
        connection=connection,
        holds=sorted(holds),
    )
    name = f"{_written(as_of)}~{_written(logical_date) if logical_date else _NONE}~{run_key}.json"
    staging.write_bytes(f"{folder.snapshots}{name}", json.dumps(document, indent=1).encode())


def kept_entries(staging: Staging, folder: GoalFolder) -> list[KeptEntry]:
    """List all kept snapshots, oldest read first; what has another name is none of them."""
    entries = []
    for staged in staging.list_objects(folder.snapshots):
        name = staged.uri.removeprefix(folder.snapshots).removesuffix(".json")
        try:
            as_of, logical_date, run_key = name.split("~")
            moment = None if logical_date == _NONE else _read(logical_date)
            entries.append(KeptEntry(staged.uri, _read(as_of), moment, run_key))
        except ValueError:
            continue
    return sorted(entries, key=lambda entry: (entry.as_of, entry.uri))


def read_entry(staging: Staging, entry: KeptEntry) -> SnapshotRef | None:
    """Read where an entry's snapshot lies; ``None`` if the entry has gone meanwhile.

    :raises UnexpectedAnswer: it is damaged.
    """
    document = _document(staging, entry)
    return None if document is None else document["snapshot"]


class _Document(TypedDict):
    snapshot: SnapshotRef
    logical_date: str | None
    connection: str
    holds: list[str]


def _document(staging: Staging, entry: KeptEntry) -> _Document | None:
    try:
        text = staging.read_bytes(entry.uri)
    except FileNotFoundError:
        return None
    try:
        document: _Document = json.loads(text)
        if isinstance(document["snapshot"]["uri"], str):
            return document
    except (ValueError, KeyError, TypeError):
        pass
    raise UnexpectedAnswer(f"{entry.uri} is no entry of a kept snapshot: something else wrote it. Remove it.")


def find_snapshot(
    staging: Staging, folder: GoalFolder, needs: SnapshotNeeds, *, logical_date: dt.datetime, timezone: str
) -> SnapshotRef:
    """Find the snapshot to replay for a past date.

    First what a run of that very logical date read, if it read it on that day before what it read later; then the
    newest of the others that were read on that day. The first one that fits is taken.

    :raises NoSnapshot: there is none, or none that fits; the text says what is missing.
    """
    day = _day(logical_date, timezone)
    candidates = [
        entry
        for entry in kept_entries(staging, folder)
        if entry.logical_date == logical_date or _day(entry.as_of, timezone) == day
    ]
    candidates.sort(
        key=lambda entry: (entry.logical_date == logical_date, _day(entry.as_of, timezone) == day, entry.as_of),
        reverse=True,
    )
    faults = []
    for entry in candidates:
        document = _document(staging, entry)
        if document is None:
            continue
        snapshot = document["snapshot"]
        fault = _fault(snapshot, needs, connection=document["connection"], holds=document["holds"])
        if fault is None and not staging.list_objects(f"{snapshot['uri']}/"):
            fault = "its files are gone"
        if fault is None:
            return {**snapshot, "replayed": True}
        faults.append(f"The snapshot that was read at {entry.as_of:%Y-%m-%d %H:%M} UTC does not fit: {fault}.")
    live = f'{folder.goal_id}: nothing was done for {day}. The segment "{needs.source}" can only be read as it is now'
    if faults:
        raise NoSnapshot(f"{live}. {faults[0]}")
    raise NoSnapshot(
        f"{live}, and no snapshot of that day is kept: no run read it then, or it is older than "
        "retention.snapshot_days. To send what the segment holds now, trigger the goal without a date."
    )


def _fault(snapshot: SnapshotRef, needs: SnapshotNeeds, *, connection: str, holds: Sequence[str]) -> str | None:
    if needs.source not in (snapshot["segment_id"], snapshot["segment_name"]):
        return f'it is of the segment "{snapshot["segment_name"]}"'
    if connection != needs.connection:
        return f'it was read with the connection "{connection}", and the goal now uses "{needs.connection}"'
    if needs.whole and snapshot["read"] == "modified":
        return "it holds only what had changed, and the run asks for a full read"
    missing = [name for name in dict.fromkeys(needs.holds) if name not in holds]
    if missing:
        more = f" and {len(missing) - _NAMED_AT_MOST:,} more" if len(missing) > _NAMED_AT_MOST else ""
        return f"it does not hold what the goal reads since: {', '.join(missing[:_NAMED_AT_MOST])}{more}"
    return None


def _day(moment: dt.datetime, timezone: str) -> dt.date:
    return moment.astimezone(zoneinfo.ZoneInfo(timezone)).date()


def _written(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime(_MOMENT)


def _read(text: str) -> dt.datetime:
    return dt.datetime.strptime(text, _MOMENT).replace(tzinfo=dt.UTC)
