"""The gate in front of the sandbox's S3: makes the faults of an object store and of the road to it."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from airflow_provider_braze_blueconic.sandbox.faults import Fault
from airflow_provider_braze_blueconic.sandbox.in_force import Faults
from airflow_provider_braze_blueconic.sandbox.s3.answers import Answer, Application, ask, refuse
from airflow_provider_braze_blueconic.sandbox.s3.connections import hang, reset
from airflow_provider_braze_blueconic.sandbox.s3.listings import without
from airflow_provider_braze_blueconic.sandbox.s3.other_writer import others_write
from airflow_provider_braze_blueconic.sandbox.s3.requests import Environ, bucket_of, in_memory, method_of, path_of

__all__ = ["OWN_CLIENT", "S3Gate"]

OWN_CLIENT = "sandbox-itself"
"""In the user agent of a client whose requests pass: Braze's own writing and whoever looks from outside."""


class S3Gate:
    """A WSGI application round the one of S3.

    :param application: the store.
    :param faults: consulted for each request but those of the sandbox's own clients.

    ``in_flight`` is the number of requests that are being carried out, whether or not somebody still waits for them.
    """

    def __init__(self, application: Application, *, faults: Faults) -> None:
        self._application = application
        self._faults = faults
        self._appeared: dict[str, float] = {}
        self.in_flight = 0
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            self.in_flight += 1
        try:
            return self._pass(environ, start_response)
        finally:
            with self._lock:
                self.in_flight -= 1

    def _pass(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = method_of(environ), path_of(environ)
        own = OWN_CLIENT in environ.get("HTTP_USER_AGENT", "")
        drawn = [] if own else self._faults.draw("s3", method=method, path=path)
        for fault in drawn:
            if fault.kind == "latency":
                time.sleep(fault.delay_s)
        hit = next((fault for fault in drawn if fault.kind != "latency"), None)
        if hit is None and method in {"GET", "HEAD", "LIST"}:
            return self._application(environ, start_response)
        # Read before anything else happens: an answer beside an unread body would reach nobody.
        environ["wsgi.input"], body = in_memory(environ)
        answer = self._answer(environ, path) if hit is None else self._answer_faulty(environ, hit, method, path, body)
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _answer(self, environ: Environ, path: str) -> Answer:
        answer = ask(self._application, environ)
        if answer.is_success:
            self._note(environ["REQUEST_METHOD"], path)
        return answer

    def _note(self, method: str, path: str) -> None:
        with self._lock:
            if method == "DELETE":
                self._appeared.pop(path, None)
            elif path not in self._appeared:
                self._appeared[path] = time.monotonic()

    def _answer_faulty(self, environ: Environ, fault: Fault, method: str, path: str, body: bytes) -> Answer:
        match fault.kind:
            case "status":
                return refuse(fault.status)
            case "reset_before":
                reset(environ)
            case "reset_after":
                self._answer(environ, path)
                reset(environ)
            case "timeout_before":
                hang(environ, fault.delay_s)
                return refuse(504)
            case "timeout_after":
                self._answer(environ, path)
                hang(environ, fault.delay_s)
                return refuse(504)
            case "lost_put" if method == "PUT" and environ.get("HTTP_IF_NONE_MATCH") == "*":
                # The other writer is bound by the same condition: where an object is already, it loses as well.
                other = others_write(path, body)
                ask(
                    self._application,
                    {**environ, "wsgi.input": io.BytesIO(other), "CONTENT_LENGTH": str(len(other))},
                )
            case "unconditional_put":
                environ.pop("HTTP_IF_NONE_MATCH", None)
            case "list_delay" if method == "LIST":
                answer = ask(self._application, environ)
                return without(answer, self._appeared_within(fault.delay_s), bucket=bucket_of(environ))
        return self._answer(environ, path)

    def _appeared_within(self, seconds: float) -> set[str]:
        since = time.monotonic() - seconds
        with self._lock:
            return {path for path, appeared in self._appeared.items() if appeared > since}
