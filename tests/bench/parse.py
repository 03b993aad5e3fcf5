"""How long Airflow needs to parse a DAG file with many goals, beyond ``import airflow``: all of them, and for a task."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.figures import Figures

GOALS = 50
RUNS = 3
_PROBE = """
import sys, time
began = time.perf_counter()
import airflow
from airflow.sdk import DAG
base = time.perf_counter() - began
began, cpu = time.perf_counter(), time.process_time()
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), {"__file__": sys.argv[1], "__name__": "dags"})
print(base, time.perf_counter() - began, time.process_time() - cpu)
"""
_ROOT = Path(__file__).parents[2]


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--goals", type=int, default=GOALS)
    parser.add_argument("--runs", type=int, default=RUNS, help="whose median counts")
    parser.add_argument("--json", type=Path)
    return parser


def main() -> None:
    given = options().parse_args()
    figures = Figures(
        f"parse: a DAG file with {given.goals:,} goals, each with a second DAG that reconciles it, median of {given.runs}"
    )
    with tempfile.TemporaryDirectory(prefix="bench-parse-") as folder:
        dag_file, mark = _write(Path(folder), given.goals), "_AIRFLOW_PARSING_CONTEXT_"
        task = {f"{mark}DAG_ID": f"braze_blueconic__goal_{given.goals // 2}", f"{mark}TASK_ID": "upload"}
        for row, marks in (("DAG file", {}), ("task's own parse", task)):
            base, wall, cpu = _measure(dag_file, marks, given.runs)
            print(f"  import airflow {base:.2f} s, beyond that:")
            figures.add(row, wall, "s")
            figures.add(f"{row}, CPU", cpu, "s")
    figures.write(given.json)


def _write(home: Path, goals: int) -> Path:
    (home / "goals").mkdir()
    text = (_ROOT / "dags" / "goals" / "vip_to_braze.yaml").read_text()
    for number in range(goals):
        (home / "goals" / f"goal_{number}.yaml").write_text(text.replace("id: vip_to_braze", f"id: goal_{number}"))
    dag_file = home / "braze_blueconic_goals.py"
    dag_file.write_text((_ROOT / "dags" / "braze_blueconic_goals.py").read_text())
    return dag_file


def _measure(dag_file: Path, marks: dict[str, str], runs: int) -> list[float]:
    home = str(dag_file.parent / "airflow")
    environment = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False", **marks}
    times = []
    for _ in range(runs):
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, str(dag_file)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        times.append(tuple(map(float, done.stdout.split()[-3:])))
    return [sorted(column)[len(times) // 2] for column in zip(*times, strict=True)]


if __name__ == "__main__":
    main()
