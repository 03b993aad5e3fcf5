"""Two nights of an export goal without its two ends: mapping, delta and commit, each task in a process of its own.

On the second night one of ``--changed`` people has another value.
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.bucket import BUCKET, Bucket, running_bucket
from tests.bench.figures import Figures
from tests.bench.middle import GOAL, STAGING, Middle
from tests.bench.people import CHANGED, People
from tests.bench.spent import Spent

__all__ = ["Pipeline"]

PEOPLE = 1_000_000
PARTITIONS = 4


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--fields", type=int, default=20)
    parser.add_argument("--texts", action="store_true", help="every field is a text; else the first 20 are mixed")
    parser.add_argument("--partitions", type=int, default=PARTITIONS)
    parser.add_argument("--changed", type=int, default=CHANGED, help="one of so many changes on the second night")
    parser.add_argument("--memory", help="the memory_limit of a task, as DuckDB writes it; else the product's own")
    parser.add_argument("--nights", type=int, choices=(1, 2), default=2)
    parser.add_argument("--json", type=Path)
    return parser


def main() -> None:
    given = options().parse_args()
    people = People(given.people, given.fields, texts=given.texts, changed=given.changed)
    figures = Figures(
        f"pipeline: {given.people:,} people, {given.fields:,} {'text fields' if given.texts else 'fields'}, "
        f"{people.to_change:,} change, {given.partitions} partitions, memory limit {given.memory or 'as it comes'}"
    )
    with tempfile.TemporaryDirectory(prefix="bench-pipeline-") as folder, running_bucket() as bucket:
        pipeline = Pipeline(Path(folder), bucket, people, given.partitions, given.memory)
        for night, called in list(enumerate(("first night", "next night"), 1))[: given.nights]:
            middle = pipeline.run(night)
            _tell(figures, called, middle.spent)
            figures.add(f"requests to S3, {called}", middle.requests, "requests")
        figures.add("peak memory", middle.peak, "MiB")
    figures.write(given.json)


class Pipeline:
    """The tasks between extract and report of a goal, night by night."""

    def __init__(self, home: Path, bucket: Bucket, people: People, partitions: int, memory: str | None) -> None:
        self._home = home
        self._bucket = bucket
        self._people = people
        self._middle = Middle(home, bucket, _goal(people, partitions), memory=memory)

    def run(self, night: int) -> Middle:
        """Run a night, from 1.

        :return: tells what its tasks took.
        :raises RuntimeError: a step fails, or other people are sent than those who changed.
        """
        snapshot = _put_snapshot(self._home, self._bucket, self._people, night)
        self._middle.run(night, snapshot, sends=[self._people.people, self._people.to_change][night - 1])
        return self._middle


def _tell(figures: Figures, night: str, spent: Mapping[str, Spent]) -> None:
    for step, name in (("map_fields", "map"), ("compute_delta", "delta"), ("commit", "commit")):
        figures.add(f"{name}, {night}", spent[step].wall, "s")
        figures.add(f"{name}, {night}, CPU", spent[step].cpu, "s")
        figures.add(f"{name}, {night}, memory", spent[step].peak, "MiB")


def _goal(people: People, partitions: int) -> dict[str, Any]:
    return {
        "goal": "export",
        "id": GOAL,
        "staging": STAGING,
        "source": {"segment": "Everybody"},
        "identifiers": [{"blueconic": "crm", "braze": "external_id"}],
        "allow_creation": True,
        "fields": people.rows(),
        "partitions": partitions,
    }


def _put_snapshot(home: Path, bucket: Bucket, people: People, night: int) -> dict[str, Any]:
    as_of = dt.datetime.now(dt.UTC) - dt.timedelta(days=3 - night)
    key, size, client = f"snapshots/{night}", 0, bucket.client()
    for part in people.write_parts(home, night=night, as_of=as_of):
        client.upload_file(str(part), BUCKET, f"{key}/{part.name}")
        size += part.stat().st_size
        part.unlink()
    return {
        "uri": f"s3://{BUCKET}/{key}",
        "profiles": people.people,
        "segment_id": "everybody",
        "segment_name": "Everybody",
        "segment_size": people.people,
        "read": "full",
        "complete": True,
        "as_of": as_of.isoformat(),
        "bytes": size,
        "property_types": {},
    }


if __name__ == "__main__":
    main()
