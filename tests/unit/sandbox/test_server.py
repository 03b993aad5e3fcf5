"""The sandbox as a whole: it starts, says how to reach it, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from tests.support.sandbox import blueconic_headers, braze_headers, running_sandbox

_ROOT = Path(__file__).resolve().parents[3]


def _is_open(url: str) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", urlsplit(url).port or 0)) == 0


def test_first_sync_from_blueconic_to_braze_works_over_http() -> None:
    with running_sandbox(profiles=60) as box:
        page = requests.get(
            f"{box.blueconic_url}/rest/v2/segments/seg-vip/profiles",
            params={"count": 60, "profileProperty": ["crm_id", "points"]},
            headers=blueconic_headers(box),
            timeout=10,
        ).json()
        values = [{each["id"]: each["values"] for each in profile["properties"]} for profile in page["profiles"]]
        attributes = [
            {"external_id": each["crm_id"][0], "loyalty_points": int(each["points"][0]), "_update_existing_only": True}
            for each in values
            if "crm_id" in each
        ]
        answer = requests.post(
            f"{box.braze_url}/users/track", json={"attributes": attributes}, headers=braze_headers(), timeout=10
        )

        counters = requests.get(f"{box.braze_url}/sandbox/requests", timeout=10).json()["track"]
        lines = requests.get(f"{box.blueconic_url}/sandbox/users", timeout=10).content.splitlines()

    assert answer.json() == {"message": "success", "attributes_processed": len(attributes)}
    assert counters["objects"] == len(attributes) < 60
    assert 0 < counters["unmatched"] < 5
    assert counters["data_points"] == counters["accepted"] - counters["unmatched"]
    reached = [json.loads(line) for line in lines if b"loyalty_points" in line]
    assert 50 < len(reached) <= counters["accepted"] - counters["unmatched"]


def test_state_and_next_day_are_reachable_over_http() -> None:
    with running_sandbox(profiles=60) as box:
        day = requests.post(f"{box.braze_url}/sandbox/next-day", json={"changed": 3, "left": 0}, timeout=10)
        wrong = requests.post(f"{box.braze_url}/sandbox/next-day", json={"moved": 3}, timeout=10)
        state = requests.get(f"{box.blueconic_url}/sandbox/state", timeout=10).json()

    assert day.json() == {"day": 1, "changed": 3, "entered": 1, "left": 0}
    assert wrong.status_code == 400
    assert state["blueconic"]["segments"]["seg-vip"] == 61
    assert state["braze"]["users"] > 55


def test_a_day_passes_in_braze_over_http() -> None:
    with running_sandbox(profiles=60) as box:
        before = {user["braze_id"]: user for user in box.braze.users()}
        day = requests.post(f"{box.blueconic_url}/sandbox/next-day-in-braze", json={"changed": 3}, timeout=10)
        wrong = requests.post(f"{box.braze_url}/sandbox/next-day-in-braze", json={"entered": 3}, timeout=10)
        after = {user["braze_id"]: user for user in box.braze.users()}

    assert day.json() == {"day": 1, "changed": 3}
    assert wrong.status_code == 400
    assert sum(after[each] != before[each] for each in before) == 3


def test_nothing_listens_after_the_end() -> None:
    with running_sandbox(profiles=10) as box:
        urls = [box.braze_url, box.blueconic_url, box.s3_url]
        before = [_is_open(url) for url in urls]

    assert before == [True, True, True]
    assert [_is_open(url) for url in urls] == [False, False, False]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sandbox-")]


def test_taken_port_is_an_error_and_leaves_nothing_running() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        with pytest.raises(OSError, match="in use"), Sandbox(profiles=10, s3_port=taken.getsockname()[1]):
            pass

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sandbox-")]


def test_two_sandboxes_of_one_seed_are_alike_and_apart() -> None:
    with running_sandbox(profiles=30, seed=5) as one, running_sandbox(profiles=30, seed=5) as other:
        alike = list(one.braze.users()) == list(other.braze.users())
        one.braze.track({"attributes": [{"external_id": "only-here"}]})

        assert alike
        assert other.braze.user("only-here") is None


def test_connections_are_json_that_points_here() -> None:
    with running_sandbox(profiles=10) as box:
        connections = {name: json.loads(text) for name, text in box.connections().items()}

        assert connections["AIRFLOW_CONN_BRAZE_DEFAULT"]["host"] == box.braze_url
        assert connections["AIRFLOW_CONN_BLUECONIC_DEFAULT"]["host"] == box.blueconic_url
        assert connections["AIRFLOW_CONN_AWS_DEFAULT"]["extra"]["endpoint_url"] == box.s3_url


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_served_sandbox_says_how_to_use_it_and_stops_on_a_signal(number: signal.Signals) -> None:
    call = "from airflow_provider_braze_blueconic.sandbox.serving import serve; "
    call += "serve(profiles=10, braze_port=0, blueconic_port=0, s3_port=0)"
    with subprocess.Popen(
        [sys.executable, "-c", call],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        shown = ""
        while "Ctrl-C stops it" not in shown:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            shown += line

        process.send_signal(number)
        rest, errors = process.communicate(timeout=20)

    assert process.returncode == 0
    assert rest.strip() == "Stopped."
    assert errors == ""
    for text in (
        "AIRFLOW_CONN_BRAZE_DEFAULT=",
        "sandbox-braze-key",
        "sandbox-secret",
        "sandbox-sync",
        "/sandbox/faults",
    ):
        assert text in shown
