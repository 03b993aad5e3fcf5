"""What the sandbox's Braze makes of the value of a custom attribute."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_braze_blueconic.sandbox.braze.attribute_kinds import LAST_YEAR, AttributeType
from airflow_provider_braze_blueconic.sandbox.braze.nested_values import (
    MAX_CHARACTERS,
    NOT_APPLIED,
    nested_array,
    nested_object,
)
from airflow_provider_braze_blueconic.sandbox.braze.times import parse_time, stored_time

__all__ = ["convert"]


def convert(kind: AttributeType, value: Any, *, old: Any, merge: bool, array_length: int) -> Any:
    """Return the stored form of a value; :data:`NOT_APPLIED` where the write is dropped.

    :param old: what the attribute holds.
    """
    if kind == "number":
        return _number(value, old)
    if kind == "array":
        return _array(value, old, array_length)
    if kind == "object":
        return nested_object(value, old, merge)
    if kind == "object_array":
        return nested_array(value, old, merge)
    return _PLAIN[kind](value)


def _string(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = json.dumps(value)
    return value if isinstance(value, str) and len(value) <= MAX_CHARACTERS else NOT_APPLIED


def _number(value: Any, old: Any) -> Any:
    if isinstance(value, dict) and isinstance(value.get("inc"), int):
        return (old if isinstance(old, (int, float)) else 0) + value["inc"]
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            try:
                return float(value)
            except ValueError:
                return NOT_APPLIED
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else NOT_APPLIED


def _boolean(value: Any) -> Any:
    text = value.lower() if isinstance(value, str) else value
    if text in (True, 1, "true", "t", "1"):
        return True
    if text in (False, 0, "false", "f", "0"):
        return False
    return NOT_APPLIED


def _time(value: Any) -> Any:
    moment = parse_time(value) if isinstance(value, str) else None
    if moment is None:
        return NOT_APPLIED
    return value if moment.year > LAST_YEAR else stored_time(moment)


_PLAIN: Mapping[AttributeType, Callable[[Any], Any]] = {"string": _string, "boolean": _boolean, "time": _time}


def _array(value: Any, old: Any, array_length: int) -> Any:
    if isinstance(value, dict) and value and value.keys() <= {"add", "remove"}:
        removed = value.get("remove", [])
        elements = [*(each for each in old or [] if each not in removed), *value.get("add", [])]
    elif isinstance(value, list):
        elements = value
    else:
        return NOT_APPLIED
    if not all(_is_scalar(each) for each in elements):
        return NOT_APPLIED
    return _unique(elements)[-array_length:]


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (int, float)) or (isinstance(value, str) and len(value) <= MAX_CHARACTERS)


def _unique(elements: list[Any]) -> list[Any]:
    """Keep each element once, at its last place: adding one again moves it to the end."""
    kept = {(type(each), each): each for each in reversed(elements)}
    return list(kept.values())[::-1]
