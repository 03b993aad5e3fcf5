"""How fast a BlueConic segment is read into Parquet, and how fast profiles are written: profiles/s, CPU, memory."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.bench.apart import apart
from tests.bench.blueconic_stub import Load, running_blueconic
from tests.bench.figures import Figures
from tests.bench.product import entry_point, frame, segment_reader, workspace
from tests.bench.spent import Spent, resident_mib, spent_by

PROFILES = 100_000
PAGE = 2_000
FIELDS = 20
IN_FLIGHT = 8


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("read", "write", "both"), default="both")
    parser.add_argument("--profiles", type=int, default=PROFILES)
    parser.add_argument("--page", type=int, default=PAGE, help="profiles in a page that is read")
    parser.add_argument("--fields", type=int, default=FIELDS)
    parser.add_argument("--latency", type=float, default=None, help="seconds; 0 for reading, 0.1 for writing")
    parser.add_argument("--rate", type=float, default=10_000.0, help="cap of the writing, in requests/s")
    parser.add_argument("--json", type=Path)
    return parser


def main() -> None:
    given = options().parse_args()
    figures = Figures(
        f"blueconic: {given.profiles:,} profiles, {given.fields} fields, read in pages of {given.page:,}, "
        f"written with {IN_FLIGHT} requests in flight"
    )
    for what, latency in (("read", 0.0), ("write", 0.1)):
        if given.what not in (what, "both"):
            continue
        load = Load(given.profiles, given.page, given.fields, latency if given.latency is None else given.latency)
        with (
            tempfile.TemporaryDirectory(prefix="bench-blueconic-") as folder,
            running_blueconic(load, with_pages=what == "read") as blueconic,
        ):
            spent, idle = apart(_work, what, Path(folder), load, given.rate, blueconic.connection())
            seen = blueconic.end()
        if spent.returned != load.profiles:
            sys.exit(f"{what}: {spent.returned:,} profiles instead of {load.profiles:,}")
        figures.add(what, load.profiles / spent.wall, "profiles/s", "higher")
        figures.add(f"{what}, wall", spent.wall, "s")
        figures.add(f"{what}, CPU", spent.cpu, "s")
        figures.add(f"{what}, memory over idle", spent.peak - idle, "MiB")
        print(f"  {load.latency * 1_000:g} ms latency, {seen['requests']:,} requests, {seen['cpu']:.2f} s of the stub")
    figures.write(given.json)


def _work(what: str, home: Path, load: Load, rate: float, connection: dict[str, str]) -> tuple[Spent, float]:
    """Read or write; also return the MiB that the process held before."""
    logging.disable(logging.INFO)
    os.environ["AIRFLOW_HOME"] = str(home / "airflow")
    os.environ["AIRFLOW_CONN_BLUECONIC_DEFAULT"] = json.dumps(connection)
    os.environ["AIRFLOW__BRAZE_BLUECONIC__PAGE_SIZE"] = str(load.page)
    for library in ("aiohttp", "duckdb", "pyarrow.parquet"):  # a library is not what the work needs for its profiles
        import_module(library)
    work = (_reading if what == "read" else _writing)(home, load, rate)
    idle = resident_mib()
    return spent_by(work), idle


def _reading(home: Path, load: Load, rate: float) -> Any:
    work, properties = workspace(home, "bench"), [f"property_{n}" for n in range(load.fields)]
    return segment_reader(work, home, properties, profiles=load.profiles, page_size=load.page)


def _writing(home: Path, load: Load, rate: float) -> Any:
    delta = _put_delta(home, load)
    merges = {f"property_{n}": "set" for n in range(load.fields)}
    profiles_sql, upload_partition = entry_point("profiles_sql"), entry_point("upload_partition")
    settings = entry_point("UploadSettings")(
        limits=entry_point("PROFILES_LIMITS"), max_in_flight=IN_FLIGHT, **frame("blueconic")
    )
    reference = {"uri": str(delta), "delta_id": "1", "run_key": "run", "as_of": "2026-11-01T00:00:00+00:00"}
    arguments = {
        "objects_sql": lambda source, columns: profiles_sql(source, columns, merges=merges, creates=False),
        "sender": entry_point("BlueConicHook")().profiles_sender(max_in_flight=IN_FLIGHT),
        "rate": entry_point("Rate")(rate, 1.0),
        "settings": settings,
    }
    work = workspace(home, "bench")
    return lambda: upload_partition(work, reference, 0, **arguments)["accepted"]


def _put_delta(home: Path, load: Load) -> Path:
    import duckdb

    fields = ", ".join(f"""'["value {n} of ' || i || '"]' AS field_property_{n}""" for n in range(load.fields))
    delta = home / "staging" / "bench" / "delta-1"
    delta.mkdir(parents=True)
    duckdb.sql(
        f"""
        COPY (
            SELECT '{{"crm_id":"person-' || i || '"}}' AS identifier, 'change' AS kind, TRUE AS to_send,
                '[[{{"id":"crm_id","value":"person-' || i || '"}}]]' AS matching, {fields}
            FROM range({load.profiles}) AS t(i)
        ) TO '{delta}/partition=0.parquet' (FORMAT parquet)
        """
    )
    return delta


if __name__ == "__main__":
    main()
