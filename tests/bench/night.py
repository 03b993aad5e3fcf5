"""What a small night costs beside the sending: requests to S3, seconds and CPU seconds of every task.

An export goal reads a CSV file and writes to the sandbox's Braze, each task in a process of its own, as Airflow runs
them. A task's time begins when Airflow has started and ends with the task; what it imports itself counts. The second
night brings changes of a tenth of the people.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

PEOPLE = 2_000
FIELDS = 20
NIGHTS = 2
PARTITIONS = 2
BUCKET, FILE = "sandbox-sync", "in/people.csv"
_DATE = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--people", type=int, default=PEOPLE)
    arguments.add_argument("--fields", type=int, default=FIELDS)
    arguments.add_argument("--nights", type=int, default=NIGHTS)
    arguments.add_argument("--latency", type=float, default=0.0, help="milliseconds that S3 is away")
    arguments.add_argument("--only-total", action="store_true", help="print one line a night")
    arguments.add_argument("--every-request", action="store_true", help="print each request to S3 of the last night")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-night-") as folder:
        os.environ.setdefault("AIRFLOW_HOME", f"{folder}/airflow")
        home = Path(folder)
        _write_goal(home, given.fields)
        counted = _Requests()
        with _running(counted, given.latency / 1000) as box:
            for night in range(given.nights):
                counted.clear()
                _put_people(box, given.people, given.fields, night)
                rows = _run_night(home, box, counted, night)
                _print(f"night {night + 1}", rows, only_total=given.only_total)
        if given.every_request:
            print("\n".join(f"  {step:<14} {request}" for step, request in counted.told))


class _Requests:
    """Requests that the sandbox's S3 got, apart from the sandbox's own."""

    def __init__(self) -> None:
        self.all: Counter[tuple[str, str]] = Counter()
        self.told: list[tuple[str, str]] = []
        self.step = ""
        self._lock = threading.Lock()

    def clear(self) -> None:
        self.all.clear()
        self.told.clear()

    def note(self, environ: Mapping[str, Any]) -> None:
        client = "boto" if "boto" in environ.get("HTTP_USER_AGENT", "").lower() else "delta-rs"
        question = environ.get("QUERY_STRING", "")
        with self._lock:
            self.all[self.step, client] += 1
            self.told.append(
                (self.step, f"{client:<8} {environ['REQUEST_METHOD']} {environ['PATH_INFO']} {question[:90]}")
            )


@contextlib.contextmanager
def _running(counted: _Requests, latency_seconds: float) -> Iterator[Any]:
    from airflow_provider_braze_blueconic.sandbox.server import Sandbox

    with Sandbox(profiles=20) as box:
        assert box._store is not None
        # By its server and not by its gate, which is in another place in each build.
        server = box._store._server
        answer = server.app

        def counting(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            if "sandbox-itself" not in environ.get("HTTP_USER_AGENT", ""):
                counted.note(environ)
                time.sleep(latency_seconds)
            return answer(environ, start_response)

        server.app = counting
        yield box


def _write_goal(home: Path, fields: int) -> None:
    goal = {
        "goal": "export",
        "id": "people",
        "staging": f"s3://{BUCKET}/state",
        "source": {"s3_csv": f"s3://{BUCKET}/in/*.csv"},
        "identifiers": [{"blueconic": "id", "braze": "external_id"}],
        "allow_creation": True,
        "fields": [{"from": f"property.field_{number}", "to": f"field_{number}"} for number in range(fields)],
        "partitions": PARTITIONS,
    }
    (home / "goals").mkdir()
    (home / "goals" / "people.yaml").write_text(json.dumps(goal))


def _put_people(box: Any, people: int, fields: int, night: int) -> None:
    text = io.StringIO()
    text.write(",".join(["id", *(f"field_{number}" for number in range(fields))]) + "\n")
    for person in range(people):
        version = night if person % 10 == 0 else 0
        values = (f"value {person % (number + 7)} of {number} in {version}" for number in range(fields))
        text.write(",".join([f"person-{person}", *values]) + "\n")
    box.s3_client().put_object(Bucket=BUCKET, Key=FILE, Body=text.getvalue().encode())


def _run_night(home: Path, box: Any, counted: _Requests, night: int) -> dict[str, dict[str, float]]:
    told: dict[str, Any] = {}
    rows: dict[str, dict[str, float]] = {}

    def run(step: str, partition: int | None = None) -> Any:
        counted.step = step
        done = _run_task(home, box, {"step": step, "partition": partition, "night": night, "told": told})
        row = rows.setdefault(step, Counter())  # type: ignore[arg-type]
        for name in ("parse", "seconds", "cpu", "imports", "modules"):
            row[name] += done[name]
        row["tasks"] += 1
        for client in ("boto", "delta-rs"):
            row[client] = counted.all[step, client]
        return done["returned"]

    for step in ("extract", "map_fields", "compute_delta", "guard"):
        told[step] = run(step)
    told["upload"] = [run("upload", partition) for partition in told["guard"]]
    for step in ("commit", "clean_up", "report"):
        told[step] = run(step)
    if told["report"]["status"] != "success" or told["report"]["not_accepted"]:
        sys.exit(f"the night failed: {told['report']}")
    return rows


def _run_task(home: Path, box: Any, task: Mapping[str, Any]) -> Any:
    file = home / "task.json"
    file.write_text(json.dumps(task))
    environment = {**os.environ, **box.connections(), "NO_PROXY": "127.0.0.1"}
    # Modules are compiled once, as where the package is installed.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment["PYTHONPYCACHEPREFIX"] = str(home / "compiled")
    # Not -m: the same file measures another build of the package, which PYTHONPATH names.
    command = [sys.executable, "-P", "-c", _CHILD, __file__, str(home)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{task['step']}: {(done.stdout + done.stderr)[-3000:]}")
    return json.loads((home / "done.json").read_text())


_CHILD = """
import runpy, sys
from pathlib import Path
runpy.run_path(sys.argv[1])["run_one_task"](Path(sys.argv[2]))
"""


def run_one_task(home: Path) -> None:
    """Run the task that the file ``task.json`` names, and write what it took and returned to ``done.json``."""
    # Airflow's start: what the process of a task has loaded, or was forked with.
    import airflow.sdk.execution_time.supervisor
    import airflow.sdk.execution_time.task_runner  # noqa: F401

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
    # As Airflow's task runner ends, without waiting for threads.
    sys.stdout.flush()


def _operator(home: Path, task: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    from airflow_provider_braze_blueconic.goals import load_goals

    dag = load_goals(home / "goals")["braze_blueconic__people"]
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
    params = {name: param.value for name, param in dag.params.items()} if hasattr(dag.params, "items") else {}
    params = {name: getattr(value, "value", value) for name, value in params.items()}
    return operator, {"run_id": run_id, "dag_run": run, "ti": ti, "params": params, "logical_date": date, "dag": dag}


def _timed_imports() -> list[float]:
    """Measure from now on how long modules take to be loaded; the sum is the list's one number."""
    from importlib.machinery import ExtensionFileLoader, SourceFileLoader

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


def _print(title: str, rows: Mapping[str, Mapping[str, float]], *, only_total: bool) -> None:
    columns = ("tasks", "boto", "delta-rs", "seconds", "cpu", "parse", "imports", "modules")
    total = {name: sum(row.get(name, 0) for row in rows.values()) for name in columns}
    shown = {} if only_total else rows
    print(f"{title:<14}" + "".join(f"{name:>10}" for name in columns))
    for step, row in {**shown, "all": total}.items():
        print(f"  {step:<12}" + "".join(_cell(row.get(name, 0)) for name in columns))


def _cell(number: float) -> str:
    return f"{number:>10.2f}" if isinstance(number, float) else f"{number:>10}"


if __name__ == "__main__":
    main()
