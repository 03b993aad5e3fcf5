"""What the commit of an upload takes in time and memory: a first night, and a night on which a few people changed.

Each night is committed by a process of its own, so that its peak memory is its own. The whole step is measured:
part receipts are summarised and appended to the receipts table beside what was sent, then the ledger moves.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.store.references import DeltaRef

PEOPLE = 1_000_000
FIELDS = 20
PARTITIONS = 4
CHANGED = 100  # one of so many people
PART = 25_000  # receipts that an upload writes at once
GOAL = "bench"
NIGHTS = ("first", "second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--fields", type=int, default=FIELDS)
    parser.add_argument("--partitions", type=int, default=PARTITIONS)
    parser.add_argument("--changed", type=int, default=CHANGED, help="one of so many people changes; 0: no such night")
    parser.add_argument("--memory", default="1GB", help="DuckDB's limit")
    parser.add_argument("--home", type=Path, help="keep the nights here; those that are there are not made anew")
    parser.add_argument("--night", choices=NIGHTS, help="commit this night of --home, and nothing else")
    given = parser.parse_args()
    if given.night:
        _commit(given)
        return
    with tempfile.TemporaryDirectory(prefix="bench-commit-") as folder:
        given.home = given.home or Path(folder)
        print(f"commit: {given.people:,} people, {given.fields:,} fields, {given.partitions} partitions, "
              f"DuckDB within {given.memory}")  # fmt: skip
        for night in NIGHTS[: 2 if given.changed else 1]:
            _prepare(given, night)
            _in_process(given, night)


def _in_process(given: argparse.Namespace, night: str) -> None:
    names = ("people", "fields", "partitions", "changed", "memory", "home")
    options = [text for name in names for text in (f"--{name}", str(getattr(given, name)))]
    subprocess.run([sys.executable, __file__, *options, "--night", night], check=True)


def _delta_folder(home: Path, night: str) -> Path:
    return home / "staging" / GOAL / "work" / night / "delta-1"


def _prepare(given: argparse.Namespace, night: str) -> None:
    """Write the delta of a night, and the part receipts by which all of it was accepted."""
    import duckdb

    folder = _delta_folder(given.home, night)
    if folder.exists():
        return
    every = max(given.changed, 1)
    night_of_all = night == NIGHTS[0]
    with duckdb.connect(config={"memory_limit": "1GB", "temp_directory": str(given.home / "spill")}) as connection:
        for partition in range(given.partitions):
            (folder / "receipts" / f"partition={partition}").mkdir(parents=True)
            file = folder / f"partition={partition}.parquet"
            rows = _delta_sql(
                given,
                night,
                f"({night_of_all} OR i % {every} = 0) AND (i // {every}) % {given.partitions} = {partition}",
            )
            size = 122_880 if given.fields <= 200 else 2_048  # all values of a group are in memory
            connection.execute(f"COPY ({rows}) TO '{file}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {size})")
            people = connection.execute(f"SELECT count(*) FROM '{file}'").fetchall()[0][0]
            for number, first in enumerate(range(0, people, PART)):
                part = folder / "receipts" / f"partition={partition}" / f"a-{number:05d}.parquet"
                connection.execute(
                    f"COPY (SELECT identifier, 'accepted' AS outcome, '' AS reason, 201::INTEGER AS status, "
                    f"'2026-11-01 02:{number % 60:02d}:00+00'::TIMESTAMPTZ AS sent_at, NULL::VARCHAR[] AS refused_fields "
                    f"FROM '{file}' LIMIT {PART} OFFSET {first}) TO '{part}' (FORMAT parquet, COMPRESSION zstd)"
                )


def _delta_sql(given: argparse.Namespace, night: str, these: str) -> str:
    """SQL for the delta rows of some people: texts, numbers, times and words in turn, in no order."""
    kinds = (
        "'\"value ' || (hash(i + {n}) % (1000 + 777 * {n})) || ' of {n}\"'",
        "(hash(i + {n}) % 100000)::VARCHAR",
        "'\"' || strftime(to_timestamp(1700000000 + hash(i + {n}) % 30000000), '%Y-%m-%dT%H:%M:%SZ') || '\"'",
        "CASE WHEN hash(i + {n}) % ({n} + 2) = 0 THEN 'true' ELSE 'false' END",
    )
    first = night == NIGHTS[0]
    fields = [
        f"{kinds[n % 4 if given.fields <= FIELDS else 0].format(n=n) if first else NULL} AS field_attribute_{n}"
        for n in range(given.fields)
    ]
    if not first:
        fields[0] = "'\"changed ' || i || '\"' AS field_attribute_0"
    kind, day = ("insert", 1) if first else ("change", 2)
    return f"""
        SELECT '{{"external_id":"crm-' || i || '"}}' AS identifier, '{kind}' AS kind,
            '2026-11-0{day}'::TIMESTAMPTZ AS as_of, TRUE AS to_send, NULL::BOOLEAN AS absent,
            {given.fields if first else 1}::INTEGER AS data_points, {", ".join(fields)}
        FROM range({given.people}) AS t(i) WHERE {these}
        """


NULL = "NULL::VARCHAR"


def _delta_ref(given: argparse.Namespace, night: str) -> DeltaRef:
    """What the commit is told of a night's delta."""
    partitions = list(range(given.partitions))
    delta: dict[str, Any] = {
        "uri": str(_delta_folder(given.home, night)),
        "delta_id": night,
        "run_key": night,
        "as_of": dt.datetime(2026, 11, 1 + NIGHTS.index(night), tzinfo=dt.UTC).isoformat(),
        "ledger_partitions": given.partitions,
        "partitions": partitions,
        "send_partitions": partitions,
        "policy": "p",
        "links": None,
        "last_delta": None if night == NIGHTS[0] else _core("state.acknowledged", "ledger").delta_number(NIGHTS[0]),
        "settings": {},
    }
    return cast("DeltaRef", delta)


