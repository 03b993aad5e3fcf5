"""From where a read of changes may begin: the start of the last read after which nothing was left to do.

A read of changes meets only people who changed in the source. Whatever else decides who is read and what is said of
them is in a fingerprint, kept with each run: where it differs, the whole segment is read once.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_braze_blueconic.sync.runs import GoodRead

__all__ = ["Window", "fingerprint", "next_window"]


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
        return Window(None, "no run read it and had everybody accepted, or older data were sent since")
    began, text = last
    before = _parts(text)
    if before is None:
        return Window(None, "the last run was one of an earlier version")
    changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if changed:
        return Window(None, f"changed since the last run: {', '.join(changed)}")
    if released is not None and released >= began:
        return Window(None, "people were released since the last run")
    return Window(began)


def _parts(text: str) -> dict[str, str] | None:
    try:
        parts = json.loads(text)
    except ValueError:
        return None
    return parts if isinstance(parts, dict) else None
