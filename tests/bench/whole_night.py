"""Two nights from a CSV file on S3 to Braze through a real Airflow: scheduler, API server and all tasks of the goal.

Braze answers after ``--latency`` milliseconds and its cap is lifted. On the second night 1 % of the people have another
value. A night is as long as its run in Airflow, start-up of every task included.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.bench.braze_stub import BrazeStub, running_braze
from tests.bench.bucket import BUCKET, Bucket, running_bucket
from tests.bench.figures import Figures
from tests.bench.people import CHANGED, People
from tests.bench.uncapped import UNCAPPED

if TYPE_CHECKING:
    from tests.support.scheduler import AirflowServer

PEOPLE = 1_000_000
FIELDS = 10
LATENCY_MILLISECONDS = 50.0
_DAG = "braze_blueconic__whole_night"
_SECONDS = 3_000.0
_DAG_FILE = """# Goals as DAGs, for Airflow's safe mode.
from pathlib import Path
from airflow_provider_braze_blueconic.goals import load_goals
globals().update(load_goals(Path(__file__).parent / "goals"))
"""
_PLUGIN = """
import sys
if "scheduler" in sys.argv:
    from tests.bench.uncapped import lift_cap
    lift_cap()
"""


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--fields", type=int, default=FIELDS, help="columns beside the identifier")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--latency", type=float, default=LATENCY_MILLISECONDS, help="milliseconds")
    parser.add_argument("--changed", type=int, default=CHANGED, help="one of so many changes on the second night")
    parser.add_argument("--json", type=Path)
    return parser


def main() -> None:
    given = options().parse_args()
    people = People(given.people, given.fields, changed=given.changed)
    figures = Figures(
        f"whole night: {given.people:,} people, {given.fields + 1} columns, {people.to_change:,} change, "
        f"{given.latency:g} ms latency, no cap"
    )
    with (
        tempfile.TemporaryDirectory(prefix="bench-night-") as folder,
        running_bucket() as bucket,
        running_braze(latency=given.latency / 1_000) as braze,
    ):
        home = Path(folder)
        _write_goal(home / "dags", people, given.partitions)
        for night in (1, 2):
            people.write_csv(home / "people.csv", night=night)
            bucket.client().upload_file(str(home / "people.csv"), BUCKET, f"in/people_{_date(night)}.csv")
        with _airflow(home, bucket, braze) as airflow:
            for night, name in enumerate(("first night", "next night"), 1):
                _measure(figures, airflow, bucket, braze, people, night=night, name=name)
    figures.write(given.json)


def _write_goal(dags: Path, people: People, partitions: int) -> None:
    (dags / "goals").mkdir(parents=True)
    (dags / "braze_blueconic_goals.py").write_text(_DAG_FILE)
    goal = {
        "goal": "export",
        "id": _DAG.removeprefix("braze_blueconic__"),
        "staging": f"s3://{BUCKET}/staging",
        "source": {"s3_csv": f"s3://{BUCKET}/in/people_%Y-%m-%d.csv", "multi_value_separator": "|"},
        "identifiers": [{"blueconic": "crm", "braze": "external_id"}],
        "allow_creation": True,
        "fields": people.rows(),
        "partitions": partitions,
    }
    # JSON is YAML.
    (dags / "goals" / "whole_night.yaml").write_text(json.dumps(goal))


def _date(night: int) -> dt.date:
    return dt.datetime.now(dt.UTC).date() - dt.timedelta(days=3 - night)


@contextmanager
def _airflow(home: Path, bucket: Bucket, braze: BrazeStub) -> Iterator[AirflowServer]:
    """Run an Airflow that schedules the goal, with the cap lifted in its tasks."""
    from tests.support.scheduler import running_airflow

    (home / "airflow").mkdir()
    variables = {
        "AIRFLOW__CORE__MAX_CONSECUTIVE_FAILED_DAG_RUNS_PER_DAG": "1",
        # Beside Braze's own cap, which the plugin lifts.
        "AIRFLOW__BRAZE_BLUECONIC__REQUESTS_PER_SECOND": str(UNCAPPED),
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(bucket.connection()),
        "AIRFLOW_CONN_BRAZE_DEFAULT": json.dumps(braze.connection()),
    }
    with running_airflow(home / "airflow", home / "dags", variables) as airflow:
        (home / "airflow" / "plugins" / "uncapped.py").write_text(_PLUGIN)
        with airflow.scheduling():
            yield airflow


def _measure(
    figures: Figures, airflow: AirflowServer, bucket: Bucket, braze: BrazeStub, people: People, *, night: int, name: str
) -> None:
    """Run a night and take its figures.

    :raises RuntimeError: the run fails, or other people are sent than those who changed.
    """
    before = bucket.requests()
    date = dt.datetime.combine(_date(night), dt.time(2), dt.UTC).isoformat()
    made = airflow.post(f"dags/{_DAG}/dagRuns", {"logical_date": date})["dag_run_id"]
    airflow.finish({_DAG: night}, seconds=_SECONDS)
    path = f"dags/{_DAG}/dagRuns/{quote(made)}"
    run, tasks = airflow.get(path), airflow.get(f"{path}/taskInstances", limit=100)["task_instances"]
    served, wanted = braze.served(), [people.people, people.to_change][night - 1]
    if run["state"] != "success":
        states = {task["task_id"]: task["state"] for task in tasks}
        raise RuntimeError(f"{name}: the run is {run['state']}, its tasks are {states}")
    if served.objects != wanted:
        raise RuntimeError(f"{name}: {served.objects:,} people were sent instead of {wanted:,}")
    figures.add(f"all, {name}", _seconds(run["start_date"], run["end_date"]), "s")
    for task in _in_order(tasks):
        spent = [each["duration"] for each in tasks if each["task_id"] == task]
        figures.add(f"{task}, {name}", sum(spent), "s")
    figures.add(f"requests to S3, {name}", bucket.requests() - before, "requests")


def _in_order(tasks: list[dict[str, Any]]) -> list[str]:
    began = sorted(tasks, key=lambda task: str(task["start_date"]))
    return list(dict.fromkeys(task["task_id"] for task in began))


def _seconds(began: str, ended: str) -> float:
    return (dt.datetime.fromisoformat(ended) - dt.datetime.fromisoformat(began)).total_seconds()


if __name__ == "__main__":
    main()
