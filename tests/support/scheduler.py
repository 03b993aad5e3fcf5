"""A whole Airflow for a test: database, API server and scheduler of its own, which run DAGs as a real installation does.

Only what starts runs by itself, such as a backfill, needs one; all else runs inside the test by ``dag.test()``.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from airflow_provider_braze_blueconic.operators import base

__all__ = ["AirflowServer", "DagRun", "running_airflow"]

_PRELOADED = """
import sys
if "scheduler" in sys.argv:
    import aiohttp, boto3, deltalake, duckdb, pyarrow.dataset, airflow.providers.amazon.aws.hooks.s3
"""
"""A plugin: what the scheduler imports once, the tasks that it forks need not import again."""

_START_SECONDS = 240.0
_GRACE_SECONDS = 10.0
_ANSWER_SECONDS = 120.0
"""On a machine that does much else at the same time."""
_LAST_CHARACTERS = 3_000


@dataclass(frozen=True)
class DagRun:
    """One run as the API shows it."""

    run_id: str
    run_type: str
    state: str
    logical_date: str
    began: str


class AirflowServer:
    """The running Airflow, asked by its command line and by the API that its UI uses too.

    :param home: ``AIRFLOW_HOME``.
    :param environment: for each of its processes.
    :param url: of the API server.
    """

    def __init__(self, home: Path, environment: Mapping[str, str], url: str) -> None:
        self.home = home
        self.url = url
        self._environment = dict(environment)
        self._session = requests.Session()
        self._session.trust_env = False
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def command(self, *arguments: str) -> str:
        """Run ``airflow …`` to its end and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments], env=self._environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"airflow {' '.join(arguments)}: {(done.stdout + done.stderr)[-_LAST_CHARACTERS:]}"
        return done.stdout

    def start(self, name: str, *arguments: str) -> None:
        """Start a component; what it says goes to ``<name>.log`` in its home."""
        with (self.home / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "airflow", name, *arguments],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                # A group of its own, so that it ends with all that it started.
                start_new_session=True,
            )

    def stop(self, name: str) -> None:
        """End a component with all that it started, for certain."""
        process = self._processes.pop(name)
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
        # Also where the leader is gone: what it started may be left in the group.
        _signal(process, signal.SIGKILL)
        process.wait()

    def stop_all(self) -> None:
        """End everything that was started."""
        for name in list(self._processes):
            self.stop(name)

    @contextmanager
    def scheduling(self) -> Iterator[None]:
        """Run a scheduler for the length of a block; and a triggerer where tasks wait for their turn in one.

        Backfills are asked for outside of one: while a scheduler writes, SQLite may refuse the transaction that makes
        their runs, and then half of them are there.
        """
        self.start("scheduler", "--skip-serve-logs")
        if not base._CAN_WAIT:
            self.start("triggerer", "--skip-serve-logs")
        try:
            yield
        finally:
            for name in {"scheduler", "triggerer"} & set(self._processes):
                self.stop(name)

    def wait_for_api(self) -> None:
        """Wait until the API answers, and take a token."""
        self.wait_for("the API", self._is_ready, seconds=_START_SECONDS)
        token = self._session.get(f"{self.url}/auth/token", timeout=_ANSWER_SECONDS).json()["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def _is_ready(self) -> bool:
        try:
            return bool(self._session.get(f"{self.url}/api/v2/version", timeout=_ANSWER_SECONDS).ok)
        except (requests.ConnectionError, requests.Timeout):
            return False

    def wait_for(self, what: str, holds: Callable[[], bool], *, seconds: float) -> None:
        """Wait for a condition; a component that died, or too long a time, ends the test with the logs' ends."""
        deadline = time.monotonic() + seconds
        while not holds():
            dead = [name for name, process in self._processes.items() if process.poll() is not None]
            if dead or time.monotonic() > deadline:
                tails = [
                    f"--- {path.name}\n{path.read_text(errors='replace')[-_LAST_CHARACTERS:]}"
                    for path in sorted(self.home.glob("*.log"))
                ]
                raise AssertionError(f"{what}: not within {seconds:g} s; ended: {dead or 'none'}\n" + "\n".join(tails))
            time.sleep(0.5)

    def get(self, path: str, **parameters: Any) -> Any:
        """Ask the API."""
        answer = self._session.get(f"{self.url}/api/v2/{path}", params=parameters, timeout=_ANSWER_SECONDS)
        assert answer.ok, answer.text[:1_000]
        return answer.json()

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Tell the API to do something."""
        answer = self._session.post(f"{self.url}/api/v2/{path}", json=body, timeout=_ANSWER_SECONDS)
        assert answer.ok, answer.text[:1_000]
        return answer.json()

    def runs(self, dag_id: str) -> list[DagRun]:
        """Return all runs of a DAG, by logical date."""
        found = self.get(f"dags/{dag_id}/dagRuns", limit=100)["dag_runs"]
        names = ("dag_run_id", "run_type", "state", "logical_date", "start_date")
        runs = [DagRun(*(run[name] for name in names)) for run in found]
        return sorted(runs, key=lambda run: run.logical_date)

    def returned(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """Return what a task of a run returned."""
        path = f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}/xcomEntries/return_value"
        answer = self._session.get(f"{self.url}/api/v2/{path}?deserialize=true", timeout=_ANSWER_SECONDS)
        # Airflow 3.0 refuses that, and gives the text that is stored.
        return answer.json()["value"] if answer.ok else json.loads(self.get(path)["value"])

    def backfill(self, dag_id: str, first: str, last: str, **options: Any) -> None:
        """Ask for a backfill as the UI does.

        :param options: ``reprocess_behavior``, ``run_backwards``, ``max_active_runs``, ``dag_run_conf``.
        """
        self.post("backfills", {"dag_id": dag_id, "from_date": first, "to_date": last, **options})

    def would_backfill(self, dag_id: str, first: str, last: str, **options: Any) -> list[str]:
        """Return the logical dates that a backfill would run, as the UI shows them before."""
        body = {"dag_id": dag_id, "from_date": first, "to_date": last, **options}
        return [entry["logical_date"] for entry in self.post("backfills/dry_run", body)["backfills"]]

    def finish(self, runs: Mapping[str, int], *, seconds: float = 900.0) -> None:
        """Wait until DAGs have so many runs and none of them is under way.

        :param runs: DAG id → number.
        """

        def is_finished() -> bool:
            for dag_id, number in runs.items():
                states = [run.state for run in self.runs(dag_id)]
                if len(states) < number or not {"queued", "running"}.isdisjoint(states):
                    return False
            return True

        self.wait_for(f"the runs of {', '.join(runs)}", is_finished, seconds=seconds)

    def close_backfills(self, dag_id: str) -> None:
        """Wait until the scheduler has seen that a DAG's backfills are done; before that it takes no other one."""

        def is_closed() -> bool:
            return all(entry["completed_at"] for entry in self.get("backfills", dag_id=dag_id)["backfills"])

        self.wait_for(f"the end of the backfills of {dag_id}", is_closed, seconds=_START_SECONDS)


@contextmanager
def running_airflow(home: Path, dags: Path, variables: Mapping[str, str]) -> Iterator[AirflowServer]:
    """Run an Airflow for the length of a block; it schedules within :meth:`AirflowServer.scheduling`.

    :param home: an empty folder, for everything that it writes.
    :param dags: its folder of DAG files, which are read once, before it starts.
    :param variables: more environment, such as connections.
    """
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        # What the caller's Airflow is set to is not this one's business.
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(),
        # Without an issuer, 3.0.6 hands None to its JWT library, which refuses that since PyJWT 2.10.
        "AIRFLOW__API_AUTH__JWT_ISSUER": "tests",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__LAZY_LOAD_PLUGINS": "False",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}?timeout=60",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
        # The first answers take long on a machine that does much else, and a task that can't begin waits for its retry.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": str(_ANSWER_SECONDS),
        "NO_PROXY": "127.0.0.1,localhost",
        **variables,
    }
    server = AirflowServer(home, environment, url)
    server.command("db", "migrate")
    try:
        server.start("api-server")
        # Instead of a DAG processor: the files don't change.
        server.command("dags", "reserialize")
        (home / "plugins").mkdir()
        (home / "plugins" / "preloaded.py").write_text(_PRELOADED)
        server.wait_for_api()
        yield server
    finally:
        server.stop_all()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
