"""What a small night costs beside the sending: requests to S3, seconds and CPU seconds of every task.

An export goal reads a CSV file and writes to a Braze that accepts everybody, each task in a process of its own, as
Airflow runs them. A task's time begins when Airflow has started and ends with the task; what it imports itself counts.
The next night brings changes of a tenth of the people.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.braze_stub import BrazeStub, running_braze
from tests.bench.bucket import BUCKET, Bucket, Request, running_bucket
from tests.bench.figures import Figures
from tests.bench.night_task import GOAL, run_task

PEOPLE = 2_000
FIELDS = 20
PARTITIONS = 2
_CHANGED = 10
_NIGHTS = ("first night", "next night")
_COLUMNS = ("tasks", "boto", "delta-rs", "seconds", "cpu", "parse", "imports", "modules")


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--fields", type=int, default=FIELDS)
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds that S3 is away")
    parser.add_argument("--every-request", action="store_true", help="print each request to S3 of the next night")
    parser.add_argument("--json", type=Path)
    return parser


def main() -> None:
    given = options().parse_args()
    figures = Figures(f"small night: {given.people:,} people, {given.fields} fields, S3 {given.latency:g} ms away")
    with (
        tempfile.TemporaryDirectory(prefix="bench-night-") as folder,
        running_bucket(latency=given.latency / 1_000) as bucket,
        running_braze(latency=0.0) as braze,
    ):
        _write_goal(Path(folder), given.fields)
        for number, name in enumerate(_NIGHTS):
            _put_people(bucket, given.people, given.fields, number)
            night = Night(Path(folder), bucket, number, _environment(Path(folder), bucket, braze))
            night.run()
            _tell(figures, name, night.steps)
            wanted = given.people if number == 0 else len(range(0, given.people, _CHANGED))
            if (sent := braze.served().objects) != wanted:
                sys.exit(f"{sent:,} people were sent on the {name} instead of {wanted:,}")
        if given.every_request:
            print("\n".join(f"  {step:<14} {each.client:<8} {each.asked}" for step, each in night.requests))
    figures.write(given.json)


@dataclass
class Night:
    """A night of the goal.

    :param number: 0 for the first one.
    :param environment: of every task.
    :ivar steps: step → what its tasks took, by the names of the table's columns.
    :ivar requests: the step, and a request to S3 that it made.
    """

    home: Path
    bucket: Bucket
    number: int
    environment: Mapping[str, str]
    steps: dict[str, Counter[str]] = field(default_factory=dict)
    requests: list[tuple[str, Request]] = field(default_factory=list)

    def run(self) -> None:
        """Run all tasks.

        :raises RuntimeError: a task fails, or somebody was not accepted.
        """
        told: dict[str, Any] = {}
        for step in ("extract", "map_fields", "compute_delta", "guard"):
            told[step] = self._run(step, told)
        told["upload"] = [self._run("upload", told, partition) for partition in told["guard"]]
        for step in ("commit", "clean_up", "report"):
            told[step] = self._run(step, told)
        if told["report"]["status"] != "success" or told["report"]["not_accepted"]:
            raise RuntimeError(f"the night failed: {told['report']}")

    def _run(self, step: str, told: Mapping[str, Any], partition: int | None = None) -> Any:
        before = len(self.bucket.served())
        task = {"step": step, "partition": partition, "night": self.number, "told": told}
        done = run_task(self.home, self.environment, task)
        made = self.bucket.served()[before:]
        self.requests += [(step, request) for request in made]
        numbers = {name: value for name, value in done.items() if name != "returned"}
        self.steps.setdefault(step, Counter()).update(
            {"tasks": 1, **numbers, **Counter(request.client for request in made)}
        )
        return done["returned"]


def _tell(figures: Figures, night: str, steps: Mapping[str, Counter[str]]) -> None:
    total = Counter({name: sum(row[name] for row in steps.values()) for name in _COLUMNS})
    print(f"  {night:<14}" + "".join(f"{name:>10}" for name in _COLUMNS))
    for step, row in {**steps, "all": total}.items():
        print(f"    {step:<12}" + "".join(_cell(row[name]) for name in _COLUMNS))
    figures.add(f"all tasks, {night}", total["seconds"], "s")
    figures.add(f"all tasks, {night}, CPU", total["cpu"], "s")
    figures.add(f"requests to S3, {night}", total["boto"] + total["delta-rs"], "requests")
    for step, row in steps.items():
        figures.add(f"{step}, {night}", row["seconds"], "s")


def _cell(number: float) -> str:
    return f"{number:>10.2f}" if isinstance(number, float) else f"{number:>10}"


def _environment(home: Path, bucket: Bucket, braze: BrazeStub) -> dict[str, str]:
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(bucket.connection()),
        "AIRFLOW_CONN_BRAZE_DEFAULT": json.dumps(braze.connection()),
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONPYCACHEPREFIX": str(home / "compiled"),
    }
    # Modules are compiled once, as where the package is installed.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def _write_goal(home: Path, fields: int) -> None:
    goal = {
        "goal": "export",
        "id": GOAL,
        "staging": f"s3://{BUCKET}/state",
        "source": {"s3_csv": f"s3://{BUCKET}/in/*.csv"},
        "identifiers": [{"blueconic": "id", "braze": "external_id"}],
        "allow_creation": True,
        "fields": [{"from": f"property.field_{number}", "to": f"field_{number}"} for number in range(fields)],
        "partitions": PARTITIONS,
    }
    (home / "goals").mkdir()
    # JSON is YAML.
    (home / "goals" / f"{GOAL}.yaml").write_text(json.dumps(goal))


def _put_people(bucket: Bucket, people: int, fields: int, night: int) -> None:
    text = io.StringIO()
    text.write(",".join(["id", *(f"field_{number}" for number in range(fields))]) + "\n")
    for person in range(people):
        version = night if person % _CHANGED == 0 else 0
        values = (f"value {person % (number + 7)} of {number} in {version}" for number in range(fields))
        text.write(",".join([f"person-{person}", *values]) + "\n")
    bucket.client().put_object(Bucket=BUCKET, Key="in/people.csv", Body=text.getvalue().encode())


if __name__ == "__main__":
    main()
