"""Patience with a target: what an upload waits for, how often it retries a batch, and when it gives up.

Arithmetic on monotonic seconds: nothing here waits, and no clock is read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from airflow_provider_braze_blueconic.exceptions import SyncError, TransientError
from airflow_provider_braze_blueconic.sync.sending.batches import Batch
from airflow_provider_braze_blueconic.sync.sending.seam import Verdict
from airflow_provider_braze_blueconic.sync.sending.settings import UploadSettings

__all__ = ["Outage", "Patience", "RateLimit"]

log = logging.getLogger(__name__)

_OUTAGE_AFTER = 16
"""Failures without a success between them after which the server counts as down."""

_LONGEST_PAUSE_SECONDS = 60.0

_SUCCESSES = 10
"""Successes of each request under way after which one more is tried, where there had been too many."""


class Patience:
    """What an upload waits for, beside the pace of its requests.

    :param settings: how long.
    :param label: goal and partition, for messages.
    :param fail: is told why the upload has to end, once it has.
    :ivar outage: failures in a row.
    :ivar limit: answers over the rate limit.
    """

    def __init__(self, settings: UploadSettings, *, label: str, fail: Callable[[SyncError], None]) -> None:
        self._settings = settings
        self.outage = Outage(settings, label=label, fail=fail)
        self.limit = RateLimit(settings, label=label, fail=fail)

    @property
    def until(self) -> float:
        """Nothing starts before then."""
        return max(self.outage.held_until, self.limit.held_until)

    def in_flight_limit(self, batch: Batch | None) -> int:
        """A server that is down is asked by one request at a time, and at once if each could leave people unknown."""
        is_repeatable = batch is None or batch.repeatable
        return 1 if self.outage.is_on(repeatable=is_repeatable) else int(self.limit.room)

    def note(self, verdict: Verdict, now: float) -> None:
        """Take note of an answer: whatever is no failure ends the failures in a row."""
        if verdict is not Verdict.WAIT:
            self.limit.end()
        if verdict not in (Verdict.RETRY, Verdict.UNKNOWN):
            self.outage.end(now)

    def is_tried_enough(self, batch: Batch) -> bool:
        """Tell whether the attempt that just ended was a batch's last one."""
        return batch.tries + 1 >= self._settings.max_tries

    def pause(self, batch: Batch, number: int) -> float:
        """Return the seconds before a batch goes again.

        :param number: a running one, by which batches are spread, so that a recovering server is not hit by all at
            once.
        """
        return _growing_pause(batch.tries) * (0.75 + 0.5 * (number % 16) / 16)


class Outage:
    """Failures in a row. They hold everything back: they would use up the tries of every batch in seconds.

    :ivar held_until: nothing starts before then.
    """

    def __init__(self, settings: UploadSettings, *, label: str, fail: Callable[[SyncError], None]) -> None:
        self._patience = settings.patience
        self._label = label
        self._fail = fail
        self._failures = 0
        self._since = 0.0
        self._pauses = 0
        self.held_until = 0.0

    def is_on(self, *, repeatable: bool) -> bool:
        """Tell whether the server counts as down.

        :param repeatable: for a batch that can be repeated; for another, one failure is enough.
        """
        return self._failures >= (_OUTAGE_AFTER if repeatable else 1)

    def failed(self, sentence: str, now: float, *, held: bool = False) -> None:
        """Count a failure.

        :param sentence: what the answer said.
        :param held: it left people unknown for good; each further one would leave more.
        """
        if not self._failures:
            self._since = now
        self._failures += 1
        if self.is_on(repeatable=not held) and now >= self.held_until:
            pause = _growing_pause(self._pauses)
            self._pauses += 1
            self.held_until = now + pause
            log.warning("%s: %s failures in a row; the next request in %.0f s", self._label, self._failures, pause)
        if now - self._since > self._patience:
            self._fail(
                TransientError(
                    f"{self._label}: no request has succeeded for {now - self._since:,.0f} s. Last answer: "
                    f"{sentence or 'none.'} The next attempt sends the remaining records."
                )
            )

    def end(self, now: float) -> None:
        """Go on: a request came through."""
        if self._failures:
            self._failures = self._pauses = 0
            self.held_until = now


class RateLimit:
    """Answers over the rate limit, and how many requests may be under way because of them.

    :ivar room: requests that may be under way.
    :ivar held_until: nothing starts before then.
    """

    def __init__(self, settings: UploadSettings, *, label: str, fail: Callable[[SyncError], None]) -> None:
        self._settings = settings
        self._label = label
        self._fail = fail
        self._since: float | None = None
        self._told_until = 0.0
        self._backed_off = 0
        self.room = float(settings.max_in_flight)
        self.held_until = 0.0

    def refused(self, until: float, now: float, *, hinted: bool) -> float:
        """Wait, and say until when the batch waits that was refused.

        :param until: what the pacing makes of the answer.
        :param hinted: the server may have said how long to wait.
        """
        if not hinted:
            until = max(until, self._back_off(now, until - now))
        if self._since is None:
            self._since = now
        is_too_long = self._is_too_long(until - self._since)
        if not is_too_long and until - max(now, self._told_until) > self._settings.progress_seconds:
            self._told_until = until
            log.warning("%s: over the rate limit; waiting %.0f s, as the server asks", self._label, until - now)
        return until

    def allows(self, seconds: float) -> bool:
        """Tell whether the next start may be waited for; if not, the upload fails."""
        return not self._is_too_long(seconds)

    def end(self) -> None:
        """Go on: an answer was about something else."""
        self._since = None

    def taken(self) -> None:
        """Let one more request be under way after a while of successes: each try too many costs a pause."""
        self._backed_off = 0
        most = float(self._settings.max_in_flight)
        if self.room < most:
            self.room = min(most, self.room + 1.0 / (_SUCCESSES * self.room))

    def _is_too_long(self, seconds: float) -> bool:
        if seconds <= self._settings.rate_limit_patience:
            return False
        self._fail(
            TransientError(
                f"{self._label}: the rate limit blocks all requests for {seconds:,.0f} s, longer than the "
                f"{self._settings.rate_limit_patience:,.0f} s that a run waits. The next attempt sends the "
                "remaining records."
            )
        )
        return True

    def _back_off(self, now: float, pause: float) -> float:
        """Send less at a time, after pauses that double: the server does not say how long to wait, or for what.

        Refusals of requests that were under way together count once.

        :param pause: seconds of the first pause.
        :return: until when.
        """
        if now >= self.held_until:
            self.room = max(1.0, self.room / 2)
            self.held_until = now + min(_LONGEST_PAUSE_SECONDS, pause * 2.0**self._backed_off)
            self._backed_off = min(self._backed_off + 1, 10)
        return self.held_until


def _growing_pause(number: int) -> float:
    """1, 2, 4 … s, at most a minute."""
    return min(_LONGEST_PAUSE_SECONDS, 2.0 ** min(number, 10))
