"""Checks of a goal that look at more than one value: rows against each other, types against attributes.

They read plain mappings as written, half-broken ones included, so that a goal file with one bad value still gets
all its other mistakes reported.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast, get_args

from airflow_provider_braze_blueconic.goals.findings import Finding, quoted, short, shown
from airflow_provider_braze_blueconic.goals.places import check_own_places
from airflow_provider_braze_blueconic.goals.targets import (
    FieldType,
    Scalar,
    braze_attribute,
    braze_name_hint,
    braze_name_problem,
    braze_value_problem,
)
from airflow_provider_braze_blueconic.sync.braze_paths import parse_path
from airflow_provider_braze_blueconic.sync.braze_values import excluding_identifiers, is_clearable
from airflow_provider_braze_blueconic.sync.constants import constant_text
from airflow_provider_braze_blueconic.sync.near_names import nearest
from airflow_provider_braze_blueconic.sync.times import date_format_problem, read_moment

__all__ = [
    "check_export",
    "check_export_field",
    "check_export_identifier",
    "check_import",
    "check_import_field",
    "check_import_identifier",
    "check_rows",
    "export_hints",
    "export_source_problem",
    "import_identifier_problem",
    "import_source_problem",
]

_Raw = Mapping[str, Any]

_PROPERTY = "property."
_CUSTOM = "custom_attributes."

_EXPORT_KINDS: Mapping[str, FieldType] = {
    "profile_id": "string",
    "segments": "array",
    "interactions": "array",
    "permission_level": "string",
}
_IMPORT_IDENTIFIERS = ("external_id", "braze_id", "email", "phone", "user_alias")
_BLUECONIC_ID = re.compile(r"[A-Za-z0-9_-]+")  # docs "Profile properties": letters, digits, "-" and "_"


def export_source_problem(text: str) -> str | None:
    """Say why this is not something that an export can read; ``None`` if it is."""
    if text in _EXPORT_KINDS:
        return None
    property_id = text.removeprefix(_PROPERTY)
    if text.startswith(_PROPERTY) and property_id.strip() == property_id != "" and property_id.isprintable():
        return None
    kinds = ", ".join(_EXPORT_KINDS)
    near = nearest(text, _EXPORT_KINDS)
    head, dot, rest = text.partition(".")
    if dot and rest and nearest(head, [_PROPERTY.rstrip(".")]):
        near = f' Nearest: "{_PROPERTY}{short(rest)}".'
    if not near and _BLUECONIC_ID.fullmatch(text):
        near = f' For a profile property write "{_PROPERTY}{short(text)}".'
    return f"expected property.<id>, {kinds}; found {quoted(text)}.{near}"


def import_source_problem(text: str) -> str | None:
    """Say why this is not a path into an exported Braze user; ``None`` if it is."""
    try:
        parse_path(text)
    except ValueError as error:
        return str(error)
    return None


def import_identifier_problem(text: str) -> str | None:
    """Say why an exported Braze user can't be recognised by this; ``None`` if it can."""
    if text in _IMPORT_IDENTIFIERS:
        return None
    if _custom_attribute(text):
        place = next((f"[{step}]" for step in parse_path(text).steps if isinstance(step, int)), None)
        if place is None:
            return None
        # Which of several is the first may be another one tomorrow, and then another person.
        return f'{quoted(text)} can\'t be read from "{place}" on. A person is found by a single value.'
    if len(text) > len(_CUSTOM) and text.startswith(_CUSTOM):
        return import_source_problem(text)
    expected = ", ".join(_IMPORT_IDENTIFIERS)
    return f"expected {expected} or {_CUSTOM}<name>; found {quoted(text)}.{nearest(text, _IMPORT_IDENTIFIERS)}"


