"""How fast people are uploaded to Braze: share of the cap, people/s, CPU seconds, memory.

The options choose people, fields, cap, and how far away the server is and how unsteadily it answers. The server is a
process of its own that does nothing but count, and its CPU seconds are told apart from those of the upload.

It also runs on older builds: ``PYTHONPATH=<their folder> python <this file>``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
from bisect import bisect_left
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PEOPLE = 300_000
FIELDS = 5
CAP_REQUESTS, CAP_SECONDS = 3_000, 3.0
UNCAPPED = 100_000_000
ROW_GROUP = 20_480  # as a delta is written
WANTED_SHARE = 0.95
PACKAGE = "airflow_provider_braze_blueconic"
CONTEXT = multiprocessing.get_context("spawn")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--people", type=int, default=PEOPLE)
    arguments.add_argument("--fields", type=int, default=FIELDS)
    arguments.add_argument("--latency", type=float, nargs="+", default=[50.0], help="ms, half of them on either way")
    arguments.add_argument("--cap", default=str(CAP_REQUESTS), help=f"requests in {CAP_SECONDS:.0f} s, or none")
    arguments.add_argument("--jitter", type=float, default=0.0, help="ms more, at most, for each request on its way")
    arguments.add_argument("--stall", type=float, default=0.0, help="ms for which the server stops about once a second")
    arguments.add_argument("--profile", help="file for the profile of the upload's own thread")
    given = arguments.parse_args()
    cap = UNCAPPED if given.cap == "none" else int(given.cap)
    broken = False
    with tempfile.TemporaryDirectory(prefix="bench-upload-") as folder:
        home = Path(folder)
        _in_another_process(_make_delta, home, given.people, given.fields)
        for latency in given.latency:
            server = Server(latency, given.jitter, given.stall)
            cost = _in_another_process(_upload, home, server.port, given.people, cap, given.profile)
            seen = server.end()
            print(
                f"upload: {given.people:,} people, {given.fields} fields, {latency:g} ms latency, "
                f"{given.jitter:g} ms jitter, {given.stall:g} ms stalls, cap {given.cap}"
            )
            broken |= _tell(given.people, cap, cost, seen)
    if broken:
        sys.exit("the cap was broken, or people are missing")


def _tell(people: int, cap: int, cost: dict[str, Any], seen: dict[str, Any]) -> bool:
    arrivals = seen["arrivals"]
    most = most_in_a_window(arrivals, CAP_SECONDS)
    print(f"  accepted                     {cost['accepted']:,} in {cost['seconds']:.2f} s")
    print(f"  people/s                     {people / cost['seconds']:,.0f}")
    print(f"  CPU of the upload            {cost['cpu']:.2f} s, {1e6 * cost['cpu'] / people:.2f} µs a person")
    print(f"  CPU of the server            {seen['cpu']:.2f} s")
    print(f"  memory over idle             {cost['memory']:,.0f} MiB, idle {cost['idle']:,.0f} MiB")
    if cap != UNCAPPED:
        whole = _share(arrivals, arrivals[0], arrivals[-1], cap)
        after = _share(arrivals, arrivals[0] + CAP_SECONDS, arrivals[-1], cap)
        last = _share(arrivals, arrivals[-1] - 1.0, arrivals[-1], cap)
        print(f"  share of the cap             {whole:.3f}  (wanted: at least {WANTED_SHARE})")
        print(f"    after the first {CAP_SECONDS:.0f} s        {after:.3f}")
        print(f"    in the last second         {last:.3f}")
        print(f"  most in any {CAP_SECONDS:.0f} s           {most:,} of {cap:,}  (never more)")
    return most > cap or seen["objects"] != people or cost["accepted"] != people


def most_in_a_window(moments: list[float], seconds: float) -> int:
    """The most moments that any window of a length holds; its end is not part of it."""
    return max(bisect_left(moments, moment + seconds) - number for number, moment in enumerate(moments))


def _share(arrivals: list[float], begin: float, end: float, cap: int) -> float:
    if end <= begin:
        return float("nan")
    return (bisect_left(arrivals, end) - bisect_left(arrivals, begin)) / (end - begin) / (cap / CAP_SECONDS)


def _in_another_process(work: Any, *arguments: Any) -> Any:
    """Run a function in a process of its own, so that its memory and its CPU seconds are nobody else's."""
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_report, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        sys.exit("a part of the bench failed")
    finally:
        process.join(10)


