"""The guard: what a run will cost, and whether the goal's limits allow it, before anything is sent."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from airflow_provider_braze_blueconic.exceptions import LimitExceeded
from airflow_provider_braze_blueconic.sync.delta.counts import DeltaCounts
from airflow_provider_braze_blueconic.sync.sending.pacing import Rate
from airflow_provider_braze_blueconic.sync.state.goal_tables import open_runs
from airflow_provider_braze_blueconic.sync.state.settings import CREATES
from airflow_provider_braze_blueconic.sync.state.windows import goes_on
from airflow_provider_braze_blueconic.sync.steps.compute_delta import counts_of
from airflow_provider_braze_blueconic.sync.store.paths import plan_document
from airflow_provider_braze_blueconic.sync.store.references import DeltaRef, PlanRef
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["CLEARS_FROM", "CLEARS_PERCENT", "GuardLimits", "Plan", "check_limits", "estimate", "guard_delta"]


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


def guard_delta(
    workspace: Workspace,
    delta: DeltaRef,
    *,
    limits: GuardLimits,
    acts_on_leavers: bool,
    dry_run: bool,
    objects: int,
    rate: Rate,
) -> PlanRef:
    """Say what the run will take, keep it as ``plan.json`` beside the delta, and stop where a limit would be broken.

    :param objects: records of one request.
    :param rate: cap of all workers together.
    :raises LimitExceeded: also in a dry run, since that is what a dry run is asked for.
    :raises WriterConflict: if another writer of the runs table was faster; nothing was sent, try again.
    """
    counts = counts_of(delta)
    plan = estimate(counts, list(delta["people_by_partition"].values()), objects=objects, rate=rate)
    plan_uri = plan_document(delta["uri"])
    workspace.staging.write_bytes(plan_uri, json.dumps({**asdict(plan), "delta": delta}, indent=1).encode())
    acts_on_leavers = acts_on_leavers and not delta["relinked"]
    check_limits(workspace.folder.goal_id, plan, counts, limits, acts_on_leavers=acts_on_leavers)
    if delta["send_partitions"] and not dry_run:
        _end_reads(workspace, delta)
    return PlanRef(
        partitions=[] if dry_run else list(delta["send_partitions"]),
        dry_run=dry_run,
        people=plan.people,
        data_points=plan.data_points,
        proven=delta.get("settings", {}).get(CREATES) != 0,
        requests=plan.requests,
        minutes=round(plan.minutes, 2),
        plan_uri=plan_uri,
    )


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
            f"{plan.data_points:,} data points for {plan.people:,} people ({counts.inserts:,} new, "
            f"{counts.changes:,} changed, {counts.leavers:,} left) exceed limits.data_points = "
            f"{limits.data_points:,}"
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
            f"{goal_id}: nothing was sent. {'; '.join(broken)}. If this is what you want, raise the limit in the "
            "goal and run it again."
        )


def _broken_clears(counts: DeltaCounts, limits: GuardLimits) -> list[str]:
    percent = CLEARS_PERCENT if limits.clears_percent is None else limits.clears_percent
    fewest = CLEARS_FROM if limits.clears_percent is None else 1
    broken = [
        f'"{target}" would be cleared for {people:,} of {counts.filled[target]:,} people who have, or may have, a '
        f"value there ({100 * people / counts.filled[target]:.1f} %)"
        for target, people in counts.emptied.most_common()
        if people >= fewest and 100 * people > percent * counts.filled[target]
    ]
    if not broken:
        return []
    more = f" and {len(broken) - _NAMED_FIELDS} more fields" if len(broken) > _NAMED_FIELDS else ""
    return [
        f"{', '.join(broken[:_NAMED_FIELDS])}{more}, more than limits.clears_percent = {percent:g}: check whether "
        "the source still shows these values"
    ]


def _end_reads(workspace: Workspace, delta: DeltaRef) -> None:
    """Let no read of changes begin before this run, before it sends, unless this run goes on from there itself."""
    if "fingerprint" not in delta:
        return  # its source has no reads of changes
    runs = open_runs(workspace)
    last = runs.last_good_read()
    if last is not None and not goes_on(last, dt.datetime.fromisoformat(delta["as_of"]), delta["fingerprint"]):
        runs.end_reads(last[0])
