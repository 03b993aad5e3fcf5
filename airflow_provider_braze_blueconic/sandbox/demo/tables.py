"""The reports of the demo's runs, side by side."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from airflow_provider_braze_blueconic.goals.export_source import CsvSource
from airflow_provider_braze_blueconic.sandbox.demo.directions import NIGHTS, Direction
from airflow_provider_braze_blueconic.sync.steps.report_text import render

__all__ = ["table_of"]

_ALWAYS_SHOWN = ("people to send", "accepted")
_NOT_SHOWN = ("segment", "seconds", "people/s")
_NOTHING = ("", "0", "no")


def table_of(direction: Direction) -> Table:
    goal = direction.goal
    source = f", segment {goal.source.segment!r}" if not isinstance(goal.source, CsvSource) else ""
    table = Table(title=f"{direction.title}{source}", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    rows: dict[str, list[str]] = {}
    for number, report in enumerate(direction.reports):
        for label, value in render(report):
            rows.setdefault(label, [""] * len(NIGHTS))[number] = value
    for title in NIGHTS:
        table.add_column(title, justify="right", no_wrap=True)
    for label, values in rows.items():
        if label in _ALWAYS_SHOWN or (label not in _NOT_SHOWN and any(value not in _NOTHING for value in values)):
            table.add_row(label, *values)
    return table
