"""What Airflow's UI shows of a goal, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_braze_blueconic.goals.export_checks import export_hints
from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal
from airflow_provider_braze_blueconic.goals.export_source import CsvSource
from airflow_provider_braze_blueconic.goals.import_goal import ImportGoal
from airflow_provider_braze_blueconic.goals.origin import Origin

__all__ = ["goal_documentation"]


def goal_documentation(goal: ExportGoal | ImportGoal, origin: Origin) -> str:
    """Describe a goal: what it does, field by field, and what in it may be a mistake."""
    rows = _import_lines(goal) if isinstance(goal, ImportGoal) else _export_lines(goal)
    file = ["", f"Goal file: `{origin.file}`"] if origin.file else []
    return "\n".join([goal.description or "", "", *rows, *file]).strip()


def _import_lines(goal: ImportGoal) -> Iterator[str]:
    road = f"CSV files in `{goal.deliver.s3_csv}`" if goal.deliver else "BlueConic"
    yield from (f"Syncs the Braze segment **{goal.source.segment}** to {road}.", "")
    yield from ("| from | to | merge |", "|---|---|---|")
    yield from (f"| {_cell(row.from_)} | {row.to} | {row.merge} |" for row in goal.fields)
    if goal.remaining_fields is not None:
        yield f"| all other fields | {goal.remaining_fields.prefix}… | {goal.remaining_fields.merge} |"


def _export_lines(goal: ExportGoal) -> Iterator[str]:
    files = isinstance(goal.source, CsvSource)
    source = f"files `{goal.source.s3_csv}`" if files else f"BlueConic segment **{goal.source.segment}**"  # type: ignore[union-attr]  # the other kind
    yield from (f"Sends the {source} to Braze.", "", "| from | to | type |", "|---|---|---|")
    for field in goal.fields:
        origin_of = _cell(field.from_) if field.from_ is not None else f"`{field.value}`"
        yield f"| {origin_of} | {field.to} | {field.type or ''} |"
    yield ""
    yield from (f"- Hint: `{hint.where}`: {hint.message}" for hint in export_hints(goal.model_dump(by_alias=True)))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
