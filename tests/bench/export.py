"""How fast 1,000,000 exported Braze users in 200 gzip parts become a snapshot: people/s, and memory that stays flat."""

from __future__ import annotations

import argparse
import datetime as dt
import gzip
import json
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PEOPLE = 1_000_000
PARTS = 200
TOLD_PERCENT = (10, 50, 100)
FLAT_MIB = 64  # growth between half of the people and all of them that is put down to the allocator

PATHS = (
    "external_id",
    "email",
    "first_name",
    "country",
    "total_revenue",
    "custom_attributes.tags",
    "custom_attributes.points",
    "custom_attributes.address.city",
    "purchases[name=sku-1].count",
    "custom_events[name=opened].last",
    "devices.model",
    "user_aliases[alias_label=crm].alias_name",
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--people", type=int, default=PEOPLE)
    arguments.add_argument("--parts", type=int, default=PARTS)
    arguments.add_argument("--processes", type=int, default=0, help="by default as many as the product would take")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-export-") as folder:
        home = Path(folder)
        began = time.perf_counter()
        # In processes of their own, so that the memory of making the files is not taken for that of reading them.
        with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
            jobs = [(home / f"{part:05d}.gz", part, given.people, given.parts) for part in range(given.parts)]
            line_bytes = sum(pool.starmap(_write_part, jobs))
        made = time.perf_counter() - began
        packed = sum(path.stat().st_size for path in home.glob("*.gz"))
        print(
            f"export: {given.people:,} people in {given.parts} gzip parts, {line_bytes / given.people:.0f} bytes a line"
        )
        print(f"  made in                      {made:.1f} s, {packed / 2**20:,.0f} MiB packed")
        _read(home, given.people, given.processes)


def _read(home: Path, people: int, processes: int) -> None:
    from airflow_provider_braze_blueconic.sync.braze.segment_export import write_export_snapshot
    from airflow_provider_braze_blueconic.sync.braze.segment_export_machine import reading_processes

    parts = sorted(home.glob("*.gz"))
    processes = processes or reading_processes(len(parts), sum(path.stat().st_size for path in parts))
    told = {max(1, len(parts) * percent // 100): percent for percent in TOLD_PERCENT}
    memory: dict[int, float] = {}

    def files() -> Iterator[tuple[str, Path]]:
        for number, path in enumerate(parts):
            if number in told:
                memory[told[number]] = _resident_mib()
            yield path.name, path
        memory[100] = _resident_mib()

    for remaining in (False, True):
        memory.clear()
        began = time.perf_counter()
        counts = write_export_snapshot(
            files(),
            paths=PATHS,
            remaining=remaining,
            excluded=(),
            campaign_names=None,
            as_of=dt.datetime(2026, 11, 1, tzinfo=dt.UTC),
            folder=home / "snapshot",
            publish=lambda path: path.stat().st_size,
            label="bench",
            broken_percent=1,
            processes=processes,
        )
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        theirs = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        told_as = ", ".join(f"{mib:,.0f} at {percent} %" for percent, mib in memory.items())
        print(f"  {'with' if remaining else 'without'} the remaining fields, {len(PATHS)} paths, {processes} processes")
        print(f"    read in                    {seconds:.1f} s, {counts.profiles / seconds:,.0f} people/s")
        print(f"    snapshot                   {counts.bytes / 2**20:,.0f} MiB")
        print(f"    resident memory, MiB       {told_as}")
        print(f"    peak memory                {peak:,.0f} MiB, and {theirs:,.0f} in the largest other process")
        if counts.profiles != people or counts.broken_lines:
            sys.exit("people are missing")
        if memory[100] - memory[50] > FLAT_MIB:
            sys.exit("memory grows with the people")
    shutil.rmtree(home / "snapshot")


def _resident_mib() -> float:
    """Return what the process holds now; where the system doesn't tell, the most it ever held."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _write_part(path: Path, part: int, people: int, parts: int) -> int:
    dice = random.Random(part)
    size = 0
    with gzip.open(path, "wb", compresslevel=1) as file:
        for number in range(people * part // parts, people * (part + 1) // parts):
            line = json.dumps(_user(number, dice), ensure_ascii=False).encode() + b"\n"
            size += len(line)
            file.write(line)
    return size


def _user(number: int, dice: random.Random) -> dict[str, object]:
    user: dict[str, object] = {
        "braze_id": f"{number:024x}",
        "external_id": f"person-{number}",
        "created_at": f"20{dice.randrange(15, 26)}-07-{dice.randrange(1, 29):02d} 15:00:00.000 UTC",
        "first_name": dice.choice(("Zoë", "Jan", "Mia", "Noor", "Émile")),
        "last_name": f"Family {number % 5_000}",
        "email": f"person-{number}@example.com",
        "dob": f"19{dice.randrange(50, 100)}-0{dice.randrange(1, 10)}-1{dice.randrange(10)}",
        "country": dice.choice(("NL", "DE", "FR")),
        "home_city": dice.choice(("Amsterdam", "Köln", "Lyon")),
        "language": "en",
        "time_zone": "Europe/Amsterdam",
        "random_bucket": dice.randrange(10_000),
        "total_revenue": round(dice.random() * 1_000, 2),
        "email_subscribe": "opted_in",
        "user_aliases": [{"alias_name": f"crm-{number}", "alias_label": "crm"}],
        "custom_attributes": {
            "points": dice.randrange(100_000),
            "vip": dice.random() < 0.1,
            "tags": dice.sample(("a", "b", "c", "news", "sale"), 2),
            "address": {"city": "Amsterdam", "zip": f"{dice.randrange(1_000, 9_999)} AB"},
            "last_seen": f"2026-10-{dice.randrange(1, 29):02d}T17:02:43.032Z",
        },
        "custom_events": [
            {"name": "opened", "first": "2021-06-28T17:02:43.032Z", "last": "2026-10-01T08:00:00.000Z", "count": 7}
        ],
    }
    if number % 3 == 0:
        user["purchases"] = [{"name": f"sku-{n}", "first": "2021-06-28T17:02:43.032Z", "count": n} for n in (1, 2)]
    if number % 2 == 0:
        user["devices"] = [{"model": "iPhone", "os": "17.1", "carrier": None, "ad_tracking_enabled": False}]
    return user


if __name__ == "__main__":
    main()
