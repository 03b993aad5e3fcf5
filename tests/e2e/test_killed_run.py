"""A run killed in the middle of its upload, and the run after it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pyarrow.parquet as pq
import pytest

from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from tests.support.airflow import GoalRunner
from tests.support.sandbox import running_sandbox

pytestmark = pytest.mark.airflow

_DEADLINE_SECONDS = 90


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
    killed = subprocess.Popen(
        [sys.executable, "-m", "airflow", "dags", "test", "braze_blueconic__people"],
        env={**os.environ, **goals.box.connections()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_until(lambda: len(_acknowledged(goals.box)) >= 5 * 75, killed)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
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


def _wait_until(condition: object, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not condition():  # type: ignore[operator]
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
