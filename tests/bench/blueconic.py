"""How fast a BlueConic segment is read into Parquet, and how fast profiles are written: profiles/s, CPU, memory.

A prepared server in a process of its own sends ready-made bytes, so that the figures are the client's.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import gzip
import itertools
import json
import logging
import math
import multiprocessing
import os
import random
import re
import resource
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

PROFILES = 100_000
PAGE = 2_000
FIELDS = 20
IN_FLIGHT = 8
_HEAD_END = b"\r\n\r\n"
_CHUNK_BYTES = 64 << 10
_SENT_KEY = re.compile(rb'\{"identifier":"([0-9a-f]+)"')


@dataclass(frozen=True)
class Load:
    """What is read or written."""

    profiles: int
    page: int
    fields: int
    latency: float
    rate: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("read", "write", "both"), default="both")
    parser.add_argument("--profiles", type=int, default=PROFILES)
    parser.add_argument("--page", type=int, default=PAGE, help="profiles in a page that is read")
    parser.add_argument("--fields", type=int, default=FIELDS)
    parser.add_argument("--latency", type=float, default=None, help="seconds; 0 for reading, 0.1 for writing")
    parser.add_argument("--rate", type=float, default=10_000.0, help="cap of the writing, in requests/s")
    given = parser.parse_args()
    logging.disable(logging.INFO)
    wanted = ("read", "write") if given.what == "both" else (given.what,)
    for what in wanted:
        latency = given.latency if given.latency is not None else {"read": 0.0, "write": 0.1}[what]
        load = Load(given.profiles, given.page, given.fields, latency, given.rate)
        if not _measure(what, load):
            sys.exit("profiles are missing")


def _measure(what: str, load: Load) -> bool:
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, what, load), daemon=True)
    server.start()
    port = ours.recv()
    with tempfile.TemporaryDirectory(prefix="bench-blueconic-") as folder:
        home = Path(folder)
        connection = {
            "conn_type": "blueconic", "host": f"http://127.0.0.1:{port}", "login": "bench", "password": "bench-secret",
        }  # fmt: skip
        os.environ |= {
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW_CONN_BLUECONIC_DEFAULT": json.dumps(connection),
            "AIRFLOW__BRAZE_BLUECONIC__PAGE_SIZE": str(load.page),
        }
        work = (_read if what == "read" else _write)(home, load)
        next(work)
        before, cpu, began = _peak(), time.process_time(), time.perf_counter()
        done = next(work)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        peak = _peak()
    ours.send("report")
    seen = ours.recv()
    server.join(5)
    shape = f"pages of {load.page:,}" if what == "read" else f"{IN_FLIGHT} in flight"
    print(f"{what}: {load.profiles:,} profiles, {load.fields} fields, {shape}, {load.latency * 1000:.0f} ms latency")
    print(f"  profiles                     {done:,} in {seconds:.2f} s, {done / seconds:,.0f}/s  (wanted: 50,000/s)")
    print(f"  client's CPU                 {cpu:.2f} s, {cpu / done * 1e6:.1f} us a profile")
    print(f"  server's CPU                 {seen['cpu']:.2f} s, {seen['requests']:,} requests, {seen['bytes']:,} bytes")
    print(f"  peak memory                  {peak:,.0f} MiB, {peak - before:,.0f} MiB more than before it")
    return bool(done == load.profiles)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _workspace(home: Path) -> Any:
    from airflow_provider_braze_blueconic.sync.engine.database import Engine
    from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
    from tests.support.staging import LocalStaging

    return Workspace(
        LocalStaging(), GoalFolder(str(home / "staging"), "bench"), "run", Engine(home / "work", memory_limit="1GB")
    )


def _read(home: Path, load: Load) -> Iterator[int]:
    import pyarrow.parquet  # noqa: F401  not part of what is measured

    from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook, Segment
    from airflow_provider_braze_blueconic.operators.blueconic_segment_to_s3 import BlueConicSegmentToS3Operator

    workspace, hook = _workspace(home), BlueConicHook()
    operator = BlueConicSegmentToS3Operator(
        task_id="extract", goal_id="bench", staging=str(home), segment="seg",
        properties=[f"property_{n}" for n in range(load.fields)],
    )  # fmt: skip
    segment = Segment("seg", "Segment", load.profiles)
    yield 0
    counts = operator._write(  # the read alone, without the checks of names before it
        workspace, hook, segment, str(home / "snapshot"), since=None, as_of=dt.datetime.now(dt.UTC)
    )
    assert counts.complete
    yield counts.profiles


def _write(home: Path, load: Load) -> Iterator[int]:
    import duckdb

    from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook
    from airflow_provider_braze_blueconic.hooks.blueconic_api.profile_writes import PROFILES_LIMITS
    from airflow_provider_braze_blueconic.sync.blueconic.objects import BODY_AFTER, BODY_BEFORE, profiles_sql
    from airflow_provider_braze_blueconic.sync.sending.pacing import Rate
    from airflow_provider_braze_blueconic.sync.sending.settings import UploadSettings
    from airflow_provider_braze_blueconic.sync.steps.upload import upload_partition

    fields = ", ".join(f"""'["value {n} of ' || i || '"]' AS field_property_{n}""" for n in range(load.fields))
    delta = home / "staging" / "bench" / "delta-1"
    delta.mkdir(parents=True)
    duckdb.sql(
        f"""
        COPY (
            SELECT '{{"crm_id":"person-' || i || '"}}' AS identifier, 'change' AS kind, TRUE AS to_send,
                '[[{{"id":"crm_id","value":"person-' || i || '"}}]]' AS matching, {fields}
            FROM range({load.profiles}) AS t(i)
        ) TO '{delta}/partition=0.parquet' (FORMAT parquet)
        """
    )
    workspace = _workspace(home)
    reference = {"uri": str(delta), "delta_id": "1", "run_key": "run", "as_of": "2026-11-01T00:00:00+00:00"}
    merges = {f"property_{n}": "set" for n in range(load.fields)}
    yield 0
    result = upload_partition(
        workspace,
        reference,  # type: ignore[arg-type]  # the upload needs no more of it
        0,
        objects_sql=lambda source, columns: profiles_sql(source, columns, merges=merges, creates=False),
        sender=BlueConicHook().profiles_sender(max_in_flight=IN_FLIGHT),
        rate=Rate(load.rate, 1.0),
        settings=UploadSettings(limits=PROFILES_LIMITS, before=BODY_BEFORE, after=BODY_AFTER, max_in_flight=IN_FLIGHT),
    )
    yield result["accepted"]


# The server


def _serve(pipe: Connection, what: str, load: Load) -> None:
    asyncio.run(_answer(pipe, _Prepared(load, with_pages=what == "read")))


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


if __name__ == "__main__":
    main()
