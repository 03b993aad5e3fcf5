"""How often an ordinary call is retried, and how long it waits before that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from tenacity import RetryCallState

from airflow_provider_braze_blueconic.exceptions import SyncError

__all__ = ["Patience", "TryAgainError", "after_one_try", "requested_wait", "wait_before_next"]

_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0

_EPOCH_FROM = 1_000_000_000
"""Braze's pages disagree whether ``X-RateLimit-Reset`` is an epoch or a duration; above this it is an epoch."""


@dataclass(frozen=True)
class Patience:
    """How long one call is worth repeating.

    :param attempts: tries, the first included.
    :param seconds: from the first try to the start of the last, waits included.
    """

    attempts: int = 6
    seconds: float = 600.0


class TryAgainError(Exception):
    """One try failed in a way that another may not.

    :param error: what to raise when no try is left.
    :param wait: seconds that the server asked for.
    """

    def __init__(self, error: SyncError, wait: float | None = None) -> None:
        self.error = error
        self.wait = wait
        super().__init__()


def after_one_try(_: RetryCallState) -> bool:
    return True


def wait_before_next(state: RetryCallState) -> float:
    """Wait as long as the server asks, else 1 s, doubled with each try up to 60 s."""
    error = state.outcome.exception() if state.outcome is not None else None
    backoff = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (state.attempt_number - 1))
    asked = error.wait if isinstance(error, TryAgainError) else None
    return backoff if asked is None else max(asked, _FIRST_WAIT)


def requested_wait(headers: Mapping[str, str], now: float) -> float | None:
    """Say how long a server asks to be left alone.

    Reads ``X-Ratelimit-Retry-After`` (seconds, Braze with MAU contracts), ``Retry-After`` (seconds or a date),
    and, if nothing is left of the limit, ``X-RateLimit-Reset`` (an epoch or seconds).

    :param headers: any spelling of names, as requests gives them.
    :param now: Unix seconds.
    :return: seconds, or ``None`` where no header says so.
    """
    for name in ("X-Ratelimit-Retry-After", "Retry-After"):
        text = headers.get(name, "").strip()
        if text.isascii() and text.isdigit():
            return float(text)
        if text and name == "Retry-After":
            return _seconds_until(text, now)
    reset = headers.get("X-RateLimit-Reset", "").strip()
    if headers.get("X-RateLimit-Remaining", "").strip() == "0" and reset.isascii() and reset.isdigit():
        seconds = float(reset)
        return max(0.0, seconds - now) if seconds > _EPOCH_FROM else seconds
    return None


def _seconds_until(http_date: str, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(http_date)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now)
