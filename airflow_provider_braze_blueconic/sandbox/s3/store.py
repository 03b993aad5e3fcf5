"""The sandbox's S3: moto's server, in a thread of this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

import boto3
from botocore.config import Config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from airflow_provider_braze_blueconic.sandbox.in_force import Faults
from airflow_provider_braze_blueconic.sandbox.s3.buckets import BUCKETS, REGION
from airflow_provider_braze_blueconic.sandbox.s3.gate import OWN_CLIENT, S3Gate

__all__ = ["ObjectStore"]

_servers = 0
_servers_lock = threading.Lock()


class ObjectStore:
    """An S3 server. Any credentials are accepted, as moto does.

    moto keeps its buckets for the whole process: servers of one process show the same objects, and the last one that
    stops empties them.

    :param host: address to listen on.
    :param port: 0 takes a free one.
    :param faults: consulted for each request but those of :meth:`client`.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, faults: Faults | None = None) -> None:
        one_at_a_time = _OneConditionalWriteAtATime(DomainDispatcherApplication(create_backend_app))
        self.gate = S3Gate(one_at_a_time, faults=faults or Faults())
        with socket.socket() as listener:  # bound here, since werkzeug ends the process when a port is taken
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(128)
            port = listener.getsockname()[1]
            self._server: BaseWSGIServer = make_server(
                host, port, self.gate, threaded=True, request_handler=_QuietHandler, fd=listener.fileno()
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="sandbox-s3", daemon=True
        )
        self.url = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        global _servers  # noqa: PLW0603 - moto's buckets are as global as this count of who still needs them
        with _servers_lock:
            _servers += 1
        self._thread.start()
        client = self.client()
        for bucket in BUCKETS:
            client.create_bucket(Bucket=bucket)

    def stop(self) -> None:
        global _servers  # noqa: PLW0603
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        with _servers_lock:
            _servers -= 1
            if _servers == 0:
                _forget_everything()

    def client(self) -> Any:
        """Return a boto3 S3 client for this server: the sandbox's own, which no fault hits."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",  # noqa: S106 - not a secret: any text is accepted
            config=Config(user_agent_extra=OWN_CLIENT),
        )


class _QuietHandler(MotoRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write no line for a request: stdout belongs to whoever runs the sandbox."""

    def connection_dropped(self, *_: object) -> None:
        """Look for no further request on a connection that is gone, as after a reset by the gate."""
        self.close_connection = True


class _OneConditionalWriteAtATime:
    """S3 decides ``If-None-Match`` and ``If-Match`` atomically; moto checks first and writes later."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if "HTTP_IF_NONE_MATCH" not in environ and "HTTP_IF_MATCH" not in environ:
            return self._application(environ, start_response)
        with self._lock:
            return self._application(environ, start_response)


def _forget_everything() -> None:
    from moto.core.model_instances import reset_model_data
    from moto.s3.models import s3_backends

    for backends in s3_backends.values():
        for backend in backends.values():
            backend.reset()
    reset_model_data()
