"""The gate in front of the sandbox's S3: makes the faults of an object store and of the road to it."""

from __future__ import annotations

import contextlib
import io
import json
import select
import socket
import struct
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from .faults import Fault, Faults

__all__ = ["OWN_CLIENT", "S3Gate"]

OWN_CLIENT = "sandbox-itself"
"""In the user agent of a client whose requests pass: Braze's own writing and whoever looks from outside."""

# Codes that S3 gives its errors: Amazon S3 API reference "Error responses", read 2026-11.
_CODES = {
    403: "AccessDenied",
    404: "NoSuchKey",
    409: "ConditionalRequestConflict",
    412: "PreconditionFailed",
    500: "InternalError",
    503: "SlowDown",
    504: "GatewayTimeout",
}
_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"

_Environ = dict[str, Any]
_Application = Callable[..., Iterable[bytes]]


@dataclass
class _Answer:
    """An answer kept back whole."""

    status: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    @property
    def is_success(self) -> bool:
        return self.status.startswith("2")


class S3Gate:
    """A WSGI application round the one of S3.

    :param application: the store.
    :param faults: consulted for each request but those of the sandbox's own clients.

    ``in_flight`` is the number of requests that are being carried out, whether or not somebody still waits for them.
    """

    def __init__(self, application: _Application, *, faults: Faults) -> None:
        self._application = application
        self._faults = faults
        self._appeared: dict[str, float] = {}
        self.in_flight = 0
        self._lock = threading.Lock()

    def __call__(self, environ: _Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            self.in_flight += 1
        try:
            return self._pass(environ, start_response)
        finally:
            with self._lock:
                self.in_flight -= 1

    def _pass(self, environ: _Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = _method(environ), _path(environ)
        own = OWN_CLIENT in environ.get("HTTP_USER_AGENT", "")
        drawn = [] if own else self._faults.draw("s3", method=method, path=path)
        for fault in drawn:
            if fault.kind == "latency":
                time.sleep(fault.delay_s)
        hit = next((fault for fault in drawn if fault.kind != "latency"), None)
        if hit is None and method in {"GET", "HEAD", "LIST"}:
            return self._application(environ, start_response)
        # Read before anything else happens: an answer beside an unread body would reach nobody.
        environ["wsgi.input"], body = _in_memory(environ)
        answer = self._answer(environ, path) if hit is None else self._answer_faulty(environ, hit, method, path, body)
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _answer(self, environ: _Environ, path: str) -> _Answer:
        answer = _ask(self._application, environ)
        if answer.is_success:
            self._note(environ["REQUEST_METHOD"], path)
        return answer

    def _note(self, method: str, path: str) -> None:
        with self._lock:
            if method == "DELETE":
                self._appeared.pop(path, None)
            elif path not in self._appeared:
                self._appeared[path] = time.monotonic()

    def _answer_faulty(self, environ: _Environ, fault: Fault, method: str, path: str, body: bytes) -> _Answer:
        match fault.kind:
            case "status":
                return _refuse(fault.status)
            case "reset_before":
                _reset(environ)
            case "reset_after":
                self._answer(environ, path)
                _reset(environ)
            case "timeout_before":
                _hang(environ, fault.delay_s)
                return _refuse(504)
            case "timeout_after":
                self._answer(environ, path)
                _hang(environ, fault.delay_s)
                return _refuse(504)
            case "lost_put" if method == "PUT" and environ.get("HTTP_IF_NONE_MATCH") == "*":
                # The other writer is bound by the same condition: where an object is already, it loses as well.
                other = _others(path, body)
                _ask(
                    self._application,
                    {**environ, "wsgi.input": io.BytesIO(other), "CONTENT_LENGTH": str(len(other))},
                )
            case "unconditional_put":
                environ.pop("HTTP_IF_NONE_MATCH", None)
            case "list_delay" if method == "LIST":
                return self._without_the_newest(_ask(self._application, environ), environ, fault.delay_s)
        return self._answer(environ, path)

    def _without_the_newest(self, answer: _Answer, environ: _Environ, seconds: float) -> _Answer:
        if not answer.is_success:
            return answer
        since = time.monotonic() - seconds
        bucket = _bucket(environ)
        with self._lock:
            hidden = {path for path, appeared in self._appeared.items() if appeared > since}
        document = ET.fromstring(answer.body)  # noqa: S314 - our own store's answer
        entries = document.findall(f"{_NAMESPACE}Contents")
        dropped = [entry for entry in entries if f"/{bucket}/{entry.findtext(f'{_NAMESPACE}Key')}" in hidden]
        for entry in dropped:
            document.remove(entry)
        count = document.find(f"{_NAMESPACE}KeyCount")
        if count is not None:
            count.text = str(len(entries) - len(dropped))
        ET.register_namespace("", _NAMESPACE.strip("{}"))
        body = ET.tostring(document, encoding="utf-8", xml_declaration=True)
        headers = [(name, text) for name, text in answer.headers if name.lower() != "content-length"]
        return _Answer(answer.status, [*headers, ("Content-Length", str(len(body)))], body)


def _bucket(environ: _Environ) -> str:
    return str(environ["PATH_INFO"]).strip("/").partition("/")[0]


def _query(environ: _Environ) -> dict[str, list[str]]:
    return parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)


def _method(environ: _Environ) -> str:
    """Return the method; a GET of a bucket that asks for its objects is ``LIST``."""
    method = str(environ["REQUEST_METHOD"])
    of_a_bucket = "/" not in str(environ["PATH_INFO"]).strip("/")
    query = _query(environ)
    asks_for_objects = "list-type" in query or "prefix" in query or not query
    return "LIST" if method == "GET" and of_a_bucket and asks_for_objects else method


def _path(environ: _Environ) -> str:
    path = str(environ["PATH_INFO"]).encode("latin-1").decode("utf-8", "replace")
    if _method(environ) == "LIST":
        return f"/{_bucket(environ)}/{''.join(_query(environ).get('prefix', []))}"
    return path


def _in_memory(environ: _Environ) -> tuple[io.BytesIO, bytes]:
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        body = stream.read()
    else:
        body = stream.read(int(environ.get("CONTENT_LENGTH") or 0))
    return io.BytesIO(body), body


def _ask(application: _Application, environ: _Environ) -> _Answer:
    answer = _Answer()

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
        answer.status, answer.headers = status, list(headers)

    parts = application(environ, start_response)
    try:
        answer.body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    return answer


def _refuse(status: int) -> _Answer:
    code = _CODES.get(status, HTTPStatus(status).phrase.title().replace(" ", ""))
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
        f"<Message>The sandbox's S3 answers {status}.</Message><RequestId>sandbox</RequestId></Error>"
    ).encode()
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    return _Answer(f"{status} {HTTPStatus(status).phrase}", headers, body)


def _reset(environ: _Environ) -> None:
    """Cut the connection so that the client sees a reset.

    :raises ConnectionResetError: always; the server takes it for a client that has gone.
    """
    connection: socket.socket = environ["werkzeug.socket"]
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Not close(): the server's streams keep the connection open, and would end it in good order.
        socket.close(connection.detach())
    raise ConnectionResetError


def _hang(environ: _Environ, seconds: float) -> None:
    """Keep the client waiting, until it is gone at most."""
    select.select([environ["werkzeug.socket"]], [], [], seconds)


def _others(path: str, body: bytes) -> bytes:
    """Return what another writer puts at a path.

    In the log of a Delta table: a commit that changes nothing, of a writer that also makes the table where ours does.
    """
    if "/_delta_log/" not in path:
        return body
    ours = [json.loads(line) for line in body.splitlines() if line.strip()]
    info = {"commitInfo": {"timestamp": int(time.time() * 1000), "operation": "WRITE", "engineInfo": "sandbox"}}
    makes = [action for action in ours if "protocol" in action or "metaData" in action]
    return b"\n".join(json.dumps(action).encode() for action in [info, *makes])
