"""The counters of a run's report, each named once, next to the step that counts it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict, cast, get_origin, get_type_hints

from airflow_provider_braze_blueconic.sync.state.receipt_summary import ReceiptSummary
from airflow_provider_braze_blueconic.sync.state.settings import CREATES
from airflow_provider_braze_blueconic.sync.store.references import DeltaRef, MappedRef, SnapshotRef, UploadRef

__all__ = ["Report", "RunStatus", "make_report"]

RunStatus = Literal["success", "incomplete", "stopped", "skipped"]
"""``incomplete``: not every record has an outcome in the ledger. ``stopped``: the run ended before the upload.
``skipped``: there was nothing to be done for that date, and ``skipped_because`` says why."""


class _OfRun(TypedDict):
    goal_id: str
    run_key: str
    status: RunStatus
    skipped_because: str
    dry_run: bool


class _OfSnapshot(TypedDict):
    segment: str
    read: str
    as_of: str
    replayed: bool
    complete: bool
    whole: bool
    profiles: int
    broken_lines: int
    repeated_pages: int


class _OfMapping(TypedDict):
    people: int
    skipped: dict[str, int]
    warnings: dict[str, int]
    warning_sources: dict[str, str]
    left_out: dict[str, str]


class _OfFields(TypedDict):
    new_fields: list[str]
    new_properties: list[str]


class _OfDelta(TypedDict):
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


class _OfUploads(TypedDict):
    requests: int
    rate_limited: int


class _OfReceipts(TypedDict):
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


class _OfTime(TypedDict):
    seconds: float
    people_per_second: float


class Report(_OfRun, _OfSnapshot, _OfMapping, _OfFields, _OfDelta, _OfUploads, _OfReceipts, _OfTime):
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

    repaired: NotRequired[int]


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
    told = _told(delta, receipts, dry_run=dry_run, sent_before=sent_before)
    status = _status(passed=passed, settled=dry_run or (committed and told["unsent"] == 0))
    run = _OfRun(
        goal_id=goal_id,
        run_key=run_key,
        status="skipped" if skipped_because else status,
        skipped_because=skipped_because,
        dry_run=dry_run,
    )
    uploaded = _OfUploads(
        requests=sum(upload["requests"] for upload in uploads),
        rate_limited=sum(upload["rate_limited"] for upload in uploads),
    )
    report = {
        **run,
        **_taken_over(_OfSnapshot, _snapshot_counts(snapshot) if snapshot else {}),
        **_taken_over(_OfMapping, mapped or {}),
        **_new_fields(mapped, delta),
        **_taken_over(_OfDelta, delta or {}),
        **uploaded,
        **told,
        **_pace(uploads, told["accepted"]),
    }
    if snapshot and snapshot.get("repaired"):
        report["repaired"] = snapshot["repaired"]
    return cast("Report", report)


def _taken_over(kind: type, reference: Mapping[str, Any]) -> dict[str, Any]:
    """Take the counters of a step out of its reference.

    :param kind: names them with their types; what the reference does not hold is 0, or empty.
    """
    return {
        name: reference[name] if name in reference else (get_origin(type_) or type_)()
        for name, type_ in get_type_hints(kind).items()
    }


def _snapshot_counts(snapshot: SnapshotRef) -> dict[str, Any]:
    return {"whole": snapshot["complete"], **snapshot, "segment": snapshot["segment_name"]}


def _new_fields(mapped: MappedRef | None, delta: DeltaRef | None) -> _OfFields:
    return _OfFields(
        new_fields=delta["new_fields"] if delta else [],
        new_properties=sorted(mapped.get("new_properties", {})) if mapped else [],
    )


def _told(delta: DeltaRef | None, receipts: ReceiptSummary, *, dry_run: bool, sent_before: int) -> _OfReceipts:
    """Count what the target said, and who is left without an answer."""
    outcomes = receipts.outcomes
    accepted = outcomes.get("accepted", 0)
    to_send = delta["to_send"] if delta and not dry_run else 0
    return _OfReceipts(
        proven=not delta or delta.get("settings", {}).get(CREATES) != 0,
        accepted=accepted,
        not_accepted=0 if dry_run else to_send - accepted,
        unsent=0 if dry_run else to_send - sum(outcomes.values()),
        not_found=outcomes.get("not_found", 0),
        no_consent=outcomes.get("no_consent", 0),
        rejected=dict(receipts.reasons),
        refused_fields=dict(receipts.refused_fields),
        unknown=outcomes.get("unknown", 0),
        sent_before=sent_before,
    )


def _status(*, passed: bool, settled: bool) -> RunStatus:
    """Tell how a run ended that had something to do.

    :param settled: every record has an outcome in the ledger, or the run only planned.
    """
    if not passed:
        return "stopped"
    return "success" if settled else "incomplete"


def _pace(uploads: Sequence[UploadRef], accepted: int) -> _OfTime:
    seconds = _wall_seconds(uploads)
    return _OfTime(seconds=round(seconds, 3), people_per_second=round(accepted / seconds, 1) if seconds else 0.0)


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
