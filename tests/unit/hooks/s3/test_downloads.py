from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_braze_blueconic.hooks.s3.downloads import PART_BYTES, download
from airflow_provider_braze_blueconic.hooks.staging import StagingHook
from tests.support.odd_server import OddServer, answer

CONTENT = b"a long content of the object"


@pytest.fixture
def staging(server: OddServer, monkeypatch: pytest.MonkeyPatch) -> StagingHook:
    extra = {"endpoint_url": server.url, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    return StagingHook()


def breaks_off(handler: Any) -> None:
    """An answer that says how long it is, and ends before."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    handler.wfile.write(CONTENT[:5])
    handler.close_connection = True


def requests(server: OddServer) -> list[str]:
    return [f"{seen.method} {seen.path}" for seen in server.seen]


def test_a_small_object_takes_one_request(server: OddServer, staging: StagingHook, tmp_path: Path) -> None:
    server.on("GET /acme-sync/k", answer(b"content"))

    size = staging.download_file("s3://acme-sync/k", tmp_path / "file")

    assert requests(server) == ["GET /acme-sync/k"]
    assert (size, (tmp_path / "file").read_bytes()) == (7, b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_answer_that_breaks_off_is_asked_for_again(server: OddServer, staging: StagingHook, tmp_path: Path) -> None:
    server.on("GET /acme-sync/k", breaks_off, answer(CONTENT))
    server.on("HEAD /acme-sync/k", answer(CONTENT))

    staging.download_file("s3://acme-sync/k", tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


class _Client:
    """Boto's client, of which a download needs two calls."""

    def __init__(self, size: int, fails: Exception) -> None:
        self._size, self._fails = size, fails
        self.asked: list[str] = []

    def get_object(self, **_: str) -> dict[str, object]:
        self.asked.append("get_object")
        return {"ContentLength": self._size, "Body": _Body(self._fails)}

    def download_file(self, _: str, __: str, local: str) -> None:
        self.asked.append("download_file")
        Path(local).write_bytes(b"whole")


class _Body:
    def __init__(self, fails: Exception) -> None:
        self._fails = fails

    def close(self) -> None:
        pass

    def iter_chunks(self, _: int) -> list[bytes]:
        raise self._fails


def test_a_large_object_is_left_to_boto_which_fetches_its_parts_side_by_side(tmp_path: Path) -> None:
    client = _Client(PART_BYTES + 1, AssertionError("the body is not read"))

    assert download(client, "b", "k", tmp_path / "file") == 5
    assert client.asked == ["get_object", "download_file"]


def test_a_disk_that_is_full_leaves_no_file_and_is_not_tried_again(tmp_path: Path) -> None:
    client = _Client(10, OSError(28, "No space left on device"))

    with pytest.raises(OSError, match="No space"):
        download(client, "b", "k", tmp_path / "file")

    assert list(tmp_path.iterdir()) == []
    assert client.asked == ["get_object"]
