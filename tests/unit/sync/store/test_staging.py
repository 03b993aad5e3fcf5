"""What comes out of the bucket."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

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


class TwoAtOnce(LocalStaging):
    """Small downloads wait until two of them are under way."""

    def __init__(self) -> None:
        self.both = threading.Barrier(2, timeout=30)
        self.large: list[str] = []

    def download_file(self, uri: str, local: Path) -> int:
        if Path(uri).stat().st_size > 8 * 1024**2:
            self.large.append(Path(uri).name)
        else:
            self.both.wait()
        return super().download_file(uri, local)


def test_small_files_of_a_folder_are_fetched_side_by_side(tmp_path: Path) -> None:
    staging = TwoAtOnce()
    for number, size in enumerate((1, 9 * 1024**2, 1, 9 * 1024**2)):
        staging.write_bytes(str(tmp_path / "there" / f"part-{number}.parquet"), b"x" * size)

    paths = fetch_folder(staging, str(tmp_path / "there"), tmp_path / "here")

    assert [path.name for path in paths] == [f"part-{number}.parquet" for number in range(4)]
    assert [path.stat().st_size for path in paths] == [1, 9 * 1024**2, 1, 9 * 1024**2]
    assert sorted(staging.large) == ["part-1.parquet", "part-3.parquet"]


def test_a_file_that_is_gone_is_missed(tmp_path: Path) -> None:
    class Gone(LocalStaging):
        def download_file(self, uri: str, local: Path) -> int:
            raise FileNotFoundError(uri)

    Gone().write_bytes(str(tmp_path / "there" / "a.parquet"), b"x")

    with pytest.raises(FileNotFoundError):
        fetch_folder(Gone(), str(tmp_path / "there"), tmp_path / "here")
