"""The kinds of custom attributes, and which kind a value makes one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from airflow_provider_braze_blueconic.sandbox.braze.times import parse_time

__all__ = ["LAST_YEAR", "AttributeType", "detect_kind"]

AttributeType = Literal["string", "number", "boolean", "time", "array", "object", "object_array"]

LAST_YEAR = 3000  # a later date is kept as a string: docs "Custom attribute data types", read 2026-11


def detect_kind(value: Any) -> AttributeType:
    """Return the kind that an attribute has from the first value that it receives."""
    if isinstance(value, str):
        moment = parse_time(value) if value[:1].isdigit() else None
        return "string" if moment is None or moment.year > LAST_YEAR else "time"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, list):
        return "object_array" if any(isinstance(each, dict) for each in value) else "array"
    return _detect_object(value)


def _detect_object(value: Mapping[str, Any]) -> AttributeType:
    keys = value.keys()
    if not keys:
        return "object"
    if keys <= {"add", "remove"} and all(isinstance(each, list) for each in value.values()):
        return "array"
    if keys == {"inc"}:
        return "number"
    if keys <= {"$add", "$remove", "$update"}:
        return "object_array"
    return "object"
