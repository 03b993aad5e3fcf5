"""Runs of goals in processes that may be killed, each forked from one that has imported everything already.

A run in a process of its own spends most of its time on imports. The nursery is one process that has them done, talks
to nobody and has one thread, so that a fork of it is whole; each run is such a fork. Servers live elsewhere.

::

    with Nursery(home) as nursery:
        child = nursery.start("people", environment=box.connections(), date=DATE)
        os.kill(child.pid, signal.SIGKILL)
        ended = child.wait()
"""

from __future__ import annotations

import datetime as dt
import functools
import importlib
import json
import os
import pkgutil
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, cast

__all__ = ["Child", "Ended", "Nursery"]

_DEADLINE_SECONDS = 600.0
_FULL_DISK_BYTES = 200
"""Less than any file of a step that has something to say."""

_WARMED = (
    "aiohttp",
    "airflow.dag_processing.bundles.manager",
    "airflow.dag_processing.dagbag",
    "airflow.models.dagrun",
    "airflow.models.xcom",
    "airflow.providers.amazon.aws.hooks.s3",
    "airflow.sdk.execution_time.task_runner",
    "airflow.serialization.serialized_objects",
    "airflow_provider_braze_blueconic.goals",
    "boto3",
    "deltalake",
    "duckdb",
    "pyarrow.dataset",
    "pyarrow.parquet",
)


@dataclass(frozen=True)
class Ended:
    """How a run's process ended.

    :param signal: number of the signal that ended it, 0 for none.
    :param state: of the DAG run; ``None`` where the process did not live to see it.
    :param states: task id → states of its instances.
    :param log: what it wrote.
    """

    signal: int
    state: str | None
    states: Mapping[str, list[str]]
    log: str = field(repr=False)


@dataclass
class Child:
    """One run. Its process leads a group of its own."""

    pid: int
    _nursery: Nursery
    _result: Path
    _log: Path

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, if the process is still there."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def wait(self) -> Ended:
        """Wait for the end, and kill a run that does not come to one.

        :raises AssertionError: it was killed for taking too long.
        """
        late = threading.Event()

        def end_it() -> None:
            late.set()
            self.kill()

        timer = threading.Timer(_DEADLINE_SECONDS, end_it)
        timer.start()
        try:
            status = self._nursery.answer()["status"]
        finally:
            timer.cancel()
        log = self._log.read_text(errors="replace")
        outcome = json.loads(self._result.read_text()) if self._result.exists() else {"state": None, "states": {}}
        for path in (self._log, self._result):
            path.unlink(missing_ok=True)
        assert not late.is_set(), f"the run took more than {_DEADLINE_SECONDS:.0f} s: {log[-3000:]}"
        return Ended(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, outcome["state"], outcome["states"], log)


