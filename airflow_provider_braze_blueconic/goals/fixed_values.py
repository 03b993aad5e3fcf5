"""Fixed values of an export goal: whether Braze would store them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from airflow_provider_braze_blueconic.goals.findings import Finding
from airflow_provider_braze_blueconic.goals.rows import Written, text_of, type_of
from airflow_provider_braze_blueconic.goals.shown_values import quoted, shown
from airflow_provider_braze_blueconic.sync.braze.constants import constant_text
from airflow_provider_braze_blueconic.sync.values.moments import read_moment
from airflow_provider_braze_blueconic.vendors.braze_attributes import (
    FieldType,
    Scalar,
    braze_attribute,
    braze_value_problem,
    is_clearable,
)
from airflow_provider_braze_blueconic.vendors.braze_names import braze_name_problem

__all__ = ["check_fixed_value", "fixed_value_problem"]

_REFUSALS: Mapping[str, str] = {
    "bad_date": "isn't a date that Braze can store. Write it as 2026-11-30 or 2026-11-30T08:00:00Z.",
    "bad_email": "isn't an e-mail address that Braze accepts.",
    "not_text": "contains half a character.",
    "bad_key_in_object": "has a key that Braze can't store: it is empty or long, or has a space, a dot or a dollar.",
    "not_a_boolean": "is neither true nor false.",
    "not_an_integer": "isn't a whole number of at most 18 digits. Put an id in quotes.",
    "not_an_object": "isn't a JSON object.",
    "not_json": "isn't a JSON object.",
    "operator_in_object": "is an operation for Braze, not a value. Rename the key.",
    "objects_in_array": "is a list of objects, but an array holds single values.",
    "too_long": "is longer than Braze can store.",
    "too_many_elements": "has more elements than Braze can store.",
    "unknown_country": "isn't a country. Write its code of two letters, such as NL.",
    "unknown_language": "isn't a language that Braze supports. Write its code, such as nl.",
    "unknown_time_zone": "isn't a time zone. Write its IANA name, such as Europe/Amsterdam.",
}
"""Reason of a rule → the rest of a sentence that begins with the value."""


def check_fixed_value(row: Written) -> Iterator[Finding]:
    """Check the fixed value of a row, if it has one."""
    value, target, type_ = row.get("value"), text_of(row, "to"), type_of(row)
    if not isinstance(value, str | int | float):
        return
    if type_ is not None and not _fits(value, type_):
        yield Finding("value", f'{shown(value)} can\'t be of type "{type_}".')
    elif target is not None and (problem := fixed_value_problem(target, value, type_)):
        yield Finding("value", problem)


def fixed_value_problem(target: str, value: Scalar, type_: FieldType | None) -> str | None:
    """Say why Braze would not store a fixed value; ``None`` if it would."""
    if value is None:
        return None if is_clearable(target) else f'{quoted(target)} can\'t be empty in Braze. Write "unsubscribed".'
    problem = braze_value_problem(target, str(value) if type_ == "string" else value)
    is_no_number = isinstance(value, float) and not math.isfinite(value)
    if problem or is_no_number or braze_name_problem(target):
        return problem  # of what is refused already, the form is not looked at
    text, reason = constant_text(target, value, type_)
    return None if text is not None else _refusal(target, value, reason)


def _refusal(target: str, value: Scalar, reason: str | None) -> str:
    if reason is None:
        return "is empty, and empty text isn't a value. Leave the row out."
    attribute = braze_attribute(target)
    if attribute is not None and attribute.words:
        return f'"{target}" accepts only {", ".join(attribute.words)}.'
    return f"{shown(value)} {_REFUSALS.get(reason, f'is refused: {reason}.')}"


def _fits(value: Scalar, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, int):
        return kind in ("integer", "float", "string")
    if isinstance(value, float):
        return kind in ("float", "string")
    return kind in ("string", "array", "object") or (kind == "time" and read_moment(str(value)) is not None)
