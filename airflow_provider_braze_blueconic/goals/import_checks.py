"""Checks of an import goal: row by row, then part against part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow_provider_braze_blueconic.goals.findings import Finding
from airflow_provider_braze_blueconic.goals.places import check_own_places
from airflow_provider_braze_blueconic.goals.rows import Written, check_twice, rows_of, text_of
from airflow_provider_braze_blueconic.goals.shown_values import quoted
from airflow_provider_braze_blueconic.goals.sources import import_source_problem
from airflow_provider_braze_blueconic.vendors.braze_paths import parse_path

__all__ = ["check_import", "check_import_field"]

_ASKED_OF_THE_API: Mapping[str, str] = {
    "allow_creation": "whether profiles are created",
    "legislation": "the legislation of created profiles",
    "domain_group": "the domain group",
    "trigger_on_change": "what is triggered",
    "objectives": "whose consent is asked for",
}


def check_import_field(row: Written) -> Iterator[Finding]:
    """Check one row of an import's ``fields``."""
    if row.get("merge") != "sum":
        if row.get("of") is not None:
            yield Finding("of", 'is possible only with "merge: sum".')
        return
    if row.get("of") is None:
        yield Finding("of", 'is missing: "sum" needs "of: increase" or "of: value".')
    yield from _check_summed(text_of(row, "from"))
    if row.get("date_format") is not None:
        yield Finding("date_format", 'is possible only for dates, and "sum" can\'t add to a date.')


def _check_summed(source: str | None) -> Iterator[Finding]:
    if source is None or import_source_problem(source):
        return
    kind = parse_path(source).kind
    if kind not in ("integer", "float", "any"):
        a = "an" if kind in ("array", "object") else "a"
        yield Finding("merge", f'"sum" needs a number; {quoted(source)} is {a} {kind} in Braze.')


def check_import(goal: Written) -> Iterator[Finding]:
    """Check the parts of an import goal against each other."""
    identifiers = dict(rows_of(goal, "identifiers"))
    fields = dict(rows_of(goal, "fields"))
    yield from check_twice("identifiers", "blueconic", identifiers, _import_link)
    yield from check_twice("fields", "to", fields, lambda row: text_of(row, "to"))
    linked = {text_of(link, "blueconic"): index for index, link in reversed(identifiers.items())}
    for index, row in fields.items():
        target = text_of(row, "to")
        if row.get("merge") == "sum" and target in linked:
            message = f'"{target}" identifies people, so "sum" can\'t add to it.'
            yield Finding(f"fields[{index}].merge", message, f"identifiers[{linked[target]}]")
    if not goal.get("fields") and goal.get("remaining_fields") is None:
        yield Finding("fields", 'needs at least one row, unless the goal has "remaining_fields".')
    yield from _check_delivery(goal)
    yield from check_own_places(goal)
    yield from _check_limits(goal)


def _check_limits(goal: Written) -> Iterator[Finding]:
    limits = goal.get("limits")
    for name in ("data_points", "leavers_percent"):
        if isinstance(limits, Mapping) and limits.get(name) is not None:
            yield Finding(f"limits.{name}", "is possible only in an export goal.")


def _import_link(link: Written) -> str | None:
    target = text_of(link, "blueconic")
    return None if target is None else f"{link.get('braze')} {link.get('alias_label')} {target}"


def _check_delivery(goal: Written) -> Iterator[Finding]:
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
            "would change the columns of the file whenever Braze has a new field, but BlueConic needs the same "
            'columns in every file. Name the fields in "fields".'
        )
        yield Finding("remaining_fields", message, "deliver.s3_csv")
