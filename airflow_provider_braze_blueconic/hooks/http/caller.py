"""Ordinary calls: one request, one JSON object back, retried where that is safe.

Uploads don't come through here: a sender makes one attempt, and the send loop in ``sync`` decides what follows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from airflow_provider_braze_blueconic.exceptions import TransientError
from airflow_provider_braze_blueconic.hooks.http.actions import Action, action_for
from airflow_provider_braze_blueconic.hooks.http.ahead import Ahead
from airflow_provider_braze_blueconic.hooks.http.bodies import read_object
from airflow_provider_braze_blueconic.hooks.http.calls import Answer, Call
from airflow_provider_braze_blueconic.hooks.http.failures import lost, refused
from airflow_provider_braze_blueconic.hooks.http.identity import USER_AGENT, Bearer, BearerAuth
from airflow_provider_braze_blueconic.hooks.http.patience import (
    Patience,
    TryAgainError,
    after_one_try,
    requested_wait,
    wait_before_next,
)
from airflow_provider_braze_blueconic.hooks.http.sites import Site

__all__ = ["Caller"]

_PATIENCE = Patience()

_log = logging.getLogger(__name__)


class Caller:
    """Makes ordinary calls to one site.

    :param site: where.
    :param bearer: what identifies us; ``None`` for calls that need no key.
    :param timeout: seconds of silence, while connecting and while reading.
    :param patience: how long a call is worth repeating.
    :param sleep: waits that many seconds.
    :param wall_clock: returns Unix seconds; compared with times that the server names.
    """

    def __init__(
        self,
        site: Site,
        *,
        bearer: Bearer | None,
        timeout: float,
        patience: Patience = _PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.site = site
        self._bearer = bearer
        self._timeout = timeout
        self._patience = patience
        self._sleep = sleep
        self._wall_clock = wall_clock
        self._session = requests.Session()
        self._session.headers.update(
            {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"}
        )

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._session.close()

    def ahead(self) -> Ahead:
        """Return what sends a request ahead of its call."""
        return Ahead(self._send)

    def call(self, call: Call, ahead: Ahead | None = None) -> Answer:
        """Make a call until it is answered, refused, or our patience ends.

        :param ahead: what may have sent the first request already; each later one replaces what it sends.
        :raises AccessError: wrong key, host, certificate or right.
        :raises TransientError: busy or unreachable for as long as we waited.
        :raises UnexpectedAnswer: answered in a form that no rule covers.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(TryAgainError),
            stop=self._is_over if call.repeatable else after_one_try,
            wait=wait_before_next,
            sleep=self._sleep,
            before_sleep=lambda state: self._tell(call, state),
            reraise=True,
        )
        try:
            return retrying(self._try, call, ahead)
        except TryAgainError as last:
            raise last.error from None

    def _is_over(self, state: RetryCallState) -> bool:
        if state.attempt_number >= self._patience.attempts:
            return True
        # idle_for counts the waits even where a test's sleep returns at once.
        spent = max(state.seconds_since_start or 0.0, state.idle_for)
        return spent + state.upcoming_sleep > self._patience.seconds

    def _tell(self, call: Call, state: RetryCallState) -> None:
        _log.info(
            "%s to %s got no answer; attempt %s follows in %.1f s",
            call.title,
            self.site.vendor,
            state.attempt_number + 1,
            state.upcoming_sleep,
        )

    def _try(self, call: Call, ahead: Ahead | None) -> Answer:
        try:
            answered = ahead.take(call) if ahead is not None else None
            with self._send(call) if answered is None else answered as response:
                return self._read(call, response)
        except requests.exceptions.RequestException as error:
            # The library's text can hold the address with its query, so only the class is named.
            failure = lost(call, error, place=self.site.place, timeout=self._timeout)
            raise (TryAgainError(failure) if isinstance(failure, TransientError) else failure) from None

    def _send(self, call: Call) -> requests.Response:
        response = self._send_once(call)
        if action_for(response.status_code) is Action.RENEW and self._bearer is not None and self._bearer.renew():
            response.close()
            response = self._send_once(call)
        return response

    def _send_once(self, call: Call) -> requests.Response:
        return self._session.request(
            call.method,
            self.site.base_url + call.path,
            params=dict(call.params),
            json=call.body,
            data=call.form,
            auth=BearerAuth(self._bearer.token() if self._bearer is not None else None),
            timeout=self._timeout,
            verify=self.site.ca_file or True,
            allow_redirects=False,
            stream=True,
        )

    def _read(self, call: Call, response: requests.Response) -> Answer:
        status = response.status_code
        if status in call.errors:
            raise call.errors[status]
        action = action_for(status)
        if action is Action.READ:
            body = read_object(call, response, place=self.site.place)
            return self._usable(call, Answer(body, response.links.get("next", {}).get("url")))
        error = refused(call, status, place=self.site.place)
        if action in (Action.WAIT, Action.AGAIN):
            raise TryAgainError(error, requested_wait(response.headers, self._wall_clock()))
        raise error

    def _usable(self, call: Call, answer: Answer) -> Answer:
        why = call.why_again(answer) if call.why_again is not None else None
        if why is not None:
            raise TryAgainError(
                TransientError(f"{self.site.place} answered {call.title}, but {why}, in every attempt.")
            )
        return answer
