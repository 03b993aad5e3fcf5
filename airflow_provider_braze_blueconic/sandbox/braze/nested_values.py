"""What the sandbox's Braze makes of an object, and of an array of objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_braze_blueconic.sandbox.braze.attribute_kinds import LAST_YEAR
from airflow_provider_braze_blueconic.sandbox.braze.times import parse_time, stored_time

__all__ = ["MAX_CHARACTERS", "NOT_APPLIED", "nested_array", "nested_object"]

# Docs "Custom attribute data types" and "User attributes object", read 2026-11.
MAX_CHARACTERS = 255  # of a string; a longer one is not applied although the call succeeds
_MAX_OBJECT_BYTES = 100_000  # 100 KB of an object or an array of objects; over it the update is dropped
NOT_APPLIED = object()  # None is a value
_OPERATORS = frozenset({"inc", "add", "remove", "$add", "$remove", "$update"})


def nested_object(value: Any, old: Any, merge: bool) -> Any:
    # What Braze makes of an object with an operator among other keys is UNVERIFIED: here it spoils the whole.
    if not isinstance(value, dict) or not _OPERATORS.isdisjoint(value):
        return NOT_APPLIED
    clean = _nested(value)
    if clean is NOT_APPLIED:
        return NOT_APPLIED
    if merge and isinstance(old, dict):
        clean = _merged(old, clean)
    return clean if _fits(clean) else NOT_APPLIED


def nested_array(value: Any, old: Any, merge: bool) -> Any:
    if isinstance(value, list):
        items: Any = [_nested(each) for each in value if isinstance(each, dict)]
        items = items if len(items) == len(value) else NOT_APPLIED
    elif isinstance(value, dict):
        items = _edited(list(old or []), value, merge)
    else:
        return NOT_APPLIED
    if items is NOT_APPLIED or any(each is NOT_APPLIED for each in items):
        return NOT_APPLIED
    return items if _fits(items) else NOT_APPLIED


def _edited(items: list[Any], operators: Mapping[str, Any], merge: bool) -> Any:
    """Apply ``$add``, then ``$remove``, then ``$update``: always in this order."""
    try:
        items += [_nested(each) for each in operators.get("$add", [])]
        for rule in operators.get("$remove", []):
            items = [each for each in items if not _is_named(each, rule)]
        for rule in operators.get("$update", []):
            new = _nested(rule["$new_object"])
            items = [(_merged(each, new) if merge else new) if _is_named(each, rule) else each for each in items]
    except (KeyError, TypeError, AttributeError):
        return NOT_APPLIED
    return items


def _is_named(item: Mapping[str, Any], rule: Mapping[str, Any]) -> bool:
    return bool(item.get(rule["$identifier_key"]) == rule["$identifier_value"])


def _nested(value: Any) -> Any:
    """Return a value inside an object in its stored form; one bad value spoils the whole."""
    if isinstance(value, dict):
        return _nested_object(value)
    if isinstance(value, list):
        clean = [_nested(each) for each in value]
        return NOT_APPLIED if any(each is NOT_APPLIED for each in clean) else clean
    if isinstance(value, str):
        return value if len(value) <= MAX_CHARACTERS else NOT_APPLIED
    return NOT_APPLIED if value is None else value


def _nested_object(value: Mapping[str, Any]) -> Any:
    if value.keys() == {"$time"}:
        moment = parse_time(value["$time"]) if isinstance(value["$time"], str) else None
        return NOT_APPLIED if moment is None or moment.year > LAST_YEAR else stored_time(moment)
    clean = {}
    for key, each in value.items():
        if len(key) > MAX_CHARACTERS or not key or any(letter in key for letter in " .$"):
            return NOT_APPLIED
        clean[key] = _nested(each)
        if clean[key] is NOT_APPLIED:
            return NOT_APPLIED
    return clean


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        merged[key] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def _fits(value: Any) -> bool:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()) <= _MAX_OBJECT_BYTES
