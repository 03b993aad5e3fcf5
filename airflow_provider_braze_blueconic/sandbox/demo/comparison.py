"""Whether both sides hold the same after the demo's runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal
from airflow_provider_braze_blueconic.goals.export_source import SegmentSource
from airflow_provider_braze_blueconic.goals.import_goal import ImportGoal
from airflow_provider_braze_blueconic.sandbox.agreement.exported import compare
from airflow_provider_braze_blueconic.sandbox.agreement.imported import compare_import
from airflow_provider_braze_blueconic.sandbox.agreement.outcome import Agreement
from airflow_provider_braze_blueconic.sandbox.braze.workspace import SEGMENTS
from airflow_provider_braze_blueconic.sandbox.server import Sandbox

__all__ = ["agreement_of_export", "agreement_of_import"]

_SEGMENT_EXPANSION = frozenset({"permissions", "segments"})


def agreement_of_export(box: Sandbox, goal: ExportGoal) -> Agreement:
    if not isinstance(goal.source, SegmentSource):
        raise click.ClickException(f"{goal.id} reads files; the demo shows goals that read a segment.")
    segment = next(segment for segment in box.blueconic.segments.values() if segment.name == goal.source.segment)
    profiles = (
        box.blueconic.render(box.blueconic.profiles[member], only=None, expand=_SEGMENT_EXPANSION)
        for member in sorted(segment.members)
    )
    return compare(profiles, box.braze.users(), _rows(goal), identifier=goal.identifiers[0].blueconic)


def agreement_of_import(box: Sandbox, goal: ImportGoal) -> Agreement:
    profiles = (
        box.blueconic.render(profile, only=None, expand=frozenset()) for profile in box.blueconic.profiles.values()
    )
    segment = next(each for each in SEGMENTS if each.name == goal.source.segment)
    users = [user.export() for user in box.braze.members(segment)]
    types = {each["id"]: each["filterType"] for each in box.blueconic.describe_properties()}
    rows = [*_rows(goal), *_remaining_rows(goal, users, types)]
    return compare_import(users, profiles, rows, types, identifier=goal.identifiers[0].blueconic)


def _rows(goal: ExportGoal | ImportGoal) -> list[dict[str, Any]]:
    return [row.model_dump(mode="json", by_alias=True, exclude_unset=True) for row in goal.fields]


def _remaining_rows(
    goal: ImportGoal, users: Iterable[Mapping[str, Any]], types: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield a row for each custom attribute that the goal brings without naming it."""
    remaining = goal.remaining_fields
    if remaining is None:
        return
    taken = {row[end] for row in _rows(goal) for end in ("from", "to")} | set(remaining.exclude)
    for name in sorted({name for user in users for name in user.get("custom_attributes", {})}):
        target = remaining.prefix + re.sub(r"[^A-Za-z0-9_-]+", "_", name)
        source = f"custom_attributes.{name}" if "." not in name else f'custom_attributes["{name}"]'
        if not {target, source} & taken and target in types:
            yield {"from": source, "to": target, "merge": remaining.merge}
