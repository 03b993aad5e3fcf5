"""One step of a run in a process of its own, as Airflow runs a task, and what it took.

:func:`run_step` starts the process; what runs in it is this module's :func:`main`. The product is driven through its
goal file, its DAG and the operator of the task, so that the same works for every build.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.bench.spent import Spent, spent_by

__all__ = ["Run", "run_step"]


@dataclass(frozen=True)
class Run:
    """A run of a goal outside of Airflow.

    :param goals: folder of goal files.
    :param environment: of each step: connections and settings.
    :param work: local folder.
    """

    goals: Path
    goal_id: str
    run_id: str
    environment: Mapping[str, str]
    work: Path


def run_step(run: Run, task_id: str, **arguments: Any) -> Spent:
    """Run a task of a goal, and say what its ``execute()`` took, with the imports in it and without those of Airflow.

    :param arguments: what the task gets from those before it. All other templates of it are false.
    :raises RuntimeError: with the end of its log, if it fails.
    """
    order, outcome = run.work / "order.json", run.work / "outcome.json"
    outcome.unlink(missing_ok=True)
    order.write_text(
        json.dumps(
            {
                "goals": str(run.goals),
                "goal_id": run.goal_id,
                "run_id": run.run_id,
                "task_id": task_id,
                "arguments": arguments,
            }
        )
    )
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tests.bench.step", str(order), str(outcome)],
        env={**os.environ, "PYTHONPATH": _same_packages(), **run.environment},
        capture_output=True,
        text=True,
    )
    if done.returncode or not outcome.exists():
        said = done.stdout + done.stderr
        sys.stderr.write(said)
        raise RuntimeError(f"{task_id} ended with code {done.returncode}: {said.strip().rpartition(chr(10))[2]}")
    return Spent(**json.loads(outcome.read_text()))


def _same_packages() -> str:
    """Let a child find this bench and the product that is measured, whichever folder it is started in."""
    product = Path(str(import_module("airflow_provider_braze_blueconic").__file__)).parents[1]
    return os.pathsep.join([str(product), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("order", type=Path)
    arguments.add_argument("outcome", type=Path)
    given = arguments.parse_args()
    order = json.loads(given.order.read_text())
    spent = spent_by(_task(order).execute, _context(order))
    given.outcome.write_text(json.dumps(vars(spent)))


def _task(order: Mapping[str, Any]) -> Any:
    from airflow_provider_braze_blueconic.goals import load_goals

    task = load_goals(order["goals"])[f"braze_blueconic__{order['goal_id']}"].get_task(order["task_id"])
    for name in task.template_fields:
        if isinstance(getattr(task, name), str) and "{{" in getattr(task, name):
            setattr(task, name, False)
    for name, value in order["arguments"].items():
        setattr(task, name, value)
    return task


def _context(order: Mapping[str, Any]) -> Any:
    # The same start for all steps of a run, since it is part of the holder of the goal's lock.
    start = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    run = SimpleNamespace(
        dag_id=f"braze_blueconic__{order['goal_id']}",
        start_date=start,
        run_type="scheduled",
        logical_date=None,
        run_id=order["run_id"],
        conf={},
        clear_number=0,
    )
    ti = SimpleNamespace(xcom_push=lambda key, value: None)
    return {"run_id": order["run_id"], "dag_run": run, "ti": ti, "params": {}}


if __name__ == "__main__":
    main()
