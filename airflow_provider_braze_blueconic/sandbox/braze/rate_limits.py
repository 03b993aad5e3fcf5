"""Braze's rate limits: fixed windows, and the headers that tell about them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_braze_blueconic.sandbox.braze.settings import BrazeSettings

__all__ = ["RateLimits"]

_HOUR = 3600.0


@dataclass
class _Window:
    started: float
    used: int = 0


class RateLimits:
    """One window a bucket; hourly windows begin with the clock hour.

    :param clock: seconds since the epoch.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self._lock = threading.Lock()

    def take(self, bucket: str, settings: BrazeSettings) -> tuple[bool, dict[str, str]]:
        """Count a request; return whether it may pass, and the headers of its answer."""
        allowed, seconds = _limit(bucket, settings)
        with self._lock:
            now = self._clock()
            window = self._windows.get(bucket)
            if window is None or now >= window.started + seconds:
                window = self._windows[bucket] = _Window(now // seconds * seconds)
            passes = window.used < allowed
            window.used += passes
            remaining, ends = allowed - window.used, window.started + seconds
        if not passes and settings.limited_form == "retry_after":
            return False, {"x-ratelimit-retry-after": str(max(math.ceil(ends - now), 1))}
        reset = ends if settings.reset_form == "epoch" else max(ends - now, 0)
        return passes, {
            "x-ratelimit-limit": str(allowed),
            "x-ratelimit-remaining": str(remaining),
            "x-ratelimit-reset": str(math.ceil(reset)),
        }


def _limit(bucket: str, settings: BrazeSettings) -> tuple[int, float]:
    match bucket:
        case "track":
            return settings.track_requests, settings.track_seconds
        case "track_bulk":
            return settings.bulk_requests, 1.0
        case "export_ids":
            return settings.export_ids_requests, 60.0
        case "custom_attributes":
            return settings.custom_attribute_requests, _HOUR
        case _:
            return settings.shared_requests, _HOUR
