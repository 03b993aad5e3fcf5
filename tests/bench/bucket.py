"""An S3 for a measurement: moto's server in a process of its own, which counts the requests.

It is the bench's own, not the sandbox's: two products that are compared meet the same server.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["BUCKET", "Bucket", "running_bucket"]

BUCKET = "bench"
_REGION = "us-east-1"


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
        self._pipe.send("count")
        return int(self._pipe.recv())


@contextmanager
def running_bucket() -> Iterator[Bucket]:
    """Run an S3 for the length of a block."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    theirs.close()
    try:
        bucket = Bucket(f"http://127.0.0.1:{ours.recv()}", ours)
        bucket.client().create_bucket(Bucket=BUCKET)
        yield bucket
    finally:
        server.terminate()
        server.join()


def _serve(pipe: Connection) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    class Quiet(MotoRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Write no line for a request: stdout belongs to the figures."""

    counted = _Counted(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, counted, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pipe.send(server.server_port)
    with contextlib.suppress(EOFError):
        while pipe.recv():
            pipe.send(counted.requests)


class _Counted:
    """Counts requests. S3 decides conditional writes atomically, while moto checks first and writes later."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._counting = threading.Lock()
        self._one_conditional = threading.Lock()
        self.requests = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._counting:
            self.requests += 1
        if "HTTP_IF_NONE_MATCH" not in environ and "HTTP_IF_MATCH" not in environ:
            return self._application(environ, start_response)
        with self._one_conditional:
            return self._application(environ, start_response)
