"""The measurements of ``make bench``: which part, how large at which scale, and what is wanted of which row."""

from __future__ import annotations

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
    :param compares: ``False`` for a part that only prints: it runs once, for this worktree.
    """

    name: str
    part: str
    arguments: Mapping[Scale, tuple[str, ...]]
    wanted: Mapping[str, Wanted] = field(default_factory=dict)
    compares: bool = True


def _sized(option: str, small: int, full: int, *more: str) -> Mapping[Scale, tuple[str, ...]]:
    return {"small": (option, str(small), *more), "full": (option, str(full), *more)}


def _wide(fields: int, small: int, full: int) -> Measurement:
    return Measurement(
        f"wide-{fields}-{full}",
        "pipeline",
        _sized("--people", small, full, "--fields", str(fields), "--texts"),
        {"peak memory": Wanted(bound=1_024)},
    )


MEASUREMENTS = (
    Measurement("pipeline", "pipeline", _sized("--people", 100_000, 1_000_000)),
    _wide(1_000, 100, 100),
    _wide(2_000, 100, 100),
    _wide(1_000, 2_000, 100_000),
    _wide(2_000, 2_000, 100_000),
    Measurement("whole-night", "whole_night", _sized("--people", 20_000, 1_000_000)),
    Measurement("upload", "upload", _sized("--people", 300_000, 300_000), compares=False),
    Measurement("export", "export", _sized("--people", 100_000, 1_000_000), compares=False),
    Measurement("parse", "parse", {"small": (), "full": ()}, compares=False),
)