def check_export_field(row: _Raw) -> Iterator[Finding]:
    """Check one row of an export's ``fields``."""
    if ("from" in row) == ("value" in row):
        both = "both are there" if "from" in row else "neither is there"
        yield Finding("", f'expected either "from" or "value"; {both}.')
        return
    source, target, kind = row.get("from"), row.get("to"), row.get("type")
    if "from" in row and source is None:
        yield Finding("from", "expected text, found nothing.")
    if "value" in row and row["value"] is None:
        yield Finding("value", "a fixed value can't be empty: it would clear the attribute of everybody.")
    if row.get("as") in ("ids", "names") and source not in ("segments", "interactions"):
        yield Finding("as", 'is possible only for "segments" and "interactions".')
    if isinstance(source, str):
        yield from _check_kind(source, target, kind)
    # With a date format it is refused anyway, so its form is not looked at.
    if isinstance(row.get("value"), str | int | float) and "date_format" not in row:
        yield from _check_fixed_value(row["value"], target, kind)
    yield from _check_date_format(row)
    attribute = braze_attribute(target) if isinstance(target, str) else None
    if attribute is not None and attribute.writable and kind in get_args(FieldType):
        accepted = attribute.accepted_types
        if kind not in accepted:
            wanted = " or ".join(f'"{word}"' for word in accepted)
            yield Finding("type", f'"{target}" is {wanted} in Braze; found "{kind}". Leave "type" out or correct it.')


def _check_date_format(row: _Raw) -> Iterator[Finding]:
    """Check that a row that says how dates are written is one of dates."""
    text, target, kind = row.get("date_format"), row.get("to"), row.get("type")
    if not isinstance(text, str):
        return
    source = row.get("from")
    if not isinstance(source, str) or not source.startswith(_PROPERTY):
        yield Finding("date_format", 'is possible only with "from: property.<id>".')
        return
    attribute = braze_attribute(target) if isinstance(target, str) else None
    if attribute is not None and "time" not in attribute.accepted_types:
        yield Finding("date_format", f'"{target}" holds {_A[attribute.kind]} in Braze, and no date.')
    elif attribute is None and kind in get_args(FieldType) and kind != "time":
        yield Finding("date_format", f'makes a time, and the row says "type: {kind}". Leave one of the two out.')
    is_birthday = attribute is not None and attribute.kind == "date" and date_format_problem(text) is None
    if is_birthday and (problem := date_format_problem(text, day_only=True)):
        yield Finding("date_format", f"{quoted(text)} {problem}")


def _check_kind(source: str, target: object, kind: object) -> Iterator[Finding]:
    produced = _EXPORT_KINDS.get(source)
    if produced is None:
        return
    possible = ("array", "string") if produced == "array" else (produced,)
    if kind in get_args(FieldType) and kind not in possible:
        wanted = '"array", or "string" for one text with commas' if produced == "array" else f'"{produced}"'
        yield Finding("type", f'"{source}" can be {wanted}. Leave "type" out or correct it.')
        return
    attribute = braze_attribute(target) if isinstance(target, str) else None
    if attribute is not None and attribute.writable and kind is None and produced not in attribute.accepted_types:
        yield Finding("to", f'"{source}" gives {_A[produced]}; "{target}" holds {_A[attribute.kind]} in Braze.')


_A: Mapping[str, str] = {
    "string": "a text",
    "date": "a date",
    "time": "a time",
    "boolean": "true or false",
    "array": "an array",
    "object": "an object",
}


def _check_fixed_value(value: Scalar, target: object, kind: object) -> Iterator[Finding]:
    type_ = cast("FieldType", kind) if isinstance(kind, str) and kind in get_args(FieldType) else None
    if type_ is not None and not _fits(value, type_):
        yield Finding("value", f'{shown(value)} can\'t be of type "{kind}".')
    elif isinstance(target, str) and (problem := _constant_problem(target, value, type_)):
        yield Finding("value", problem)


def _constant_problem(target: str, value: Scalar, type_: FieldType | None) -> str | None:
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
        return "is empty, and an empty text is no value. Leave the row out."
    attribute = braze_attribute(target)
    if attribute is not None and attribute.words:
        return f'"{target}" takes only {", ".join(attribute.words)}.'
    return f"{shown(value)} {_REFUSALS.get(reason, f'is refused: {reason}.')}"


_REFUSALS: Mapping[str, str] = {
    "bad_date": "is no date that Braze can store. Write it as 2026-11-30 or 2026-11-30T08:00:00Z.",
    "bad_email": "is no e-mail address that Braze takes.",
    "not_text": "holds half a character.",
    "bad_key_in_object": "has a key that Braze can't store: it is empty or long, or has a space, a dot or a dollar.",
    "not_a_boolean": "is neither true nor false.",
    "not_an_integer": "is no whole number of at most 18 digits. Put an id in quotes.",
    "not_an_object": "is no JSON object.",
    "not_json": "is no JSON object.",
    "operator_in_object": "is an operation to Braze and no value. Name the key otherwise.",
    "objects_in_array": "is a list of objects, and an array holds single values.",
    "too_long": "is longer than Braze stores.",
    "too_many_elements": "has more elements than Braze stores.",
    "unknown_country": "is no country. Write its code of two letters, such as NL.",
    "unknown_language": "is no language that Braze supports. Write its code, such as nl.",
    "unknown_time_zone": "is no time zone. Write its IANA name, such as Europe/Amsterdam.",
}
"""Reason of a rule → the rest of a sentence that begins with the value."""


