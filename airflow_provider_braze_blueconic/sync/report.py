"""The report of a run: the same counters as a row, as JSON and as text for people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

from airflow_provider_braze_blueconic.sync.references import DeltaRef, MappedRef, SnapshotRef, UploadRef

__all__ = ["Report", "RunStatus", "describe_warnings", "make_report", "render"]

RunStatus = Literal["success", "incomplete", "stopped"]
"""``incomplete``: not every record has an outcome in the ledger. ``stopped``: the run ended before the upload."""


class Report(TypedDict):
    """The counters of a run. Times are seconds, ``rejected`` counts people by reason."""

    goal_id: str
    run_key: str
    status: RunStatus
    dry_run: bool
    segment: str
    read: str
    complete: bool
    profiles: int
    people: int
    skipped: dict[str, int]
    warnings: dict[str, int]
    warning_sources: dict[str, str]
    inserts: int
    changes: int
    leavers: int
    unchanged: int
    stale: int
    to_send: int
    fields: int
    clears: int
    data_points: int
    requests: int
    rate_limited: int
    accepted: int
    not_accepted: int
    unsent: int
    rejected: dict[str, int]
    unknown: int
    seconds: float
    people_per_second: float


def make_report(
    *,
    goal_id: str,
    run_key: str,
    snapshot: SnapshotRef | None,
    mapped: MappedRef | None,
    delta: DeltaRef | None,
    passed: bool,
    dry_run: bool,
    uploads: Sequence[UploadRef],
    committed: bool,
    outcomes: Mapping[str, int],
    reasons: Mapping[str, int],
) -> Report:
    """Put together what the steps of a run left behind; steps that did not happen are ``None``.

    :param passed: the guard let the run pass.
    :param dry_run: the run only planned.
    :param committed: the outcomes are in the ledger.
    :param outcomes: outcome → people, from the receipts, which also know of uploads that were killed.
    :param reasons: reason → people who were not accepted.
    """
    to_send = delta["to_send"] if delta else 0
    accepted, rejected, unknown = (outcomes.get(name, 0) for name in ("accepted", "rejected", "unknown"))
    unsent = 0 if dry_run else to_send - accepted - rejected - unknown
    settled = dry_run or (committed and unsent == 0)
    status: RunStatus = "stopped" if not passed else "success" if settled else "incomplete"
    seconds = _wall_seconds(uploads)
    return Report(
        goal_id=goal_id,
        run_key=run_key,
        status=status,
        dry_run=dry_run,
        segment=snapshot["segment_name"] if snapshot else "",
        read=snapshot["read"] if snapshot else "",
        complete=bool(snapshot and snapshot["complete"]),
        profiles=snapshot["profiles"] if snapshot else 0,
        people=mapped["people"] if mapped else 0,
        skipped=mapped["skipped"] if mapped else {},
        warnings=mapped["warnings"] if mapped else {},
        warning_sources=mapped["warning_sources"] if mapped else {},
        inserts=delta["inserts"] if delta else 0,
        changes=delta["changes"] if delta else 0,
        leavers=delta["leavers"] if delta else 0,
        unchanged=delta["unchanged"] if delta else 0,
        stale=delta["stale"] if delta else 0,
        to_send=to_send,
        fields=delta["fields"] if delta else 0,
        clears=delta["clears"] if delta else 0,
        data_points=delta["data_points"] if delta else 0,
        requests=sum(upload["requests"] for upload in uploads),
        rate_limited=sum(upload["rate_limited"] for upload in uploads),
        accepted=accepted,
        not_accepted=0 if dry_run else to_send - accepted,
        unsent=unsent,
        rejected=dict(reasons),
        unknown=unknown,
        seconds=round(seconds, 3),
        people_per_second=round(accepted / seconds, 1) if seconds else 0.0,
    )


def _wall_seconds(uploads: Sequence[UploadRef]) -> float:
    """Time in which at least one upload ran; uploads may run side by side."""
    spans = sorted(
        (dt.datetime.fromisoformat(upload["started_at"]), dt.datetime.fromisoformat(upload["finished_at"]))
        for upload in uploads
    )
    total, until = dt.timedelta(), None
    for began, ended in spans:
        if until is None or began > until:
            total += ended - began
            until = ended
        elif ended > until:
            total += ended - until
            until = ended
    return total.total_seconds()


def render(report: Report) -> list[tuple[str, str]]:
    """Turn a report into rows of label and value, for a log or a table; indented rows explain the one above."""

    def part(counts: Mapping[str, int]) -> list[tuple[str, str]]:
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return [(f"  {reason}", f"{count:,}") for reason, count in ordered]

    return [
        ("status", report["status"]),
        ("dry run", "yes, nothing was sent" if report["dry_run"] else "no"),
        ("segment", report["segment"]),
        ("read", report["read"] + ("" if report["complete"] else ", not known to be all")),
        ("profiles read", f"{report['profiles']:,}"),
        ("people mapped", f"{report['people']:,}"),
        ("skipped", f"{sum(report['skipped'].values()):,}"),
        *part(report["skipped"]),
        ("values left out", f"{sum(report['warnings'].values()):,}"),
        *part(report["warnings"]),
        ("new", f"{report['inserts']:,}"),
        ("changed", f"{report['changes']:,}"),
        ("left the segment", f"{report['leavers']:,}"),
        ("unchanged", f"{report['unchanged']:,}"),
        ("stale, not sent", f"{report['stale']:,}"),
        ("people to send", f"{report['to_send']:,}"),
        ("fields to send", f"{report['fields']:,}"),
        ("  that clear a value", f"{report['clears']:,}"),
        ("data points", f"{report['data_points']:,}"),
        ("requests", f"{report['requests']:,}"),
        ("accepted", f"{report['accepted']:,}"),
        ("not accepted", f"{sum(report['rejected'].values()):,}"),
        *part(report["rejected"]),
        ("  with unknown outcome", f"{report['unknown']:,}"),
        ("without an answer", f"{report['unsent']:,}"),
        ("seconds", f"{report['seconds']:.1f}"),
        ("people/s", f"{report['people_per_second']:,.0f}"),
    ]


def describe_warnings(report: Report) -> list[str]:
    """Say for each kind of value that was left out which rule it broke, and whose rule that is."""
    return [f"{key}: {people:,} people. {_source(report, key)}" for key, people in report["warnings"].items()]


def _source(report: Report, key: str) -> str:
    return report["warning_sources"].get(key.rsplit(": ", 1)[0], "")