def _commit(given: argparse.Namespace) -> None:
    """Commit a night, and say what it took."""
    from deltalake import DeltaTable

    from tests.support.staging import LocalStaging

    engine = _core("engine.database", "database").Engine(given.home / "engine", memory_limit=given.memory, threads=2)
    engine.folder.mkdir(exist_ok=True)
    folder = _core("store.paths", "staging").GoalFolder(str(given.home / "staging"), GOAL)
    workspace = _core("store.workspace", "pipeline").Workspace(LocalStaging(), folder, given.night, engine)
    commit_uploads = _core("steps.commit", "pipeline").commit_uploads
    before = _resident("VmRSS")
    began, cpu = time.perf_counter(), time.process_time()
    summary = commit_uploads(workspace, _delta_ref(given, given.night))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = sum(DeltaTable(folder.ledger).get_add_actions(flatten=True).column("size_bytes").to_pylist())
    print(f"  {given.night + ' night':<16} {sum(summary.outcomes.values()):>9,} receipts  {seconds:6.2f} s  "
          f"{cpu:6.2f} s of processors  peak {peak:,.0f} MiB ({before:,.0f} before)  ledger {size / 2**20:,.0f} MiB")  # fmt: skip


def _core(*names: str) -> Any:
    """Import a module of the core by the first of its names that is there: an older build has another one."""
    core = "airflow_provider_braze_blueconic.sync"
    return importlib.import_module(f"{core}.{next(name for name in names if _is_there(f'{core}.{name}'))}")


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _resident(what: str) -> float:
    """Memory of this process in MiB, as the system says; 0 where it doesn't."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{what}:"))


if __name__ == "__main__":
    sys.path.insert(0, os.environ.get("PYTHONPATH", "").split(os.pathsep)[0] or os.getcwd())
    main()
