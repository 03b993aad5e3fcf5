"""A small HTTP server on 127.0.0.1 that answers as it is told, each oddity by one function."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Oddity = Callable[["_Handler"], None]


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Oddity:
    """A whole answer; bytes go out as they are, anything else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    def reply(handler: _Handler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)

    return reply


def zipped(body: object) -> Oddity:
    """A gzip answer."""
    return answer(gzip.compress(json.dumps(body).encode()), headers={"Content-Encoding": "gzip"})


def web_page(status: int = 200) -> Oddity:
    """HTML where JSON was expected."""
    return answer(b"<!doctype html><title>Sign in</title>", status, {"Content-Type": "text/html"})


def redirect(to: str) -> Oddity:
    """A redirect."""
    return answer(b"", 302, {"Location": to})


def cut_off(body: object, *, keep: int = 20) -> Oddity:
    """A chunked answer whose stream ends in the middle of the document."""
    raw = json.dumps(body).encode()[:keep]

    def reply(handler: _Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))
        handler.close_connection = True

    return reply


def half_document(body: object, *, keep: int = 20) -> Oddity:
    """An answer that is whole as HTTP but only the beginning of a JSON document."""
    return answer(json.dumps(body).encode()[:keep])


def reset(handler: _Handler) -> None:
    """Take the request, then drop the connection without an answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True


def hang_up(handler: _Handler) -> None:
    """Take the request, then close the connection politely without an answer."""
    handler.close_connection = True


def silence(handler: _Handler) -> None:
    """Take the request and say nothing until the server stops."""
    handler.server.stopping.wait(30)
    handler.close_connection = True


def not_http(handler: _Handler) -> None:
    """Answer with something that is not HTTP."""
    handler.wfile.write(b"220 smtp.example ESMTP\r\n")
    handler.close_connection = True


def flood(handler: _Handler) -> None:
    """A JSON document of four MiB."""
    answer(b'{"message": "' + b"x" * (4 << 20) + b'"}')(handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet
    server: _Server

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, parts.path, parse_qs(parts.query, keep_blank_values=True), headers, body)
        self.server.owner.next_reply(seen)(self)

    def handle_expect_100(self) -> bool:
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: OddServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.owner = owner
        self.stopping = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that go away in the middle are part of the tests."""


@dataclass
class OddServer:
    """Answers each path with its replies in order; the last one stays.

    ``arrived`` is set once a first request is there.
    """

    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._replies: dict[tuple[str, str], list[Oddity]] = {}
        self._lock = threading.Lock()
        self.arrived = threading.Event()

    def __enter__(self) -> OddServer:
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def on(self, request: str, *replies: Oddity) -> None:
        """Set what answers a request such as ``GET /segments/list``."""
        method, _, path = request.partition(" ")
        with self._lock:
            self._replies[method, path] = list(replies)

    def next_reply(self, seen: Seen) -> Oddity:
        with self._lock:
            self.seen.append(seen)
            self.arrived.set()
            replies = self._replies.get((seen.method, seen.path), [answer({"message": "no such path"}, 404)])
            return replies.pop(0) if len(replies) > 1 else replies[0]

    def asked(self, path: str) -> list[Seen]:
        """Return the requests that reached a path."""
        return [seen for seen in self.seen if seen.path == path]


def closed_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
