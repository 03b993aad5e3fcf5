"""Run goals through a real Airflow inside the test process: real DAG, real task runner, a database of its own."""

from __future__ import annotations

import copy
import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import pytest
import structlog
from packaging.version import Version
from ruamel.yaml import YAML

from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from tests.support.sandbox import use_connections

ROOT = Path(__file__).parents[2]

_SHOWS_ALL = Version(version("apache-airflow-core")) < Version("3.1")
"""The console of a DAG under test shows what no task log does: the local values of every frame of an exception, in a
box, and whole messages between a task and its supervisor."""

GOAL: dict[str, Any] = {
    "goal": "export",
    "id": "people",
    "staging": "s3://sandbox-sync/tests",
    "source": {"segment": "VIP customers"},
    "identifiers": [{"blueconic": "crm_id", "braze": "external_id"}],
    "allow_creation": True,
    "fields": [
        {"from": "property.firstname", "to": "first_name"},
        {"from": "property.email", "to": "email"},
        {"from": "property.country", "to": "country"},
        {"from": "property.points", "to": "loyalty_points", "type": "integer"},
        {"from": "property.interests", "to": "interests", "type": "array"},
        {"from": "property.last_purchase", "to": "last_purchase", "type": "time"},
        {"from": "segments", "to": "blueconic_segments"},
        {"value": "blueconic", "to": "profile_source"},
    ],
    "partitions": 2,
}

IMPORT_GOAL: dict[str, Any] = {
    "goal": "import",
    "id": "users",
    "staging": "s3://sandbox-sync/tests",
    "source": {
        "segment": "BlueConic Test Users",
        "export": "s3://sandbox-braze-exports",
        "poll_seconds": 0.2,
        "quiet_seconds": 0.3,
    },
    "identifiers": [{"braze": "external_id", "blueconic": "crm_id"}],
    "fields": [{"from": "custom_attributes.favourite_store", "to": "braze_favourite_store"}],
    "partitions": 2,
}


def prepare_airflow() -> Path:
    """Make the home that the environment names: a migrated Airflow with an empty dags folder."""
    home = Path(os.environ["AIRFLOW_HOME"])
    (home / "dags" / "goals").mkdir(parents=True, exist_ok=True)
    done = subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    (home / "dags" / "braze_blueconic_goals.py").write_text((ROOT / "dags" / "braze_blueconic_goals.py").read_text())
    if _SHOWS_ALL:
        structlog.dev.RichTracebackFormatter.__call__ = lambda _, out, error: structlog.dev.plain_traceback(out, error)
    return home


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """A migrated Airflow with an empty dags folder, once a session."""
    return prepare_airflow()


class Capture(Protocol):
    """What was written to stdout and stderr since it was read last; pytest's ``capfd`` is one."""

    def readouterr(self) -> Any: ...


@dataclass(frozen=True)
class Run:
    """What became of one DAG run.

    :param states: task id → states of its instances.
    :param xcoms: every value that crossed from task to task, as JSON text.
    :param log: everything that was written to stdout and stderr, task logs included.
    :param report: the newest one that the goal left in S3.
    :param run_id: as Airflow calls it.
    """

    state: str
    states: Mapping[str, list[str]]
    xcoms: list[str]
    log: str
    report: Mapping[str, Any]
    run_id: str = ""


