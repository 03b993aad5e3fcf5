"""Checks of one row of an export goal's ``fields``: its values against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow_provider_braze_blueconic.goals.findings import Finding
from airflow_provider_braze_blueconic.goals.fixed_values import check_fixed_value
from airflow_provider_braze_blueconic.goals.rows import Written, text_of, type_of
from airflow_provider_braze_blueconic.goals.shown_values import quoted
from airflow_provider_braze_blueconic.goals.sources import EXPORT_KINDS, PROPERTY
from airflow_provider_braze_blueconic.sync.values.date_formats import date_format_problem
from airflow_provider_braze_blueconic.vendors.braze_attributes import BrazeAttribute, braze_attribute

__all__ = ["check_export_field"]

_A: Mapping[str, str] = {
    "string": "a text",
    "date": "a date",
    "time": "a time",
    "boolean": "true or false",
    "array": "an array",
    "object": "an object",
}


def check_export_field(row: Written) -> Iterator[Finding]:
    """Check one row of an export's ``fields``."""
    if ("from" in row) == ("value" in row):
        both = "both are there" if "from" in row else "neither is there"
        yield Finding("", f'expected either "from" or "value"; {both}.')
        return
    if "from" in row and row["from"] is None:
        yield Finding("from", "expected text, found nothing.")
    if "value" in row and row["value"] is None:
        yield Finding("value", "a fixed value can't be empty: it would clear the attribute for everybody.")
    if row.get("as") in ("ids", "names") and row.get("from") not in ("segments", "interactions"):
        yield Finding("as", 'is possible only for "segments" and "interactions".')
    yield from _check_produced(row)
    # With a date format it is refused anyway, so its form is not looked at.
    if "date_format" not in row:
        yield from check_fixed_value(row)
    yield from _check_date_format(row)
    yield from _check_type(row)


def _attribute(row: Written) -> BrazeAttribute | None:
    target = text_of(row, "to")
    return None if target is None else braze_attribute(target)


def _check_produced(row: Written) -> Iterator[Finding]:
    """Check that what is read beside properties fits the type and the attribute."""
    source, kind = text_of(row, "from"), row.get("type")
    produced = EXPORT_KINDS.get(source or "")
    if produced is None:
        return
    possible = ("array", "string") if produced == "array" else (produced,)
    type_ = type_of(row)
    if type_ is not None and type_ not in possible:
        wanted = '"array", or "string" for one text with commas' if produced == "array" else f'"{produced}"'
        yield Finding("type", f'"{source}" can be {wanted}. Leave "type" out or correct it.')
        return
    attribute = _attribute(row)
    if attribute is not None and attribute.writable and kind is None and produced not in attribute.accepted_types:
        gives, holds = _A[produced], _A[attribute.kind]
        yield Finding("to", f'"{source}" gives {gives}; "{row["to"]}" holds {holds} in Braze.')


def _check_date_format(row: Written) -> Iterator[Finding]:
    """Check that a row that says how dates are written is one of dates."""
    text, source = text_of(row, "date_format"), text_of(row, "from")
    if text is None:
        return
    if source is None or not source.startswith(PROPERTY):
        yield Finding("date_format", 'is possible only with "from: property.<id>".')
        return
    attribute, type_ = _attribute(row), type_of(row)
    if attribute is None:
        if type_ not in (None, "time"):
            yield Finding("date_format", f'gives a time, but the row says "type: {type_}". Leave one of the two out.')
        return
    if "time" not in attribute.accepted_types:
        yield Finding("date_format", f'"{row["to"]}" holds {_A[attribute.kind]} in Braze, not a date.')
    if attribute.kind == "date" and date_format_problem(text) is None:
        problem = date_format_problem(text, day_only=True)
        if problem:
            yield Finding("date_format", f"{quoted(text)} {problem}")


def _check_type(row: Written) -> Iterator[Finding]:
    """Check that a standard attribute takes the type that the row says."""
    attribute, type_ = _attribute(row), type_of(row)
    if attribute is None or not attribute.writable or type_ is None or type_ in attribute.accepted_types:
        return
    wanted = " or ".join(f'"{word}"' for word in attribute.accepted_types)
    yield Finding("type", f'"{row["to"]}" is {wanted} in Braze; found "{type_}". Leave "type" out or correct it.')
