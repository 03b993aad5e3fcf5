"""The answers of the sandbox's S3, kept back whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from airflow_provider_braze_blueconic.sandbox.s3.requests import Environ

__all__ = ["Answer", "Application", "ask", "refuse"]

Application = Callable[..., Iterable[bytes]]

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


@dataclass
class Answer:
    """An answer kept back whole."""

    status: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    @property
    def is_success(self) -> bool:
        return self.status.startswith("2")


def ask(application: Application, environ: Environ) -> Answer:
    answer = Answer()

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
        answer.status, answer.headers = status, list(headers)

    parts = application(environ, start_response)
    try:
        answer.body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    return answer


def refuse(status: int) -> Answer:
    code = _CODES.get(status, HTTPStatus(status).phrase.title().replace(" ", ""))
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
        f"<Message>The sandbox's S3 answers {status}.</Message><RequestId>sandbox</RequestId></Error>"
    ).encode()
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    return Answer(f"{status} {HTTPStatus(status).phrase}", headers, body)
