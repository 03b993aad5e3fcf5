"""What a row of a goal can read: the information of a BlueConic profile, or of a Braze user in a segment export."""

from __future__ import annotations

import re
from collections.abc import Mapping

from airflow_provider_braze_blueconic.goals.shown_values import quoted, short
from airflow_provider_braze_blueconic.near_names import nearest
from airflow_provider_braze_blueconic.vendors.braze_attributes import FieldType
from airflow_provider_braze_blueconic.vendors.braze_paths import parse_path

__all__ = ["EXPORT_KINDS", "PROPERTY", "export_source_problem", "import_source_problem", "property_id_problem"]

PROPERTY = "property."

EXPORT_KINDS: Mapping[str, FieldType] = {
    "profile_id": "string",
    "segments": "array",
    "interactions": "array",
    "permission_level": "string",
}
"""What an export goal can read beside properties → the type that it gives."""

_BLUECONIC_ID = re.compile(r"[A-Za-z0-9_-]+")  # docs "Profile properties": letters, digits, "-" and "_"


def export_source_problem(text: str) -> str | None:
    """Say why this is not something that an export can read; ``None`` if it is."""
    if text in EXPORT_KINDS:
        return None
    property_id = text.removeprefix(PROPERTY)
    if text.startswith(PROPERTY) and property_id.strip() == property_id != "" and property_id.isprintable():
        return None
    kinds = ", ".join(EXPORT_KINDS)
    near = nearest(text, EXPORT_KINDS)
    head, dot, rest = text.partition(".")
    if dot and rest and nearest(head, [PROPERTY.rstrip(".")]):
        near = f' Nearest: "{PROPERTY}{short(rest)}".'
    if not near and _BLUECONIC_ID.fullmatch(text):
        near = f' For a profile property write "{PROPERTY}{short(text)}".'
    return f"expected property.<id>, {kinds}; found {quoted(text)}.{near}"


def import_source_problem(text: str) -> str | None:
    """Say why this is not a path into an exported Braze user; ``None`` if it is."""
    try:
        parse_path(text)
    except ValueError as error:
        return str(error)
    return None


def property_id_problem(text: str) -> str | None:
    """Say why BlueConic can have no property of this id; ``None`` if it can."""
    if _BLUECONIC_ID.fullmatch(text):
        return None
    hint = f' Write "{short(text.removeprefix(PROPERTY))}".' if text.startswith(PROPERTY) else ""
    return f'a BlueConic property id has only letters, digits, "_" and "-"; found {quoted(text)}.{hint}'
