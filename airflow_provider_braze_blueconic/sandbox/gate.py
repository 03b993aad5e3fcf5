"""The gate in front of each service: counts and records what passes, and makes the faults of the transport."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from typing import Any

from airflow_provider_braze_blueconic.sandbox.exchanges import Exchange
from airflow_provider_braze_blueconic.sandbox.faults import Service
from airflow_provider_braze_blueconic.sandbox.faulty_answers import answer_faulty
from airflow_provider_braze_blueconic.sandbox.in_force import Faults
from airflow_provider_braze_blueconic.sandbox.passages import App, Passage, Receive, Scope, Send, read_body

__all__ = ["Gate"]


class Gate:
    """An ASGI application round a service's application.

    :param service: whose requests pass here.
    :param app: the service.
    :param faults: consulted for each request; paths below ``/sandbox/`` are exempt.
    :param exchanges: where request and answer are recorded, or ``None``.
    :param seed: draws the jitter.

    The service finds two things in the ASGI scope: ``sandbox.fault``, the fault that it has to make itself, and
    ``sandbox.in_flight``, the number of requests of the same method and path that were here when this one came,
    itself included.
    """

    def __init__(
        self, service: Service, app: App, *, faults: Faults, exchanges: list[Exchange] | None, seed: int = 1
    ) -> None:
        self.service = service
        self.requests: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self._app = app
        self._faults = faults
        self._exchanges = exchanges
        self._jitter = random.Random(f"jitter:{seed}")
        self._lock = threading.Lock()
        self._in_flight: Counter[str] = Counter()

    @property
    def in_flight(self) -> int:
        """Requests that are here at this moment."""
        return sum(self._in_flight.values())

    def routes(self) -> list[Any]:
        """Return the routes of the service behind the gate."""
        routes: list[Any] = self._app.routes  # type: ignore[attr-defined]  # a FastAPI application has them
        return routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/sandbox/"):
            await self._app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        body = await read_body(receive)
        drawn = self._faults.draw(self.service, method=method, path=path)
        passage = Passage(scope, body=body, receive=receive, send=send)
        operation = f"{method} {path}"
        self._in_flight[operation] += 1  # on the one event loop of the service, so it needs no lock
        scope["sandbox.in_flight"] = self._in_flight[operation]
        try:
            for fault in drawn:
                if fault.kind == "latency":
                    await asyncio.sleep(fault.delay_s + self._jitter.random() * fault.jitter_s)
            hit = next((fault for fault in drawn if fault.kind != "latency"), None)
            if hit is None:
                await passage.answer(self._app)
            else:
                scope["sandbox.fault"] = hit
                await answer_faulty(self._app, passage, hit, settings=self._faults)
        finally:
            self._in_flight[operation] -= 1
            self._count(passage, method, operation)

    def _count(self, passage: Passage, method: str, operation: str) -> None:
        with self._lock:
            self.requests[operation] += 1
            self.statuses[passage.status or 0] += 1
        if self._exchanges is not None:
            self._exchanges.append(passage.exchange(self.service, method))
