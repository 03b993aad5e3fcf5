"""The gate in front of each service: counts and records what passes, and makes the faults of the transport."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from .faults import Fault, Faults, Service

__all__ = ["Answer", "Exchange", "Gate"]

_Message = MutableMapping[str, Any]
_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Scope, _Receive, _Send], Awaitable[None]]

_HTML = b"<!DOCTYPE html>\n<html><head><title>Sorry</title></head><body><h1>Try again later</h1></body></html>\n"


@dataclass
class Answer:
    """An answer of a service."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass
class Exchange:
    """One request and its answer, as they were on the wire (bodies after decompression are the reader's task).

    :param url: path and query string.
    :param status: ``None`` when no answer was sent, or nobody was there any more to get it.
    :param hidden: what the service itself answered, where that did not reach the client, or not whole: something may
        have been applied all the same. ``None`` where the client got that answer, or the service was never asked.
    :param began: monotonic seconds at which the request was there.
    :param ended: and at which its answer was sent, or given up.
    """

    service: Service
    method: str
    url: str
    request_headers: dict[str, str] = field(repr=False)
    request_body: bytes = field(repr=False)
    status: int | None = None
    response_headers: dict[str, str] = field(default_factory=dict, repr=False)
    response_body: bytes = field(default=b"", repr=False)
    hidden: Answer | None = None
    began: float = 0.0
    ended: float = 0.0


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
        self, service: Service, app: _App, *, faults: Faults, exchanges: list[Exchange] | None, seed: int = 1
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

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/sandbox/"):
            await self._app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        body = await _read(receive)
        drawn = self._faults.draw(self.service, method=method, path=path)
        passage = _Passage(scope, body=body, receive=receive, send=send)
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
                await _answer_faulty(self._app, passage, hit, settings=self._faults)
        finally:
            self._in_flight[operation] -= 1
            self._count(passage, method, operation)

    def _count(self, passage: _Passage, method: str, operation: str) -> None:
        with self._lock:
            self.requests[operation] += 1
            self.statuses[passage.status or 0] += 1
        if self._exchanges is not None:
            self._exchanges.append(passage.exchange(self.service, method))