def _report(pipe: Connection, work: Any, arguments: tuple[Any, ...]) -> None:
    pipe.send(work(*arguments))


def _make_delta(home: Path, people: int, fields: int) -> None:
    import duckdb

    columns = ", ".join(f"""'"value {n} of ' || i || '"' AS field_attribute_{n}""" for n in range(fields))
    folder = home / "staging" / "bench" / "delta-1"
    folder.mkdir(parents=True)
    duckdb.sql(
        f"""
        COPY (
            SELECT '{{"external_id":"person-' || i || '"}}' AS identifier, 'change' AS kind, TRUE AS to_send, {columns}
            FROM range({people}) AS t(i)
        ) TO '{folder}/partition=0.parquet' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})
        """
    )


def _named(name: str, *modules: str) -> Any:
    """Find a name in the first of some modules that has it: builds differ in where things are."""
    for module in modules:
        try:
            return getattr(import_module(f"{PACKAGE}.{module}"), name)
        except (ImportError, AttributeError):
            continue
    raise ImportError(name)


def _upload(home: Path, port: int, people: int, cap: int, profile: str | None) -> dict[str, float]:
    os.environ["AIRFLOW_HOME"] = str(home / "airflow")
    os.environ["AIRFLOW_CONN_BRAZE_DEFAULT"] = json.dumps(
        {"conn_type": "braze", "host": f"http://127.0.0.1:{port}", "password": "bench-key"}
    )
    for library in ("aiohttp", "duckdb", "pyarrow.parquet"):  # a library is not what an upload needs for its people
        import_module(library)
    from tests.support.staging import LocalStaging

    attributes_sql = _named("attributes_sql", "sync.braze.objects", "sync.braze_objects")
    upload_partition = _named("upload_partition", "sync.steps.upload", "sync.pipeline")
    engine = _named("Engine", "sync.engine.database", "sync.database")(home / "work", memory_limit="1GB")
    goal = _named("GoalFolder", "sync.store.paths", "sync.staging")(str(home / "staging"), f"bench-{port}")
    workspace = _named("Workspace", "sync.store.workspace", "sync.pipeline")(LocalStaging(), goal, "run", engine)
    delta = home / "staging" / f"bench-{port}" / "delta-1"
    delta.mkdir(parents=True)
    (delta / "partition=0.parquet").symlink_to(home / "staging" / "bench" / "delta-1" / "partition=0.parquet")
    settings = _named("UploadSettings", "sync.sending.settings", "sync.upload")
    rate = _named("Rate", "sync.sending.pacing", "sync.pacing")(cap, CAP_SECONDS)
    hook = _named("BrazeHook", "hooks.braze")()
    arguments = {
        "objects_sql": lambda source, columns: attributes_sql(source, columns, allow_creation=False),
        "sender": hook.track_sender(),
        "rate": rate,
        "settings": settings(
            limits=_named("TRACK_LIMITS", "hooks.braze_api.track", "hooks.braze"),
            before=_named("BODY_BEFORE", "sync.braze.objects", "sync.braze_objects"),
            after=_named("BODY_AFTER", "sync.braze.objects", "sync.braze_objects"),
        ),
    }
    reference = {"uri": str(delta), "delta_id": "1", "run_key": "run", "as_of": "2026-11-01T00:00:00+00:00"}
    idle, cpu, began = _resident_mib(), time.process_time(), time.perf_counter()
    if profile:
        import cProfile

        watched = cProfile.Profile()
        result = watched.runcall(upload_partition, workspace, reference, 0, **arguments)
        watched.dump_stats(profile)
    else:
        result = upload_partition(workspace, reference, 0, **arguments)
    return {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - idle,
        "idle": idle,
        "accepted": result["accepted"],
    }


