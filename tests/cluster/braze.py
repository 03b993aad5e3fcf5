"""A Braze that accepts everybody and keeps every request: from whom it came, when, and its body."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from tests.cluster.trap import Server, TrapEnd

__all__ = ["LATENCY_SECONDS", "connection", "running_braze"]

LATENCY_SECONDS = 0.05
_BODY_BYTES = 8_000_000
_PERSON = b'"external_id"'


@contextmanager
def running_braze(folder: Path) -> Iterator[Server]:
    """Run a Braze for the length of a block.

    :param folder: gets ``requests-<night>.jsonl``, a line a request: ``came`` (Unix seconds), ``worker``, ``body``. The
        night is what was asked for last by ``night-<night>``.
    """
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, folder), daemon=True)
    server.start()
    theirs.close()
    try:
        yield Server(f"http://127.0.0.1:{ours.recv()}", ours)
    finally:
        server.terminate()
        server.join()


def connection(url: str, caller: str) -> dict[str, str]:
    """Return the Airflow connection of a caller."""
    return {"conn_type": "braze", "host": url, "password": caller}


def _serve(pipe: Connection, folder: Path) -> None:
    asyncio.run(_listen(pipe, folder))


async def _listen(pipe: Connection, folder: Path) -> None:
    from aiohttp import web

    kept = _Kept(folder)
    app = web.Application(client_max_size=_BODY_BYTES)
    app.router.add_post("/users/track", kept.track)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    pipe.send(runner.addresses[0][1])
    nights = {f"night-{night}": (lambda night=night: kept.begin(night)) for night in (1, 2, 3)}
    await asyncio.to_thread(TrapEnd(pipe).serve, {"people": lambda: kept.people, **nights})


class _Kept:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.begin(1)

    def begin(self, night: int) -> str:
        """Write what comes from now on into a file of its own."""
        self.people = 0
        file = self._folder / f"requests-{night}.jsonl"
        # Unbuffered: what was received is in the file.
        self._file = file.open("ab", buffering=0)
        return str(file)

    async def track(self, request: object) -> object:
        """Keep a request, and accept everybody in it."""
        from aiohttp import web

        assert isinstance(request, web.Request)
        body = await request.read()
        worker = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self._file.write(b'{"came":%.6f,"worker":"%s","body":%s}\n' % (time.time(), worker.encode(), body))
        people = body.count(_PERSON)
        self.people += people
        await asyncio.sleep(LATENCY_SECONDS)
        return web.json_response({"message": "success", "attributes_processed": people}, status=201)
