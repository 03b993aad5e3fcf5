"""When the next request may start.

Pure arithmetic on monotonic seconds: no I/O, no clock and no sleep of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from airflow_provider_braze_blueconic.sync.sending.window import CountedWindow

__all__ = ["Pacing", "Rate"]

_EPOCH_FROM = 1_000_000_000
"""``X-RateLimit-Reset`` is an epoch on one Braze page and a duration on another; above this it is an epoch."""

_HEADROOM = 0.955
"""Share of a cap that is used if the server's windows are not counted. The rest is for catching up, and for what the
network does to the spacing of requests on their way."""

_COUNTED_PACE = 1.1
"""How much faster than the cap requests follow each other if the server's windows are counted. These alone keep to the
cap; the spacing keeps a window from being used up at once. Faster, so that a latency's wait in each window is made up
for."""

_BURST_SHARE = 0.033
"""How much lost time may be caught up at once, as a share of the window. A hiccup of the event loop costs nothing; a
long pause is not made good. A window holds at most ``_HEADROOM * (1 + _BURST_SHARE)`` = 98.7 % of its cap."""

_BURST_SECONDS = 0.1
"""The most that is caught up at once, however long the window is."""

_WAIT_WITHOUT_HINT = 5.0
"""Seconds to wait after a 429 that names no time."""


@dataclass(frozen=True)
class Rate:
    """A cap on requests.

    :param requests: requests per window.
    :param seconds: length of the window.
    :param counted: no such window of the server may hold more, however unevenly requests arrive there. It costs one
        latency a window, too much where a window is hardly longer: without it starts alone are spaced, below the cap.
    :param evenly: a lower cap to which the starts of requests keep besides.
    """

    requests: float
    seconds: float
    counted: bool = True
    evenly: Rate | None = None

    @property
    def per_second(self) -> float:
        """Requests per second on average."""
        return self.evenly.per_second if self.evenly else self.requests / self.seconds

    def share(self, workers: int) -> Rate:
        """Return what one of several equal workers may use, so that together they keep to this rate.

        Whole requests: each worker starts its windows when it likes, so fractions would add up to more than the cap.
        """
        if workers == 1:
            return self
        each = self.requests / workers
        requests, seconds = (math.floor(each), self.seconds) if each >= 1 else (1, self.seconds / each)
        return replace(self, requests=requests, seconds=seconds, evenly=self.evenly and self.evenly.share(workers))

    def lower(self, per_second: float | None) -> Rate:
        """Return this rate, or ``per_second`` if that is lower."""
        if per_second is None or per_second >= self.per_second:
            return self
        lower = Rate(per_second, 1.0, counted=False)
        return replace(self, evenly=lower) if self.counted else lower


class Pacing:
    """Spaces requests evenly to keep to a cap, and believes the server's numbers only downwards.

    :param rate: the cap of this worker.
    :param wall_clock: returns Unix seconds; compared with resets that come as an epoch.
    :param quiet_for: seconds for which nothing else has sent for this worker. What another upload sent
        before, in its last window, is not counted here; so the first request waits until the spacing of both keeps them
        to the cap together. ``None`` if nothing did.
    """

    def __init__(
        self, rate: Rate, *, wall_clock: Callable[[], float] = time.time, quiet_for: float | None = None
    ) -> None:
        spaced = rate.evenly or rate
        self._window = CountedWindow(max(1, math.floor(rate.requests)), rate.seconds) if rate.counted else None
        self._interval = spaced.seconds / (spaced.requests * (_COUNTED_PACE if spaced.counted else _HEADROOM))
        self._burst = min(_BURST_SHARE * spaced.seconds, _BURST_SECONDS)
        self._wall_clock = wall_clock
        self._next = self._paused_until = 0.0
        self._first_after = 0.0
        if quiet_for is not None and spaced.counted:
            gap = 2 * self._burst + spaced.seconds * (1 - 1 / _COUNTED_PACE)
            self._first_after = max(0.0, gap - quiet_for)
        self._started = 0
        self._newest_answered = 0
        self._left: int | None = None
        self._left_until = 0.0

    def next_start(self, now: float) -> float:
        """Say when the next request may start so that no window exceeds the cap.

        :param now: monotonic seconds.
        :return: monotonic seconds, never before ``now``.
        """
        if self._first_after:
            self._paused_until, self._first_after = max(self._paused_until, now + self._first_after), 0.0
        start = max(now if self._window is None else self._window.next_start(now), self._next, self._paused_until)
        if self._left is not None and self._left <= 0 and self._left_until > start:
            start = self._left_until
        return start

    def started(self, now: float) -> int:
        """Count a request that starts now.

        :return: its number, from 1, by which :meth:`observe` knows its answer.
        """
        # Before its first request an upload has lost no time.
        self._next = max(self._next, now - self._burst if self._started else now) + self._interval
        self._started += 1
        if self._window is not None:
            self._window.started()
        if self._left is not None:
            self._left -= 1
        return self._started

    def ended(self, now: float) -> None:
        """Take note that a request has an answer, or will not get one.

        :param now: monotonic seconds.
        """
        if self._window is not None:
            self._window.ended(now)

    def observe(self, headers: Mapping[str, str], now: float, *, number: int) -> None:
        """Take note of the rate-limit headers of an answer.

        The answer to the latest request counts. One that comes late, after answers to requests started after it, may
        speak of a window that is over. Lengths of windows are not known and resets are rounded to seconds, so that
        times can't tell one window from the next.

        :param headers: lower-case names. ``x-ratelimit-remaining`` with ``x-ratelimit-reset`` (epoch or seconds).
        :param now: monotonic seconds.
        :param number: of the request that is answered. The server has not counted those started after it.
        """
        remaining = _number(headers.get("x-ratelimit-remaining"))
        reset_in = self._reset_in(headers)
        if remaining is None or reset_in is None or number < self._newest_answered:
            return
        self._newest_answered = number
        self._left = int(remaining) - (self._started - number)
        self._left_until = now + reset_in

    def refused(self, headers: Mapping[str, str], now: float) -> float:
        """Pause after a 429 for as long as the server asks, and say until when.

        :return: monotonic seconds.
        """
        hints = (
            _number(headers.get("x-ratelimit-retry-after")),
            _number(headers.get("retry-after")),
            self._reset_in(headers),
        )
        wait = next((hint for hint in hints if hint is not None), _WAIT_WITHOUT_HINT)
        self._paused_until = max(self._paused_until, now + max(wait, self._interval))
        return self._paused_until

    def _reset_in(self, headers: Mapping[str, str]) -> float | None:
        reset = _number(headers.get("x-ratelimit-reset"))
        if reset is None:
            return None
        return max(0.0, reset - self._wall_clock()) if reset > _EPOCH_FROM else reset


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value < float("inf") else None
