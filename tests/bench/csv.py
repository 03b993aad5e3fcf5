"""How fast the extract of rows in CSV files on S3 is, and its memory over that of an empty file.

An empty file is read first, in the same process, so that imports and the like are not counted.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.bench.apart import apart
from tests.bench.bucket import BUCKET, Bucket, running_bucket
from tests.bench.figures import Figures
from tests.bench.spent import Spent, spent_by

ROWS, COLUMNS = 1_000_000, 11
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


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--columns", type=int, default=COLUMNS)
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--quoted", action="store_true", help="all cells in quotes, and lines that end in CR LF")
    parser.add_argument("--gzip", action="store_true")
    parser.add_argument("--broken", type=int, default=0, help="one of so many rows has a cell too few; 0 for none")
    parser.add_argument("--json", type=Path)
    return parser


def main() -> None:
    given = options().parse_args()
    form = f"{'quoted' if given.quoted else 'plain'}{', gzip' if given.gzip else ''}"
    figures = Figures(f"csv: {given.rows:,} rows of {given.columns} columns in {given.files} files, {form}")
    with tempfile.TemporaryDirectory(prefix="bench-csv-") as folder, running_bucket() as bucket:
        _put_files(Path(folder), bucket, given)
        empty, spent = apart(_extract, Path(folder), bucket.connection(), given.columns)
        broken = len(range(0, given.rows, given.broken)) if given.broken else 0
        read = (spent.returned["profiles"], spent.returned.get("broken_lines", 0))
        if read != (given.rows - broken, broken):
            sys.exit(f"{read[0]:,} rows and {read[1]:,} broken ones were read")
        figures.add("CSV files, read", given.rows / spent.wall, "rows/s", "higher")
        figures.add("CSV files, wall", spent.wall, "s")
        figures.add("CSV files, CPU", spent.cpu, "s")
        figures.add("CSV files, memory over an empty file", spent.peak - empty.peak, "MiB")
    figures.write(given.json)


def _put_files(home: Path, bucket: Bucket, given: argparse.Namespace) -> None:
    client = bucket.client()
    client.put_object(Bucket=BUCKET, Key="none/0.csv", Body=",".join(_columns(given.columns)) + "\n")
    for number in range(given.files):
        path = home / f"{number}.csv"
        _write(path, given, number)
        client.upload_file(str(path), BUCKET, f"all/{path.name}")
        path.unlink()


def _extract(home: Path, connection: dict[str, Any], columns: int) -> tuple[Spent, Spent]:
    """Run the extract of an empty file, and that of all of them."""
    os.environ["AIRFLOW_HOME"] = str(home / "airflow")
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps(connection)
    empty, whole = (_run_task(_task(home, folder, columns)) for folder in ("none", "all"))
    return empty, whole


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


def _run_task(task: Any) -> Spent:
    named = {"dag_id": task.dag_id, "run_id": "r", "run_type": "manual", "conf": {}, "clear_number": 0}
    run = SimpleNamespace(**named, start_date=None, logical_date=None)
    ti = SimpleNamespace(xcom_push=lambda key, value: None)
    return spent_by(task.execute, {"run_id": "r", "dag_run": run, "ti": ti, "params": {}})


def _write(path: Path, given: argparse.Namespace, number: int) -> None:
    with gzip.open(path, "wt", newline="") if given.gzip else path.open("w", newline="") as file:
        lines = _lines(given, range(number, given.rows, given.files))
        while batch := "".join(itertools.islice(lines, 10_000)):
            file.write(batch)


def _lines(given: argparse.Namespace, rows: range) -> Iterator[str]:
    quote, end = ('"', "\r\n") if given.quoted else ("", "\n")
    kinds = [_KINDS[column % len(_KINDS)] for column in range(given.columns)]
    yield ",".join(_columns(given.columns)) + end
    for row in rows:
        cells = [f"{quote}{kind(row)}{quote}" for kind in kinds]
        yield ",".join(cells[:-1] if given.broken and row % given.broken == 0 else cells) + end


def _columns(count: int) -> list[str]:
    return [f"column_{number}" for number in range(count)]


if __name__ == "__main__":
    main()
