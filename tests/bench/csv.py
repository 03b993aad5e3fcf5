"""How fast the extract of 1,000,000 rows of 11 columns in a CSV file on S3 is: rows/s, and memory over an empty file.

An empty file is read first, in the same process, so that imports and the like are not counted.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROWS, COLUMNS = 1_000_000, 11
BUCKET = "bench"
_SPAWN = multiprocessing.get_context("spawn")
_NAMES = ("Anna", "Jan", "Zoë", "Piet", "Müller", "Sofia", "Noah", "Emma")
_CITIES = ("Amsterdam", "Rotterdam", "Den Haag", "Utrecht", "Ede", "Zwolle", "Köln")
_INTERESTS = ("", "news", "sport|food", "news|travel|food", "travel")
_KINDS = (
    lambda row: f"crm-{row:08d}",
    lambda row: f"person{row}@example.com",
    lambda row: _NAMES[row % 8],
    lambda row: _CITIES[row * 31 % 7],
    lambda row: str(row * 7919 % 100_003),
    lambda row: f"{row * 104_729 % 99_991 / 100:.2f}",
    lambda row: "true" if row % 2 else "false",
    lambda row: f"2026-{row % 12 + 1:02d}-{row % 28 + 1:02d}T{row % 24:02d}:00:00Z",
    lambda row: _INTERESTS[row % 5],
    lambda row: "" if row % 3 else f"+3161234{row % 10_000:04d}",
    lambda row: f"segment {row % 50}",
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=ROWS)
    arguments.add_argument("--columns", type=int, default=COLUMNS)
    arguments.add_argument("--files", type=int, default=1)
    arguments.add_argument("--quoted", action="store_true", help="all cells in quotes, and lines that end in CR LF")
    arguments.add_argument("--gzip", action="store_true")
    arguments.add_argument("--broken", type=int, default=0, help="one of so many rows has a cell too few; 0 for none")
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    ours, theirs = _SPAWN.Pipe()
    server = _SPAWN.Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    try:
        with tempfile.TemporaryDirectory(prefix="bench-csv-") as folder:
            _measure(Path(folder), f"http://127.0.0.1:{ours.recv()}", given)
    finally:
        server.terminate()
        server.join()


def _measure(home: Path, endpoint: str, given: argparse.Namespace) -> None:
    os.environ["AIRFLOW_HOME"] = str(home / "airflow")
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps(
        {"conn_type": "aws", "login": "bench", "password": "bench", "extra": extra}
    )
    client = _client(endpoint)
    client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key="none/0.csv", Body=",".join(_columns(given.columns)) + "\n")
    size = 0
    for number in range(given.files):
        path = home / f"{number}.csv"
        size += _write(path, given, number)
        client.upload_file(str(path), BUCKET, f"all/{path.name}")
        path.unlink()
    form = f"{'quoted' if given.quoted else 'plain'}{', gzip' if given.gzip else ''}"
    print(
        f"csv: {given.rows:,} rows of {given.columns} columns in {given.files} files, {form}, {size / 2**20:,.0f} MiB"
    )
    spent = _extract(home, given.columns)
    broken = _broken(given) if given.broken else 0
    if (spent["rows"], spent["broken"]) != (given.rows - broken, broken):
        sys.exit(f"{spent['rows']:,} rows and {spent['broken']:,} broken ones were read")
    figures = {
        "CSV files, read": (given.rows / spent["wall"], "rows/s", "higher"),
        "CSV files, wall": (spent["wall"], "s", "lower"),
        "CSV files, CPU": (spent["cpu"], "s", "lower"),
        "CSV files, memory over an empty file": (spent["memory"], "MiB", "lower"),
    }
    for row, (value, unit, _) in figures.items():
        print(f"  {row:<40} {value:,.{0 if value >= 100 else 2}f} {unit}")
    if given.json:
        import airflow_provider_braze_blueconic as product

        entries = {row: dict(zip(("value", "unit", "better"), each, strict=True)) for row, each in figures.items()}
        given.json.write_text(json.dumps({"product": str(Path(product.__file__).parent), "figures": entries}))


def _extract(home: Path, columns: int) -> dict[str, Any]:
    """Run the extract of a goal in a process of its own, as Airflow runs a task."""
    ours, theirs = _SPAWN.Pipe()
    worker = _SPAWN.Process(target=_work, args=(theirs, home, columns))
    worker.start()
    theirs.close()
    try:
        return dict(ours.recv())
    finally:
        worker.join()


def _work(pipe: Connection, home: Path, columns: int) -> None:
    before = _run_task(_task(home, "none", columns))
    spent = _run_task(_task(home, "all", columns))
    pipe.send({**spent, "memory": spent["peak"] - before["peak"]})


def _task(home: Path, folder: str, columns: int) -> Any:
    from airflow_provider_braze_blueconic.goals import load_goals

    names = _columns(columns)
    goal = {
        "goal": "export",
        "id": folder,
        "staging": f"s3://{BUCKET}/staging",
        "source": {"s3_csv": f"s3://{BUCKET}/{folder}/*.csv", "multi_value_separator": "|"},
        "identifiers": [{"blueconic": names[0], "braze": "external_id"}],
        "fields": [{"from": f"property.{name}", "to": name} for name in names[1:]],
    }
    (home / folder).mkdir()
    (home / folder / "goal.yaml").write_text(json.dumps(goal))  # JSON is YAML
    task = load_goals(home / folder)[f"braze_blueconic__{folder}"].get_task("extract")
    task.full = False
    return task


def _run_task(task: Any) -> dict[str, Any]:
    named = {"dag_id": task.dag_id, "run_id": "r", "run_type": "manual", "conf": {}, "clear_number": 0}
    run = SimpleNamespace(**named, start_date=None, logical_date=None)
    ti = SimpleNamespace(xcom_push=lambda key, value: None)
    cpu, began = time.process_time(), time.perf_counter()
    snapshot = task.execute({"run_id": "r", "dag_run": run, "ti": ti, "params": {}})
    return {
        "rows": snapshot["profiles"],
        "broken": snapshot.get("broken_lines", 0),
        "wall": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _write(path: Path, given: argparse.Namespace, number: int) -> int:
    with gzip.open(path, "wt", newline="") if given.gzip else path.open("w", newline="") as file:
        lines = _lines(given, range(number, given.rows, given.files))
        while batch := "".join(itertools.islice(lines, 10_000)):
            file.write(batch)
    return path.stat().st_size


def _lines(given: argparse.Namespace, rows: range) -> Iterator[str]:
    quote, end = ('"', "\r\n") if given.quoted else ("", "\n")
    kinds = [_KINDS[column % len(_KINDS)] for column in range(given.columns)]
    yield ",".join(_columns(given.columns)) + end
    for row in rows:
        cells = [f"{quote}{kind(row)}{quote}" for kind in kinds]
        yield ",".join(cells[:-1] if given.broken and row % given.broken == 0 else cells) + end


def _broken(given: argparse.Namespace) -> int:
    return len(range(0, given.rows, given.broken))


def _columns(count: int) -> list[str]:
    return [f"column_{number}" for number in range(count)]


def _client(endpoint: str) -> Any:
    import boto3

    keys = {"aws_access_key_id": "bench", "aws_secret_access_key": "bench"}
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)


def _serve(pipe: Connection) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    class Quiet(MotoRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Write no line for a request: stdout belongs to the figures."""

    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    pipe.send(server.server_port)
    server.serve_forever()


if __name__ == "__main__":
    main()
