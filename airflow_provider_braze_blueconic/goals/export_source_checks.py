"""Checks of an export goal against its source, be it a segment or files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow_provider_braze_blueconic.goals.findings import Finding
from airflow_provider_braze_blueconic.goals.rows import Written, text_of
from airflow_provider_braze_blueconic.goals.sources import (
    EXPORT_KINDS,
    PROPERTY,
    export_source_problem,
    property_id_problem,
)

__all__ = ["check_export_source"]


def check_export_source(
    goal: Written, fields: Mapping[int, Written], identifiers: Mapping[int, Written]
) -> Iterator[Finding]:
    """Check that what the goal asks for can be read from its source.

    :param fields: number → row, and so ``identifiers``.
    """
    source = goal.get("source")
    if not isinstance(source, Mapping):
        return
    if "s3_csv" in source:
        yield from _check_files(goal, fields, identifiers)
        if goal.get("reconcile") is not None:
            message = "needs the whole segment for the comparison, and files contain only some people. Leave it out."
            yield Finding("reconcile", message, "source.s3_csv")
        return
    if goal.get("leavers", "keep") != "keep" and source.get("read", "full") == "modified":
        message = 'only a read of the whole segment shows who left. Use "keep", or "read: full".'
        yield Finding("leavers", message, "source.read")
    yield from _check_property_ids(fields, identifiers)


def _check_property_ids(fields: Mapping[int, Written], identifiers: Mapping[int, Written]) -> Iterator[Finding]:
    wanted = {}
    for index, row in fields.items():
        text = text_of(row, "from") or ""
        if text.startswith(PROPERTY) and not export_source_problem(text):
            wanted[f"fields[{index}].from"] = text.removeprefix(PROPERTY)
    for index, link in identifiers.items():
        wanted[f"identifiers[{index}].blueconic"] = text_of(link, "blueconic") or ""
    for where, text in wanted.items():
        problem = property_id_problem(text) if text else None
        if problem:
            yield Finding(where, problem)


def _check_files(goal: Written, fields: Mapping[int, Written], identifiers: Mapping[int, Written]) -> Iterator[Finding]:
    for index, row in fields.items():
        if text_of(row, "from") in EXPORT_KINDS:
            message = f'a CSV file has columns only: write "{PROPERTY}<column>" instead of "{row["from"]}".'
            yield Finding(f"fields[{index}].from", message, "source.s3_csv")
    for index, link in identifiers.items():
        if text_of(link, "blueconic") == "profile_id":
            message = (
                'a CSV file has columns only: write the name of the column that holds it, other than "profile_id".'
            )
            yield Finding(f"identifiers[{index}].blueconic", message, "source.s3_csv")
    if goal.get("leavers", "keep") != "keep":
        message = 'a CSV file of changes doesn\'t show who left. Use "keep", or read the segment.'
        yield Finding("leavers", message, "source.s3_csv")
    if goal.get("objectives"):
        message = (
            "a CSV file doesn't show consent. Set the objectives on the BlueConic connection that writes the file."
        )
        yield Finding("objectives", message, "source.s3_csv")
