"""The Braze that an upload is measured against."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest
import requests

from airflow_provider_braze_blueconic.hooks import braze
from airflow_provider_braze_blueconic.hooks.braze_api import track
from airflow_provider_braze_blueconic.operators.targets import BrazeUsers
from tests.bench.braze_stub import BrazeStub, running_braze
from tests.bench.uncapped import UNCAPPED, lift_cap


@pytest.fixture
def stub() -> Iterator[BrazeStub]:
    with running_braze(latency=0.0) as running:
        yield running


def test_every_object_is_accepted_and_counted(stub: BrazeStub) -> None:
    attributes = [{"external_id": f"person-{number}"} for number in range(3)]

    with requests.Session() as session:
        session.trust_env = False
        answers = [session.post(f"{stub.url}/users/track", json={"attributes": attributes}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert [answer.json()["attributes_processed"] for answer in answers] == [3, 3]
    served = stub.served()
    assert (served.requests, served.objects) == (2, 6)
    assert stub.served().requests == 0


def test_a_request_is_counted_halfway_between_its_start_and_its_answer() -> None:
    with running_braze(latency=0.4) as slow, requests.Session() as session:
        session.trust_env = False
        began = time.perf_counter()
        for _ in range(2):
            session.post(f"{slow.url}/users/track", json={"attributes": []})
        ended = time.perf_counter()
        first, second = slow.served().arrivals

    # The clock is the same in all processes of a machine.
    assert began + 0.2 <= first <= second - 0.4
    assert second + 0.2 <= ended


def test_a_body_that_comes_in_pieces_is_one_request(stub: BrazeStub) -> None:
    body = json.dumps({"attributes": [{"external_id": "person-1"}]}).encode()
    head = b"POST /users/track HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)

    with socket.create_connection(("127.0.0.1", int(stub.url.rpartition(":")[2])), timeout=30) as connection:
        for piece in (head[:20], head[20:] + body[:25], body[25:]):
            connection.sendall(piece)
        answer = connection.recv(65_536)

    assert answer.startswith(b"HTTP/1.1 201")
    assert stub.served().objects == 1


def test_the_cap_can_be_lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__REQUESTS_PER_SECOND", str(UNCAPPED))
    for module in (braze, track):
        monkeypatch.setattr(module, "TRACK_RATE", module.TRACK_RATE)

    lift_cap()

    assert BrazeUsers().rate(None).per_second == UNCAPPED
