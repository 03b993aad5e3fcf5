"""What a day brings to the profiles of the sandbox's BlueConic."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from airflow_provider_braze_blueconic.sandbox.blueconic.profile import Profile, milliseconds
from airflow_provider_braze_blueconic.sandbox.people import REFERENCE

__all__ = ["DaySummary", "how_many", "new_values"]


@dataclass(frozen=True)
class DaySummary:
    """What :meth:`BlueConicState.next_day` did. The ids are profile ids."""

    day: int
    changed: tuple[str, ...] = field(repr=False)
    entered: tuple[str, ...] = field(repr=False)
    left: tuple[str, ...] = field(repr=False)

    def counts(self) -> dict[str, int]:
        return {
            "day": self.day,
            "changed": len(self.changed),
            "entered": len(self.entered),
            "left": len(self.left),
        }


def how_many(wanted: float, size: int, *, most: int) -> int:
    if isinstance(wanted, int):
        return min(wanted, most)
    return min(max(1, round(wanted * size)) if wanted and size else 0, most)


def new_values(profile: Profile, draw: random.Random, *, day: int) -> dict[str, list[str]]:
    """Choose one or two properties of a profile and their next values."""
    values: dict[str, list[str]] = {}
    for name in draw.sample(_CHANGEABLE, draw.randrange(1, 3)):
        values[name] = _new_value(name, profile.values.get(name, []), draw, day=day)
    return values


_CHANGEABLE = ("points", "interests", "city", "last_purchase", "bio", "visits", "firstname", "revenue")


def _new_value(name: str, old: Sequence[str], draw: random.Random, *, day: int) -> list[str]:
    match name:
        case "points" | "visits":
            value = str(int(old[0] if old else 0) + draw.randrange(1, 500))
        case "revenue":
            value = f"{float(old[0] if old else 0) + draw.randrange(1, 20_000) / 100:.2f}"
        case "last_purchase":
            value = milliseconds(REFERENCE + timedelta(days=day, seconds=draw.randrange(86_400)))
        case "firstname":
            value = f"{old[0].split('-')[0] if old else 'Kim'}-{draw.choice(('Jo', 'Lee', 'Max', 'Noa'))}{day}"
        case "interests":
            fresh = f"interest-{day}-{draw.randrange(50)}"
            return [] if old and draw.random() < 0.1 else [*old[-3:], fresh]
        case _:
            value = f"{name} of day {day}, {draw.randrange(1000)}"
    return [value]