def _fits(value: Scalar, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, int):
        return kind in ("integer", "float", "string")
    if isinstance(value, float):
        return kind in ("float", "string")
    return kind in ("string", "array", "object") or (kind == "time" and read_moment(str(value)) is not None)


def check_export_identifier(link: _Raw) -> Iterator[Finding]:
    """Check one row of an export's ``identifiers``."""
    yield from _check_alias_label(link)


def check_import_identifier(link: _Raw) -> Iterator[Finding]:
    """Check one row of an import's ``identifiers``."""
    yield from _check_alias_label(link)


def _check_alias_label(link: _Raw) -> Iterator[Finding]:
    if link.get("braze") == "user_alias":
        if link.get("alias_label") is None:
            yield Finding("alias_label", "is missing: an alias is found by its name and its label.")
    elif link.get("alias_label") is not None:
        yield Finding("alias_label", 'is possible only with "braze: user_alias".')


def check_import_field(row: _Raw) -> Iterator[Finding]:
    """Check one row of an import's ``fields``."""
    if row.get("merge") == "sum":
        if row.get("of") is None:
            yield Finding("of", 'is missing: "sum" needs "of: increase" or "of: value".')
        source = _text(row, "from")
        if source is not None and not import_source_problem(source):
            kind = parse_path(source).kind
            if kind not in ("integer", "float", "any"):
                a = "an" if kind in ("array", "object") else "a"
                yield Finding("merge", f'"sum" needs a number; {quoted(source)} is {a} {kind} in Braze.')
    elif row.get("of") is not None:
        yield Finding("of", 'is possible only with "merge: sum".')
    if row.get("merge") == "sum" and row.get("date_format") is not None:
        yield Finding("date_format", "is possible only for dates, and nothing can be added to one.")


def check_rows(goal: _Raw) -> Iterator[Finding]:
    """Check each row of a goal by itself, as far as it can be read."""
    exports = goal.get("goal") == "export"
    sections: Mapping[str, Callable[[_Raw], Iterator[Finding]]] = {
        "identifiers": check_export_identifier if exports else check_import_identifier,
        "fields": check_export_field if exports else check_import_field,
    }
    for section, check in sections.items():
        for index, row in _rows(goal, section):
            yield from (finding.below(f"{section}[{index}]") for finding in check(row))


def check_export(goal: _Raw) -> Iterator[Finding]:
    """Check the parts of an export goal against each other."""
    identifiers = dict(_rows(goal, "identifiers"))
    fields = dict(_rows(goal, "fields"))
    yield from _check_twice("identifiers", "braze", identifiers, _export_link, _LINK_TWICE)
    yield from _check_twice("fields", "to", fields, lambda row: _text(row, "to"), _TARGET_TWICE)
    linked = {_text(link, "braze"): index for index, link in reversed(identifiers.items())}
    for index, row in fields.items():
        yield from _check_beside_identifiers(f"fields[{index}].to", _text(row, "to"), linked)
    if goal.get("allow_creation") is True and "braze_id" in linked:
        message = "nobody can be created by braze_id, because Braze assigns it. Use false, or another identifier."
        yield Finding("allow_creation", message, f"identifiers[{linked['braze_id']}]")
    yield from _check_leavers(goal, linked)
    yield from _check_export_source(goal, fields, identifiers)
    yield from check_own_places(goal)


def _check_beside_identifiers(where: str, target: str | None, linked: Mapping[str | None, int]) -> Iterator[Finding]:
    """Check that somebody can get the field: who is identified by something that excludes it never does."""
    excluding = excluding_identifiers(target or "")
    if linked and None not in linked and all(identifier in excluding for identifier in linked):
        yield _excluded(where, target or "", linked, excluding)


