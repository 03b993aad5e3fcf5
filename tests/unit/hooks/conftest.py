from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook
from airflow_provider_braze_blueconic.hooks.braze import BrazeHook
from tests.support.odd_server import OddServer, answer

BRAZE_KEY = "planted-braze-key"
CLIENT_SECRET = "planted-client-secret"
TOKEN = "planted-token-1"


@pytest.fixture
def server() -> Iterator[OddServer]:
    with OddServer() as running:
        running.on(
            "POST /rest/v2/oauth/token", answer({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600})
        )
        yield running


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def braze(server: OddServer, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> BrazeHook:
    connection = {"conn_type": "braze", "host": server.url, "password": BRAZE_KEY}
    monkeypatch.setenv("AIRFLOW_CONN_BRAZE_DEFAULT", json.dumps(connection))
    return BrazeHook(sleep=waits.append)


@pytest.fixture
def blueconic(server: OddServer, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> BlueConicHook:
    connection = {"conn_type": "blueconic", "host": server.url, "login": "client-1", "password": CLIENT_SECRET}
    monkeypatch.setenv("AIRFLOW_CONN_BLUECONIC_DEFAULT", json.dumps(connection))
    return BlueConicHook(sleep=waits.append)
