"""An S3 for a measurement: moto's server in a process of its own, which counts the requests.

It is the bench's own, not the sandbox's: two products that are compared meet the same server.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["BUCKET", "Bucket", "Request", "running_bucket"]

BUCKET = "bench"
_REGION = "us-east-1"
_QUESTION_CHARACTERS = 90


@dataclass(frozen=True)
class Request:
    """A request that was served.

    :param client: ``boto`` or ``delta-rs``.
    :param asked: method, path and the beginning of the query.
    """

    client: str
    asked: str


@dataclass
class Bucket:
    """A running S3 with one empty bucket.

    :param url: its endpoint.
    """

    url: str
    _pipe: Connection

    def connection(self) -> dict[str, Any]:
        """Return the Airflow connection of type ``aws`` that leads here."""
        extra = {"endpoint_url": self.url, "region_name": _REGION}
        return {"conn_type": "aws", "login": "bench", "password": "bench", "extra": extra}

    def client(self) -> Any:
        """Return a boto3 client; its requests count too."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=_REGION,
            aws_access_key_id="bench",
            aws_secret_access_key="bench",
        )

    def requests(self) -> int:
        """Say how many requests were served so far."""
        return len(self.served())

    def served(self) -> list[Request]:
        """Say which requests were served so far, in order."""
        self._pipe.send("served")
        return [Request(*each) for each in self._pipe.recv()]


@contextmanager
def running_bucket(*, latency: float = 0.0) -> Iterator[Bucket]:
    """Run an S3 for the length of a block.

    :param latency: seconds that a request waits before it is served.
    """
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, latency), daemon=True)
    server.start()
    theirs.close()
    try:
        bucket = Bucket(f"http://127.0.0.1:{ours.recv()}", ours)
        bucket.client().create_bucket(Bucket=BUCKET)
        yield bucket
    finally:
        server.terminate()
        server.join()


def _serve(pipe: Connection, latency: float) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    class Quiet(MotoRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Write no line for a request: stdout belongs to the figures."""

    counted = _Counted(DomainDispatcherApplication(create_backend_app), latency)
    server = make_server("127.0.0.1", 0, counted, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pipe.send(server.server_port)
    with contextlib.suppress(EOFError):
        while pipe.recv():
            pipe.send(list(counted.served))


class _Counted:
    """Counts requests. S3 decides conditional writes atomically, while moto checks first and writes later."""

    def __init__(self, application: Callable[..., Iterable[bytes]], latency: float) -> None:
        self._application = application
        self._latency = latency
        self._one_conditional = threading.Lock()
        self.served: list[tuple[str, str]] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        client = "boto" if "boto" in environ.get("HTTP_USER_AGENT", "").lower() else "delta-rs"
        question = environ.get("QUERY_STRING", "")[:_QUESTION_CHARACTERS]
        self.served.append((client, f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {question}".rstrip()))
        if self._latency:
            time.sleep(self._latency)
        if "HTTP_IF_NONE_MATCH" not in environ and "HTTP_IF_MATCH" not in environ:
            return self._application(environ, start_response)
        with self._one_conditional:
            return self._application(environ, start_response)
