"""When a goal wrote last, since its writes may not show in a read yet.

::

    <staging>/~observed/<goal id>.written.json   when the goal last wrote into its own target, and the newest read of
                                                 which everything that followed is written
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_braze_blueconic.exceptions import TransientError
from airflow_provider_braze_blueconic.sync.observations.observation import System
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.staging import Staging

__all__ = ["SETTLES_IN", "check_settled", "has_written", "mark_written", "wrote_too_late"]

SETTLES_IN: Mapping[System, dt.timedelta] = {
    "braze": dt.timedelta(minutes=5),  # between dependent calls: docs "API limits", read 2026-11
    "blueconic": dt.timedelta(minutes=10),  # until a change can be searched: support "Troubleshooting the number …"
}
"""How long a write may take to show in a read."""


@dataclass(frozen=True)
class _Written:
    """What a goal has written.

    :param at: when it last wrote; ``None`` if it never did.
    :param read: start of the newest of its reads of which all that followed is written.
    """

    at: dt.datetime | None
    read: dt.datetime


def mark_written(staging: Staging, folder: GoalFolder, *, read: dt.datetime, wrote: dt.datetime | None) -> None:
    """Remember that all is written that followed from a goal's read, and when: a read soon after may not show it yet.

    :param read: start of that read.
    :param wrote: time after the last write; ``None`` if there was nothing to write.
    """
    before = written_mark(staging, folder.written)
    at = wrote or (before.at if before else None)
    newest = max(read, before.read) if before else read
    document = {"at": at.isoformat() if at else None, "read": newest.isoformat()}
    staging.write_bytes(folder.written, json.dumps(document).encode())


def check_settled(
    staging: Staging, folder: GoalFolder, system: System, *, settles_in: Mapping[System, dt.timedelta], at: dt.datetime
) -> None:
    """Make sure that a read of the system that a goal writes to, begun at a time, shows all that the goal wrote.

    :raises TransientError: if the goal wrote there so shortly before that it may not.
    """
    wrote = wrote_too_late(staging, folder, at - settles_in[system])
    if wrote is None:
        return
    until = wrote + settles_in[system]
    raise TransientError(
        f"{folder.goal_id}: this goal wrote at {wrote:%Y-%m-%d %H:%M:%S} UTC, and a read before {until:%H:%M:%S} "
        "may not show it yet. Nothing was sent; the first attempt after that time reads again."
    )


def wrote_too_late(staging: Staging, folder: GoalFolder, latest: dt.datetime) -> dt.datetime | None:
    """Return when a goal wrote last, if that was at a time or later."""
    written = written_mark(staging, folder.written)
    return None if written is None or written.at is None or written.at < latest else written.at


def has_written(staging: Staging, folder: GoalFolder, read: dt.datetime, *, by: dt.datetime) -> bool:
    """Tell whether a goal had written everything that followed from a read, and nothing else since, before a time.

    An open upload alone would not tell: between a goal's read and its first write there are the mapping and the delta,
    and goals often run at the same time.
    """
    written = written_mark(staging, folder.written)
    if written is None or written.read < read or staging.list_objects(folder.open_uploads):
        return False
    return written.at is None or written.at < by


def written_mark(staging: Staging, uri: str) -> _Written | None:
    try:
        document = json.loads(staging.read_bytes(uri))
    except FileNotFoundError:
        return None
    at = document["at"]
    return _Written(dt.datetime.fromisoformat(at) if at else None, dt.datetime.fromisoformat(document["read"]))
