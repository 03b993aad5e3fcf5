"""How fast exported Braze users in gzip parts become a snapshot, and memory that doesn't grow with them.

They are read twice, in a process of its own each: some fields of each user, and then the remaining ones, too.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gzip
import json
import multiprocessing
import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench.apart import watched_apart
from tests.bench.export_read import read_export
from tests.bench.figures import Figures
from tests.bench.spent import Spent, resident_mib

PEOPLE = 1_000_000
PARTS = 200
FLAT_MIB = 64
"""Growth between half of the people and all of them that is put down to the allocator."""

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


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--parts", type=int, default=PARTS)
    parser.add_argument("--processes", type=int, default=0, help="by default as many as the product would take")
    parser.add_argument("--json", type=Path)
    return parser


def main() -> None:
    given = options().parse_args()
    figures = Figures(f"export: {given.people:,} people in {given.parts} gzip parts, {len(PATHS)} paths")
    with tempfile.TemporaryDirectory(prefix="bench-export-") as folder:
        home = Path(folder)
        with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
            jobs = [(home / f"{part:05d}.gz", part, given.people, given.parts) for part in range(given.parts)]
            line_bytes = sum(pool.starmap(_write_part, jobs))
        packed = sum(path.stat().st_size for path in home.glob("*.gz"))
        print(f"  {line_bytes / given.people:.0f} bytes a line, {packed / 2**20:,.0f} MiB packed")
        for remaining, name in ((False, "without remaining fields"), (True, "with remaining fields")):
            spent, peak = watched_apart(_read, home, remaining, given.processes)
            _check(name, given.people, spent)
            figures.add(f"read {name}", given.people / spent.wall, "people/s", "higher")
            figures.add(f"read {name}, wall", spent.wall, "s")
            figures.add(f"read {name}, CPU", spent.cpu, "s")
            # In all processes together: a build may take more than one.
            figures.add(f"read {name}, memory", peak, "MiB")
            print(f"  {spent.returned['processes']} processes, snapshot {spent.returned['bytes'] / 2**20:,.0f} MiB")
    figures.write(given.json)


def _check(name: str, people: int, spent: Spent) -> None:
    counts = spent.returned
    if (counts["profiles"], counts["broken_lines"]) != (people, 0):
        sys.exit(f"{name}: {counts['profiles']:,} of {people:,} people were read, {counts['broken_lines']:,} broken")
    if counts["growth"] > FLAT_MIB:
        sys.exit(f"{name}: memory grows with the people, by {counts['growth']:,.0f} MiB from half of them to all")


def _read(home: Path, remaining: bool, processes: int) -> Spent:
    parts, at = sorted(home.glob("*.gz")), dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    memory: dict[int, float] = {}
    look = _looking_at(memory, {len(parts) // 2, len(parts)})
    spent = read_export(parts, PATHS, remaining, at, home / f"snapshot-{remaining}", processes=processes, on_file=look)
    spent.returned["growth"] = memory[len(parts)] - memory[len(parts) // 2]
    return spent


def _looking_at(memory: dict[int, float], files: set[int]) -> Callable[[int], None]:
    def look(read: int) -> None:
        if read in files:
            memory[read] = resident_mib()

    return look


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
