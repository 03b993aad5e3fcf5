"""How long Airflow needs to parse a DAG file with many goals, beyond ``import airflow``: all of them, and for a task.

The number of goals is the first argument, 50 by default.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

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


def main(goals: int = GOALS) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-parse-") as folder:
        dag_file = _write(Path(folder), goals)
        whole = _measure(dag_file, {})
        mark = "_AIRFLOW_PARSING_CONTEXT_"
        task = _measure(dag_file, {f"{mark}DAG_ID": "braze_blueconic__goal_7", f"{mark}TASK_ID": "upload"})
    print(f"parse: a DAG file with {goals:,} goals, each with a second DAG that reconciles it, median of {RUNS}")
    print(f"  import airflow               {whole[0]:.2f} s")
    print(f"  the DAG file beyond that     {whole[1]:.2f} s  ({whole[2]:.2f} s of CPU)")
    print(f"  the same in a task           {task[1]:.2f} s  ({task[2]:.2f} s of CPU)")


def _write(home: Path, goals: int) -> Path:
    (home / "goals").mkdir()
    text = (_ROOT / "dags" / "goals" / "vip_to_braze.yaml").read_text()
    for number in range(goals):
        (home / "goals" / f"goal_{number}.yaml").write_text(text.replace("id: vip_to_braze", f"id: goal_{number}"))
    dag_file = home / "braze_blueconic_goals.py"
    dag_file.write_text((_ROOT / "dags" / "braze_blueconic_goals.py").read_text())
    return dag_file


def _measure(dag_file: Path, marks: dict[str, str]) -> list[float]:
    home = str(dag_file.parent / "airflow")
    environment = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False", **marks}
    times = []
    for _ in range(RUNS):
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
    main(*map(int, sys.argv[1:2]))
