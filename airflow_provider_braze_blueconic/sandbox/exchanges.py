"""One request to the sandbox with its answer, as they were on the wire."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_braze_blueconic.sandbox.faults import Service

__all__ = ["Answer", "Exchange"]


@dataclass
class Answer:
    """An answer of a service."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass
class Exchange:
    """One request and its answer, as they were on the wire (bodies after decompression are the reader's task).

    :param url: path and query string.
    :param status: ``None`` when no answer was sent, or nobody was there any more to get it.
    :param hidden: what the service itself answered, where that did not reach the client, or not whole: something may
        have been applied all the same. ``None`` where the client got that answer, or the service was never asked.
    :param began: monotonic seconds at which the request was there.
    :param ended: and at which its answer was sent, or given up.
    """

    service: Service
    method: str
    url: str
    request_headers: dict[str, str] = field(repr=False)
    request_body: bytes = field(repr=False)
    status: int | None = None
    response_headers: dict[str, str] = field(default_factory=dict, repr=False)
    response_body: bytes = field(default=b"", repr=False)
    hidden: Answer | None = None
    began: float = 0.0
    ended: float = 0.0
