"""What comes out of the bucket."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_braze_blueconic.sync.store.staging import fetch_folder
from tests.support.staging import LocalStaging


def test_a_folder_is_fetched_in_order_and_without_its_neighbours(tmp_path: Path) -> None:
    staging = LocalStaging()
    for name in ("partition=1/b.parquet", "partition=1/a.parquet", "partition=10/c.parquet", "partition=1/plan.json"):
        staging.write_bytes(f"{tmp_path}/staged/{name}", name.encode())

    paths = fetch_folder(staging, f"{tmp_path}/staged/partition=1", tmp_path / "local")

    assert [path.relative_to(tmp_path / "local").as_posix() for path in paths] == ["a.parquet", "b.parquet"]
    assert [path.read_text() for path in paths] == ["partition=1/a.parquet", "partition=1/b.parquet"]


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert fetch_folder(LocalStaging(), f"{tmp_path}/nothing", tmp_path / "local") == []
