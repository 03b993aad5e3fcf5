"""The objects of a request to ``/users/track``, and which of them an error means."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_braze_blueconic.hooks.http.bodies import read_json
from airflow_provider_braze_blueconic.sync.sending.seam import Refusal

__all__ = ["ARRAYS", "count_objects", "json_object", "locate", "read_refusals"]

ARRAYS = ("attributes", "events", "purchases")
"""In this order Braze begins with them, and in this order positions count: docs "API limits", read 2026-11."""


def json_object(answer: bytes | None) -> dict[str, Any]:
    """Read a JSON object; an empty one if there is none."""
    parsed = read_json(answer)
    return parsed if isinstance(parsed, dict) else {}


def count_objects(sent: bytes) -> dict[str, int]:
    """Count the objects of each array of a body."""
    body = json_object(sent)
    return {name: len(body[name]) for name in ARRAYS if isinstance(body.get(name), list) and body[name]}


def locate(entries: Sequence[object], counts: Mapping[str, int]) -> tuple[dict[int, Refusal], bool]:
    """Find the object that each error entry means.

    Measured (one workspace, 2026-09): ``{"index": 3, "input_array": "attributes", "type": "<sentence>"}``,
    the index from 0 inside the named array. Where the body has a single array, an entry may leave its name out.

    :return: the refusals by position, and whether every entry was located.
    """
    offsets: dict[str, int] = {}
    total = 0
    for name in ARRAYS:
        offsets[name] = total
        total += counts.get(name, 0)
    only = next(iter(counts)) if len(counts) == 1 else None
    found: dict[int, Refusal] = {}
    complete = True
    for entry in entries:
        position = _position(entry, only, counts, offsets) if isinstance(entry, dict) else None
        if isinstance(entry, dict) and position is not None:
            found.setdefault(position, Refusal(position, _reason(entry)))
        else:
            complete = False
    return found, complete


def read_refusals(answer: Mapping[str, Any], counts: Mapping[str, int]) -> tuple[Refusal, ...]:
    """Read whom a refused request means. Where it held a single object, all that it says is said of that one."""
    listed = answer.get("errors")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    located = tuple(locate(entries, counts)[0].values())
    if located or sum(counts.values()) != 1:
        return located
    message = answer.get("message")
    reasons = [_reason(entry) for entry in entries] or [message if isinstance(message, str) else ""]
    return (Refusal(0, reasons[0]),) if reasons[0] else ()


def _position(
    entry: Mapping[str, Any], only: str | None, counts: Mapping[str, int], offsets: Mapping[str, int]
) -> int | None:
    index, array = entry.get("index"), entry.get("input_array", only)
    if not isinstance(array, str) or not isinstance(index, int) or isinstance(index, bool):
        return None
    return offsets[array] + index if 0 <= index < counts.get(array, 0) else None


def _reason(entry: Mapping[str, Any]) -> str:
    reason = entry.get("type")
    return reason if isinstance(reason, str) and reason else json.dumps(entry, ensure_ascii=False)
