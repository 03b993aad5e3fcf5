"""Scenarios in which the machine fails: killed processes, a full disk, too little memory, SIGTERM with five seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from airflow_provider_braze_blueconic.sandbox.faults import Fault
from tests.chaos.harness import Direction, Scenario, World
from tests.chaos.kills import Kills, Moment, Terminated, run_in_nursery
from tests.chaos.witness import read_sent

__all__ = ["SCENARIOS", "SHORT"]

_DIRECTIONS: tuple[Direction, ...] = ("export", "import", "sums")

# Every other answer is late, so that part receipts become durable while something is still on its way.
_LATE: Mapping[Direction, Fault] = {
    "export": Fault("braze", "latency", path="/users/track", skip=1, every=2, delay_s=0.8),
    "import": Fault("blueconic", "latency", path="/rest/v2/profiles", method="PUT", every=2, delay_s=0.8),
    "sums": Fault("blueconic", "latency", path="/rest/v2/profiles", method="PUT", every=2, delay_s=0.8),
}
_FIRST_WRITE: Mapping[Direction, Moment] = {
    "export": Moment(0, after=True, service="braze", path="/users/track"),
    "import": Moment(0, after=True, service="blueconic", method="PUT", path="/rest/v2/profiles"),
    "sums": Moment(0, after=True, service="blueconic", method="PUT", path="/rest/v2/profiles"),
}
_FIRST_RECEIPTS = Moment(0, after=True, service="s3", method="PUT", path="*/delta-*/receipts/*")


def _was_killed(world: World) -> Iterator[str]:
    if not world.kills:
        yield "the run ended before it was killed"


def _machine(fault: str, direction: Direction, attack: Callable[[World], None], **more: Any) -> Scenario:
    def answer_late(world: World) -> None:
        world.box.faults.add(_LATE[direction])

    more = {"holds": direction == "sums", "disturb": answer_late, "expect": _was_killed, **more}
    return Scenario(fault, "machine", direction, attack=attack, **more)


def _with_full_disk(task: str) -> Callable[[World], None]:
    def attack(world: World) -> None:
        run_in_nursery(world, full_disk_in=task)

    return attack


def _with_little_memory(world: World) -> None:
    run_in_nursery(world, environment={"AIRFLOW__BRAZE_BLUECONIC__MEMORY_LIMIT": "100KB"})


def _nothing_more(_: World) -> Iterator[str]:
    return iter(())


def _acknowledged_is_kept(world: World) -> Iterator[str]:
    """Five seconds are enough to wait for answers on their way and to make their receipts durable."""
    night = world.nights[0]
    requests = {each.request for each in night.sent}
    told = [each for each in read_sent(world.box.exchanges) if each.request in requests]
    answered, kept = ({each.person for each in sent if each.told == "accepted"} for sent in (told, night.sent))
    if not kept:
        yield "nobody was accepted before the end"
    if answered - kept:
        yield f"{len(answered - kept)} people were accepted and have no receipt"


_KILLED = tuple(
    _machine(f"kill -9 three times, seed {seed}", direction, Kills(seed, 3))
    for seed in range(18)
    for direction in _DIRECTIONS
)
_TERMINATED = tuple(
    _machine(
        "SIGTERM, five seconds, SIGKILL", direction, Terminated(_FIRST_WRITE[direction]), expect=_acknowledged_is_kept
    )
    for direction in _DIRECTIONS
)
_DISK = tuple(
    _machine(f"disk full in {task}", direction, _with_full_disk(task), ends="failed", expect=_nothing_more)
    for task in ("extract", "map_fields", "compute_delta", "upload", "commit")
    for direction in _DIRECTIONS
)
_MEMORY = tuple(
    _machine("memory limit reached", direction, _with_little_memory, ends="failed", expect=_nothing_more)
    for direction in _DIRECTIONS
)

SCENARIOS: tuple[Scenario, ...] = (*_KILLED, *_TERMINATED, *_DISK, *_MEMORY)
"""162 moments, of which about a third never come (``hits`` counts the kills: over 100), and what else stops a machine."""


def _a_bad_day(world: World) -> None:
    _with_little_memory(world)
    _with_full_disk("upload")(world)
    Kills(moments=(_FIRST_RECEIPTS,), retried=1.0)(world)


SHORT: tuple[Scenario, ...] = (
    _machine("too little memory, a full disk, kill -9", "export", _a_bad_day, ends="failed"),
    _machine("kill -9 while numbers are added", "sums", Kills(moments=(_FIRST_WRITE["sums"],), retried=1.0)),
)
"""The same in two worlds."""
