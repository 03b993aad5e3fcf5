"""What a goal does between its two ends: mapping, delta and commit, each task in a process of its own.

The snapshot lies in S3 as an extract leaves it, and the target's answers as an upload that had everybody accepted does.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.bucket import BUCKET, Bucket
from tests.bench.spent import Spent
from tests.bench.step import Run, run_step

__all__ = ["GOAL", "STAGING", "Middle"]

GOAL = "pipeline"
STAGING = f"s3://{BUCKET}/staging"


@dataclass
class Middle:
    """The tasks of a goal between its two ends.

    :param home: local folder.
    :param goal: the goal file, with the id :data:`GOAL` and the staging :data:`STAGING`.
    :param memory: the ``memory_limit`` of a task, as DuckDB writes it; ``None`` for the product's own.
    :ivar spent: task → what it took on the last night.
    :ivar requests: to S3 on the last night.
    :ivar peak: MiB of the hungriest of these tasks on any night.
    """

    home: Path
    bucket: Bucket
    goal: Mapping[str, Any]
    memory: str | None = None
    spent: dict[str, Spent] = field(default_factory=dict)
    requests: int = 0
    peak: float = 0.0

    def __post_init__(self) -> None:
        (self.home / "goals").mkdir()
        # JSON is YAML.
        (self.home / "goals" / f"{GOAL}.yaml").write_text(json.dumps(self.goal))

    def run(self, night: int, snapshot: Mapping[str, Any], *, sends: int) -> None:
        """Run a night.

        :param snapshot: what an extract returned.
        :param sends: people who have news.
        :raises RuntimeError: a step fails, or other people would be sent.
        """
        self.spent = {}
        self._run = Run(self.home / "goals", GOAL, f"scheduled__night-{night}", self._environment(), self.home)
        before = self.bucket.requests()
        mapped = self._step("map_fields", snapshot=snapshot)
        delta = self._step("compute_delta", mapped=mapped)
        partitions = self._step("guard", delta=delta)
        between = self.bucket.requests()
        uploads = [self._acknowledge(delta, partition) for partition in partitions]
        sent = sum(each["accepted"] for each in uploads)
        if sent != sends:
            raise RuntimeError(f"{sent:,} people would be sent on night {night} instead of {sends:,}")
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
