"""The content of a goal's lock object."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer

__all__ = ["LockDocument", "State", "parse_lock", "shown_moment"]

State = Literal["working", "between", "released"]
"""What a run does that has the lock: a step, nothing until its next step, or nothing any more."""


@dataclass(frozen=True)
class LockDocument:
    """What the lock says.

    :param since: when the run took the lock, by its own clock, as ISO 8601.
    :param beat: another one in each sign of life.
    :param gap_seconds: for how long ``between`` may last.
    :param dag_id: not in locks of before 2026-12, as ``airflow`` and ``settled``.
    :param settled: what a step of the run has seen to, so that its next steps need not; empty if it hasn't yet.
    """

    owner: str
    run_key: str
    run_id: str
    step: str
    state: State
    since: str
    beat: str
    gap_seconds: float
    dag_id: str = ""
    airflow: str = ""
    settled: str = ""


_EARLIER = {"dag_id": "", "airflow": "", "settled": ""}


def parse_lock(content: bytes, uri: str, goal_id: str) -> LockDocument:
    """Read a lock; keys that a newer version may add are left alone, and those that an older one lacks are empty.

    :raises UnexpectedAnswer: it is none.
    """
    try:
        written: dict[str, Any] = _EARLIER | json.loads(content)
        document = LockDocument(**{field.name: written[field.name] for field in fields(LockDocument)})
        dt.datetime.fromisoformat(document.since)
        readable = document.state in get_args(State) and float(document.gap_seconds) >= 0
    except (ValueError, TypeError, KeyError):
        readable = False
    if not readable:
        raise UnexpectedAnswer(
            f"{uri}: the lock of goal {goal_id} can't be read. Make sure that no run of the goal is active, delete "
            "this object, and start the run again."
        )
    return document


def shown_moment(text: str) -> str:
    """Write a moment of a lock for people."""
    return f"{dt.datetime.fromisoformat(text).astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
