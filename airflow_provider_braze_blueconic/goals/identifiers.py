"""Identifier links of a goal: what identifies a person."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_braze_blueconic.goals.findings import Finding
from airflow_provider_braze_blueconic.goals.rows import Written
from airflow_provider_braze_blueconic.goals.shown_values import quoted
from airflow_provider_braze_blueconic.goals.sources import import_source_problem
from airflow_provider_braze_blueconic.near_names import nearest
from airflow_provider_braze_blueconic.vendors.braze_paths import parse_path

__all__ = ["check_identifier", "import_identifier_problem"]

_CUSTOM = "custom_attributes."
_IMPORT_IDENTIFIERS = ("external_id", "braze_id", "email", "phone", "user_alias")


def import_identifier_problem(text: str) -> str | None:
    """Say why an exported Braze user can't be recognised by this; ``None`` if it can."""
    if text in _IMPORT_IDENTIFIERS:
        return None
    if _custom_attribute(text):
        place = next((f"[{step}]" for step in parse_path(text).steps if isinstance(step, int)), None)
        if place is None:
            return None
        # Which of several is the first may be another one tomorrow, and then another person.
        return f'{quoted(text)} can\'t be read from "{place}" on. An identifier is a single value.'
    if len(text) > len(_CUSTOM) and text.startswith(_CUSTOM):
        return import_source_problem(text)
    expected = ", ".join(_IMPORT_IDENTIFIERS)
    return f"expected {expected} or {_CUSTOM}<name>; found {quoted(text)}.{nearest(text, _IMPORT_IDENTIFIERS)}"


def check_identifier(link: Written) -> Iterator[Finding]:
    """Check one row of ``identifiers``."""
    if link.get("braze") == "user_alias":
        if link.get("alias_label") is None:
            yield Finding("alias_label", "is missing: an alias needs its name and its label.")
    elif link.get("alias_label") is not None:
        yield Finding("alias_label", 'is possible only with "braze: user_alias".')


def _custom_attribute(text: str) -> bool:
    try:
        return parse_path(text).attribute is not None
    except ValueError:
        return False
