"""One upload to BlueConic in a process of its own, under a supervisor that may be killed: a task as Airflow runs it.

::

    goal = Upload(box, people)
    older, newer = goal.start(requests_per_second=4), goal.start(host="localhost")
    older.go()
    older.supervisor.kill()      # the upload goes on, as an orphan does
    newer.go()
"""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from airflow_provider_braze_blueconic.hooks.staging import StagingHook
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from airflow_provider_braze_blueconic.sync.engine.database import Engine
from airflow_provider_braze_blueconic.sync.state.receipt_summary import ReceiptSummary
from airflow_provider_braze_blueconic.sync.steps.commit import commit_uploads
from airflow_provider_braze_blueconic.sync.steps.upload import upload_partition
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from tests.support.core import write_rows

__all__ = ["CopiedUpload", "Copy"]

_ROOT = Path(__file__).parents[2]
_STAGING = "s3://sandbox-sync/tests"


@dataclass
class Copy:
    """One process that uploads."""

    supervisor: subprocess.Popen[str]
    pid: int
    host: str

    def said(self, what: str) -> float:
        """Wait until the process says something, and return when it did, in monotonic seconds."""
        assert self.supervisor.stdout is not None
        for line in self.supervisor.stdout:
            if line.startswith(f"{what} "):
                return float(line.split()[1])
        raise AssertionError(f"the process ended without {what}")

    def wait_until_ready(self) -> None:
        """Wait for all that takes long: then it does nothing until :meth:`go`."""
        self.pid = int(self.said("pid"))

    def go(self) -> None:
        """Let it begin."""
        assert self.supervisor.stdin is not None
        self.supervisor.stdin.write("\n")
        self.supervisor.stdin.flush()

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


class CopiedUpload:
    """A delta of one partition in the sandbox's S3: everybody gets 1 added to a number.

    :param home: local folder.
    :param people: values of ``crm_id``.
    """

    def __init__(self, box: Sandbox, home: Path, people: Sequence[str]) -> None:
        self._box = box
        self._home = home
        uri = f"{_STAGING}/goal/work/run-1/delta-d1"
        self.delta: dict[str, Any] = {
            "uri": uri, "delta_id": "d1", "run_key": "run-1", "as_of": "2026-11-05T04:00:00+00:00",
            "newest_as_of": None, "last_delta": None, "ledger_partitions": 1, "partitions": [0],
            "send_partitions": [0], "policy": "", "new_fields": [],
        }  # fmt: skip
        rows = [
            {
                "identifier": json.dumps({"braze_id": who}),
                "kind": "insert",
                "matching": json.dumps([[{"id": "crm_id", "value": who}]]),
                "increase_braze_revenue": '["1"]',
                "field_braze_revenue": '["1"]',
                "as_of": dt.datetime(2026, 11, 5, 4, tzinfo=dt.UTC),
                "to_send": True,
                "data_points": 1,
            }
            for who in people
        ]
        types = {"as_of": pa.timestamp("us", tz="UTC"), "to_send": pa.bool_(), "data_points": pa.int32()}
        local = write_rows(home / "partition=0.parquet", rows, types)
        StagingHook().upload_file(local, f"{uri}/partition=0.parquet")

    def start(self, *, host: str = "127.0.0.1", requests_per_second: float = 100.0) -> Copy:
        """Start a process that uploads, below one that only waits for it.

        :param host: by which name it calls BlueConic, so that the two can be told apart.
        """
        environment = {**os.environ, **self._box.connections(), "PYTHONPATH": str(_ROOT)}
        blueconic = json.loads(environment["AIRFLOW_CONN_BLUECONIC_DEFAULT"])
        blueconic["host"] = blueconic["host"].replace("127.0.0.1", host)
        environment["AIRFLOW_CONN_BLUECONIC_DEFAULT"] = json.dumps(blueconic)
        given = json.dumps({"delta": self.delta, "rate": requests_per_second})
        child = [sys.executable, "-m", "tests.support.copies", given]
        supervisor = subprocess.Popen(
            [sys.executable, "-c", "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)", *child],
            cwd=_ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return Copy(supervisor, 0, host)

    def commit(self) -> ReceiptSummary:
        """Commit what the processes were told."""
        workspace = _workspace(self._home)
        return commit_uploads(workspace, self.delta)  # type: ignore[arg-type]


def _workspace(home: Path) -> Workspace:
    return Workspace(StagingHook(), GoalFolder(_STAGING, "goal"), "run-1", Engine(home / "engine", threads=1))


def _say(what: str, number: float) -> None:
    sys.stdout.write(f"{what} {number}\n")
    sys.stdout.flush()


def _upload(delta: Any, rate: float) -> None:
    from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook
    from airflow_provider_braze_blueconic.hooks.blueconic_api.sum_words import SumWord
    from airflow_provider_braze_blueconic.sync.blueconic.objects import BODY_AFTER, BODY_BEFORE, profiles_sql
    from airflow_provider_braze_blueconic.sync.sending.pacing import Rate
    from airflow_provider_braze_blueconic.sync.sending.seam import BatchLimits
    from airflow_provider_braze_blueconic.sync.sending.settings import UploadSettings

    with tempfile.TemporaryDirectory() as home:
        workspace = _workspace(Path(home))
        workspace.staging.list_objects(f"{_STAGING}/")  # what the first call takes long for is done
        _say("pid", os.getpid())
        sys.stdin.readline()
        _say("begins", time.monotonic())
        try:
            upload_partition(
                workspace,
                delta,
                0,
                objects_sql=lambda source, columns: profiles_sql(
                    source, columns, merges={"braze_revenue": "sum"}, creates=False
                ),
                sender=BlueConicHook().profiles_sender(sums=SumWord("INCREMENT"), max_in_flight=4),
                rate=Rate(rate, 1.0, counted=False),
                settings=UploadSettings(BatchLimits(5, 2_000_000), BODY_BEFORE, BODY_AFTER, max_in_flight=4),
            )
        except Exception as error:  # noqa: BLE001  told to the test
            _say(type(error).__name__, time.monotonic())
        else:
            _say("done", time.monotonic())


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    _upload(given["delta"], given["rate"])
