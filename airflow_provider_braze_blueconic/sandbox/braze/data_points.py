"""What the write of a custom attribute costs: docs "Data points", read 2026-11."""

from __future__ import annotations

from typing import Any

from airflow_provider_braze_blueconic.sandbox.braze.attribute_kinds import AttributeType

__all__ = ["data_points"]


def data_points(kind: AttributeType, value: Any) -> int:
    """Return what a write costs: docs "Data points", read 2026-11."""
    if kind == "array" and isinstance(value, dict):
        return max(len(value.get("add", [])) + (1 if "remove" in value else 0), 1)
    if kind in {"object", "object_array"}:
        return max(_leaves(value), 1)
    return 1


def _leaves(value: Any) -> int:
    """Count the keys that hold a value; containers are free, a ``$time`` is one value."""
    if isinstance(value, dict) and value.keys() != {"$time"}:
        return sum(
            _leaves(each)
            for key, each in value.items()
            if key not in {"$identifier_key", "$identifier_value"} or len(value) == 2
        )
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return sum(_leaves(each) for each in value)
    return 1
