"""Checks of a goal that look at more than one value: rows against each other, types against attributes.

They read plain mappings as written, half-broken ones included, so that a goal file with one bad value still gets
all its other mistakes reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from airflow_provider_braze_blueconic.goals.export_checks import check_export
from airflow_provider_braze_blueconic.goals.export_field_checks import check_export_field
from airflow_provider_braze_blueconic.goals.findings import Finding
from airflow_provider_braze_blueconic.goals.identifiers import check_identifier
from airflow_provider_braze_blueconic.goals.import_checks import check_import, check_import_field
from airflow_provider_braze_blueconic.goals.rows import Written, rows_of

__all__ = ["check_goal"]


def check_goal(goal: Written) -> Iterator[Finding]:
    """Check a goal as far as it can be read: each row by itself, then its parts against each other."""
    exports = goal.get("goal") == "export"
    sections: Mapping[str, Callable[[Written], Iterator[Finding]]] = {
        "identifiers": check_identifier,
        "fields": check_export_field if exports else check_import_field,
    }
    for section, check in sections.items():
        for index, row in rows_of(goal, section):
            yield from (finding.below(f"{section}[{index}]") for finding in check(row))
    yield from check_export(goal) if exports else check_import(goal)
