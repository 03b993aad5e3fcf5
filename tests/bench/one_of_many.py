"""A night of very many people, simulated: one partition of many at its real size, times their number.

The steps after the extract are run for ``--people`` divided by ``--partitions``, and what they took is multiplied. Beside
it stands the linear rule: what a quarter of that partition took, times four. A ratio above 1 says that work grows faster
than people do; below 1, that a fixed part is shared by more of them.

What many partitions cost beside the people in them (requests to S3, small files) is not in it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.bucket import BUCKET, Bucket, running_bucket
from tests.bench.figures import Figures
from tests.bench.people import CHANGED, People
from tests.bench.pipeline import Pipeline

PEOPLE = 100_000_000
PARTITIONS = 256
_QUARTER = 4
_STEPS = {"map_fields": "map", "compute_delta": "delta", "commit": "commit"}
_NIGHTS = ("first night", "next night")
_KEPT = ("snapshots", "people", "mapped", "delta", "receipts", "ledger")


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--people", type=int, default=PEOPLE)
    arguments.add_argument("--partitions", type=int, default=PARTITIONS)
    arguments.add_argument("--fields", type=int, default=20)
    arguments.add_argument("--changed", type=int, default=CHANGED, help="one of so many changes on the second night")
    arguments.add_argument("--json", type=Path)
    return arguments


def main() -> None:
    given = options().parse_args()
    size = given.people // given.partitions
    figures = Figures(
        f"one of many: {given.people:,} people, {given.partitions} partitions of {size:,} people, {given.fields} fields"
    )
    one = _run(People(size, given.fields, changed=given.changed))
    quarter = _run(People(size // _QUARTER, given.fields, changed=given.changed))
    for row, spent in one.cpu.items():
        figures.add(f"{row}, CPU of one", spent, "s")
        figures.add(f"{row}, CPU of all", spent * given.partitions, "s")
        figures.add(f"{row}, of the linear rule", spent / (quarter.cpu[row] * _QUARTER), "x")
    for name, size_in_s3 in one.kept.items():
        figures.add(f"{name} in S3, first night", size_in_s3 / size, "bytes a person")
    figures.add("peak memory of a task", one.peak, "MiB")
    figures.write(given.json)


@dataclass
class _Run:
    """What one partition took.

    :ivar cpu: step and night → CPU seconds.
    :ivar kept: kind of file → bytes in S3 after the first night.
    :ivar peak: MiB of the hungriest task.
    """

    cpu: dict[str, float] = field(default_factory=dict)
    kept: Mapping[str, int] = field(default_factory=dict)
    peak: float = 0.0


def _run(people: People) -> _Run:
    """Run two nights of a goal with one partition.

    :raises RuntimeError: a step fails, or other people are sent than those who changed.
    """
    print(f"  measuring {people.people:,} people …", flush=True)
    run = _Run()
    with tempfile.TemporaryDirectory(prefix="bench-many-") as folder, running_bucket() as bucket:
        pipeline = Pipeline(Path(folder), bucket, people, 1, None)
        for number, night in enumerate(_NIGHTS, 1):
            middle = pipeline.run(number)
            run.cpu |= {f"{name}, {night}": middle.spent[step].cpu for step, name in _STEPS.items()}
            run.kept = run.kept or _kept(bucket)
        run.peak = middle.peak
    return run


def _kept(bucket: Bucket) -> dict[str, int]:
    sizes: Counter[str] = Counter()
    for page in bucket.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for entry in page["Contents"]:
            sizes[_kind(entry["Key"])] += entry["Size"]
    return {kind: sizes[kind] for kind in _KEPT}


def _kind(key: str) -> str:
    """Say what an object is by its path: that of a step's folder, a table, or the snapshot."""
    return next((kind for kind in _KEPT if f"/{kind}" in f"/{key}"), "other")


if __name__ == "__main__":
    main()
