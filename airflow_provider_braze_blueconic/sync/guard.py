"""The guard: what a run will take, and whether the goal's limits allow it. Asked before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_braze_blueconic.exceptions import LimitExceeded
from airflow_provider_braze_blueconic.sync.delta import DeltaCounts
from airflow_provider_braze_blueconic.sync.pacing import Rate

__all__ = ["CLEARS_FROM", "CLEARS_PERCENT", "GuardLimits", "Plan", "check_limits", "estimate"]


CLEARS_PERCENT = 50.0
"""Half of the values of a field don't vanish in one night, unless the source can't be read any more."""

CLEARS_FROM = 5
"""Fewer people may lose a value by chance, in a goal that is tried with a handful."""

_NAMED_FIELDS = 5


@dataclass(frozen=True)
class GuardLimits:
    """The goal's limits that can be checked before sending; ``None`` for no limit.

    :param data_points: data points of one run.
    :param leavers_percent: leavers in percent of the people who were in the segment, when leavers are acted upon.
    :param clears_percent: people for whom a field is emptied, in percent of those in the source who have a value there.
        Without a number, :data:`CLEARS_PERCENT`, and then only from :data:`CLEARS_FROM` people on.
    """

    data_points: int | None = None
    leavers_percent: float | None = None
    clears_percent: float | None = None


@dataclass(frozen=True)
class Plan:
    """What a run will take.

    :param people: records to send.
    :param data_points: what the target will bill.
    :param requests: full requests, without repetitions.
    :param minutes: at the pace that the cap allows.
    """

    people: int
    data_points: int
    requests: int
    minutes: float


def estimate(counts: DeltaCounts, people_by_partition: Sequence[int], *, objects: int, rate: Rate) -> Plan:
    """Work out what sending a delta takes.

    :param people_by_partition: people to send in each partition; requests don't mix partitions.
    :param objects: records of one request.
    :param rate: cap of all workers together.
    """
    requests = sum(math.ceil(people / objects) for people in people_by_partition)
    return Plan(counts.to_send, counts.data_points, requests, requests / rate.per_second / 60)


def check_limits(goal_id: str, plan: Plan, counts: DeltaCounts, limits: GuardLimits, *, acts_on_leavers: bool) -> None:
    """Stop a run that would break a limit.

    :raises LimitExceeded: with every limit that would be broken, the numbers, and the setting to change.
    """
    broken = []
    if limits.data_points is not None and plan.data_points > limits.data_points:
        broken.append(
            f"{plan.data_points:,} data points for {plan.people:,} people ({counts.inserts:,} new, {counts.changes:,} "
            f"changed, {counts.leavers:,} left) are more than limits.data_points = {limits.data_points:,}"
        )
    if acts_on_leavers and limits.leavers_percent is not None and counts.members:
        share = 100 * counts.leavers / counts.members
        if share > limits.leavers_percent:
            broken.append(
                f"{counts.leavers:,} of {counts.members:,} people left the segment ({share:.1f} %), more than "
                f"limits.leavers_percent = {limits.leavers_percent:g}"
            )
    broken += _broken_clears(counts, limits)
    if broken:
        raise LimitExceeded(
            f"{goal_id}: nothing was sent. {'; '.join(broken)}. "
            "If that is what you want, raise the limit in the goal and run it again."
        )


def _broken_clears(counts: DeltaCounts, limits: GuardLimits) -> list[str]:
    percent = CLEARS_PERCENT if limits.clears_percent is None else limits.clears_percent
    fewest = CLEARS_FROM if limits.clears_percent is None else 1
    broken = [
        f'"{target}" would be emptied for {people:,} of {counts.filled[target]:,} people who have, or may have, a '
        f"value there ({100 * people / counts.filled[target]:.1f} %)"
        for target, people in counts.emptied.most_common()
        if people >= fewest and 100 * people > percent * counts.filled[target]
    ]
    if not broken:
        return []
    more = f" and {len(broken) - _NAMED_FIELDS} more fields" if len(broken) > _NAMED_FIELDS else ""
    return [
        f"{', '.join(broken[:_NAMED_FIELDS])}{more}, more than limits.clears_percent = {percent:g}: see whether the "
        "source still shows these values to us"
    ]
