"""The report of a run: the same counters as a row, as JSON and as text for people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Literal, NotRequired, TypedDict

from airflow_provider_braze_blueconic.sync.doubt import CREATES
from airflow_provider_braze_blueconic.sync.receipts import ReceiptSummary
from airflow_provider_braze_blueconic.sync.references import DeltaRef, MappedRef, SnapshotRef, UploadRef

__all__ = ["Report", "RunStatus", "describe_stop", "describe_warnings", "make_report", "render"]

RunStatus = Literal["success", "incomplete", "stopped", "skipped"]
"""``incomplete``: not every record has an outcome in the ledger. ``stopped``: the run ended before the upload.
``skipped``: there was nothing to be done for that date, and ``skipped_because`` says why."""


class Report(TypedDict):
    """The counters of a run. Times are seconds.

    ``rejected`` counts people by reason, ``refused_fields`` the people who were accepted without a field. ``seen`` are
    people of whom the target was seen to hold something that would have been sent, ``held`` those who rest because the
    target could not take the same values before, ``quarantined`` those whom it refused too often. ``drifted`` are
    people of whom it was seen not to hold any more what it acknowledged (``drift``: the same by field), ``unstuck``
    those of them who are not put right again, ``absent`` those whom a read of everybody did not meet. ``left_out`` are
    fields of the source that no target takes, ``repaired`` people with a text that held half a character, where there
    are any. ``proven`` tells that who was accepted is there: a Braze that is not to create people takes those whom it
    does not know too, does nothing with them and bills nothing, in silence. ``as_of`` tells how old the data are,
    ``replayed`` that an earlier run read them, ``whole`` that the read brought all that it was to bring: the segment,
    or its changes. ``sent_before`` are people whom the target accepted in earlier tries of the run that compared for
    themselves; the other counters don't hold them. ``repeated_pages`` were asked for again, since BlueConic led back to
    one that was read.
    """

    goal_id: str
    run_key: str
    status: RunStatus
    skipped_because: str
    dry_run: bool
    segment: str
    read: str
    as_of: str
    replayed: bool
    complete: bool
    whole: bool
    profiles: int
    people: int
    broken_lines: int
    repeated_pages: int
    repaired: NotRequired[int]
    skipped: dict[str, int]
    warnings: dict[str, int]
    warning_sources: dict[str, str]
    left_out: dict[str, str]
    new_fields: list[str]
    new_properties: list[str]
    inserts: int
    changes: int
    leavers: int
    unchanged: int
    seen: int
    held: int
    quarantined: int
    drifted: int
    unstuck: int
    absent: int
    drift: dict[str, int]
    stale: int
    to_send: int
    fields: int
    clears: int
    data_points: int
    requests: int
    rate_limited: int
    proven: bool
    accepted: int
    not_accepted: int
    unsent: int
    not_found: int
    no_consent: int
    rejected: dict[str, int]
    refused_fields: dict[str, int]
    unknown: int
    sent_before: int
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
    receipts: ReceiptSummary,
    sent_before: int = 0,
    skipped_because: str = "",
) -> Report:
    """Put together what the steps of a run left behind; steps that did not happen are ``None``.

    :param passed: the guard let the run pass.
    :param dry_run: the run only planned.
    :param committed: the outcomes are in the ledger.
    :param receipts: what the target said; they also know of uploads that were killed.
    :param sent_before: people whom the target accepted in other tries of the run.
    :param skipped_because: why there was nothing to do; empty if there was.
    """
    to_send = delta["to_send"] if delta else 0
    outcomes = receipts.outcomes
    accepted, unknown = outcomes.get("accepted", 0), outcomes.get("unknown", 0)
    unsent = 0 if dry_run else to_send - sum(outcomes.values())
    settled = dry_run or (committed and unsent == 0)
    status: RunStatus = "stopped" if not passed else "success" if settled else "incomplete"
    if skipped_because:
        status = "skipped"
    seconds = _wall_seconds(uploads)
    report = Report(
        goal_id=goal_id,
        run_key=run_key,
        status=status,
        skipped_because=skipped_because,
        dry_run=dry_run,
        segment=snapshot["segment_name"] if snapshot else "",
        read=snapshot["read"] if snapshot else "",
        as_of=snapshot["as_of"] if snapshot else "",
        replayed=bool(snapshot and snapshot.get("replayed", False)),
        complete=bool(snapshot and snapshot["complete"]),
        whole=bool(snapshot and snapshot.get("whole", snapshot["complete"])),
        profiles=snapshot["profiles"] if snapshot else 0,
        broken_lines=snapshot.get("broken_lines", 0) if snapshot else 0,
        repeated_pages=snapshot.get("repeated_pages", 0) if snapshot else 0,
        people=mapped["people"] if mapped else 0,
        skipped=mapped["skipped"] if mapped else {},
        warnings=mapped["warnings"] if mapped else {},
        warning_sources=mapped["warning_sources"] if mapped else {},
        left_out=mapped.get("left_out", {}) if mapped else {},
        new_fields=delta["new_fields"] if delta else [],
        new_properties=sorted(mapped.get("new_properties", {})) if mapped else [],
        inserts=delta["inserts"] if delta else 0,
        changes=delta["changes"] if delta else 0,
        leavers=delta["leavers"] if delta else 0,
        unchanged=delta["unchanged"] if delta else 0,
        seen=delta["seen"] if delta else 0,
        held=delta["held"] if delta else 0,
        quarantined=delta["quarantined"] if delta else 0,
        drifted=delta["drifted"] if delta else 0,
        unstuck=delta["unstuck"] if delta else 0,
        absent=delta["absent"] if delta else 0,
        drift=delta["drift"] if delta else {},
        stale=delta["stale"] if delta else 0,
        to_send=to_send,
        fields=delta["fields"] if delta else 0,
        clears=delta["clears"] if delta else 0,
        data_points=delta["data_points"] if delta else 0,
        requests=sum(upload["requests"] for upload in uploads),
        rate_limited=sum(upload["rate_limited"] for upload in uploads),
        proven=not delta or delta.get("settings", {}).get(CREATES) != 0,
        accepted=accepted,
        not_accepted=0 if dry_run else to_send - accepted,
        unsent=unsent,
        not_found=outcomes.get("not_found", 0),
        no_consent=outcomes.get("no_consent", 0),
        rejected=dict(receipts.reasons),
        refused_fields=dict(receipts.refused_fields),
        unknown=unknown,
        sent_before=sent_before,
        seconds=round(seconds, 3),
        people_per_second=round(accepted / seconds, 1) if seconds else 0.0,
    )
    if snapshot and snapshot.get("repaired"):
        report["repaired"] = snapshot["repaired"]
    return report


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

    def counted(label: str, count: int) -> list[tuple[str, str]]:
        """Leave out what concerns few goals and did not happen."""
        return [(label, f"{count:,}")] if count else []

    def named(label: str, names: Sequence[str]) -> list[tuple[str, str]]:
        return [(label, name) for name in names]

    return [
        ("status", report["status"]),
        *named("because", [report["skipped_because"]] if report["skipped_because"] else []),
        ("dry run", "yes, nothing was sent" if report["dry_run"] else "no"),
        ("segment", report["segment"]),
        ("read", report["read"] + ("" if report["complete"] else ", not known to be all")),
        *named("kept snapshot of", [report["as_of"]] if report["replayed"] else []),
        ("profiles read", f"{report['profiles']:,}"),
        *counted("broken lines", report["broken_lines"]),
        *counted("pages asked for again", report["repeated_pages"]),
        *counted("repaired: half a character", report.get("repaired", 0)),
        ("people mapped", f"{report['people']:,}"),
        ("skipped", f"{sum(report['skipped'].values()):,}"),
        *part(report["skipped"]),
        ("values left out", f"{sum(report['warnings'].values()):,}"),
        *part(report["warnings"]),
        *counted("fields left out", len(report["left_out"])),
        *named("new field", report["new_fields"]),
        *named("new property", report["new_properties"]),
        ("new", f"{report['inserts']:,}"),
        ("changed", f"{report['changes']:,}"),
        ("left the segment", f"{report['leavers']:,}"),
        ("unchanged", f"{report['unchanged']:,}"),
        *counted("already there, not sent", report["seen"]),
        *counted("held, nothing changed", report["held"]),
        *counted("quarantined, refused too often", report["quarantined"]),
        *counted("changed in the target", report["drifted"]),
        *part(report["drift"]),
        *counted("  did not stick, not sent again", report["unstuck"]),
        *counted("not in the target", report["absent"]),
        ("stale, not sent", f"{report['stale']:,}"),
        ("people to send", f"{report['to_send']:,}"),
        ("fields to send", f"{report['fields']:,}"),
        ("  that clear a value", f"{report['clears']:,}"),
        ("data points", f"{report['data_points']:,}" if report["proven"] else f"at most {report['data_points']:,}"),
        ("requests", f"{report['requests']:,}"),
        ("accepted", f"{report['accepted']:,}"),
        *([] if report["proven"] else named("  of them known", ["Braze does not say: creation is off"])),
        *counted("without single fields", sum(report["refused_fields"].values())),
        *part(report["refused_fields"]),
        *counted("not found", report["not_found"]),
        *counted("without consent", report["no_consent"]),
        ("not accepted", f"{sum(report['rejected'].values()):,}"),
        *part(report["rejected"]),
        ("  with unknown outcome", f"{report['unknown']:,}"),
        ("without an answer", f"{report['unsent']:,}"),
        *counted("sent by earlier tries", report["sent_before"]),
        ("seconds", f"{report['seconds']:.1f}"),
        ("people/s", f"{report['people_per_second']:,.0f}"),
    ]


def describe_stop(report: Report) -> str:
    """Say of a run that ended before its upload what its earlier tries sent."""
    told = report["to_send"] - report["unsent"]
    ended = "this try of the run ended before the upload; see the task that failed."
    if not told and not report["sent_before"]:
        return f"{ended} Nothing was sent."
    accepted = report["accepted"] + report["sent_before"]
    return f"{ended} It sent nothing; of the run's earlier tries the target accepted {accepted:,} people."


def describe_warnings(report: Report) -> list[str]:
    """Say for each kind of value that was left out which rule it broke, and whose rule that is."""
    values = [f"{key}: {people:,} people. {_source(report, key)}" for key, people in report["warnings"].items()]
    return values + [f"{source}: {why}" for source, why in report["left_out"].items()]


def _source(report: Report, key: str) -> str:
    return report["warning_sources"].get(key.rsplit(": ", 1)[0], "")
