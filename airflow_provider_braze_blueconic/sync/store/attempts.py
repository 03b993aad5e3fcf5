"""The attempts at one step, as objects in the store.

An attempt is empty while it is at work, and holds its counters once it has ended.

::

    <folder>/attempts/<name>~<generation>

``<name>`` is what only one may do at a time. See :mod:`~airflow_provider_braze_blueconic.sync.store.fence`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_braze_blueconic.exceptions import SyncError
from airflow_provider_braze_blueconic.sync.store.paths import attempt_object, attempts_folder
from airflow_provider_braze_blueconic.sync.store.staging import StagedFile, Staging

__all__ = [
    "AT_WORK",
    "GIVEN_UP",
    "Superseded",
    "counters",
    "create_attempt",
    "is_anybody_at_work",
    "is_at_work",
    "is_there",
    "read_attempts",
    "superseded",
    "unfinished",
]

AT_WORK = b""
"""What an attempt holds until it has ended."""
GIVEN_UP = b"-"
"""A newer attempt waited in vain for the end of this one. Shorter than any counters, so that a listing tells them."""

_NAME = re.compile(r"/attempts/(?P<name>[^/]+)~(?P<generation>\d{8})$")
_TRACE = re.compile(r"/attempts/(?P<name>[^/]+)~[^/]+$")


class Superseded(SyncError):
    """A newer attempt has begun, and this one sends nothing more; the newer one goes on from its receipts."""


def superseded(label: str) -> Superseded:
    """Make the error of an attempt that must not go on."""
    return Superseded(
        f"{label}: a newer attempt at this step has started, or its outcomes were committed, so this one stops "
        "sending. Its receipts are kept, and the newer attempt or the next run sends the rest. You don't need to "
        "do anything."
    )


def is_anybody_at_work(staging: Staging, folder: str) -> bool:
    """Tell whether an attempt has begun, and neither ended nor been given up."""
    found = read_attempts(staging, folder)
    return any(is_at_work(found, name) for name in found)


def unfinished(staging: Staging, folder: str) -> frozenset[str]:
    """Name what an attempt was made at that did not come to its end, as a kill leaves it, or is not through yet."""
    return frozenset(
        trace["name"]
        for staged in _list(staging, folder)
        if staged.size <= len(GIVEN_UP) and (trace := _TRACE.search(staged.uri))
    )


def counters(staging: Staging, folder: str) -> list[dict[str, Any]]:
    """Return what attempts that came to their end counted, the failed ones included."""
    ended = [each for each in _list(staging, folder) if each.size > len(GIVEN_UP) and _NAME.search(each.uri)]
    told = (json.loads(staging.read_bytes(each.uri)) for each in ended)
    return [each for each in told if each]


def _list(staging: Staging, folder: str) -> Sequence[StagedFile]:
    return staging.list_objects(attempts_folder(folder))


def read_attempts(staging: Staging, folder: str) -> dict[str, dict[int, int]]:
    """Return name → generation → size of all attempts."""
    found: dict[str, dict[int, int]] = {}
    for staged in _list(staging, folder):
        if match := _NAME.search(staged.uri):
            found.setdefault(match["name"], {})[int(match["generation"])] = staged.size
    return found


def is_at_work(found: Mapping[str, Mapping[int, int]], name: str, *, below: int | None = None) -> bool:
    """Tell whether an attempt has begun and not ended.

    :param found: see :func:`read_attempts`.
    :param below: only generations below this one.
    """
    return any(
        size == len(AT_WORK) and (below is None or generation < below)
        for generation, size in found.get(name, {}).items()
    )


def create_attempt(staging: Staging, folder: str, name: str, highest: int, *, content: bytes = AT_WORK) -> int:
    """Create the next attempt, and return its generation.

    :param highest: generation that is known to be taken.
    """
    generation = highest + 1
    while not staging.write_bytes(attempt_object(folder, name, generation), content, if_absent=True):
        generation += 1
    return generation


def is_there(staging: Staging, folder: str, name: str, generation: int) -> bool:
    """Tell whether an attempt has begun. It is asked for by its name, since a listing may lag behind its objects."""
    try:
        staging.read_bytes(attempt_object(folder, name, generation))
    except FileNotFoundError:
        return False
    return True
