"""Checks of an export goal that look at more than one of its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_braze_blueconic.goals.export_source_checks import check_export_source
from airflow_provider_braze_blueconic.goals.findings import Finding
from airflow_provider_braze_blueconic.goals.fixed_values import fixed_value_problem
from airflow_provider_braze_blueconic.goals.places import check_own_places
from airflow_provider_braze_blueconic.goals.rows import Written, check_twice, rows_of, text_of, type_of
from airflow_provider_braze_blueconic.goals.shown_values import quoted, short
from airflow_provider_braze_blueconic.vendors.braze_attributes import excluding_identifiers
from airflow_provider_braze_blueconic.vendors.braze_names import braze_name_hint, braze_name_problem

__all__ = ["check_export", "export_hints"]


def check_export(goal: Written) -> Iterator[Finding]:
    """Check the parts of an export goal against each other."""
    identifiers = dict(rows_of(goal, "identifiers"))
    fields = dict(rows_of(goal, "fields"))
    yield from check_twice("identifiers", "braze", identifiers, _export_link)
    yield from check_twice("fields", "to", fields, lambda row: text_of(row, "to"))
    linked = {text_of(link, "braze"): index for index, link in reversed(identifiers.items())}
    for index, row in fields.items():
        yield from _check_beside_identifiers(f"fields[{index}].to", text_of(row, "to"), linked)
    if goal.get("allow_creation") is True and "braze_id" in linked:
        message = "braze_id can't create people, because Braze assigns it. Use false, or another identifier."
        yield Finding("allow_creation", message, f"identifiers[{linked['braze_id']}]")
    yield from _check_leavers(goal, linked)
    yield from check_export_source(goal, fields, identifiers)
    yield from check_own_places(goal)


def _export_link(link: Written) -> str | None:
    kind = text_of(link, "braze")
    return f"{kind} {link.get('alias_label')}" if kind == "user_alias" else kind


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
        f'"{target}" can\'t be written for people who are identified by "{first[1]}": Braze uses "{first[1]}" '
        f'as the identifier only where there is no "{target}", so somebody else would get the values. Leave it '
        "out, or identify people by something else."
    )
    return Finding(where, message, f"identifiers[{first[0]}]")


def _check_leavers(goal: Written, linked: Mapping[str | None, int]) -> Iterator[Finding]:
    types = {text_of(row, "to"): type_of(row) for _, row in rows_of(goal, "fields")}
    for target, value in _leavers_values(goal).items():
        where = f"leavers.set.{short(target)}"
        excluding = excluding_identifiers(target)
        name = braze_name_problem(target)
        if name:
            yield Finding(where, f"{quoted(target)} {name}")
        elif any(identifier in excluding for identifier in linked):
            # Unlike a field, which those who are identified by it have already, this would be kept from some leavers.
            yield _excluded(where, target, linked, excluding)
        elif (value is None or isinstance(value, str | int | float)) and (
            problem := fixed_value_problem(target, value, types.get(target))
        ):
            yield Finding(where, problem.replace("Leave the row out", "Use null to clear"))


def _leavers_values(goal: Written) -> Mapping[Any, Any]:
    leavers = goal.get("leavers")
    values = leavers.get("set") if isinstance(leavers, Mapping) else None
    return values if isinstance(values, Mapping) else {}


def export_hints(goal: Written) -> Iterator[Finding]:
    """Name what may be a mistake and can be meant: custom attributes that are called like a standard one elsewhere."""
    for index, row in rows_of(goal, "fields"):
        target = text_of(row, "to")
        if target is not None and (hint := braze_name_hint(target)):
            yield Finding(f"fields[{index}].to", f"{quoted(target)} {hint}")
    for target in _leavers_values(goal):
        if isinstance(target, str) and (hint := braze_name_hint(target)):
            yield Finding(f"leavers.set.{short(target)}", f"{quoted(target)} {hint}")
