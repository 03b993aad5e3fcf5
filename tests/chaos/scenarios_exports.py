"""Scenarios in which Braze's segment export is not what one would wish for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.chaos.harness import Direction, Scenario, World

__all__ = ["SCENARIOS"]

_PARTS = {"export_users_per_part": 40}


def _scenario(fault: str, direction: Direction = "import", *, ends: str = "success", **more: Any) -> Scenario:
    return Scenario(fault, "Exports", direction, ends=ends, **more)  # type: ignore[arg-type]


def _says_incomplete(world: World) -> Iterator[str]:
    """Nobody counts as gone by what did not come."""
    if world.nights[0].report["complete"]:
        yield "an export that broke off was taken for complete"


def _says_broken(world: World) -> Iterator[str]:
    if world.nights[0].report["broken_lines"] != 2:
        yield f"the report says {world.nights[0].report['broken_lines']} broken lines of 2"


_SHORT = {"wait_minutes": 0.15}
"""For exports that never come whole."""

SCENARIOS = (
    _scenario("late", braze={**_PARTS, "export_late_s": 2.0}),
    _scenario("last part grows", braze={**_PARTS, "export_grows": True, "export_late_s": 1.0}),
    _scenario("partial", braze={**_PARTS, "export_lost_parts": 2}, source=_SHORT, expect=_says_incomplete),
    _scenario("partial by a twentieth", braze={"export_users_per_part": 10, "export_lost_parts": 1}),
    _scenario("out of order", braze={**_PARTS, "export_shuffled": True}),
    _scenario("across midnight", braze={**_PARTS, "export_across_midnight": True}),
    _scenario("duplicated", braze={**_PARTS, "export_duplicates": 40}),
    _scenario("duplicated", "sums", braze={**_PARTS, "export_duplicates": 40}),
    _scenario(
        "empty file", braze={"export_lost_parts": 99, "export_empty_part": True}, source=_SHORT, expect=_says_incomplete
    ),
    _scenario(
        "malformed lines",
        braze={**_PARTS, "export_broken_lines": 2},
        source={"broken_percent": 5},
        expect=_says_broken,
    ),
    _scenario("more malformed lines than allowed", braze={**_PARTS, "export_broken_lines": 40}, ends="failed"),
    _scenario("never", braze={"export_never": True}, source=_SHORT, ends="failed"),
    _scenario("kept by Braze, which has no bucket", braze={"own_storage": False}, ends="failed"),
)
