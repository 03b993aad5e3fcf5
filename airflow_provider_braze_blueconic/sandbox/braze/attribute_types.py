"""The custom attributes that a workspace knows, each with its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_braze_blueconic.sandbox.braze.attribute_kinds import AttributeType, detect_kind
from airflow_provider_braze_blueconic.sandbox.braze.attribute_values import convert
from airflow_provider_braze_blueconic.sandbox.braze.data_points import data_points
from airflow_provider_braze_blueconic.sandbox.braze.nested_values import MAX_CHARACTERS, NOT_APPLIED

__all__ = ["AttributeTypes"]

_NAME_CHARACTERS, _NAME_BYTES = 255, 479  # of an attribute's name; a longer one is cut off: docs "Custom attributes"

_SHOWN = {
    "string": "String",
    "number": "Number",
    "boolean": "Boolean",
    "time": "Time",
    "array": "Array",
    "object": "Object",
    "object_array": "Object Array",
}


class AttributeTypes:
    """The custom attributes that a workspace knows; the first value that it receives fixes the type of each."""

    def __init__(self) -> None:
        self._types: dict[str, AttributeType] = {}

    def fix(self, name: str, kind: AttributeType) -> None:
        """Declare an attribute, as a marketer does in the dashboard."""
        self._types[name] = kind

    def known(self) -> Mapping[str, AttributeType]:
        return self._types

    def describe(self, *, array_length: int) -> list[dict[str, Any]]:
        """Return all attributes as ``GET /custom_attributes`` shows them, alphabetically."""
        return [
            {
                "name": name,
                "description": None,
                "data_type": _SHOWN[kind],
                "array_length": array_length if kind == "array" else None,
                "status": "Active",
                "tag_names": [],
            }
            for name, kind in sorted(self._types.items())
        ]

    def write(self, stored: dict[str, Any], name: str, value: Any, *, merge: bool, array_length: int) -> int:
        """Write one attribute of one user as Braze would, which may be not at all.

        :param stored: the user's attributes.
        :param merge: ``_merge_objects`` of the object that held the value.
        :returns: the data points that the write costs, applied or not.
        """
        name = _cut(name)
        if value is None:
            stored.pop(name, None)
            return 1
        kind = self._types.get(name) or detect_kind(value)
        if kind == "string" and type(value) is str and len(value) <= MAX_CHARACTERS:  # the common case, kept quick
            stored[name] = value
            self._types.setdefault(name, kind)
            return 1
        applied = convert(kind, value, old=stored.get(name), merge=merge, array_length=array_length)
        if applied is not NOT_APPLIED:
            stored[name] = applied
            self._types.setdefault(name, kind)
        return data_points(kind, value)


def _cut(name: str) -> str:
    return name if name.isascii() and len(name) <= _NAME_CHARACTERS else _cut_bytes(name[:_NAME_CHARACTERS])


def _cut_bytes(name: str) -> str:
    return name.encode()[:_NAME_BYTES].decode(errors="ignore")
