"""The measurements of ``make bench``: which part, how large at which scale, and what is wanted of which row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.bench.figures import Better

__all__ = ["MEASUREMENTS", "Measurement", "Scale", "Wanted"]

Scale = Literal["small", "full"]


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a row. Only one of these is given.

    :param times: as many times better than the other product.
    :param bound: the worst value, in the row's own unit.
    """

    times: float | None = None
    bound: float | None = None

    def is_met(self, value: float, ratio: float | None, better: Better) -> bool | None:
        """Tell whether a figure is good enough; ``None`` if nothing can be said without another product.

        :param ratio: how many times better than the other product.
        """
        if self.bound is not None:
            return value <= self.bound if better == "lower" else value >= self.bound
        return None if ratio is None or self.times is None else ratio >= self.times

    def told(self, unit: str, better: Better) -> str:
        """Say it in a cell of the table."""
        if self.bound is not None:
            return f"{'≤' if better == 'lower' else '≥'} {self.bound:,g} {unit}"
        return f"≥ {self.times:g} x"


@dataclass(frozen=True)
class Measurement:
    """One measurement.

    :param name: by which it is chosen, and shown.
    :param part: module of :mod:`tests.bench`.
    :param arguments: of that module, at each scale.
    :param wanted: row → what is wanted of it; a row that is named here must be there.
    :param seconds: after which one product's measurement fails, where less is enough than the command line gives.
    """

    name: str
    part: str
    arguments: Mapping[Scale, tuple[str, ...]]
    wanted: Mapping[str, Wanted] = field(default_factory=dict)
    seconds: float = math.inf


def _sized(option: str, small: int, full: int, *more: str) -> Mapping[Scale, tuple[str, ...]]:
    return {"small": (option, str(small), *more), "full": (option, str(full), *more)}


def _parse(goals: int, small: int) -> Measurement:
    return Measurement(
        f"parse-{goals}",
        "parse",
        _sized("--goals", small, goals, "--runs", "3" if goals < 100 else "1"),
        {"DAG file": Wanted(times=5), "task's own parse": Wanted(times=5)},
    )


def _wide(fields: int, small: int, full: int) -> Measurement:
    return Measurement(
        f"wide-{fields}-{full}",
        "pipeline",
        _sized("--people", small, full, "--fields", str(fields), "--texts"),
        {"peak memory": Wanted(bound=1_024)},
    )


_LATENCIES = ("0", "50", "100", "200")
_CAPPED = ("--latency", *_LATENCIES)
_UNCAPPED = ("--cap", "none", "--fields", "10", "--latency", "0", "50")

MEASUREMENTS = (
    Measurement(
        "pipeline",
        "pipeline",
        _sized("--people", 100_000, 1_000_000),
        {
            "map, first night": Wanted(times=2),
            "map, next night": Wanted(times=5),
            "delta, next night": Wanted(times=2),
            "commit, first night": Wanted(times=4),
            "peak memory": Wanted(times=2),
        },
    ),
    _wide(1_000, 100, 100),
    _wide(2_000, 100, 100),
    _wide(1_000, 2_000, 100_000),
    _wide(2_000, 2_000, 100_000),
    Measurement(
        "wide-user",
        "wide_user",
        _sized("--users", 100, 10_000),
        {
            "all, first night": Wanted(bound=10),
            "all, next night": Wanted(bound=10),
            "peak memory": Wanted(bound=1_024),
        },
        # A product that can't do it may try for hours.
        seconds=300.0,
    ),
    Measurement("one-of-many", "one_of_many", _sized("--people", 2_560_000, 100_000_000)),
    Measurement(
        "export",
        "export",
        {"small": ("--people", "100000", "--parts", "20"), "full": ("--people", "1000000", "--parts", "200")},
        {"read without remaining fields": Wanted(times=5), "read with remaining fields": Wanted(times=5)},
    ),
    _parse(50, 50),
    _parse(1_000, 200),
    Measurement(
        "night",
        "night",
        _sized("--people", 2_000, 2_000),
        {
            row: Wanted(times=4)
            for night in ("first night", "next night")
            for row in (f"all tasks, {night}", f"requests to S3, {night}")
        },
    ),
    Measurement(
        "upload",
        "upload",
        _sized("--people", 300_000, 300_000, *_CAPPED),
        {
            row: wanted
            for latency in _LATENCIES
            for row, wanted in (
                (f"share of the cap, {latency} ms", Wanted(bound=0.95)),
                (f"most in any window, {latency} ms", Wanted(bound=3_000)),
            )
        },
    ),
    Measurement(
        "upload-uncapped",
        "upload",
        _sized("--people", 300_000, 1_000_000, *_UNCAPPED),
        {
            row: wanted
            for latency in ("0", "50")
            for row, wanted in (
                (f"people/s, {latency} ms", Wanted(bound=150_000)),
                (f"memory over idle, {latency} ms", Wanted(bound=120)),
            )
        },
    ),
    Measurement("csv", "csv", _sized("--rows", 200_000, 1_000_000), {"CSV files, read": Wanted(times=20)}),
    Measurement(
        "blueconic",
        "blueconic",
        _sized("--profiles", 50_000, 300_000),
        {"read": Wanted(bound=50_000), "write": Wanted(bound=50_000)},
    ),
    Measurement("whole-night", "whole_night", _sized("--people", 20_000, 1_000_000)),
)
"""The longest one last: what was measured before it is kept if somebody loses patience."""
