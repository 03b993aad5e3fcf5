"""A list of files: what is downloaded, written and published beside the reading."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_braze_blueconic.sync.csv.downloads import downloaded
from airflow_provider_braze_blueconic.sync.csv.file_pattern import FilePattern
from airflow_provider_braze_blueconic.sync.csv.files import CsvFile
from airflow_provider_braze_blueconic.sync.csv.files_read import first_row_of_share, read_files
from airflow_provider_braze_blueconic.sync.csv.reading import CsvReading
from tests.support.core import day
from tests.support.staging import LocalStaging

DEADLINE = 30.0


@pytest.fixture
def files(tmp_path: Path) -> list[CsvFile]:
    found = []
    for number in range(3):
        path = tmp_path / f"{number}.csv"
        path.write_text(f"id\np{number}a\np{number}b\n")
        found.append(CsvFile(str(path), path.stat().st_size, day(number + 1), None))
    return found


def read(files: list[CsvFile], folder: Path, publish: Any, **how: Any) -> Any:
    folder.mkdir()
    reading = CsvReading(FilePattern.parse("x"))
    return read_files(
        files, reading, source=LocalStaging(), columns={"id": ""}, folder=folder, publish=publish, label="x", **how
    )


def test_the_next_file_is_downloaded_while_one_is_read(files: list[CsvFile], tmp_path: Path) -> None:
    second = threading.Event()

    class Told(LocalStaging):
        def download_file(self, uri: str, local: Path) -> int:
            size = super().download_file(uri, local)
            if uri == files[1].uri:
                second.set()
            return size

    copies = downloaded(files, Told(), tmp_path / "local")
    first, path = next(copies)

    assert second.wait(DEADLINE)
    assert (first, path.read_text()) == (files[0], "id\np0a\np0b\n")
    assert [file for file, _ in copies] == files[1:]
    assert not list((tmp_path / "local").iterdir())


def test_a_part_is_published_while_the_next_rows_are_read(files: list[CsvFile], tmp_path: Path) -> None:
    reads_on = threading.Event()
    published = []

    def publish(path: Path) -> int:
        assert reads_on.wait(DEADLINE)
        published.append(pq.read_table(path, columns=["property_id"]).num_rows)
        return 1

    def should_stop() -> bool:  # asked when the first part is under way
        reads_on.set()
        return False

    found = read(files, tmp_path / "local", publish, rows_per_part=2, should_stop=should_stop)

    assert (found.rows, found.bytes, published) == (6, 3, [2, 2, 2])


@pytest.mark.promise(1)
@pytest.mark.parametrize("failing", [0, 2])
def test_a_part_that_is_not_published_ends_the_read(files: list[CsvFile], tmp_path: Path, failing: int) -> None:
    published: list[str] = []

    def publish(path: Path) -> int:
        if len(published) == failing:
            raise ConnectionError("no bucket")
        published.append(path.name)
        return 1

    with pytest.raises(ConnectionError, match="no bucket"):
        read(files, tmp_path / "local", publish, rows_per_part=2)

    assert len(published) == failing


def test_shares_number_their_rows_apart_and_in_the_order_of_their_files(files: list[CsvFile], tmp_path: Path) -> None:
    numbers: list[int] = []

    def publish(path: Path) -> int:
        numbers.extend(pq.read_table(path, columns=["row"])["row"].to_pylist())
        return 1

    for share, some in enumerate([files[:2], files[2:]]):
        read(some, tmp_path / f"share-{share}", publish, first_row=first_row_of_share(share))

    assert numbers == [0, 1, 2, 3, 1 << 40, (1 << 40) + 1]