@dataclass
class GoalRunner:
    """Writes goal files into the dags folder and runs them."""

    home: Path
    box: Sandbox
    capture: Capture
    _written: list[Path] = field(default_factory=list)

    def write(self, **changes: Any) -> dict[str, Any]:
        """Write the standard export goal with changes and return it."""
        return self._write({**copy.deepcopy(GOAL), **changes})

    def write_import(self, **changes: Any) -> dict[str, Any]:
        """Write the standard import goal with changes and return it."""
        return self._write({**copy.deepcopy(IMPORT_GOAL), **changes})

    def _write(self, goal: dict[str, Any]) -> dict[str, Any]:
        path = self.home / "dags" / "goals" / f"{goal['id']}.yaml"
        with path.open("w") as file:
            YAML().dump(goal, file)
        self._written.append(path)
        return goal

    def run(
        self,
        goal_id: str = "people",
        *,
        params: Mapping[str, Any] | None = None,
        dated: bool = True,
        date: dt.datetime | None = None,
        run_after: dt.datetime | None = None,
    ) -> Run:
        """Run a goal's DAG to its end, without retries.

        :param dated: whether the run has a logical date; manual and asset-triggered runs may have none.
        :param date: its logical date, if not now; two runs of one date are one run with the same id.
        :param run_after: when it was triggered, if not at its date.
        """
        from airflow_provider_braze_blueconic.goals import load_goals

        dag = load_goals(self.home / "dags" / "goals")[f"braze_blueconic__{goal_id}"]
        dag.fileloc = str(self.home / "dags" / "braze_blueconic_goals.py")
        for task in dag.tasks:
            if hasattr(task, "retries"):
                task.retries = 0
            else:
                task.partial_kwargs["retries"] = 0
        self.capture.readouterr()
        when = {} if dated and date is None else {"logical_date": date, "run_after": run_after or date}
        run = dag.test(run_conf=dict(params or {}), **when)
        written = self.capture.readouterr()
        return self._outcome(run, _as_logged(written.out + written.err))

    def _outcome(self, run: Any, log: str) -> Run:
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session
        from sqlalchemy import select

        states: dict[str, list[str]] = {}
        for instance in run.get_task_instances():
            states.setdefault(instance.task_id, []).append(str(instance.state))
        with create_session() as session:
            query = select(XComModel).where(XComModel.dag_id == run.dag_id, XComModel.run_id == run.run_id)
            rows = list(session.scalars(query))
            xcoms = [json.dumps([row.task_id, row.key, row.value]) for row in rows]
        report = self.newest_report(run.dag_id.removeprefix("braze_blueconic__"))
        return Run(str(run.state), states, xcoms, log, report, run.run_id)

    def newest_report(self, goal_id: str = "people") -> Mapping[str, Any]:
        """Read the report that the last run left in S3; empty if there is none."""
        client = self.box.s3_client()
        listed = client.list_objects_v2(Bucket="sandbox-sync", Prefix=f"tests/{goal_id}/work/").get("Contents", [])
        reports = [item for item in listed if item["Key"].endswith("/report.json")]
        if not reports:
            return {}
        newest = max(reports, key=lambda item: item["LastModified"])
        report: Mapping[str, Any] = json.loads(
            client.get_object(Bucket="sandbox-sync", Key=newest["Key"])["Body"].read()
        )
        return report

    def sent(self) -> list[dict[str, Any]]:
        """Return the attributes objects that Braze was sent so far, in order, and forget them."""
        objects: list[dict[str, Any]] = []
        for exchange in self.box.exchanges:
            if exchange.service == "braze" and exchange.url.startswith("/users/track"):
                objects += json.loads(exchange.request_body)["attributes"]
        self.box.exchanges.clear()
        return objects

    def written(self) -> list[dict[str, Any]]:
        """Return the entries that BlueConic was sent so far, in order, and forget them."""
        entries: list[dict[str, Any]] = []
        for exchange in self.box.exchanges:
            if exchange.method == "PUT" and exchange.url.partition("?")[0] == "/rest/v2/profiles":
                entries += json.loads(exchange.request_body)
        self.box.exchanges.clear()
        return entries

    def clean(self) -> None:
        """Remove the goal files."""
        for path in self._written:
            path.unlink(missing_ok=True)


def _as_logged(console: str) -> str:
    """Leave out of a console what no task log holds."""
    if not _SHOWS_ALL:
        return console
    return "".join(line for line in console.splitlines(keepends=True) if "[debug    ]" not in line)


@pytest.fixture
def goals(
    airflow_home: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[GoalRunner]:
    """A runner of goals against a fresh sandbox with 200 people."""
    use_connections(sandbox, monkeypatch)
    runner = GoalRunner(airflow_home, sandbox, capfd)
    yield runner
    runner.clean()
