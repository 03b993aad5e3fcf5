"""How long Airflow needs to parse a DAG file with 50 goals, beyond ``import airflow``."""

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
began = time.perf_counter()
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), {"__file__": sys.argv[1], "__name__": "dags"})
print(base, time.perf_counter() - began)
"""


def main() -> None:
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory(prefix="bench-parse-") as folder:
        home = Path(folder)
        (home / "goals").mkdir()
        text = (root / "dags" / "goals" / "vip_to_braze.yaml").read_text()
        for number in range(GOALS):
            (home / "goals" / f"goal_{number}.yaml").write_text(text.replace("id: vip_to_braze", f"id: goal_{number}"))
        dag_file = home / "braze_blueconic_goals.py"
        dag_file.write_text((root / "dags" / "braze_blueconic_goals.py").read_text())
        environment = {**os.environ, "AIRFLOW_HOME": str(home / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        times = []
        for _ in range(RUNS):
            done = subprocess.run(
                [sys.executable, "-c", _PROBE, str(dag_file)],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            times.append(tuple(map(float, done.stdout.split()[-2:])))
    base, parse = (sorted(column)[len(times) // 2] for column in zip(*times, strict=True))
    print(f"parse: a DAG file with {GOALS} goals, median of {RUNS}")
    print(f"  import airflow               {base:.2f} s")
    print(f"  the DAG file beyond that     {parse:.2f} s  (wanted: at most 2 s)")


if __name__ == "__main__":
    main()
