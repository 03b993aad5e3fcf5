"""Start a sandbox in a test.

::

    from tests.support.sandbox import running_sandbox, sandbox  # noqa: F401 - a fixture is used by its name

    def test_something(sandbox):
        requests.get(f"{sandbox.braze_url}/segments/list", headers=braze_headers())

    def test_something_else():
        with running_sandbox(profiles=20, record=True) as box: ...
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from airflow_provider_braze_blueconic.sandbox.blueconic.keys import CLIENT_ID, CLIENT_SECRET
from airflow_provider_braze_blueconic.sandbox.braze.keys import API_KEY
from airflow_provider_braze_blueconic.sandbox.server import Sandbox

__all__ = ["blueconic_headers", "braze_headers", "read_segment", "running_sandbox", "sandbox", "use_connections"]


@contextmanager
def running_sandbox(**options: Any) -> Iterator[Sandbox]:
    """Run a sandbox for the length of a ``with``; the options are those of :class:`Sandbox`."""
    with Sandbox(**{"profiles": 60, **options}) as box:
        yield box


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A fresh sandbox with 200 VIP customers that records its exchanges."""
    with running_sandbox(profiles=200, record=True) as box:
        yield box


def use_connections(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Airflow's three default connections point to the sandbox, for the length of a test."""
    for name, text in box.connections().items():
        monkeypatch.setenv(name, text)


def braze_headers(key: str = API_KEY) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def blueconic_headers(box: Sandbox) -> dict[str, str]:
    """Fetch a token and return the header that carries it."""
    answer = requests.post(
        f"{box.blueconic_url}/rest/v2/oauth/token",
        data={"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
        timeout=10,
    )
    answer.raise_for_status()
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def read_segment(box: Sandbox, segment_id: str, **parameters: Any) -> list[dict[str, Any]]:
    """Read all profiles of a segment over HTTP, page by page."""
    headers = blueconic_headers(box)
    profiles: list[dict[str, Any]] = []
    cursor: str | None = "*"
    while cursor:
        answer = requests.get(
            f"{box.blueconic_url}/rest/v2/segments/{segment_id}/profiles",
            params={"count": 500, **parameters, "cursor": cursor},
            headers=headers,
            timeout=30,
        )
        answer.raise_for_status()
        page = answer.json()
        profiles += page["profiles"]
        cursor = page.get("nextCursor")
    return profiles