def _resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


class Server:
    """A Braze in a process of its own, which accepts everything and counts it.

    :param latency: ms, half of them before a request is counted and half before it is answered.
    :param jitter: ms more, at most, on either way together.
    :param stall: ms for which everything stops, about once a second.
    """

    def __init__(self, latency: float, jitter: float, stall: float) -> None:
        self._pipe, theirs = CONTEXT.Pipe()
        arguments = (theirs, latency / 1_000, jitter / 1_000, stall / 1_000)
        self._process = CONTEXT.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        self.port: int = self._pipe.recv()

    def end(self) -> dict[str, Any]:
        """Stop, and return what was seen: ``arrivals`` in seconds, ``objects`` and ``cpu`` seconds."""
        self._pipe.send("end")
        seen: dict[str, Any] = self._pipe.recv()
        self._process.join(5)
        return seen


def _serve(pipe: Connection, latency: float, jitter: float, stall: float) -> None:
    asyncio.run(_count(pipe, latency, jitter, stall))


async def _count(pipe: Connection, latency: float, jitter: float, stall: float) -> None:
    loop = asyncio.get_running_loop()
    road = _Road(latency, jitter)
    listener = await loop.create_server(lambda: _Counter(road), "127.0.0.1", 0, backlog=1024)
    pipe.send(listener.sockets[0].getsockname()[1])
    end = asyncio.create_task(asyncio.to_thread(pipe.recv))
    while not end.done():
        await asyncio.wait([end], timeout=random.uniform(0.5, 1.5))
        if not end.done():
            time.sleep(stall)  # noqa: ASYNC251  the whole server stalls
    pipe.send({"arrivals": sorted(road.arrivals), "objects": road.objects, "cpu": time.process_time()})
    listener.close()


class _Road:
    """What lies between a request and its answer, and what came along it."""

    def __init__(self, latency: float, jitter: float) -> None:
        self._latency = latency
        self._jitter = jitter
        self._dice = random.Random(1)
        self.arrivals: list[float] = []
        self.objects = 0

    def wait(self) -> float:
        """Return the seconds of one way."""
        return (self._latency + self._jitter * self._dice.random()) / 2


class _Counter(asyncio.Protocol):
    """One connection: as little of HTTP as a client needs, since what the server takes is missing to the upload."""

    def __init__(self, road: _Road) -> None:
        self._road = road
        self._loop = asyncio.get_running_loop()
        self._chunks: list[bytes] = []
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._missing:
            data = b"".join((*self._chunks, data))
            self._chunks.clear()
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                length = data[:end].lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                self._missing = end + 4 + int(length)
        self._chunks.append(data)
        self._missing -= len(data) if self._missing else 0
        if self._missing <= 0 and b"\r\n\r\n" in self._chunks[0]:
            self._missing = 0
            body = b"".join(self._chunks)
            self._chunks.clear()
            self._later(self._arrive, body.count(b'"external_id"'))

    def _later(self, act: Any, *arguments: Any) -> None:
        wait = self._road.wait()
        if wait:
            self._loop.call_later(wait, act, *arguments)
        else:
            act(*arguments)

    def _arrive(self, objects: int) -> None:
        self._road.arrivals.append(time.perf_counter())
        self._road.objects += objects
        self._later(self._answer, objects)

    def _answer(self, objects: int) -> None:
        if self._transport.is_closing():
            return
        body = b'{"message":"success","attributes_processed":%d}' % objects
        head = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


if __name__ == "__main__":
    main()
