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
from concurrent.futures import ThreadPoolExecutor
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
DATE = dt.datetime.now(dt.UTC).replace(minute=0, second=0, microsecond=0)

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
def test_of_two_runs_at_once_the_second_waits_for_its_turn_and_both_end_well(goals: GoalRunner, tmp_path: Path) -> None:
    goals.write(partitions=1)
    _hold_up(goals.box, after=3)
    with _run_beside(goals, tmp_path) as first, ThreadPoolExecutor(1) as meanwhile:
        _wait_until(lambda: _requests(goals.box) > 3, first)
        let_go = meanwhile.submit(_let_go_of, goals.box, first)

        second = goals.run()

        let_go.result()
        first_states = _outcome(first, tmp_path)

    said = f'Another run of goal people is running: "manual__{DATE.isoformat()}", in step upload'
    assert said in second.log
    assert "Waiting since" in second.log
    assert set(first_states.values()) == {"success"}
    assert second.state == "success"
    assert (second.report["to_send"], second.report["unchanged"]) == (0, second.report["people"])
    accepted = _accepted(goals.box)
    assert len(accepted) == len(set(accepted)) == second.report["people"]
    assert _waiting(goals.box) == []


def test_a_run_that_ended_without_saying_so_in_the_lock_keeps_nobody_waiting(
    goals: GoalRunner, caplog: pytest.LogCaptureFixture
) -> None:
    # Marked as failed between two steps; one mapped upload cleared without what follows it; or deleted since.
    goals.write(partitions=1)
    first = goals.run()
    _reopen(goals.box)

    second = goals.run()
    _reopen(goals.box, run_id="deleted")
    third = goals.run()

    assert second.state == third.state == "success"
    told = second.log + third.log + caplog.text  # by the version of Airflow
    for ended in (first.run_id, "deleted"):
        assert f'run "{ended}" ended without releasing the goal\'s lock; this run takes over' in told
    assert "Waiting since" not in told


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


def _let_go_of(box: Sandbox, process: subprocess.Popen[bytes]) -> None:
    """Let the upload go on once another run waits for it."""
    try:
        _wait_until(lambda: _waiting(box) != [], process)
    finally:
        box.faults.clear()


def _waiting(box: Sandbox) -> list[str]:
    """Objects of runs that wait for the goal."""
    listed = box.s3_client().list_objects_v2(Bucket="sandbox-sync", Prefix="tests/people/lock/waiting/")
    return [item["Key"] for item in listed.get("Contents", [])]


def _reopen(box: Sandbox, **changes: Any) -> None:
    """Let the lock say that its run is between two steps."""
    key = _newest_lock(box)
    document = {**_lock(box), "state": "between", "gap_seconds": 900.0, **changes}
    box.s3_client().put_object(Bucket="sandbox-sync", Key=key, Body=json.dumps(document).encode())


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


def _newest_lock(box: Sandbox) -> str:
    listed = box.s3_client().list_objects_v2(Bucket="sandbox-sync", Prefix="tests/people/lock/0")["Contents"]
    return str(max(item["Key"] for item in listed))


def _lock(box: Sandbox) -> Mapping[str, Any]:
    found = box.s3_client().get_object(Bucket="sandbox-sync", Key=_newest_lock(box))
    document: dict[str, Any] = json.loads(found["Body"].read())
    return document


def _wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not condition():
        assert process.poll() is None, "the run beside ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.05)
