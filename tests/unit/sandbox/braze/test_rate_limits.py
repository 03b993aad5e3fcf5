"""Fixed windows, counted on a clock that the test moves."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_braze_blueconic.sandbox.braze.rate_limits import RateLimits
from airflow_provider_braze_blueconic.sandbox.braze.settings import BrazeSettings

_SETTINGS = BrazeSettings(track_requests=2, track_seconds=3)


class _Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_window_opens_again_after_its_length() -> None:
    clock = _Clock(1_800_000_000.0)
    limits = RateLimits(clock=clock)

    first = [limits.take("track", _SETTINGS)[0] for _ in range(3)]
    clock.now += 3
    after = limits.take("track", _SETTINGS)[0]

    assert first == [True, True, False]
    assert after


def test_hourly_window_ends_with_the_clock_hour() -> None:
    limits = RateLimits(clock=_Clock(1_800_001_000.0))  # 1,000 s after a whole hour

    _, headers = limits.take("shared", _SETTINGS)

    assert headers["x-ratelimit-reset"] == "1800003600"


def test_reset_may_be_the_seconds_that_remain() -> None:
    limits = RateLimits(clock=_Clock(1_800_000_001.0))

    _, headers = limits.take("track", replace(_SETTINGS, reset_form="seconds"))

    assert headers == {"x-ratelimit-limit": "2", "x-ratelimit-remaining": "1", "x-ratelimit-reset": "2"}


def test_buckets_do_not_share_their_windows() -> None:
    limits = RateLimits(clock=_Clock(1_800_000_000.0))
    for _ in range(3):
        limits.take("track", _SETTINGS)

    assert limits.take("track_bulk", _SETTINGS)[0]


def test_refused_requests_do_not_use_up_the_window() -> None:
    limits = RateLimits(clock=_Clock(1_800_000_000.0))

    remaining = [limits.take("track", _SETTINGS)[1]["x-ratelimit-remaining"] for _ in range(5)]

    assert remaining == ["1", "0", "0", "0", "0"]
