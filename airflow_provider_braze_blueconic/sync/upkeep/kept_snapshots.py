"""Kept snapshots: what a live source held at the time of each read, so that a past date can be run again as it was.

A live source has only today. So whenever an extract has made a snapshot, an entry says where it lies, for which date it
was made and what it holds. The snapshot itself stays where it is, among the work files of its run, until
``retention.snapshot_days`` are over; see :mod:`~airflow_provider_braze_blueconic.sync.upkeep.retention`.

::

    <staging>/<goal id>/snapshots/<as of>~<logical date or "none">~<run key>.json

The name tells the dates, so that looking for one reads few documents. A run that is cleared and reads again has
several.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.references import SnapshotRef
from airflow_provider_braze_blueconic.sync.store.staging import Staging

__all__ = ["KeptDocument", "KeptEntry", "keep_snapshot", "kept_entries", "read_document", "read_entry"]

_MOMENT = "%Y%m%dT%H%M%S.%fZ"
_NONE = "none"


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
    document = KeptDocument(
        snapshot=snapshot,
        logical_date=logical_date.isoformat() if logical_date else None,
        connection=connection,
        holds=sorted(holds),
    )
    uri = folder.kept_snapshot(_written(as_of), _written(logical_date) if logical_date else _NONE, run_key)
    staging.write_bytes(uri, json.dumps(document, indent=1).encode())


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
    document = read_document(staging, entry)
    return None if document is None else document["snapshot"]


class KeptDocument(TypedDict):
    """What an entry holds: ``holds`` are names of what was read of each person, ``connection`` by which it was read."""

    snapshot: SnapshotRef
    logical_date: str | None
    connection: str
    holds: list[str]


def read_document(staging: Staging, entry: KeptEntry) -> KeptDocument | None:
    """Read an entry; ``None`` if it has gone meanwhile.

    :raises UnexpectedAnswer: it is damaged.
    """
    try:
        text = staging.read_bytes(entry.uri)
    except FileNotFoundError:
        return None
    try:
        document: KeptDocument = json.loads(text)
        if isinstance(document["snapshot"]["uri"], str):
            return document
    except (ValueError, KeyError, TypeError):
        pass
    raise UnexpectedAnswer(f"{entry.uri} isn't an entry of a kept snapshot: something else wrote it. Remove it.")


def _written(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime(_MOMENT)


def _read(text: str) -> dt.datetime:
    return dt.datetime.strptime(text, _MOMENT).replace(tzinfo=dt.UTC)
