"""What BlueConic stores of a value: a list of texts, checked by the type of the property.

A property of BlueConic holds a list of strings, whatever its type; the JSON text of that list is what is compared and
sent, distinct and in code-point order, so that one content always has one text; only what has an order in Braze keeps
it, with what is there twice. A list with a value that the type does
not allow is left out whole: half of it would pass for all of it.
All pages read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from airflow_provider_braze_blueconic.sync.values.date_formats import AS_FOUND, TimeReading
from airflow_provider_braze_blueconic.sync.values.emails import address_sql
from airflow_provider_braze_blueconic.sync.values.rules import ValueRule
from airflow_provider_braze_blueconic.sync.values.texts import INTEGER_PATTERN, NUMBER_PATTERN
from airflow_provider_braze_blueconic.sync.values.times import ambiguous_date_sql, timestamp_sql
from airflow_provider_braze_blueconic.vendors.blueconic_properties import (
    DECIMALS,
    LARGEST_NUMBER,
    TEXT_BYTES,
    TEXT_CHARACTERS,
)

__all__ = [
    "NUMBER_TYPES",
    "Merge",
    "already_holds_sql",
    "blueconic_rule",
    "property_type_of",
]

Merge = Literal["set", "add", "sum", "set_if_empty", "set_or_clear", "remove"]
"""How a value meets what the property holds; the goal's words."""

NUMBER_TYPES = frozenset({"RANGE", "DECIMAL", "CURRENCY"})
"""Types of properties to which something can be added."""

_TYPES = "BlueConic support, Profile properties: data types"

_WHOLE = (
    f"CASE WHEN regexp_full_match(x, '{INTEGER_PATTERN}') AND abs(TRY_CAST(x AS BIGINT)) <= {LARGEST_NUMBER} "
    "THEN TRY_CAST(x AS BIGINT)::VARCHAR END"
)
# By way of a decimal and not of a double, which would bring noise of its own.
_DECIMAL = (
    f"CASE WHEN regexp_full_match(x, '{NUMBER_PATTERN}') THEN regexp_replace(regexp_replace("
    f"TRY_CAST(x AS DECIMAL(38, {DECIMALS}))::VARCHAR, '0+$', ''), '\\.$', '') END"
)
_TEXT = f"CASE WHEN length(x) <= {TEXT_CHARACTERS} AND strlen(x) <= {TEXT_BYTES} THEN x END"
_EMAIL = f"CASE WHEN {address_sql('x')} THEN x END"
_MOMENT = "epoch_ms({timestamp})::VARCHAR"

_MOMENTS = "DATETIME"
_STORED_MOMENT = (
    f"CASE WHEN regexp_full_match(x, '-?[0-9]{{1,15}}') THEN TRY_CAST(x AS BIGINT)::VARCHAR ELSE {_MOMENT} END"
)
"""As BlueConic itself holds it: its numbers are milliseconds, of whatever size."""

# filterType → one value of the list, and the reasons why it can't be one; the last one's condition is TRUE.
_FORMS: Mapping[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "RANGE": (
        _WHOLE,
        (
            ("over_2147483647", f"regexp_full_match(x, '{INTEGER_PATTERN}|[+-]?[0-9]{{19,}}')"),
            ("not_an_integer", "TRUE"),
        ),
    ),
    "DECIMAL": (_DECIMAL, (("not_a_number", "TRUE"),)),
    "CURRENCY": (_DECIMAL, (("not_a_number", "TRUE"),)),
    "EMAIL": (_EMAIL, (("bad_email", "TRUE"),)),
    _MOMENTS: (_MOMENT, (("bad_date", "TRUE"),)),
}
_TEXT_FORM = (_TEXT, (("too_long", "TRUE"),))


def blueconic_rule(
    filter_type: str,
    merge: Merge,
    *,
    reading: TimeReading = AS_FOUND,
    is_ordered: bool = False,
    is_stored: bool = False,
) -> ValueRule:
    """Return how values of a BlueConic property are written.

    :param filter_type: as BlueConic names the property's type; an unknown one is taken for text, which it does not
        validate.
    :param merge: ``sum`` takes a single value.
    :param reading: how the source writes times, where the property holds some.
    :param is_ordered: the order of the source means something, and so does a value that is there twice. To add to a
        property and to take from it keep neither: BlueConic unites sets there.
    :param is_stored: the values are BlueConic's own.
    """
    form, faults = _FORMS.get(filter_type, _TEXT_FORM)
    doubts: tuple[tuple[str, str], ...] = ()
    if filter_type == _MOMENTS:
        form = (_STORED_MOMENT if is_stored else form).replace("{timestamp}", timestamp_sql("x", reading))
        if reading.date_format is None and not is_stored:
            doubts = (("ambiguous_date", f"len([x FOR x IN {{v}} IF {ambiguous_date_sql('x')}]) > 0"),)
    refused = f"len([x FOR x IN {{v}} IF ({form}) IS NULL]) > 0"
    reasons = tuple(
        (reason, "TRUE" if condition == "TRUE" else f"len([x FOR x IN {{v}} IF ({form}) IS NULL AND {condition}]) > 0")
        for reason, condition in faults
    )
    listed = f"[{form} FOR x IN {{v}}]"
    if not is_ordered or merge in ("add", "remove"):
        listed = f"list_sort(list_distinct({listed}))"
    text = f"to_json({listed})::VARCHAR"
    if merge == "sum":
        refused = f"len({{v}}) <> 1 OR {refused}"
        reasons = (("several_values", "len({v}) <> 1"), *reasons)
    return ValueRule(
        text=f"CASE WHEN {refused} THEN NULL ELSE {text} END",
        reasons=reasons,
        doubts=doubts,
        source=f"{_TYPES}: {filter_type or 'text'}",
        takes_list=True,
    )


def already_holds_sql(merge: Merge, wanted: str, held: str) -> str:
    """SQL that tells whether writing a value would change nothing, since the property holds the outcome already.

    :param wanted: SQL for the mapped JSON text.
    :param held: SQL for the JSON text of what the property was seen to hold; ``null`` where it was seen empty.
    """
    listed = {text: f"from_json({text}, '[\"VARCHAR\"]')" for text in (wanted, held)}
    match merge:
        case "set" | "set_or_clear":
            return f"({wanted} = {held})"
        case "set_if_empty":
            return f"({held} <> 'null')"
        case "add":
            return f"({held} <> 'null' AND list_has_all({listed[held]}, {listed[wanted]}))"
        case "remove":
            return f"({held} = 'null' OR NOT list_has_any({listed[held]}, {listed[wanted]}))"
        case "sum":
            return "FALSE"


def property_type_of(kinds: frozenset[str]) -> str:
    """Choose the type of a property for a field of Braze, by the kinds of values that were met.

    A text holds whatever may come later; the narrower types are taken where every value so far fits.

    :param kinds: of ``integer``, ``big_integer``, ``float``, ``long_float``, ``boolean``, ``time``, ``text``,
        ``object``.
    :return: BlueConic's ``filterType``.
    """
    if kinds == {"integer"}:
        return "RANGE"
    if kinds and kinds <= {"integer", "float"}:
        return "DECIMAL"
    if kinds == {"time"}:
        return "DATETIME"
    return "SELECT"
