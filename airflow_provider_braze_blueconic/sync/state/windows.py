"""Where a read of changes may begin: the start of the last read after which nothing was left to do.

A read of changes meets only people who changed in the source. Whatever else decides who is read and what is said of
them is in a fingerprint, kept with each run: where it differs, the whole segment is read once. And where a run sends
anything that is not by the fingerprint of the last such read, or older than it, no read of changes begins there again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_braze_blueconic.sync.state.runs import GoodRead

__all__ = ["Window", "decided", "fingerprint", "goes_on", "next_window"]

_BETWEEN = "settings between a read and its mapping"


@dataclass(frozen=True)
class Window:
    """What a run reads.

    :param since: changes from there on, UTC; ``None`` for the whole segment.
    :param why: why the whole segment is read; empty where it is not.
    """

    since: dt.datetime | None
    why: str = ""


def fingerprint(settings: Mapping[str, object]) -> dict[str, str]:
    """Fingerprint of what decides who is read and what is said of them: name of a setting → fingerprint of its value.

    :param settings: name, as a person knows it → anything that JSON can hold.
    """
    return {
        name: hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]
        for name, value in sorted(settings.items())
    }


def next_window(last: GoodRead | None, now: Mapping[str, str], *, released: dt.datetime | None = None) -> Window:
    """Say what the next run reads.

    :param last: the last read after which nothing was left to do, and its fingerprint as JSON.
    :param now: fingerprint of the goal as it is now.
    :param released: when people were last released from their rest: a read of changes would not meet them.
    """
    if last is None:
        return Window(
            None, "no earlier run had everybody accepted, or a later one sent older data or used other settings"
        )
    began, text = last
    before = _parts(text)
    if before is None:
        return Window(None, "an earlier package version did the last run")
    changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if changed:
        return Window(None, f"changed since the last run: {', '.join(changed)}")
    if released is not None and released >= began:
        return Window(None, "people were released since the last run")
    return Window(began)


def decided(read: str, settings: Mapping[str, object]) -> str:
    """Say by what a run sends whose steps were cleared after its goal had changed: by nothing that a read knows.

    :param read: fingerprint of its read, as JSON.
    :param settings: of the goal when its delta is made; those that the read was not told do not count.
    """
    parts = _parts(read)
    now = fingerprint(settings)
    if parts is None or all(parts[name] == now[name] for name in parts.keys() & now.keys()):
        return read
    return json.dumps({**parts, _BETWEEN: "changed"})


def goes_on(last: GoodRead, began: dt.datetime, text: str) -> bool:
    """Tell whether a run sends what changed since the last good read, by the same settings.

    :param began: start of its read.
    :param text: its fingerprint, as JSON.
    """
    parts = _parts(text)
    return began > last[0] and parts is not None and parts == _parts(last[1])


def _parts(text: str) -> dict[str, str] | None:
    try:
        parts = json.loads(text)
    except ValueError:
        return None
    return parts if isinstance(parts, dict) else None
