"""A run killed in the middle of its upload, and the run after it."""

from __future__ import annotations

import datetime as dt
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from airflow_provider_braze_blueconic.hooks.staging import StagingHook
from airflow_provider_braze_blueconic.sandbox.faults import Fault
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from airflow_provider_braze_blueconic.sync.store.paths import run_key
from tests.support.airflow import GoalRunner
from tests.support.sandbox import running_sandbox

pytestmark = pytest.mark.airflow

_DEADLINE_SECONDS = 90
DATE = dt.datetime.now(dt.UTC).replace(minute=0, second=0, microsecond=0)

# Not "airflow dags test", which gives each of its runs an id of its own: a retry belongs to the same run.
_RUN = """
import datetime as dt, sys
from pathlib import Path
from airflow_provider_braze_blueconic.goals import load_goals
folder, goal_id, moment = Path(sys.argv[1]), sys.argv[2], dt.datetime.fromisoformat(sys.argv[3])
dag = load_goals(folder / "goals")[f"braze_blueconic__{goal_id}"]
dag.fileloc = str(folder / "braze_blueconic_goals.py")
dag.test(logical_date=moment, run_after=moment)
"""


@pytest.fixture(autouse=True)
def _soon_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run waits for so long to see whether the killed one is alive."""
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__LOCK_SECONDS", "5")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Enough people for an upload that lasts some seconds."""
    with running_sandbox(profiles=1_500, record=True) as box:
        yield box


@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_after_kill_9_in_the_upload_the_next_run_sends_the_rest_and_nothing_acknowledged_twice(
    goals: GoalRunner,
) -> None:
    goals.write(partitions=1, limits={"requests_per_second": 4})
    _run_and_kill(goals, "people", when=lambda: len(_acknowledged(goals.box)) >= 5 * 75)
    before = _acknowledged(goals.box)
    sent_before = {sent["external_id"] for sent in goals.sent()}
    goals.write(partitions=1)

    run = goals.run()

    sent_after = {sent["external_id"] for sent in goals.sent()}
    assert run.state == "success"
    assert not before & sent_after
    assert len(sent_before | sent_after) == run.report["people"]
    assert len(sent_before) < run.report["people"]
    assert goals.run().report["to_send"] == 0


@pytest.mark.promise(2)
def test_after_kill_9_while_waiting_for_an_export_the_same_run_waits_on_and_braze_exports_once(
    goals: GoalRunner,
) -> None:
    goals.box.faults.braze = replace(goals.box.faults.braze, export_seconds=6.0)
    goals.write_import()
    marker = f"tests/users/work/{run_key(f'manual__{DATE.isoformat()}')}/export.json"
    _run_and_kill(goals, "users", when=lambda: "object_prefix" in _read(goals.box, marker))

    run = goals.run("users", date=DATE)

    assert run.state == "success"
    assert sum(goals.box.counters()["exports"].values()) == 1
    assert run.report["accepted"] == run.report["people"] > 1_000


@pytest.mark.by_hand
@pytest.mark.promise(2)
def test_after_kill_9_while_sums_are_sent_nothing_is_added_twice_and_what_is_in_doubt_is_reported(
    goals: GoalRunner,
) -> None:
    goals.write_import(
        fields=[{"from": "total_revenue", "to": "braze_revenue", "merge": "sum", "of": "increase"}], partitions=4
    )
    # The second bulk is applied, and its answer does not come before the kill.
    goals.box.faults.add(Fault("blueconic", "timeout_after", method="PUT", skip=1, times=1, delay_s=60))
    _run_and_kill(goals, "users", when=lambda: goals.box.counters()["bulk"]["requests"] >= 2)
    goals.box.faults.clear()

    run = goals.run("users")
    again = goals.run("users")

    state = goals.box.blueconic
    owed = {x: (goals.box.braze.export({"external_id": x}) or {}).get("total_revenue") for x in _single(goals.box)}
    held = {x: state.profiles[profile].values.get("braze_revenue") for x, profile in _single(goals.box).items()}
    assert run.state == again.state == "success"
    assert len(owed) > 1_000
    assert {x: float(values[0]) for x, values in held.items() if values} == {x: r for x, r in owed.items() if r}
    assert again.report["to_send"] == 0
    receipts = DeltaTable("s3://sandbox-sync/tests/users/receipts", storage_options=StagingHook().storage_options())
    assert receipts.to_pyarrow_table(columns=["outcome"]).column("outcome").to_pylist().count("unknown") > 0


def _single(box: Sandbox) -> dict[str, str]:
    """External id → profile id of people with one profile."""
    owners: dict[str, list[str]] = {}
    for profile_id, profile in box.blueconic.profiles.items():
        for crm_id in profile.values.get("crm_id", []):
            owners.setdefault(crm_id, []).append(profile_id)
    known = box.braze.external_ids()
    return {x: ids[0] for x, ids in owners.items() if len(ids) == 1 and x in known}


def _run_and_kill(goals: GoalRunner, goal_id: str, *, when: Callable[[], bool]) -> None:
    """Run a goal in a process of its own, and end that with kill -9 as soon as something is the case."""
    killed = subprocess.Popen(
        [sys.executable, "-c", _RUN, str(goals.home / "dags"), goal_id, DATE.isoformat()],
        env={**os.environ, **goals.box.connections()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_until(when, killed)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()


def _read(box: Sandbox, name: str) -> str:
    client = box.s3_client()
    try:
        return str(client.get_object(Bucket="sandbox-sync", Key=name)["Body"].read().decode())
    except client.exceptions.NoSuchKey:
        return ""


def _wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _acknowledged(box: Sandbox) -> set[str]:
    """External ids with a durable receipt."""
    client = box.s3_client()
    ids: set[str] = set()
    listed = client.list_objects_v2(Bucket="sandbox-sync", Prefix="tests/people/work/").get("Contents", [])
    for item in listed:
        if "/receipts/" in item["Key"]:
            body = client.get_object(Bucket="sandbox-sync", Key=item["Key"])["Body"].read()
            rows = pq.read_table(io.BytesIO(body)).to_pylist()
            ids |= {row["identifier"].split('"')[3] for row in rows if row["outcome"] == "accepted"}
    return ids
