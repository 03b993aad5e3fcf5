"""A request to the sandbox's S3, as its WSGI environment tells it."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import parse_qs

__all__ = ["Environ", "bucket_of", "in_memory", "method_of", "path_of"]

Environ = dict[str, Any]


def bucket_of(environ: Environ) -> str:
    return str(environ["PATH_INFO"]).strip("/").partition("/")[0]


def query_of(environ: Environ) -> dict[str, list[str]]:
    return parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)


def method_of(environ: Environ) -> str:
    """Return the method; a GET of a bucket that asks for its objects is ``LIST``."""
    method = str(environ["REQUEST_METHOD"])
    of_a_bucket = "/" not in str(environ["PATH_INFO"]).strip("/")
    query = query_of(environ)
    asks_for_objects = "list-type" in query or "prefix" in query or not query
    return "LIST" if method == "GET" and of_a_bucket and asks_for_objects else method


def path_of(environ: Environ) -> str:
    path = str(environ["PATH_INFO"]).encode("latin-1").decode("utf-8", "replace")
    if method_of(environ) == "LIST":
        return f"/{bucket_of(environ)}/{''.join(query_of(environ).get('prefix', []))}"
    return path


def in_memory(environ: Environ) -> tuple[io.BytesIO, bytes]:
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        body = stream.read()
    else:
        body = stream.read(int(environ.get("CONTENT_LENGTH") or 0))
    return io.BytesIO(body), body