def _excluded(where: str, target: str, linked: Mapping[str | None, int], excluding: tuple[str, ...]) -> Finding:
    if target in linked:
        return Finding(where, f'"{target}" is already written by an identifier link.', f"identifiers[{linked[target]}]")
    first = min((linked[identifier], identifier) for identifier in excluding if identifier in linked)
    message = (
        f'"{target}" can\'t be written for people who are identified by "{first[1]}": Braze takes "{first[1]}" for the '
        f'identifier only where there is no "{target}", so somebody else would get the values. Leave it out, or '
        "identify people by something else."
    )
    return Finding(where, message, f"identifiers[{first[0]}]")


def _check_leavers(goal: _Raw, linked: Mapping[str | None, int]) -> Iterator[Finding]:
    kinds = {_text(row, "to"): row.get("type") for _, row in _rows(goal, "fields")}
    for target, value in _leavers_values(goal).items():
        where = f"leavers.set.{short(target)}"
        excluding = excluding_identifiers(target)
        name = braze_name_problem(target)
        if name:
            yield Finding(where, f"{quoted(target)} {name}")
        elif any(identifier in excluding for identifier in linked):
            # Unlike a field, which those who are identified by it have already, this would be kept from some leavers.
            yield _excluded(where, target, linked, excluding)
        elif value is None or isinstance(value, str | int | float):
            kind = kinds.get(target)
            type_ = cast("FieldType", kind) if kind in get_args(FieldType) else None
            if problem := _constant_problem(target, value, type_):
                yield Finding(where, problem.replace("Leave the row out", "Use null to clear"))


def _leavers_values(goal: _Raw) -> Mapping[Any, Any]:
    leavers = goal.get("leavers")
    values = leavers.get("set") if isinstance(leavers, Mapping) else None
    return values if isinstance(values, Mapping) else {}


def export_hints(goal: _Raw) -> Iterator[Finding]:
    """Name what may be a mistake and can be meant: custom attributes that are called like a standard one elsewhere."""
    for index, row in _rows(goal, "fields"):
        target = _text(row, "to")
        if target is not None and (hint := braze_name_hint(target)):
            yield Finding(f"fields[{index}].to", f"{quoted(target)} {hint}")
    for target in _leavers_values(goal):
        if isinstance(target, str) and (hint := braze_name_hint(target)):
            yield Finding(f"leavers.set.{short(target)}", f"{quoted(target)} {hint}")


def _check_export_source(goal: _Raw, fields: Mapping[int, _Raw], identifiers: Mapping[int, _Raw]) -> Iterator[Finding]:
    source = goal.get("source")
    if not isinstance(source, Mapping):
        return
    if "s3_csv" in source:
        yield from _check_csv_source(goal, fields, identifiers)
        if goal.get("reconcile") is not None:
            message = "needs the whole segment to compare with, and files tell of some people only. Leave it out."
            yield Finding("reconcile", message, "source.s3_csv")
        return
    if goal.get("leavers", "keep") != "keep" and source.get("read", "full") == "modified":
        message = 'who left is known only after reading the whole segment. Use "keep", or "read: full".'
        yield Finding("leavers", message, "source.read")
    for index, row in fields.items():
        text = _text(row, "from")
        if text and text.startswith(_PROPERTY) and not export_source_problem(text):
            yield from _check_property_id(f"fields[{index}].from", text.removeprefix(_PROPERTY))
    for index, link in identifiers.items():
        text = _text(link, "blueconic")
        if text:
            yield from _check_property_id(f"identifiers[{index}].blueconic", text)


def _check_property_id(where: str, text: str) -> Iterator[Finding]:
    if not _BLUECONIC_ID.fullmatch(text):
        hint = f' Write "{short(text.removeprefix(_PROPERTY))}".' if text.startswith(_PROPERTY) else ""
        message = f'a BlueConic property id has only letters, digits, "_" and "-"; found {quoted(text)}.{hint}'
        yield Finding(where, message)


