"""The files of a segment export come to this machine a few at a time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.exceptions import TransientError
from airflow_provider_braze_blueconic.operators.segment_export.reading import fetched


class Bucket:
    """Files to fetch, of which some are gone."""

    def __init__(self, *, gone: tuple[str, ...] = ()) -> None:
        self.gone = gone
        self.asked: list[str] = []

    def download(self, uri: str, local: Path) -> int:
        self.asked.append(uri)
        if uri in self.gone:
            raise FileNotFoundError(uri)
        return local.write_bytes(uri.encode())


FILES = [(f"name {number}", f"s3://b/{number}") for number in range(20)]


def test_files_come_in_their_order_while_a_few_more_are_on_their_way(tmp_path: Path) -> None:
    bucket, found = Bucket(), []

    for name, path in fetched(bucket.download, FILES, tmp_path):
        found.append((name, path.read_text()))
        path.unlink()
        assert len(list(tmp_path.iterdir())) <= 4
        assert len(bucket.asked) <= len(found) + 4

    assert found == FILES
    assert sorted(bucket.asked) == sorted(uri for _, uri in FILES)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_disappeared_is_told_when_its_turn_comes(tmp_path: Path) -> None:
    bucket, found = Bucket(gone=("s3://b/2",)), []

    with pytest.raises(TransientError, match=r"^s3://b/2: the file disappeared during the read of the segment export"):
        found.extend(name for name, _ in fetched(bucket.download, FILES, tmp_path))

    assert found == ["name 0", "name 1"]
    assert len(bucket.asked) < len(FILES)


def test_a_read_that_ends_early_fetches_no_further_file(tmp_path: Path) -> None:
    bucket = Bucket()
    files = fetched(bucket.download, FILES, tmp_path)

    assert next(files)[0] == "name 0"
    files.close()

    asked = len(bucket.asked)
    assert asked <= 5
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("segment-export-download")] == []
