"""When the next request may start.

Pure arithmetic on monotonic seconds: no I/O, no clock and no sleep of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Pacing", "Rate"]

_EPOCH_FROM = 1_000_000_000
"""``X-RateLimit-Reset`` is an epoch on one Braze page and a duration on another; above this it is an epoch."""

_HEADROOM = 0.97
"""Share of the cap that is used. The rest absorbs what the network does to the spacing of requests on their way,
so that no window of the server sees more than the cap."""

_BURST_SECONDS = 0.02
"""How much lost time may be caught up at once: a hiccup of the event loop costs nothing, a long pause is not made good."""

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
        """Return what one of several equal workers may use."""
        return Rate(self.requests / workers, self.seconds)

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
        self._wall_clock = wall_clock
        self._next = 0.0
        self._paused_until = 0.0
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

    def started(self, now: float) -> None:
        """Count a request that starts now."""
        self._next = max(self._next + self._interval, now - _BURST_SECONDS)
        if self._left is not None:
            if now >= self._left_until:
                self._left = None
            else:
                self._left -= 1

    def observe(self, headers: Mapping[str, str], now: float, *, in_flight: int = 0) -> None:
        """Take note of the rate-limit headers of an answer.

        :param headers: lower-case names. ``x-ratelimit-remaining`` with ``x-ratelimit-reset`` (epoch or seconds).
        :param now: monotonic seconds.
        :param in_flight: requests without an answer yet; the server may not have counted them.
        """
        remaining = _number(headers.get("x-ratelimit-remaining"))
        reset_in = self._reset_in(headers)
        if remaining is None or reset_in is None:
            return
        left = int(remaining) - in_flight
        same_window = self._left is not None and now < self._left_until
        if same_window and self._left is not None:
            left = min(left, self._left)
        self._left = left
        # A later answer of the same window rounds its reset differently; the later one is the safe one.
        self._left_until = max(self._left_until, now + reset_in) if same_window else now + reset_in

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
