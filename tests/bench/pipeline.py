"""Two nights of an export goal without its two ends: mapping, delta and commit, each task in a process of its own.

The snapshot lies in S3 as an extract leaves it, and the target's answers as an upload that had everybody accepted does.
On the second night one of ``--changed`` people has another value.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.bucket import BUCKET, Bucket, running_bucket
from tests.bench.figures import Figures
from tests.bench.people import CHANGED, People
from tests.bench.step import Run, Spent, run_step

PEOPLE = 1_000_000
PARTITIONS = 4
_GOAL = "pipeline"
_STAGING = f"s3://{BUCKET}/staging"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--people", type=int, default=PEOPLE)
    arguments.add_argument("--fields", type=int, default=20)
    arguments.add_argument("--texts", action="store_true", help="every field is a text; else the first 20 are mixed")
    arguments.add_argument("--partitions", type=int, default=PARTITIONS)
    arguments.add_argument("--changed", type=int, default=CHANGED, help="one of so many changes on the second night")
    arguments.add_argument("--memory", help="the memory_limit of a task, as DuckDB writes it; else the product's own")
    arguments.add_argument("--nights", type=int, choices=(1, 2), default=2)
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    people = People(given.people, given.fields, texts=given.texts, changed=given.changed)
    figures = Figures(
        f"pipeline: {given.people:,} people, {given.fields:,} {'text fields' if given.texts else 'fields'}, "
        f"{people.to_change:,} change, {given.partitions} partitions, memory limit {given.memory or 'as it comes'}"
    )
    with tempfile.TemporaryDirectory(prefix="bench-pipeline-") as folder, running_bucket() as bucket:
        pipeline = _Pipeline(Path(folder), bucket, people, given.partitions, given.memory)
        for night, called in list(enumerate(("first night", "next night"), 1))[: given.nights]:
            pipeline.run(night)
            _tell(figures, called, pipeline.spent, pipeline.requests)
        figures.add("peak memory", pipeline.peak, "MiB")
    figures.write(given.json)


def _tell(figures: Figures, night: str, spent: Mapping[str, Spent], requests: int) -> None:
    for step, name in (("map_fields", "map"), ("compute_delta", "delta"), ("commit", "commit")):
        figures.add(f"{name}, {night}", spent[step].wall, "s")
        figures.add(f"{name}, {night}, CPU", spent[step].cpu, "s")
        figures.add(f"{name}, {night}, memory", spent[step].peak, "MiB")
    figures.add(f"requests to S3, {night}", requests, "requests")


@dataclass
class _Pipeline:
    """A goal and its bucket.

    :ivar spent: task → what it took on the last night.
    :ivar requests: to S3 on the last night.
    :ivar peak: MiB of the hungriest of these tasks on any night.
    """

    home: Path
    bucket: Bucket
    people: People
    partitions: int
    memory: str | None
    spent: dict[str, Spent] = field(default_factory=dict)
    requests: int = 0
    peak: float = 0.0

    def __post_init__(self) -> None:
        (self.home / "goals").mkdir()
        goal = {
            "goal": "export",
            "id": _GOAL,
            "staging": _STAGING,
            "source": {"segment": "Everybody"},
            "identifiers": [{"blueconic": "crm", "braze": "external_id"}],
            "allow_creation": True,
            "fields": self.people.rows(),
            "partitions": self.partitions,
        }
        # JSON is YAML.
        (self.home / "goals" / f"{_GOAL}.yaml").write_text(json.dumps(goal))

    def run(self, night: int) -> None:
        """Run a night.

        :raises RuntimeError: a step fails, or other people are sent than those who changed.
        """
        self.spent = {}
        self._run = Run(self.home / "goals", _GOAL, f"scheduled__night-{night}", self._environment(), self.home)
        snapshot = self._put_snapshot(night)
        before = self.bucket.requests()
        mapped = self._step("map_fields", snapshot=snapshot)
        delta = self._step("compute_delta", mapped=mapped)
        partitions = self._step("guard", delta=delta)
        between = self.bucket.requests()
        uploads = [self._acknowledge(delta, partition) for partition in partitions]
        sent, wanted = sum(each["accepted"] for each in uploads), [self.people.people, self.people.to_change][night - 1]
        if sent != wanted:
            raise RuntimeError(f"{sent:,} people would be sent on night {night} instead of {wanted:,}")
        after = self.bucket.requests()
        commit = self._step("commit", delta=delta, partitions=partitions)
        if commit["receipts"] != sent:
            raise RuntimeError(f"{commit['receipts']:,} receipts were committed on night {night} instead of {sent:,}")
        # It releases the goal for the next run.
        self._step(
            "report",
            snapshot=snapshot,
            mapped=mapped,
            delta=delta,
            partitions=partitions,
            uploads=uploads,
            commit=commit,
            skipped="",
        )
        self.requests = self.bucket.requests() - after + between - before

    def _step(self, task_id: str, **arguments: Any) -> Any:
        spent = self.spent[task_id] = run_step(self._run, task_id, **arguments)
        self.peak = max(self.peak, spent.peak)
        return spent.returned

    def _environment(self) -> dict[str, str]:
        memory = {"AIRFLOW__BRAZE_BLUECONIC__MEMORY_LIMIT": self.memory} if self.memory else {}
        return {
            "AIRFLOW_HOME": str(self.home / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__BRAZE_BLUECONIC__WORK_FOLDER": str(self.home),
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(self.bucket.connection()),
            "NO_PROXY": "127.0.0.1,localhost",
            **memory,
        }

    def _put_snapshot(self, night: int) -> dict[str, Any]:
        as_of = dt.datetime.now(dt.UTC) - dt.timedelta(days=3 - night)
        key, size, client = f"snapshots/{night}", 0, self.bucket.client()
        for part in self.people.write_parts(self.home, night=night, as_of=as_of):
            client.upload_file(str(part), BUCKET, f"{key}/{part.name}")
            size += part.stat().st_size
            part.unlink()
        return {
            "uri": f"s3://{BUCKET}/{key}",
            "profiles": self.people.people,
            "segment_id": "everybody",
            "segment_name": "Everybody",
            "segment_size": self.people.people,
            "read": "full",
            "complete": True,
            "as_of": as_of.isoformat(),
            "bytes": size,
            "property_types": {},
        }

    def _acknowledge(self, delta: Mapping[str, Any], partition: int) -> dict[str, Any]:
        """Leave the receipts of an upload that had everybody in a partition accepted, and return what it returns."""
        import duckdb

        client, key = self.bucket.client(), delta["uri"].removeprefix(f"s3://{BUCKET}/")
        file, receipts = self.home / "delta.parquet", self.home / "receipts.parquet"
        client.download_file(BUCKET, f"{key}/partition={partition}.parquet", str(file))
        (people,) = duckdb.execute(
            "COPY (SELECT identifier, 'accepted' AS outcome, '' AS reason, 201::INTEGER AS status, "
            f"now() AS sent_at, NULL::VARCHAR[] AS refused_fields FROM '{file}' WHERE to_send) "
            f"TO '{receipts}' (FORMAT parquet, COMPRESSION zstd)"
        ).fetchone() or (0,)
        client.upload_file(str(receipts), BUCKET, f"{key}/receipts/partition={partition}/bench-00000.parquet")
        now = dt.datetime.now(dt.UTC).isoformat()
        return {
            "partition": partition,
            "requests": people // 75 + 1,
            "accepted": people,
            **dict.fromkeys(("rejected", "unknown", "rate_limited"), 0),
            "seconds": 1.0,
            "started_at": now,
            "finished_at": now,
        }


if __name__ == "__main__":
    main()
