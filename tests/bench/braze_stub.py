"""A Braze that accepts everybody after some time, in a process of its own: what an upload takes beside the network.

It speaks just enough HTTP for a client that keeps its connections and says how long a body is.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

__all__ = ["BrazeStub", "Served", "running_braze"]

_PERSON = b'"external_id"'


@dataclass(frozen=True)
class Served:
    """What a stub served since it was asked last.

    :param objects: attributes objects in all requests.
    :param cpu: seconds that serving them took, which the machine had to spare beside the product.
    """

    requests: int
    objects: int
    cpu: float


@dataclass
class BrazeStub:
    """A running stub.

    :param url: its endpoint.
    """

    url: str
    _pipe: Connection

    def connection(self) -> dict[str, str]:
        """Return the Airflow connection of type ``braze`` that leads here."""
        return {"conn_type": "braze", "host": self.url, "password": "bench-key"}

    def served(self) -> Served:
        """Say what was served since the last time."""
        self._pipe.send("report")
        return Served(*self._pipe.recv())


@contextmanager
def running_braze(*, latency: float) -> Iterator[BrazeStub]:
    """Run a stub for the length of a block.

    :param latency: seconds until a request is answered.
    """
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, latency), daemon=True)
    process.start()
    theirs.close()
    try:
        yield BrazeStub(f"http://127.0.0.1:{ours.recv()}", ours)
    finally:
        process.terminate()
        process.join()


def _serve(pipe: Connection, latency: float) -> None:
    asyncio.run(_listen(pipe, _Counts(latency)))


async def _listen(pipe: Connection, counts: _Counts) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(counts), "127.0.0.1", 0, backlog=1024)
    pipe.send(server.sockets[0].getsockname()[1])
    cpu = time.process_time()
    while await asyncio.to_thread(_is_asked, pipe):
        now = time.process_time()
        pipe.send((counts.requests, counts.objects, now - cpu))
        counts.requests, counts.objects, cpu = 0, 0, now


def _is_asked(pipe: Connection) -> bool:
    try:
        return bool(pipe.recv())
    except EOFError:
        return False


@dataclass
class _Counts:
    latency: float
    requests: int = 0
    objects: int = 0


class _Connection(asyncio.Protocol):
    """One connection: requests come one after the other, each with its length."""

    def __init__(self, counts: _Counts) -> None:
        self._counts = counts
        self._waiting = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._waiting += data
        while (end := self._end_of_request()) is not None:
            objects = self._waiting.count(_PERSON, 0, end)
            del self._waiting[:end]
            self._counts.requests += 1
            self._counts.objects += objects
            asyncio.get_running_loop().call_later(self._counts.latency, self._answer, objects)

    def _end_of_request(self) -> int | None:
        head = self._waiting.find(b"\r\n\r\n")
        if head < 0:
            return None
        lines = bytes(self._waiting[:head]).lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        end = head + 4 + length
        return end if len(self._waiting) >= end else None

    def _answer(self, objects: int) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        body = b'{"message":"success","attributes_processed":%d}' % objects
        head = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)
