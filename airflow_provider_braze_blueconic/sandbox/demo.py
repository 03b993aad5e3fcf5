"""The main job, shown: both directions run through a real Airflow, on a first night, after a day, and once more.

``python -m airflow_provider_braze_blueconic.sandbox.demo --dags dags`` starts the sandbox on free ports, gives Airflow
a home of its own in a temporary folder, runs the goals with ``airflow dags test``, and takes everything away again.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from airflow_provider_braze_blueconic.goals.loading import load_goal
from airflow_provider_braze_blueconic.goals.models import CsvSource, ExportGoal, ImportGoal, SegmentSource
from airflow_provider_braze_blueconic.sandbox.agreement import Agreement, compare
from airflow_provider_braze_blueconic.sandbox.demo_airflow import Airflow
from airflow_provider_braze_blueconic.sandbox.import_agreement import compare_import
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from airflow_provider_braze_blueconic.sandbox.workspace import SEGMENTS
from airflow_provider_braze_blueconic.sync.report import Report, render

__all__ = ["main"]

_SEGMENT_EXPANSION = frozenset({"permissions", "segments"})
_NIGHTS = ("first night", "second night", "once more")
_ALWAYS_SHOWN = ("people to send", "accepted")
_NOT_SHOWN = ("segment", "seconds", "people/s")
_NOTHING = ("", "0", "no")
_AT_ONCE = {
    # The sandbox shows a write at once, where the real services take minutes.
    "AIRFLOW__BRAZE_BLUECONIC__BRAZE_SETTLE_SECONDS": "0.001",
    "AIRFLOW__BRAZE_BLUECONIC__BLUECONIC_SETTLE_SECONDS": "0.001",
}


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, so that everything is taken away in both cases."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _running(dags: Path, profiles: int, seed: int) -> Iterator[tuple[Sandbox, Airflow]]:
    home = Path(tempfile.mkdtemp(prefix="braze-blueconic-demo-"))
    try:
        with Sandbox(profiles=profiles, seed=seed) as box:
            airflow = Airflow(home, dags, {**box.connections(), **_AT_ONCE})
            try:
                yield box, airflow
            finally:
                airflow.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--dags",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("dags"),
    show_default=True,
    help="Folder with the DAG file and, in it, goals/.",
)
@click.option("--profiles", default=20_000, show_default=True, help="People in the segment.")
@click.option("--seed", default=1, show_default=True, help="Decides everything that is invented.")
def main(dags: Path, profiles: int, seed: int) -> None:
    """Run an export and an import goal on the sandbox through a real Airflow, and compare both sides.

    \b
    Example:
      python -m airflow_provider_braze_blueconic.sandbox.demo --dags dags --profiles 2000
    """
    console = Console(highlight=False)
    try:
        with _interruptible():
            _demonstrate(console, dags, profiles=profiles, seed=seed)
    except KeyboardInterrupt:
        raise click.ClickException("interrupted; everything that was started is stopped.") from None


@dataclass
class _Direction:
    """One goal of the demo, and what its runs said.

    :param counted: tells what the target counted so far: requests, and data points where it bills them.
    :param agreement: compares both sides.
    """

    goal: ExportGoal | ImportGoal
    title: str
    counted: Callable[[], Mapping[str, int]]
    agreement: Callable[[], Agreement]
    reports: list[Report] = field(default_factory=list)


def _demonstrate(console: Console, dags: Path, *, profiles: int, seed: int) -> None:
    export = load_goal(dags / "goals" / "vip_to_braze.yaml").goal
    bring = load_goal(dags / "goals" / "test_users_to_blueconic.yaml").goal
    if not isinstance(export, ExportGoal) or not isinstance(bring, ImportGoal):
        raise click.ClickException("the demo's goals are of another direction than they were.")
    console.print(f"Starting the sandbox with {profiles:,} people …")
    with _running(dags, profiles, seed) as (box, airflow):
        for name, url in (("Braze", box.braze_url), ("BlueConic", box.blueconic_url), ("S3", box.s3_url)):
            console.print(f"  {name:<10}{url}")
        console.print("Preparing Airflow …")
        airflow.run("db", "migrate")
        directions = (_exporting(box, export), _importing(box, bring))
        for night in _NIGHTS:
            if night == "second night":
                _let_a_day_pass(console, box, export.identifiers[0].blueconic)
            for direction in directions:
                _run(console, box, airflow, direction, night)
        for direction in directions:
            console.print(_table(direction))
            _conclude(console, direction)


def _exporting(box: Sandbox, goal: ExportGoal) -> _Direction:
    return _Direction(
        goal,
        "BlueConic → Braze",
        lambda: {name: box.counters()["track"][name] for name in ("requests", "data_points")},
        lambda: _compare_export(box, goal),
    )


def _importing(box: Sandbox, goal: ImportGoal) -> _Direction:
    return _Direction(
        goal,
        "Braze → BlueConic",
        lambda: {"requests": box.counters()["bulk"]["requests"]},
        lambda: _compare_import(box, goal),
    )


def _let_a_day_pass(console: Console, box: Sandbox, identifier: str) -> None:
    """Change something on both sides, but of nobody who has several profiles.

    An import writes to one of these and makes it the latest, by which the next export goes: it takes one more night
    until both rest.

    :param identifier: property by which people are known.
    """
    several = box.blueconic.sharing(identifier)
    day = box.next_day(apart_from=set().union(*several.values())).counts()
    in_braze = box.next_day_in_braze(apart_from=several).counts()
    console.print(
        f"A day passes. In BlueConic {day['changed']:,} profiles change, {day['entered']:,} enter the segment and "
        f"{day['left']:,} leave it; in Braze {in_braze['changed']:,} users change. "
        f"Nothing happens to the {len(several):,} people who have several profiles."
    )


def _run(console: Console, box: Sandbox, airflow: Airflow, direction: _Direction, night: str) -> None:
    goal = direction.goal
    console.print(f"{night}, {direction.title}: airflow dags test braze_blueconic__{goal.id}")
    began = time.monotonic()
    before = direction.counted()
    airflow.run("dags", "test", f"braze_blueconic__{goal.id}")
    report = _latest_report(box, goal)
    console.print(f"  done in {time.monotonic() - began:.0f} s, from the start of Airflow")
    _check_against_target(direction, report, before)
    direction.reports.append(report)


def _latest_report(box: Sandbox, goal: ExportGoal | ImportGoal) -> Report:
    """Read the newest report that the DAG left in S3."""
    bucket, _, prefix = goal.staging.removeprefix("s3://").partition("/")
    client = box.s3_client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/{goal.id}/work/")
    reports = [item for page in pages for item in page.get("Contents", []) if item["Key"].endswith("/report.json")]
    if not reports:
        raise click.ClickException("the run left no report.")
    newest = max(reports, key=lambda item: item["LastModified"])
    report: Report = json.loads(client.get_object(Bucket=bucket, Key=newest["Key"])["Body"].read())
    return report


def _check_against_target(direction: _Direction, report: Report, before: Mapping[str, int]) -> None:
    """Compare what the run says with what the target counted."""
    counted = {name: count - before[name] for name, count in direction.counted().items()}
    said = {"requests": report["requests"], "data_points": report["data_points"]}
    if counted != {name: said[name] for name in counted}:
        raise click.ClickException(f"{direction.title}: the report says {said}, the target counted {counted}.")


def _table(direction: _Direction) -> Table:
    goal = direction.goal
    source = f", segment {goal.source.segment!r}" if not isinstance(goal.source, CsvSource) else ""
    table = Table(title=f"{direction.title}{source}", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    rows: dict[str, list[str]] = {}
    for number, report in enumerate(direction.reports):
        for label, value in render(report):
            rows.setdefault(label, [""] * len(_NIGHTS))[number] = value
    for title in _NIGHTS:
        table.add_column(title, justify="right", no_wrap=True)
    for label, values in rows.items():
        if label in _ALWAYS_SHOWN or (label not in _NOT_SHOWN and any(value not in _NOTHING for value in values)):
            table.add_row(label, *values)
    return table


def _compare_export(box: Sandbox, goal: ExportGoal) -> Agreement:
    if not isinstance(goal.source, SegmentSource):
        raise click.ClickException(f"{goal.id} reads files; the demo shows goals that read a segment.")
    segment = next(segment for segment in box.blueconic.segments.values() if segment.name == goal.source.segment)
    profiles = (
        box.blueconic.render(box.blueconic.profiles[member], only=None, expand=_SEGMENT_EXPANSION)
        for member in sorted(segment.members)
    )
    return compare(profiles, box.braze.users(), _rows(goal), identifier=goal.identifiers[0].blueconic)


def _compare_import(box: Sandbox, goal: ImportGoal) -> Agreement:
    profiles = (
        box.blueconic.render(profile, only=None, expand=frozenset()) for profile in box.blueconic.profiles.values()
    )
    segment = next(each for each in SEGMENTS if each.name == goal.source.segment)
    users = [user.export() for user in box.braze.members(segment)]
    types = {each["id"]: each["filterType"] for each in box.blueconic.describe_properties()}
    rows = _rows(goal)
    remaining = goal.remaining_fields
    if remaining is not None:
        taken = {row["to"] for row in rows} | {row["from"] for row in rows} | set(remaining.exclude)
        names = {name for user in users for name in user.get("custom_attributes", {})}
        for name in sorted(names):
            target = remaining.prefix + re.sub(r"[^A-Za-z0-9_-]+", "_", name)
            source = f"custom_attributes.{name}" if "." not in name else f'custom_attributes["{name}"]'
            if not {target, source} & taken and target in types:
                rows.append({"from": source, "to": target, "merge": remaining.merge})
    return compare_import(users, profiles, rows, types, identifier=goal.identifiers[0].blueconic)


def _rows(goal: ExportGoal | ImportGoal) -> list[dict[str, Any]]:
    return [row.model_dump(mode="json", by_alias=True, exclude_unset=True) for row in goal.fields]


def _conclude(console: Console, direction: _Direction) -> None:
    last = direction.reports[-1]
    if last["to_send"]:
        raise click.ClickException(
            f"{direction.title}: the last run sent {last['to_send']:,} people although nothing had changed."
        )
    agreement = direction.agreement()
    if not agreement.agreed:
        differences = ", ".join(f"{name}: {people:,}" for name, people in agreement.differences.most_common())
        raise click.ClickException(
            f"{direction.title}: both sides do not agree: {agreement.absent:,} people are absent; "
            f"differing: {differences or 'none'}."
        )
    console.print(
        f"[bold green]{direction.title}: both sides agree[/]: {agreement.people:,} people, {agreement.values:,} values "
        f"compared; {agreement.left_out:,} values left out that the target would refuse or drop.\n"
    )


if __name__ == "__main__":
    main()
