"""The main job, shown: an export goal run through a real Airflow, on the first night and after a day has passed.

``python -m airflow_provider_braze_blueconic.sandbox.demo --dags dags`` starts the sandbox on free ports, gives Airflow
a home of its own in a temporary folder, runs the goal with ``airflow dags test``, and takes everything away again.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from airflow_provider_braze_blueconic.goals.loading import load_goal
from airflow_provider_braze_blueconic.goals.models import ExportGoal, SegmentSource
from airflow_provider_braze_blueconic.sandbox.agreement import Agreement, compare
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from airflow_provider_braze_blueconic.sync.report import Report, render

__all__ = ["main"]

_SEGMENT_EXPANSION = frozenset({"permissions", "segments"})
_LAST_LINES = 25
_GRACE_SECONDS = 10


class _Airflow:
    """A real Airflow in a temporary home, steered by its command line."""

    def __init__(self, home: Path, dags: Path, connections: Mapping[str, str]) -> None:
        self._log = home / "demo.log"
        self._environment = {
            # What the caller's Airflow is set to (a home, a database, connections) is not the demo's business.
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            **connections,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags.resolve()),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: str) -> None:
        """Run one Airflow command to its end.

        :raises click.ClickException: if it fails, with the end of its log.
        """
        start = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
                [sys.executable, "-m", "airflow", *arguments],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A group of its own, so that an interrupt can end it with all that it started.
                start_new_session=True,
            )
            code = self._process.wait()
        if code:
            said = self._log.read_bytes()[start:].decode(errors="replace").splitlines()
            tail = "\n".join(said[-_LAST_LINES:])
            raise click.ClickException(f"airflow {' '.join(arguments)} ended with code {code}. Its last lines:\n{tail}")

    def stop(self) -> None:
        """End a command that still runs, with everything it started."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


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
def _running(dags: Path, profiles: int, seed: int) -> Iterator[tuple[Sandbox, _Airflow]]:
    home = Path(tempfile.mkdtemp(prefix="braze-blueconic-demo-"))
    try:
        with Sandbox(profiles=profiles, seed=seed) as box:
            airflow = _Airflow(home, dags, box.connections())
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
@click.option("--goal", default="vip_to_braze", show_default=True, help="Name of the goal file, without ending.")
@click.option("--profiles", default=20_000, show_default=True, help="People in the segment.")
@click.option("--seed", default=1, show_default=True, help="Decides everything that is invented.")
@click.option(
    "--runs", default=3, show_default=True, type=click.IntRange(2), help="Runs: a day passes after the first."
)
def main(dags: Path, goal: str, profiles: int, seed: int, runs: int) -> None:
    """Run an export goal on the sandbox through a real Airflow, and compare both sides.

    \b
    Example:
      python -m airflow_provider_braze_blueconic.sandbox.demo --dags dags --profiles 2000
    """
    console = Console(highlight=False)
    try:
        with _interruptible():
            _demonstrate(console, dags, goal, profiles=profiles, seed=seed, runs=runs)
    except KeyboardInterrupt:
        raise click.ClickException("interrupted; everything that was started is stopped.") from None


def _demonstrate(console: Console, dags: Path, goal_name: str, *, profiles: int, seed: int, runs: int) -> None:
    goal = load_goal(dags / "goals" / f"{goal_name}.yaml").goal
    if not isinstance(goal, ExportGoal) or not isinstance(goal.source, SegmentSource):
        raise click.ClickException(f"{goal_name} is no export goal of a segment; the demo shows those.")
    console.print(f"Starting the sandbox with {profiles:,} people in {goal.source.segment!r} …")
    with _running(dags, profiles, seed) as (box, airflow):
        for name, url in (("Braze", box.braze_url), ("BlueConic", box.blueconic_url), ("S3", box.s3_url)):
            console.print(f"  {name:<10}{url}")
        console.print("Preparing Airflow …")
        airflow.run("db", "migrate")
        reports: list[Report] = []
        titles: list[str] = []
        for number in range(1, runs + 1):
            title = _title(number)
            if number == 2:
                day = box.next_day().counts()
                console.print(
                    f"A day passes: {day['changed']:,} profiles change, {day['entered']:,} enter the segment, "
                    f"{day['left']:,} leave it."
                )
            console.print(f"{title}: airflow dags test braze_blueconic__{goal.id}")
            began = time.monotonic()
            billed_before = box.counters()["track"]
            airflow.run("dags", "test", f"braze_blueconic__{goal.id}")
            report = _latest_report(box, goal)
            console.print(f"  done in {time.monotonic() - began:.0f} s, most of it Airflow starting")
            _check_against_braze(report, billed_before, box.counters()["track"])
            reports.append(report)
            titles.append(title)
        console.print(_table(titles, reports))
        agreement = _compare(box, goal, goal.source.segment)
    _conclude(console, reports, agreement)


def _title(number: int) -> str:
    return {1: "first night", 2: "second night", 3: "once more"}.get(number, f"run {number}")


def _latest_report(box: Sandbox, goal: ExportGoal) -> Report:
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


def _check_against_braze(report: Report, before: Mapping[str, int], after: Mapping[str, int]) -> None:
    """Compare what the run says with what Braze counted."""
    counted = {name: after[name] - before[name] for name in ("requests", "data_points")}
    said = {"requests": report["requests"], "data_points": report["data_points"]}
    if counted != said:
        raise click.ClickException(f"the report says {said}, Braze counted {counted}.")


def _table(titles: list[str], reports: list[Report]) -> Table:
    table = Table(title="What the runs did", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    rows: dict[str, list[str]] = {}
    for number, report in enumerate(reports):
        for label, value in render(report):
            rows.setdefault(label, [""] * len(reports))[number] = value
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for label, values in rows.items():
        table.add_row(label, *values)
    return table


def _compare(box: Sandbox, goal: ExportGoal, segment_name: str) -> Agreement:
    segment = next(segment for segment in box.blueconic.segments.values() if segment.name == segment_name)
    profiles = (
        box.blueconic.render(box.blueconic.profiles[member], only=None, expand=_SEGMENT_EXPANSION)
        for member in sorted(segment.members)
    )
    fields: list[dict[str, Any]] = [
        row.model_dump(mode="json", by_alias=True, exclude_unset=True) for row in goal.fields
    ]
    return compare(profiles, box.braze.users(), fields, identifier=goal.identifiers[0].blueconic)


def _conclude(console: Console, reports: list[Report], agreement: Agreement) -> None:
    last = reports[-1]
    if last["to_send"] and len(reports) > 2:
        raise click.ClickException(f"the last run sent {last['to_send']:,} people although nothing had changed.")
    if not agreement.agreed:
        differences = ", ".join(f"{name}: {people:,}" for name, people in agreement.differences.most_common())
        raise click.ClickException(
            f"Braze and BlueConic do not agree: {agreement.absent:,} people are absent; "
            f"differing: {differences or 'none'}."
        )
    console.print(
        f"[bold green]Braze and BlueConic agree[/]: {agreement.people:,} people, {agreement.values:,} values compared; "
        f"{agreement.left_out:,} values left out that Braze would refuse or drop."
    )


if __name__ == "__main__":
    main()
