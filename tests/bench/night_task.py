"""One task of a small night in a process that has loaded what Airflow loads before a task, and what it took.

Unlike a step of :mod:`tests.bench.step` it also parses its goal, renders its templates and reads what the tasks before
it returned as Airflow hands it on: in a small night these count.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.machinery import ExtensionFileLoader, SourceFileLoader
from pathlib import Path
from types import SimpleNamespace
from typing import Any

__all__ = ["GOAL", "run_task"]

GOAL = "people"
_DATE = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
_STARTED = ("airflow.sdk.execution_time.supervisor", "airflow.sdk.execution_time.task_runner")
"""What the process of a task has loaded, or was forked with."""


def run_task(home: Path, environment: Mapping[str, str], task: Mapping[str, Any]) -> dict[str, Any]:
    """Run a task.

    :param home: with the folder ``goals``.
    :param task: ``step``, ``partition`` (or ``None``), ``night``, and ``told``: step → what it returned.
    :return: ``returned``, ``seconds``, ``cpu``, ``parse`` (seconds of them until the goal was parsed), ``imports``
        (seconds of them in which modules were loaded) and ``modules`` (how many).
    :raises RuntimeError: with the end of its log, if it fails.
    """
    (home / "task.json").write_text(json.dumps(task))
    command = [sys.executable, "-P", "-m", "tests.bench.night_task", str(home)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{task['step']} ended with code {done.returncode}: {(done.stdout + done.stderr)[-3_000:]}")
    returned: dict[str, Any] = json.loads((home / "done.json").read_text())
    return returned


def main(home: Path) -> None:
    for module in _STARTED:
        import_module(module)
    task = json.loads((home / "task.json").read_text())
    imports, modules = _timed_imports(), len(sys.modules)
    began, cpu = time.perf_counter(), time.process_time()
    operator, context = _operator(home, task)
    parsed = time.perf_counter()
    operator.render_template_fields(context)
    if task["step"] == "report":
        # Airflow gives what mapped tasks returned as a sequence that asks its API.
        operator.uploads = task["told"]["upload"]
    returned = operator.execute(context)
    done = {
        "parse": parsed - began,
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "imports": imports[0],
        "modules": len(sys.modules) - modules,
        "returned": returned,
    }
    (home / "done.json").write_text(json.dumps(done))


def _operator(home: Path, task: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    from airflow_provider_braze_blueconic.goals import load_goals

    dag = load_goals(home / "goals")[f"braze_blueconic__{GOAL}"]
    operator = dag.get_task(task["step"])
    if task["partition"] is not None:
        operator = operator.unmap({"partition": task["partition"]})
    date = _DATE + dt.timedelta(days=task["night"])
    run_id = f"scheduled__{date.isoformat()}"
    run = SimpleNamespace(dag_id=dag.dag_id, run_id=run_id, logical_date=date, start_date=date, conf={})
    told = task["told"]

    def xcom_pull(task_ids: Any = None, key: str = "return_value", **_: Any) -> Any:
        name = task_ids if isinstance(task_ids, str) else next(iter(task_ids))
        return told.get(name) if key == "return_value" else None

    ti = SimpleNamespace(
        xcom_pull=xcom_pull,
        xcom_push=lambda **_: None,
        task_id=task["step"],
        map_index=-1,
        dag_id=dag.dag_id,
        run_id=run_id,
    )
    params = {name: getattr(value, "value", value) for name, value in dag.params.items()}
    return operator, {"run_id": run_id, "dag_run": run, "ti": ti, "params": params, "logical_date": date, "dag": dag}


def _timed_imports() -> list[float]:
    """Measure from now on how long modules take to be loaded; the sum is the list's one number."""
    total, depth = [0.0], [0]

    def timed(load: Callable[..., Any]) -> Callable[..., Any]:
        def timing(*given: Any) -> Any:
            began = time.perf_counter()
            depth[0] += 1
            try:
                return load(*given)
            finally:
                depth[0] -= 1
                if not depth[0]:
                    total[0] += time.perf_counter() - began

        return timing

    for loader, names in ((SourceFileLoader, ["exec_module"]), (ExtensionFileLoader, ["create_module", "exec_module"])):
        for name in names:
            setattr(loader, name, timed(getattr(loader, name)))
    return total


if __name__ == "__main__":
    main(Path(sys.argv[1]))
