"""Two runs of one goal at once, as two Airflows or a manual run beside the schedule start them."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_braze_blueconic.sandbox.faults import Fault
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from tests.support.airflow import GoalRunner
from tests.support.sandbox import running_sandbox

pytestmark = pytest.mark.airflow

_DEADLINE_SECONDS = 180
DATE = dt.datetime(2026, 11, 1, 2, tzinfo=dt.UTC)

_RUN = """
import datetime as dt, json, sys
from pathlib import Path
from airflow_provider_braze_blueconic.goals import load_goals
folder, goal_id, moment = Path(sys.argv[1]), sys.argv[2], dt.datetime.fromisoformat(sys.argv[3])
dag = load_goals(folder / "goals")[f"braze_blueconic__{goal_id}"]
dag.fileloc = str(folder / "braze_blueconic_goals.py")
for task in dag.tasks:
    if hasattr(task, "retries"):
        task.retries = 0
    else:
        task.partial_kwargs["retries"] = 0
run = dag.test(logical_date=moment, run_after=moment)
states = {instance.task_id: str(instance.state) for instance in run.get_task_instances()}
Path(sys.argv[4]).write_text(json.dumps({"state": str(run.state), **states}))
"""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(profiles=600, record=True) as box:
        yield box


@pytest.fixture(autouse=True)
def lock_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long enough for a living run to be seen alive on a machine that has much to do."""
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__LOCK_SECONDS", "6")
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__LOCK_GAP_SECONDS", "900")


@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_of_two_runs_at_once_the_second_fails_early_and_says_why_and_the_first_ends_well(
    goals: GoalRunner, tmp_path: Path
) -> None:
    goals.write(partitions=1)
    _hold_up(goals.box, after=3)
    with _run_beside(goals, tmp_path) as first:
        _wait_until(lambda: _requests(goals.box) > 3, first)

        second = goals.run()

        assert _lock(goals.box)["step"] == "upload"
        goals.box.faults.clear()
        first_states = _outcome(first, tmp_path)
    third = goals.run()

    assert second.state == "failed"
    assert second.states["extract"] == ["failed"]
    assert 'Another run of goal people is at work: "manual__2026-11-01T02:00:00+00:00", in step upload' in second.log
    assert second.states["map_fields"] == second.states["compute_delta"] == ["upstream_failed"]
    assert set(first_states.values()) == {"success"}
    accepted = _accepted(goals.box)
    assert len(accepted) == len(set(accepted)) == third.report["people"]
    assert third.state == "success"
    assert third.report["to_send"] == 0


@pytest.mark.by_hand
@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_a_run_that_was_paused_and_taken_for_dead_stops_sending_and_leaves_all_to_the_run_that_took_over(
    goals: GoalRunner, tmp_path: Path
) -> None:
    goals.write(partitions=1)
    _hold_up(goals.box, after=3)
    with _run_beside(goals, tmp_path) as sleeper:
        _wait_until(lambda: _requests(goals.box) > 3, sleeper)
        os.killpg(sleeper.pid, signal.SIGSTOP)
        goals.box.faults.clear()

        second = goals.run()

        accepted = set(_accepted(goals.box))
        os.killpg(sleeper.pid, signal.SIGCONT)
        states = _outcome(sleeper, tmp_path)
    third, fourth = goals.run(), goals.run()

    assert second.state == "success"
    assert len(accepted) == second.report["people"]
    assert states["upload"] == "failed"
    assert "took over goal people" in (tmp_path / "beside.log").read_text()
    assert third.state == fourth.state == "success"
    assert fourth.report["to_send"] == 0


def _hold_up(box: Sandbox, *, after: int) -> None:
    """Have Braze take some requests, and ask to wait from then on: the upload stays alive and gets nowhere."""
    box.faults.add(Fault("braze", "status", path="/users/track", skip=after, status=429, retry_after_s=1))


@contextmanager
def _run_beside(goals: GoalRunner, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the goal in a process of its own, which is killed at the end if it still runs."""
    with (tmp_path / "beside.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _RUN, str(goals.home / "dags"), "people", DATE.isoformat(), str(tmp_path / "end")],
            env={**os.environ, **goals.box.connections()},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _outcome(process: subprocess.Popen[bytes], tmp_path: Path) -> Mapping[str, str]:
    """Wait until a run has ended by itself.

    :return: task id → state, and ``state`` of the run.
    """
    process.wait(_DEADLINE_SECONDS)
    assert (tmp_path / "end").exists(), (tmp_path / "beside.log").read_text()[-3000:]
    states: dict[str, str] = json.loads((tmp_path / "end").read_text())
    return states


def _requests(box: Sandbox) -> int:
    return sum(exchange.url.startswith("/users/track") for exchange in box.exchanges)


def _accepted(box: Sandbox) -> list[str]:
    """External ids in the requests that Braze took."""
    return [
        person["external_id"]
        for exchange in box.exchanges
        if exchange.url.startswith("/users/track") and exchange.status == 201
        for person in json.loads(exchange.request_body)["attributes"]
    ]


def _lock(box: Sandbox) -> Mapping[str, Any]:
    client = box.s3_client()
    listed = client.list_objects_v2(Bucket="sandbox-sync", Prefix="tests/people/lock/0")["Contents"]
    newest = max(item["Key"] for item in listed)
    document: dict[str, Any] = json.loads(client.get_object(Bucket="sandbox-sync", Key=newest)["Body"].read())
    return document


def _wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not condition():
        assert process.poll() is None, "the run beside ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.05)
