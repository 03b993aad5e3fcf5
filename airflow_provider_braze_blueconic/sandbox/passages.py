"""One request on its way through a gate."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow_provider_braze_blueconic.sandbox.exchanges import Answer, Exchange
from airflow_provider_braze_blueconic.sandbox.faults import Service

__all__ = ["App", "Passage", "Receive", "Scope", "Send", "read_body"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Passage:
    """One request on its way through the gate."""

    def __init__(self, scope: Scope, *, body: bytes, receive: Receive, send: Send) -> None:
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

    async def receive(self) -> Message:
        if not self._body_given:
            self._body_given = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        return await self._receive()

    async def send(self, message: Message) -> None:
        if self._transport is not None and self._transport.is_closing():
            self._is_client_gone = True
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.response_headers = {name.decode().lower(): text.decode() for name, text in message["headers"]}
        elif message["type"] == "http.response.body":
            self.response_body += message.get("body", b"")
        await self._send(message)

    async def answer(self, app: App) -> None:
        await app(self.scope, self.receive, self.send)

    async def answer_silently(self, app: App) -> Answer:
        """Let the service do its work, and keep back what it answers."""
        answer, body = Answer(), bytearray()

        async def hold(message: Message) -> None:
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


async def read_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)
