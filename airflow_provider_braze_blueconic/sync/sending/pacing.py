"""When the next request may start.

Pure arithmetic on monotonic seconds: no I/O, no clock and no sleep of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Pacing", "Rate"]

_EPOCH_FROM = 1_000_000_000
"""``X-RateLimit-Reset`` is an epoch on one Braze page and a duration on another; above this it is an epoch."""

_HEADROOM = 0.955
"""Share of the cap that is used. The rest is for catching up, and for what the network does to the spacing of requests
on their way, so that no window of the server sees more than the cap."""

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
    """

    requests: float
    seconds: float

    @property
    def per_second(self) -> float:
        """Requests per second on average."""
        return self.requests / self.seconds

    def share(self, workers: int) -> Rate:
        """Return what one of several equal workers may use, so that together they keep to this rate.

        Whole requests: each worker starts its windows when it likes, so fractions would add up to more than the cap.
        """
        if workers == 1:
            return self
        each = self.requests / workers
        return Rate(math.floor(each), self.seconds) if each >= 1 else Rate(1, self.seconds / each)

    def lower(self, per_second: float | None) -> Rate:
        """Return this rate, or ``per_second`` if that is lower."""
        if per_second is None or per_second >= self.per_second:
            return self
        return Rate(per_second, 1.0)


class Pacing:
    """Spaces requests evenly below a cap, and believes the server's numbers only downwards.

    :param rate: the cap of this worker.
    :param wall_clock: returns Unix seconds; compared with resets that come as an epoch.
    """

    def __init__(self, rate: Rate, *, wall_clock: Callable[[], float] = time.time) -> None:
        self._interval = rate.seconds / (rate.requests * _HEADROOM)
        self._burst = min(_BURST_SHARE * rate.seconds, _BURST_SECONDS)
        self._wall_clock = wall_clock
        self._next = 0.0
        self._paused_until = 0.0
        self._started = 0
        self._newest_answered = 0
        self._left: int | None = None
        self._left_until = 0.0

    def next_start(self, now: float) -> float:
        """Say when the next request may start so that no window exceeds the cap.

        :param now: monotonic seconds.
        :return: monotonic seconds, never before ``now``.
        """
        start = max(now, self._next, self._paused_until)
        if self._left is not None and self._left <= 0 and self._left_until > start:
            start = self._left_until
        return start

    def started(self, now: float) -> int:
        """Count a request that starts now.

        :return: its number, from 1, by which :meth:`observe` knows its answer.
        """
        self._next = max(self._next, now - self._burst) + self._interval
        self._started += 1
        if self._left is not None:
            self._left -= 1
        return self._started

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