class Nursery:
    """The process from which runs are forked, one at a time.

    :param home: ``AIRFLOW_HOME``, with goals below ``dags/goals``.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._process: subprocess.Popen[str] | None = None
        self._runs = 0

    def __enter__(self) -> Nursery:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self._home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "AIRFLOW_HOME": str(self._home)},
        )
        assert self.answer() == {"ready": True}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()  # it has nothing to lose
        self._process.wait()

    def start(
        self,
        goal_id: str,
        *,
        environment: Mapping[str, str],
        date: dt.datetime | None = None,
        resume: bool = False,
        params: Mapping[str, Any] | None = None,
        full_disk_in: str | None = None,
    ) -> Child:
        """Start a run.

        :param environment: variables on top of this process's.
        :param date: logical date; two runs of one date are one run with the same id.
        :param resume: go on where an earlier process of the same date was killed, as Airflow's retries do: tasks that
            succeeded are not run again.
        :param full_disk_in: task id of a step in which no local file can be written beyond its first bytes.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        self._runs += 1
        scratch = Path(tempfile.gettempdir())
        result, log = (scratch / f"nursery-{os.getpid()}-{id(self)}-{self._runs}.{name}" for name in ("json", "log"))
        request = {
            "goal_id": goal_id,
            "environment": dict(environment),
            "date": (date or dt.datetime.now(dt.UTC)).isoformat(),
            "resume": resume,
            "params": dict(params or {}),
            "full_disk_in": full_disk_in,
            "result": str(result),
            "log": str(log),
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Child(self.answer()["pid"], self, result, log)

    def run(self, goal_id: str, **how: Any) -> Ended:
        """Run to the end."""
        return self.start(goal_id, **how).wait()

    def answer(self) -> dict[str, Any]:
        """Read the next line of the nursery."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the nursery has ended"
        return cast("dict[str, Any]", json.loads(line))


def _serve(home: Path) -> None:
    """Fork a process for each request and say how it ended, until there are no more requests."""
    output, sys.stdout = sys.stdout, sys.stderr
    _warm_up()
    sys.stdout = output
    _say({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _live(home, request)
        _say({"pid": pid})
        _, status = os.waitpid(pid, 0)
        _say({"status": status})


def _say(message: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _warm_up() -> None:
    """Do what every run does first and what needs no thread, no connection and no event loop."""
    import boto3
    from airflow.sdk.execution_time.supervisor import in_process_api_server
    from botocore import loaders

    import airflow_provider_braze_blueconic as package

    for name in _WARMED:
        importlib.import_module(name)
    for part in ("goals", "hooks", "operators", "sync", "triggers"):
        for module in pkgutil.iter_modules([f"{package.__path__[0]}/{part}"]):
            importlib.import_module(f"{package.__name__}.{part}.{module.name}")
    # The API by which a task talks to Airflow: making it, in all its versions, costs more than a run.
    in_process_api_server().app._cadwyn_initialize()
    # Every task makes a client of its own, for which boto reads and parses megabytes.
    loaders.create_loader = functools.cache(loaders.create_loader)
    boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


def _live(home: Path, request: Mapping[str, Any]) -> None:
    """Be a run, from the fork to the end of the process."""
    code = 1
    try:
        os.setpgid(0, 0)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(log, number)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.environ.update(request["environment"])
        _run(home, request)
        code = 0
    except BaseException:  # noqa: BLE001  the end of the process: nothing may come back into the nursery's loop
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(home: Path, request: Mapping[str, Any]) -> None:
    from airflow_provider_braze_blueconic.goals import load_goals

    dag = load_goals(home / "dags" / "goals")[f"braze_blueconic__{request['goal_id']}"]
    dag.fileloc = str(home / "dags" / "braze_blueconic_goals.py")
    for task in dag.tasks:
        if hasattr(task, "retries"):
            task.retries = 0
        else:
            task.partial_kwargs["retries"] = 0
    if request["resume"]:
        _keep_what_succeeded()
    moment = dt.datetime.fromisoformat(request["date"])
    if request["full_disk_in"]:
        _fill_the_disk(request["full_disk_in"])
    run = dag.test(run_conf=request["params"], logical_date=moment, run_after=moment)
    states: dict[str, list[str]] = {}
    for instance in run.get_task_instances():
        states.setdefault(instance.task_id, []).append(str(instance.state))
    outcome = {"state": str(run.state), "states": states}
    Path(request["result"]).write_text(json.dumps(outcome))


def _fill_the_disk(task_id: str) -> None:
    """Let files end after a few bytes while a task of ours works.

    By a limit of the process, for which no rights are needed: what writes beyond it is told EFBIG, where a full disk
    says ENOSPC. Airflow's own database is not on that disk; the one step that writes to it meanwhile, the mapping, does so at its end.
    """
    from airflow_provider_braze_blueconic.operators.base import GoalOperator

    # Without this the process would be killed by SIGXFSZ, which a full disk does not send.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    work = GoalOperator._run_in_workspace

    def on_a_full_disk(self: Any, context: Any) -> Any:
        if self.task_id != task_id:
            return work(self, context)
        free, full = ((size, resource.RLIM_INFINITY) for size in (resource.RLIM_INFINITY, _FULL_DISK_BYTES))
        resource.setrlimit(resource.RLIMIT_FSIZE, full)
        try:
            return work(self, context)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, free)

    GoalOperator._run_in_workspace = on_a_full_disk  # type: ignore[method-assign]


def _keep_what_succeeded() -> None:
    """Let ``dag.test()`` go on with the run of its date, as a retry does; it would begin anew."""
    from airflow.models import dagrun
    from airflow.serialization.definitions.dag import SerializedDAG
    from sqlalchemy import select

    begin = dagrun.get_or_create_dagrun

    def go_on(*, dag: Any, logical_date: Any, session: Any, **how: Any) -> Any:
        query = select(dagrun.DagRun).where(
            dagrun.DagRun.dag_id == dag.dag_id, dagrun.DagRun.logical_date == logical_date
        )
        run = session.scalar(query)
        if run is None:
            return begin(dag=dag, logical_date=logical_date, session=session, **how)
        for instance in run.get_task_instances(session=session):
            if instance.state != "success":
                instance.state = None
        run.set_state("running")
        run.dag = dag
        session.commit()
        return run

    dagrun.get_or_create_dagrun = go_on
    SerializedDAG.clear_dags = staticmethod(lambda **_: 0)  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
