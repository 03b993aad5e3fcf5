"""How fast 300,000 people are uploaded against Braze's cap, with 50 ms latency: people/s, share of the cap, memory."""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import deque
from multiprocessing.connection import Connection
from pathlib import Path

PEOPLE = 300_000
LATENCY_SECONDS = 0.05
CAP_REQUESTS, CAP_SECONDS = 3_000, 3.0
BATCH = 75


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--people", type=int, default=PEOPLE)
    people = arguments.parse_args().people
    ours, theirs = multiprocessing.Pipe()
    stub = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    stub.start()
    port = ours.recv()
    with tempfile.TemporaryDirectory(prefix="bench-upload-") as folder:
        home = Path(folder)
        os.environ["AIRFLOW_HOME"] = str(home / "airflow")
        os.environ["AIRFLOW_CONN_BRAZE_DEFAULT"] = json.dumps(
            {"conn_type": "braze", "host": f"http://127.0.0.1:{port}", "password": "bench-key"}
        )
        _upload(home, people)
    ours.send("report")
    seen = ours.recv()
    stub.join(5)
    rate = seen["requests"] / seen["seconds"]
    share = rate / (CAP_REQUESTS / CAP_SECONDS)
    print(f"  requests seen by the stub    {seen['requests']:,} in {seen['seconds']:.2f} s, {rate:,.0f}/s")
    print(f"  share of the cap             {share:.3f}  (wanted: at least 0.9)")
    print(f"  most in any {CAP_SECONDS:.0f} s           {seen['most']:,} of {CAP_REQUESTS:,}  (never more)")
    print(f"  people seen by the stub      {seen['objects']:,}")
    if seen["most"] > CAP_REQUESTS or seen["objects"] != people:
        sys.exit("the cap was broken, or people are missing")


def _upload(home: Path, people: int) -> None:
    import duckdb

    from airflow_provider_braze_blueconic.hooks.braze import BrazeHook
    from airflow_provider_braze_blueconic.hooks.braze_api.track import TRACK_LIMITS, TRACK_RATE
    from airflow_provider_braze_blueconic.sync.braze.objects import BODY_AFTER, BODY_BEFORE, attributes_sql
    from airflow_provider_braze_blueconic.sync.engine.database import Engine
    from airflow_provider_braze_blueconic.sync.sending.settings import UploadSettings
    from airflow_provider_braze_blueconic.sync.steps.upload import upload_partition
    from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
    from tests.support.staging import LocalStaging

    fields = ", ".join(f"""'"value {n} of ' || i || '"' AS field_attribute_{n}""" for n in range(5))
    delta = home / "staging" / "bench" / "delta-1"
    delta.mkdir(parents=True)
    duckdb.sql(
        f"""
        COPY (
            SELECT '{{"external_id":"person-' || i || '"}}' AS identifier, 'change' AS kind, TRUE AS to_send, {fields}
            FROM range({people}) AS t(i)
        ) TO '{delta}/partition=0.parquet' (FORMAT parquet)
        """
    )
    workspace = Workspace(
        LocalStaging(), GoalFolder(str(home / "staging"), "bench"), "run", Engine(home / "work", memory_limit="1GB")
    )
    reference = {"uri": str(delta), "delta_id": "1", "run_key": "run", "as_of": "2026-11-01T00:00:00+00:00"}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    result = upload_partition(
        workspace,
        reference,  # type: ignore[arg-type]  # the upload needs no more of it
        0,
        objects_sql=lambda source, columns: attributes_sql(source, columns, allow_creation=False),
        sender=BrazeHook().track_sender(),
        rate=TRACK_RATE,
        settings=UploadSettings(limits=TRACK_LIMITS, before=BODY_BEFORE, after=BODY_AFTER),
    )
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"upload: {people:,} people, 5 fields, {LATENCY_SECONDS * 1000:.0f} ms latency, cap {CAP_REQUESTS} in {CAP_SECONDS:.0f} s"
    )
    print(f"  accepted                     {result['accepted']:,} in {seconds:.2f} s, {people / seconds:,.0f} people/s")
    print(
        f"  peak memory                  {peak / 1024:,.0f} MiB, {(peak - before) / 1024:,.0f} MiB more than before it"
    )


def _serve(pipe: Connection) -> None:
    asyncio.run(_stub(pipe))


async def _stub(pipe: Connection) -> None:
    from aiohttp import web

    starts: deque[float] = deque()
    seen = {"requests": 0, "objects": 0, "most": 0, "first": 0.0, "last": 0.0}

    async def track(request: web.Request) -> web.Response:
        now = time.perf_counter()
        seen["first"] = seen["first"] or now
        seen["last"] = now
        starts.append(now)
        while starts[0] <= now - CAP_SECONDS:
            starts.popleft()
        body = await request.read()
        objects = body.count(b'"external_id"')
        seen["requests"] += 1
        seen["objects"] += objects
        seen["most"] = max(seen["most"], len(starts))
        await asyncio.sleep(LATENCY_SECONDS)
        return web.Response(
            status=201,
            body=b'{"message":"success","attributes_processed":%d}' % objects,
            content_type="application/json",
        )

    app = web.Application(client_max_size=8_000_000)
    app.router.add_post("/users/track", track)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    pipe.send(runner.addresses[0][1])
    await asyncio.to_thread(pipe.recv)
    pipe.send({**seen, "seconds": seen["last"] - seen["first"]})
    await runner.cleanup()


if __name__ == "__main__":
    main()
