"""The request at which a worker is killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.cluster import braze
from tests.cluster.s3 import BUCKET, running_s3, s3_client
from tests.cluster.trap import Server, Trap

_DEADLINE_SECONDS = 30.0


@pytest.fixture
def s3() -> Iterator[Server]:
    with running_s3() as server:
        yield server


def test_the_request_is_held_until_it_is_dropped(s3: Server) -> None:
    client = s3_client(s3.url)
    s3.set(Trap("PUT", "*/mapped-*", number=2))
    client.put_object(Bucket=BUCKET, Key="other", Body=b"")
    client.put_object(Bucket=BUCKET, Key="a/mapped-1", Body=b"")
    answers: list[int] = []
    held = threading.Thread(target=lambda: answers.append(_put(s3, "a/mapped-2")))
    held.start()

    caller, listed = _wait(s3), [entry["Key"] for entry in client.list_objects_v2(Bucket=BUCKET)["Contents"]]
    waiting = held.is_alive()
    s3.release()
    held.join(_DEADLINE_SECONDS)

    assert caller == "worker-7"
    assert listed == ["a/mapped-1", "other"]
    assert waiting
    assert answers == [503]
    assert [entry["Key"] for entry in client.list_objects_v2(Bucket=BUCKET)["Contents"]] == listed


def test_a_trap_springs_once(s3: Server) -> None:
    s3.set(Trap("PUT", "*"))
    threading.Thread(target=lambda: _put(s3, "first")).start()
    _wait(s3)
    s3.release()

    assert _put(s3, "second") == 200
    assert s3.sprung() is None


def test_braze_keeps_who_sent_what_in_a_file_for_each_night(tmp_path: Path) -> None:
    with braze.running_braze(tmp_path) as stub:
        file = Path(stub.ask("night-2"))
        body = {"attributes": [{"external_id": "crm-1"}, {"external_id": "crm-2"}]}
        headers = {"Authorization": f"Bearer {braze.connection(stub.url, 'worker-1')['password']}"}
        answer = requests.post(f"{stub.url}/users/track", json=body, headers=headers, timeout=_DEADLINE_SECONDS)

        assert answer.json() == {"message": "success", "attributes_processed": 2}
        assert stub.ask("people") == 2
        assert '"worker":"worker-1","body":{"attributes": [{"external_id": "crm-1"}' in file.read_text()
        assert Path(stub.ask("night-3")) != file
        assert stub.ask("people") == 0


def _put(s3: Server, key: str) -> int:
    headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=worker-7/20261101/us-east-1/s3/aws4_request"}
    with requests.Session() as session:
        session.trust_env = False
        return session.put(f"{s3.url}/{BUCKET}/{key}", data=b"x", headers=headers, timeout=60).status_code


def _wait(s3: Server) -> str:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while (caller := s3.sprung()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return caller
