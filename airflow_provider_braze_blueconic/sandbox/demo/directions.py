"""One goal of the demo, and what its runs said."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import click
from rich.console import Console

from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal
from airflow_provider_braze_blueconic.goals.import_goal import ImportGoal
from airflow_provider_braze_blueconic.sandbox.agreement.outcome import Agreement
from airflow_provider_braze_blueconic.sandbox.demo.airflow import Airflow
from airflow_provider_braze_blueconic.sandbox.demo.comparison import agreement_of_export, agreement_of_import
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from airflow_provider_braze_blueconic.sync.steps.counters import Report

__all__ = ["NIGHTS", "Direction", "exporting", "importing", "run"]

NIGHTS = ("first night", "second night", "once more")


@dataclass
class Direction:
    """One goal of the demo, and what its runs said.

    :param counted: tells what the target counted so far: requests, and data points where it bills them.
    :param agreement: compares both sides.
    """

    goal: ExportGoal | ImportGoal
    title: str
    counted: Callable[[], Mapping[str, int]]
    agreement: Callable[[], Agreement]
    reports: list[Report] = field(default_factory=list)


def exporting(box: Sandbox, goal: ExportGoal) -> Direction:
    return Direction(
        goal,
        "BlueConic → Braze",
        lambda: {name: box.counters()["track"][name] for name in ("requests", "data_points")},
        lambda: agreement_of_export(box, goal),
    )


def importing(box: Sandbox, goal: ImportGoal) -> Direction:
    return Direction(
        goal,
        "Braze → BlueConic",
        lambda: {"requests": box.counters()["bulk"]["requests"]},
        lambda: agreement_of_import(box, goal),
    )


def run(console: Console, box: Sandbox, airflow: Airflow, direction: Direction, night: str) -> None:
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


def _check_against_target(direction: Direction, report: Report, before: Mapping[str, int]) -> None:
    """Compare what the run says with what the target counted."""
    counted = {name: count - before[name] for name, count in direction.counted().items()}
    said = {"requests": report["requests"], "data_points": report["data_points"]}
    if counted != {name: said[name] for name in counted}:
        raise click.ClickException(f"{direction.title}: the report says {said}, the target counted {counted}.")
