"""A Braze that accepts everybody after some time, in a process of its own: what an upload takes beside the network.

It speaks just enough HTTP for a client that keeps its connections and says how long a body is: what it takes itself is
missing to the upload.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

__all__ = ["BrazeStub", "Served", "running_braze"]

_PERSON = b'"external_id"'


@dataclass(frozen=True)
class Served:
    """What a stub served since it was asked last.

    :param objects: attributes objects in all requests.
    :param cpu: seconds that serving them took, which the machine had to spare beside the product.
    :param arrivals: when each request was counted, in seconds, in order.
    """

    requests: int
    objects: int
    cpu: float
    arrivals: tuple[float, ...] = ()


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
def running_braze(*, latency: float, jitter: float = 0.0, stall: float = 0.0) -> Iterator[BrazeStub]:
    """Run a stub for the length of a block.

    :param latency: seconds until a request is answered. Half of them pass before it is counted.
    :param jitter: seconds more, at most, on both ways together.
    :param stall: seconds for which everything stops, about once a second.
    """
    ours, theirs = multiprocessing.Pipe()
    arguments = (theirs, _Road(latency, jitter), stall)
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=arguments, daemon=True)
    process.start()
    theirs.close()
    try:
        yield BrazeStub(f"http://127.0.0.1:{ours.recv()}", ours)
    finally:
        process.terminate()
        process.join()


@dataclass
class _Road:
    """What lies between a request and its answer, and what came along it."""

    latency: float
    jitter: float
    arrivals: list[float] = field(default_factory=list)
    objects: int = 0
    _dice: random.Random = field(default_factory=lambda: random.Random(1))

    def wait(self) -> float:
        """Return the seconds of one way."""
        return (self.latency + self.jitter * self._dice.random()) / 2


def _serve(pipe: Connection, road: _Road, stall: float) -> None:
    asyncio.run(_listen(pipe, road, stall))


async def _listen(pipe: Connection, road: _Road, stall: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(road), "127.0.0.1", 0, backlog=1024)
    stalling = asyncio.create_task(_stall(stall)) if stall else None
    pipe.send(server.sockets[0].getsockname()[1])
    cpu = time.process_time()
    while await asyncio.to_thread(_is_asked, pipe):
        now = time.process_time()
        pipe.send((len(road.arrivals), road.objects, now - cpu, tuple(road.arrivals)))
        road.objects, cpu = 0, now
        road.arrivals.clear()
    if stalling:
        stalling.cancel()


async def _stall(seconds: float) -> None:
    while True:
        await asyncio.sleep(random.uniform(0.5, 1.5))
        time.sleep(seconds)  # noqa: ASYNC251  the whole server stalls


def _is_asked(pipe: Connection) -> bool:
    try:
        return bool(pipe.recv())
    except EOFError:
        return False


class _Connection(asyncio.Protocol):
    """One connection: requests come one after the other, each with its length."""

    def __init__(self, road: _Road) -> None:
        self._road = road
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()
        self._end = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take each request that is complete."""
        self._waiting += data
        while self._is_complete():
            objects = self._waiting.count(_PERSON, 0, self._end)
            del self._waiting[: self._end]
            self._end = 0
            self._later(self._arrive, objects)

    def _is_complete(self) -> bool:
        if not self._end:
            head = self._waiting.find(b"\r\n\r\n")
            if head < 0:
                return False
            lines = bytes(self._waiting[:head]).lower().split(b"\r\n")
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            self._end = head + 4 + length
        return len(self._waiting) >= self._end

    def _later(self, act: Callable[[int], None], objects: int) -> None:
        if wait := self._road.wait():
            self._loop.call_later(wait, act, objects)
        else:
            act(objects)

    def _arrive(self, objects: int) -> None:
        self._road.arrivals.append(time.perf_counter())
        self._road.objects += objects
        self._later(self._answer, objects)

    def _answer(self, objects: int) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        body = b'{"message":"success","attributes_processed":%d}' % objects
        head = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)
