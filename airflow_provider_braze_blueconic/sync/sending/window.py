"""How many requests a server can have counted in any window of its own, however late they arrive there.

Pure arithmetic on monotonic seconds, as in :mod:`~.pacing`.
"""

from __future__ import annotations

from collections import deque

__all__ = ["CountedWindow"]

_CLOCK_ERROR = 0.001
"""Seconds by which two clocks may differ in a second. An NTP client sets its clock right by at most half of that
(adjtimex(2): 500 ppm)."""


class CountedWindow:
    """Keeps what any window of the server can hold at or below a cap.

    When the server counts a request is not known, but it lies between its start and its answer. So a request may have
    been counted within the last window as long as it has no answer, or had none a window ago; and one more starts only
    if these leave room for it.

    That is enough for any window. Look at the latest-started of the requests that it holds: whichever other one it
    holds was counted less than a window before that one was, hence before its start at the earliest, so that it had no
    answer a window before that start. No latency, jitter or pause of either side takes part in this. Its price is one
    latency a window: a cap of 3,000 in 3 s is reached to 3 / (3 + latency).

    :param requests: at most so many in a window.
    :param seconds: length of the window.
    """

    def __init__(self, requests: int, seconds: float) -> None:
        self._requests = requests
        self._seconds = seconds * (1 + _CLOCK_ERROR)
        self._open = 0
        self._ended: deque[float] = deque()

    def next_start(self, now: float) -> float:
        """Say when there is room for one more request; while only an answer can make room, one window from now.

        :param now: monotonic seconds.
        :return: monotonic seconds, never before ``now``.
        """
        ended = self._ended
        while ended and ended[0] + self._seconds <= now:
            ended.popleft()
        too_many = self._open + len(ended) + 1 - self._requests
        if too_many <= 0:
            return now
        return now + self._seconds if too_many > len(ended) else ended[too_many - 1] + self._seconds

    def started(self) -> None:
        """Count a request that starts."""
        self._open += 1

    def ended(self, now: float) -> None:
        """Take note that a request has its answer, or will not get one.

        :param now: monotonic seconds, not before the answer came.
        """
        self._open -= 1
        self._ended.append(now)
