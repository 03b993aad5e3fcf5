"""Canonical JSON texts: the form in which a value is sent, compared and stored.

Each function takes SQL for a source value and returns SQL for the JSON text that the target will get.
``NULL`` means that the value can't be sent as that type, for the reason given beside it.
A text of two equal values is always the same text, or the same value would be paid for every night.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from airflow_provider_braze_blueconic.sync.engine.database import literal
from airflow_provider_braze_blueconic.sync.values.date_formats import AS_FOUND, TimeReading
from airflow_provider_braze_blueconic.sync.values.rules import Lookup, ValueRule
from airflow_provider_braze_blueconic.sync.values.times import ambiguous_date_sql, day_sql, timestamp_sql

__all__ = [
    "CLEAR",
    "INTEGER_PATTERN",
    "NUMBER_PATTERN",
    "array_rule",
    "boolean_rule",
    "canonical_json",
    "checked_rule",
    "date_rule",
    "float_rule",
    "integer_rule",
    "lookup_rule",
    "number_sql",
    "object_rule",
    "string_rule",
    "time_rule",
    "unpacked_sql",
]

CLEAR = "null"
"""The JSON text that clears a field. SQL NULL says nothing at all."""

_LARGEST_INTEGER_DIGITS = 18
"""Digits that surely fit a signed 64-bit integer; longer numbers are ids and belong into strings."""

NUMBER_PATTERN = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?"
INTEGER_PATTERN = rf"[+-]?[0-9]{{1,{_LARGEST_INTEGER_DIGITS}}}(\.0+)?"


def string_rule(*, longest: int, source: str) -> ValueRule:
    """Strings as they are, trimmed. A type never changes by accident: ``007`` stays ``"007"``.

    :param longest: characters that the target stores.
    """
    return ValueRule(
        text=f"CASE WHEN length({{v}}) <= {longest} THEN to_json({{v}})::VARCHAR END",
        reasons=(("too_long", "TRUE"),),
        source=source,
    )


def integer_rule(*, source: str) -> ValueRule:
    """Whole numbers; ``007`` and ``7.0`` become ``7``, ``7.5`` is refused.

    The first branch keeps the usual case off the regular expression. A cast alone would round ``7.5`` to 8.
    """
    return ValueRule(
        text=(
            "CASE WHEN TRY_CAST({v} AS BIGINT)::VARCHAR = {v} THEN {v} "
            f"WHEN regexp_full_match({{v}}, '{INTEGER_PATTERN}') THEN TRY_CAST({{v}} AS BIGINT)::VARCHAR END"
        ),
        reasons=(("not_an_integer", "TRUE"),),
        source=source,
    )


def float_rule(*, source: str) -> ValueRule:
    """Decimal numbers in their shortest form with a fraction: ``1.50`` becomes ``1.5``, ``3`` becomes ``3.0``."""
    return ValueRule(
        text=f"{number_sql('{v}')}::VARCHAR",
        reasons=(("not_a_number", "TRUE"),),
        source=source,
    )


def boolean_rule(*, source: str) -> ValueRule:
    """``true`` and ``false`` in the spellings that Braze itself coerces, and yes and no."""
    return ValueRule(
        text=(
            "CASE lower({v}) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' "
            "WHEN '1' THEN 'true' WHEN '0' THEN 'false' WHEN 't' THEN 'true' WHEN 'f' THEN 'false' "
            "WHEN 'yes' THEN 'true' WHEN 'no' THEN 'false' END"
        ),
        reasons=(("not_a_boolean", "TRUE"),),
        source=source,
    )


def number_sql(value: str) -> str:
    """SQL for the number of a decimal text; NULL if it is none, or too large.

    A cast alone would read ``1_000`` too. Plus zero, because minus zero equals zero and has another text.
    """
    number = f"TRY_CAST({value} AS DOUBLE)"
    is_number = f"regexp_full_match({value}, '{NUMBER_PATTERN}') AND isfinite({number})"
    return f"(CASE WHEN {is_number} THEN {number} + 0::DOUBLE END)"


_YEARS = "000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[12][0-9]{3}|3000"


def _dated(timestamp: str, form: str) -> str:
    # By its text and not by its year: a long expression is planned once then, and not twice.
    return f"nullif(regexp_extract(strftime({timestamp}, {literal(form)}), '^\"(?:{_YEARS})-[^\"]*\"$'), '')"


def _doubts(reading: TimeReading) -> tuple[tuple[str, str], ...]:
    return () if reading.date_format is not None else (("ambiguous_date", ambiguous_date_sql("{v}")),)


def time_rule(*, source: str, reading: TimeReading = AS_FOUND) -> ValueRule:
    """ISO 8601 in UTC with milliseconds, years 1 to 3000.

    :param reading: how the source writes times.
    """
    return ValueRule(
        text=_dated(timestamp_sql("{v}", reading), '"%Y-%m-%dT%H:%M:%S.%gZ"'),
        reasons=(("bad_date", "TRUE"),),
        doubts=_doubts(reading),
        source=source,
    )


def date_rule(*, source: str, reading: TimeReading = AS_FOUND) -> ValueRule:
    """A calendar day, ``YYYY-MM-DD``: the day that is written, or of a number since 1970 the day in UTC.

    :param reading: how the source writes times.
    """
    return ValueRule(
        text=_dated(day_sql("{v}", reading), '"%Y-%m-%d"'),
        reasons=(("bad_date", "TRUE"),),
        doubts=_doubts(reading),
        source=source,
    )


def array_rule(*, most: int, longest_bytes: int, source: str, longest: int | None = None) -> ValueRule:
    """A list of distinct strings in code-point order: targets that hold sets give no order back.

    A list with an element that is too long is left out whole: the rest of it would pass for all of it.

    :param most: elements that the target stores.
    :param longest_bytes: bytes of the whole array that the target stores.
    :param longest: characters of an element that the target stores; ``None`` for any.
    """
    listed = "to_json({v})::VARCHAR"
    refusals = [
        ("objects_in_array", _is_nested_list_sql("{v}")),
        ("too_many_elements", f"len({{v}}) > {most}"),
    ]
    if longest is not None:
        # No element is longer than all of them, and that is known already.
        refusals.append(
            ("too_long", f"(strlen({listed}) > {longest} AND list_max([length(x) FOR x IN {{v}}]) > {longest})")
        )
    refused = " OR ".join(f"({condition})" for _, condition in refusals)
    return ValueRule(
        text=f"CASE WHEN NOT ({refused}) AND strlen({listed}) <= {longest_bytes} THEN {listed} END",
        reasons=(*refusals, ("too_large", "TRUE")),
        source=source,
        takes_list=True,
        is_set=True,
    )


def unpacked_sql(value: str) -> str:
    """SQL for the texts of a JSON list of single values, nulls left out; NULL if the text is no such list."""
    plain = f"json_type({_JSON}) = 'ARRAY' AND NOT {_HAS_INNER}".replace("{v}", value)
    texts = f"json_extract_string({_JSON}, '$[*]')".replace("{v}", value)
    return f"CASE WHEN {_may_be_list_sql(value)} THEN CASE WHEN {plain} THEN {texts} END END"


_JSON = "TRY_CAST({v} AS JSON)"
_HAS_INNER = f"list_has_any(json_type({_JSON}, '$[*]'), ['OBJECT', 'ARRAY'])"


def _may_be_list_sql(value: str) -> str:
    return f"(starts_with({value}, '[') AND ends_with({value}, ']'))"


def _is_nested_list_sql(values: str) -> str:
    """SQL that tells whether a list is one text, and that text a JSON list with an object or a list in it."""
    text = f"({values})[1]"
    has_inner = f"coalesce({_HAS_INNER.replace('{v}', text)}, FALSE)"
    return f"CASE WHEN len({values}) = 1 AND {_may_be_list_sql(text)} THEN {has_inner} ELSE FALSE END"


def lookup_rule(lookup: Lookup, *, reason: str, source: str) -> ValueRule:
    """A word out of a closed vocabulary."""
    return ValueRule(text="{lookup}", reasons=((reason, "TRUE"),), source=source, lookup=lookup)


def checked_rule(check: Callable[[str], tuple[str | None, str | None]], *, reason: str, source: str) -> ValueRule:
    """A value that Python brings into canonical form, once for each distinct text.

    :param reason: why a text can't be sent for which the check has no reason.
    """
    return ValueRule(text="{lookup}", reasons=((reason, "TRUE"),), source=source, check=check)


def object_rule(check: Callable[[str], tuple[str | None, str | None]], *, source: str) -> ValueRule:
    """A JSON object or an array of objects."""
    return checked_rule(check, reason="not_json", source=source)


def canonical_json(value: object) -> str:
    """Write a value from a goal file as its canonical JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