class _Passage:
    """One request on its way through the gate."""

    def __init__(self, scope: _Scope, *, body: bytes, receive: _Receive, send: _Send) -> None:
        self.scope = scope
        self.body = body
        self.status: int | None = None
        self.response_headers: dict[str, str] = {}
        self.response_body = bytearray()
        self.hidden: Answer | None = None
        self.began = time.monotonic()
        self._receive = receive
        self._send = send
        self._body_given = False
        self._is_client_gone = False
        # uvicorn hands out a bound method of the cycle that owns the connection: the only road to the transport
        # that its two HTTP implementations share.
        self._transport: asyncio.Transport | None = getattr(getattr(send, "__self__", None), "transport", None)

    async def receive(self) -> _Message:
        if not self._body_given:
            self._body_given = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        return await self._receive()

    async def send(self, message: _Message) -> None:
        if self._transport is not None and self._transport.is_closing():
            self._is_client_gone = True
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.response_headers = {name.decode().lower(): text.decode() for name, text in message["headers"]}
        elif message["type"] == "http.response.body":
            self.response_body += message.get("body", b"")
        await self._send(message)

    async def answer(self, app: _App) -> None:
        await app(self.scope, self.receive, self.send)

    async def answer_silently(self, app: _App) -> Answer:
        """Let the service do its work, and keep back what it answers."""
        answer, body = Answer(), bytearray()

        async def hold(message: _Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode(): text.decode() for name, text in message["headers"]}
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b""))

        await app(self.scope, self.receive, hold)
        answer.body = bytes(body)
        self.hidden = answer
        return answer

    async def answer_with(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        named = {"content-length": str(len(body)), **{name.lower(): text for name, text in headers.items()}}
        encoded = [(name.encode(), text.encode()) for name, text in named.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": encoded})
        await self.send({"type": "http.response.body", "body": body})

    async def reset(self) -> None:
        """Cut the connection so that the client sees a reset."""
        if self._transport is not None:
            connection = self._transport.get_extra_info("socket")
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        await self._wait_for_disconnect()

    async def close(self) -> None:
        """End the connection after what has been sent so far."""
        if self._transport is not None:
            self._transport.close()
        await self._wait_for_disconnect()

    async def hang(self, seconds: float) -> bool:
        """Keep the client waiting; return whether it is still there."""
        try:
            await asyncio.wait_for(self._wait_for_disconnect(), timeout=seconds)
        except TimeoutError:
            return True
        return False

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def exchange(self, service: Service, method: str) -> Exchange:
        if self._is_client_gone and self.status is not None:
            own = Answer(self.status, self.response_headers, bytes(self.response_body))
            self.hidden, self.status, self.response_headers, self.response_body = (
                self.hidden or own,
                None,
                {},
                bytearray(),
            )
        query = self.scope["query_string"].decode("latin-1")
        path = self.scope.get("raw_path", b"").decode("latin-1") or self.scope["path"]
        return Exchange(
            service=service,
            method=method,
            url=f"{path}?{query}" if query else path,
            request_headers={name.decode("latin-1"): text.decode("latin-1") for name, text in self.scope["headers"]},
            request_body=self.body,
            status=self.status,
            response_headers=self.response_headers,
            response_body=bytes(self.response_body),
            hidden=self.hidden,
            began=self.began,
            ended=time.monotonic(),
        )


async def _read(receive: _Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _answer_faulty(app: _App, passage: _Passage, fault: Fault, *, settings: Faults) -> None:
    match fault.kind:
        case "reset_before":
            await passage.reset()
        case "reset_during" | "reset_after":
            await passage.answer_silently(app)
            await passage.reset()
        case "timeout_before":
            await _time_out(passage, fault, settings)
        case "timeout_after":
            await passage.answer_silently(app)
            await _time_out(passage, fault, settings)
        case "status":
            await _refuse(passage, fault, fault.status, settings)
        case "status_after":
            await passage.answer_silently(app)
            await _refuse(passage, fault, fault.status, settings)
        case "html":
            await passage.answer_with(fault.status, _HTML, {"content-type": "text/html", **fault.headers})
        case "cut_body" | "broken_stream" | "truncated_stream":
            await _answer_cut(app, passage, fault)
        case _:  # made by the service itself, which finds the fault in the scope
            await passage.answer(app)


async def _time_out(passage: _Passage, fault: Fault, settings: Faults) -> None:
    if await passage.hang(fault.delay_s):
        await _refuse(passage, fault, 504, settings)


async def _refuse(passage: _Passage, fault: Fault, status: int, settings: Faults) -> None:
    phrase = HTTPStatus(status).phrase
    headers = {"content-type": "application/json"}
    if fault.service == "braze":
        document: dict[str, Any] = {"message": "Rate Limited" if status == 429 else phrase}
        if status == 429 and settings.braze.limited_form == "retry_after":
            headers["x-ratelimit-retry-after"] = str(fault.retry_after_s)
        elif status == 429:
            reset = fault.retry_after_s + (time.time() if settings.braze.reset_form == "epoch" else 0)
            headers["x-ratelimit-limit"] = str(settings.braze.track_requests)
            headers["x-ratelimit-remaining"] = "0"
            headers["x-ratelimit-reset"] = str(math.ceil(reset))
    else:  # BlueConic declares no header to wait by
        document = {"code": status, "message": phrase, "errors": []}
    await passage.answer_with(status, json.dumps(document).encode(), {**headers, **fault.headers})


async def _answer_cut(app: _App, passage: _Passage, fault: Fault) -> None:
    """Answer with a body that stops early: by a broken connection, or as if it were complete."""
    # A cut compressed body would be a fault of another layer.
    passage.scope["headers"] = [pair for pair in passage.scope["headers"] if pair[0] != b"accept-encoding"]
    answer = await passage.answer_silently(app)
    keep = len(answer.body) // 2 if fault.kind == "cut_body" else min(fault.at_bytes, len(answer.body) - 2)
    kept = answer.body[: max(keep, 0)]
    headers = {**answer.headers, "content-length": str(len(kept))} if fault.kind == "cut_body" else answer.headers
    encoded = [(name.encode(), text.encode()) for name, text in headers.items()]
    await passage.send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await passage.send({"type": "http.response.body", "body": kept, "more_body": fault.kind == "broken_stream"})
    if fault.kind == "broken_stream":
        await passage.close()
