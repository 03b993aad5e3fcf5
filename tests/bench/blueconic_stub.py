"""A BlueConic that answers with bytes that were there before anybody asked, in a process of its own.

So the figures are the client's, and those of its server are told apart.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import math
import multiprocessing
import random
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["BlueConicStub", "Load", "running_blueconic"]

_HEAD_END = b"\r\n\r\n"
_CHUNK_BYTES = 64 << 10
_SENT_KEY = re.compile(rb'\{"identifier":"([0-9a-f]+)"')


@dataclass(frozen=True)
class Load:
    """What is read or written.

    :param page: profiles in a page that is read.
    :param latency: seconds until an answer.
    """

    profiles: int
    page: int
    fields: int
    latency: float


@dataclass
class BlueConicStub:
    """A running stub.

    :param url: its endpoint.
    """

    url: str
    _pipe: Connection

    def connection(self) -> dict[str, str]:
        """Return the Airflow connection of type ``blueconic`` that leads here."""
        return {"conn_type": "blueconic", "host": self.url, "login": "bench", "password": "bench-secret"}

    def end(self) -> dict[str, float]:
        """Stop, and say what it took: ``cpu`` in seconds, ``requests``, ``bytes``."""
        self._pipe.send("end")
        taken: dict[str, float] = self._pipe.recv()
        return taken


@contextmanager
def running_blueconic(load: Load, *, with_pages: bool) -> Iterator[BlueConicStub]:
    """Run a stub for the length of a block.

    :param with_pages: prepare the pages of a segment.
    """
    ours, theirs = multiprocessing.Pipe()
    arguments = (theirs, load, with_pages)
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=arguments, daemon=True)
    process.start()
    theirs.close()
    try:
        yield BlueConicStub(f"http://127.0.0.1:{ours.recv()}", ours)
    finally:
        process.terminate()
        process.join()


def _serve(pipe: Connection, load: Load, with_pages: bool) -> None:
    asyncio.run(_answer(pipe, _Prepared(load, with_pages=with_pages)))


async def _answer(pipe: Connection, prepared: _Prepared) -> None:
    server = await asyncio.start_server(prepared.connected, "127.0.0.1", 0, limit=8 << 20)
    cpu = time.process_time()
    pipe.send(server.sockets[0].getsockname()[1])
    await asyncio.to_thread(pipe.recv)
    pipe.send({"cpu": time.process_time() - cpu, "requests": prepared.requests, "bytes": prepared.bytes})
    server.close()


class _Prepared:
    """Answers whose bytes are there before anybody asks."""

    def __init__(self, load: Load, *, with_pages: bool) -> None:
        self._load = load
        self.requests = 0
        self.bytes = 0
        self._token = _response(b'{"access_token":"bench-token","expires_in":3600}')
        pages = math.ceil(load.profiles / load.page) if with_pages else 0
        self._pages = [_page(load, number, last=number == pages - 1) for number in range(pages)]

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(_HEAD_END)
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                self.requests += 1
                self.bytes += len(body)
                answer = self._answer(head, body)
                if self._load.latency and answer is not self._token:
                    await asyncio.sleep(self._load.latency)
                for piece in answer:
                    self.bytes += len(piece)
                    writer.write(piece)
                    await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()

    def _answer(self, head: bytes, body: bytes) -> list[bytes]:
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        if method == "POST":
            return self._token
        if method == "PUT":
            results = ",".join(
                f'{{"identifier":"{key.decode()}","profileId":"{uuid.UUID(int=number)}","state":"MODIFIED"}}'
                for number, key in enumerate(_SENT_KEY.findall(body))
            )
            return _response(f"[{results}]".encode())
        cursor = parse_qs(urlsplit(target).query)["cursor"][0]
        return self._pages[0 if cursor == "*" else int(cursor.removeprefix("page"))]


def _response(body: bytes) -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return [head + body]


def _page(load: Load, number: int, *, last: bool) -> list[bytes]:
    """Make a page as the vendor's example shows one, gzipped, in chunks."""
    first = number * load.page
    size = min(load.page, load.profiles - first)
    chance = random.Random(number)
    head: dict[str, Any] = {
        "itemsPerPage": load.page, "totalPages": math.ceil(load.profiles / load.page), "totalResults": load.profiles,
        "cursor": f"page{number}" if number else "*", **({} if last else {"nextCursor": f"page{number + 1}"}),
        "links": [],
    }  # fmt: skip
    profiles = [_profile(load.fields, first + place, chance) for place in range(size)]
    text = json.dumps({**head, "profiles": profiles}, separators=(",", ":")).encode()
    zipped = gzip.compress(text, 6)
    yielded = [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    ]
    for start in itertools.count(0, _CHUNK_BYTES):
        chunk = zipped[start : start + _CHUNK_BYTES]
        yielded.append(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if not chunk:
            return yielded
    raise AssertionError


def _profile(fields: int, number: int, chance: random.Random) -> dict[str, Any]:
    entries = [
        {"id": f"property_{n}", "values": [f"value {n} of {(number * 7_919) % (1_000 + 777 * n)}"]}
        for n in range(fields)
    ]
    modified = {"id": "lastmodifieddate", "values": [str(1_795_348_800_000 + number)]}
    return {
        "id": str(uuid.UUID(int=chance.getrandbits(128))),
        "creationDate": "2026-01-01T00:00:00.000Z",
        "privacyLegislation": "GDPR",
        "properties": [*entries, modified],
    }
