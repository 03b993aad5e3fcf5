"""A goal's bucket on the local disk for tests of the CSV road: files come in, snapshots and deliveries come out."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from airflow_provider_braze_blueconic.sync.csv.file_pattern import FilePattern
from airflow_provider_braze_blueconic.sync.csv.reading import CsvReading
from airflow_provider_braze_blueconic.sync.csv.source import read_csv_files
from airflow_provider_braze_blueconic.sync.engine.database import Engine
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from tests.support.staging import LocalStaging

__all__ = ["Bucket", "read_csv"]


class Bucket:
    """Files below ``<home>/in`` and a goal's state below ``<home>/staging``."""

    def __init__(self, home: Path, staging: LocalStaging | None = None) -> None:
        self.home = home
        self.staging = staging or LocalStaging()
        self.workspace = Workspace(
            self.staging, GoalFolder(str(home / "staging"), "goal"), "run-1", Engine(home / "local", threads=1)
        )

    def put(self, name: str, content: str | bytes, *, modified: dt.datetime | None = None) -> Path:
        """Put a file there as if it was written at a moment (by default now)."""
        path = self.home / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        if modified is not None:
            os.utime(path, (modified.timestamp(), modified.timestamp()))
        return path

    def names(self) -> list[str]:
        """Names of the files there."""
        return sorted(path.name for path in (self.home / "in").iterdir())

    def read(
        self,
        pattern: str = "*.csv",
        *,
        columns: Mapping[str, str] | Sequence[str] = ("id", "city"),
        logical_date: dt.datetime | None = None,
        timezone: str = "UTC",
        everything: bool = False,
        rows_per_part: int = 50_000,
        **reading: Any,
    ) -> Any:
        """Read the files of a pattern, whose place in the goal is named after the column."""
        named = columns if isinstance(columns, Mapping) else {name: f"place of {name}" for name in columns}
        return read_csv_files(
            self.workspace,
            CsvReading(FilePattern.parse(str(self.home / "in" / pattern)), **reading),
            source=self.staging,
            columns=named,
            logical_date=logical_date,
            timezone=timezone,
            everything=everything,
            rows_per_part=rows_per_part,
        )

    def rows(self, snapshot: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Rows of a snapshot in their order."""
        parts = sorted(Path(snapshot["uri"]).glob("*.parquet"))
        return sorted((row for part in parts for row in pq.read_table(part).to_pylist()), key=lambda row: row["row"])

    def values(self, snapshot: Mapping[str, Any], *columns: str) -> list[tuple[Any, ...]]:
        """Values of a snapshot's properties, row by row."""
        names = columns or ("id", "city")
        return [tuple(row[f"property_{name}"] for name in names) for row in self.rows(snapshot)]


def read_csv(path: Path | str) -> list[list[str]]:
    """Read a delivered file with a reader that is not ours."""
    packed = Path(path).read_bytes()
    text = (gzip.decompress(packed) if str(path).endswith(".gz") else packed).decode()
    return list(csv.reader(text.splitlines(keepends=True), strict=True))