def _check_csv_source(goal: _Raw, fields: Mapping[int, _Raw], identifiers: Mapping[int, _Raw]) -> Iterator[Finding]:
    for index, row in fields.items():
        if _text(row, "from") in _EXPORT_KINDS:
            message = f'a CSV file has columns only: write "{_PROPERTY}<column>" instead of "{row["from"]}".'
            yield Finding(f"fields[{index}].from", message, "source.s3_csv")
    for index, link in identifiers.items():
        if _text(link, "blueconic") == "profile_id":
            message = (
                'a CSV file has columns only: write the name of the column that holds it, other than "profile_id".'
            )
            yield Finding(f"identifiers[{index}].blueconic", message, "source.s3_csv")
    if goal.get("leavers", "keep") != "keep":
        message = 'a CSV file of changes doesn\'t tell who left. Use "keep", or read the segment.'
        yield Finding("leavers", message, "source.s3_csv")
    if goal.get("objectives"):
        message = "a CSV file doesn't tell consent. Set the objectives on the BlueConic connection that writes it."
        yield Finding("objectives", message, "source.s3_csv")


_ASKED_OF_THE_API: Mapping[str, str] = {
    "allow_creation": "whether profiles are created",
    "legislation": "the legislation of created profiles",
    "domain_group": "the domain group",
    "trigger_on_change": "what is triggered",
    "objectives": "whose consent is asked for",
}


def _check_delivery(goal: _Raw) -> Iterator[Finding]:
    """Check that nothing is asked of a CSV file that only BlueConic's API can do: it would be ignored in silence."""
    if goal.get("deliver") is None:
        return
    for name, what in _ASKED_OF_THE_API.items():
        if goal.get(name):
            message = (
                f"the BlueConic connection that reads the files decides {what}. Set it there, and leave it out here."
            )
            yield Finding(name, message, "deliver.s3_csv")
    if goal.get("remaining_fields") is not None:
        message = (
            "would change the columns of the file whenever Braze has a new field, and BlueConic wants the same ones in "
            'every file. Name the fields in "fields".'
        )
        yield Finding("remaining_fields", message, "deliver.s3_csv")


def check_import(goal: _Raw) -> Iterator[Finding]:
    """Check the parts of an import goal against each other."""
    identifiers = dict(_rows(goal, "identifiers"))
    fields = dict(_rows(goal, "fields"))
    yield from _check_twice("identifiers", "blueconic", identifiers, _import_link, _LINK_TWICE)
    yield from _check_twice("fields", "to", fields, lambda row: _text(row, "to"), _TARGET_TWICE)
    linked = {_text(link, "blueconic"): index for index, link in reversed(identifiers.items())}
    for index, row in fields.items():
        target = _text(row, "to")
        if row.get("merge") == "sum" and target in linked:
            message = f'"{target}" identifies people, so nothing can be added to it.'
            yield Finding(f"fields[{index}].merge", message, f"identifiers[{linked[target]}]")
    if not goal.get("fields") and goal.get("remaining_fields") is None:
        yield Finding("fields", 'needs at least one row, unless there is "remaining_fields".')
    yield from _check_delivery(goal)
    yield from check_own_places(goal)
    limits = goal.get("limits")
    for name in ("data_points", "leavers_percent"):
        if isinstance(limits, Mapping) and limits.get(name) is not None:
            yield Finding(f"limits.{name}", "is possible only in an export goal.")


_LINK_TWICE = "is already linked by another row."
_TARGET_TWICE = "is already written by another row."


def _export_link(link: _Raw) -> str | None:
    kind = _text(link, "braze")
    return f"{kind} {link.get('alias_label')}" if kind == "user_alias" else kind


def _import_link(link: _Raw) -> str | None:
    target = _text(link, "blueconic")
    return None if target is None else f"{link.get('braze')} {link.get('alias_label')} {target}"


def _check_twice(
    section: str, key: str, rows: Mapping[int, _Raw], identity: Callable[[_Raw], str | None], message: str
) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, row in rows.items():
        name = identity(row)
        if name is None:
            continue
        if name in first:
            where = f"{section}[{index}].{key}"
            yield Finding(where, f"{quoted(str(row[key]))} {message}", f"{section}[{first[name]}]")
        else:
            first[name] = index


def _rows(goal: _Raw, section: str) -> Iterator[tuple[int, _Raw]]:
    rows = goal.get(section)
    if isinstance(rows, list | tuple):
        yield from ((index, row) for index, row in enumerate(rows) if isinstance(row, Mapping))


def _text(row: _Raw, key: str) -> str | None:
    value = row.get(key)
    return value if isinstance(value, str) else None


def _custom_attribute(text: str) -> bool:
    try:
        return parse_path(text).attribute is not None
    except ValueError:
        return False
