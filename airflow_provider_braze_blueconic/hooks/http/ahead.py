"""A request that is on its way while the answer before it is still worked on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests

    from airflow_provider_braze_blueconic.hooks.http.calls import Call

__all__ = ["Ahead"]


class Ahead:
    """Sends at most one request ahead. Its answer's body stays where it is until somebody reads it.

    :param send: makes the request; called in a thread.
    """

    def __init__(self, send: Callable[[Call], requests.Response]) -> None:
        self._send = send
        self._call: Call | None = None
        self._response: Future[requests.Response] | None = None

    def ask(self, call: Call) -> None:
        """Send a request, in place of one that nobody took."""
        self.drop()
        self._call, self._response = call, Future()
        # Not a pool's thread: those are waited for when the process ends, and this one may wait for a silent server.
        threading.Thread(target=_work, args=(self._send, call, self._response), name="ahead", daemon=True).start()

    def take(self, call: Call) -> requests.Response | None:
        """Wait for the answer to a call; ``None`` if another one was asked, or none.

        :raises Exception: whatever sending the request raised.
        """
        if self._response is None or self._call != call:
            self.drop()
            return None
        response, self._response = self._response, None
        return response.result()

    def drop(self) -> None:
        """Leave the request alone; its connection is closed as soon as it is answered."""
        if self._response is not None:
            self._response.add_done_callback(_close)
        self._response = None


def _work(send: Callable[[Call], requests.Response], call: Call, response: Future[requests.Response]) -> None:
    try:
        response.set_result(send(call))
    except BaseException as error:  # noqa: BLE001  the edge of a thread: it is raised where somebody waits for it
        response.set_exception(error)


def _close(response: Future[requests.Response]) -> None:
    if response.exception() is None:
        response.result().close()
