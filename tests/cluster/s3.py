"""An S3 that tells its callers apart by their access keys, and has a trap: moto's server in a process of its own."""

from __future__ import annotations

import multiprocessing
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from tests.cluster.trap import Server, TrapEnd

__all__ = ["BUCKET", "connection", "running_s3", "s3_client"]

BUCKET = "cluster"
_REGION = "us-east-1"
_KEY = re.compile(r"Credential=([^/]+)/")


@contextmanager
def running_s3() -> Iterator[Server]:
    """Run an S3 with one empty bucket for the length of a block."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    theirs.close()
    try:
        s3 = Server(f"http://127.0.0.1:{ours.recv()}", ours)
        s3_client(s3.url).create_bucket(Bucket=BUCKET)
        yield s3
    finally:
        server.terminate()
        server.join()


def connection(url: str, caller: str) -> dict[str, Any]:
    """Return the Airflow connection of a caller."""
    extra = {"endpoint_url": url, "region_name": _REGION}
    return {"conn_type": "aws", "login": caller, "password": "cluster-secret", "extra": extra}


def s3_client(url: str) -> Any:
    """Return a boto3 client of the test's own."""
    import boto3

    keys = {"aws_access_key_id": "the-test", "aws_secret_access_key": "cluster-secret"}
    return boto3.client("s3", endpoint_url=url, region_name=_REGION, **keys)


def _serve(pipe: Connection) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    class Quiet(MotoRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Write no line for a request."""

    trapped = _Trapped(DomainDispatcherApplication(create_backend_app), TrapEnd(pipe))
    server = make_server("127.0.0.1", 0, trapped, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pipe.send(server.server_port)
    trapped.trap.serve({"requests": lambda: trapped.requests})


class _Trapped:
    """Counts requests. S3 decides conditional writes atomically, while moto checks first and writes later."""

    def __init__(self, application: Callable[..., Iterable[bytes]], trap: TrapEnd) -> None:
        self._application = application
        self._counting = threading.Lock()
        self._one_conditional = threading.Lock()
        self.trap = trap
        self.requests = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._counting:
            self.requests += 1
        caller = _KEY.search(environ.get("HTTP_AUTHORIZATION", ""))
        if self.trap.holds(environ["REQUEST_METHOD"], environ["PATH_INFO"], caller[1] if caller else "nobody"):
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return []
        if "HTTP_IF_NONE_MATCH" not in environ and "HTTP_IF_MATCH" not in environ:
            return self._application(environ, start_response)
        with self._one_conditional:
            return self._application(environ, start_response)
