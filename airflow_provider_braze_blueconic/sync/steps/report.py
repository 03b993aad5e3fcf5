"""The report of a run: what its receipts and references tell, as a row of the runs table and as JSON."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from airflow_provider_braze_blueconic.sync.state.goal_tables import open_runs
from airflow_provider_braze_blueconic.sync.state.receipt_summary import ReceiptSummary, summarise
from airflow_provider_braze_blueconic.sync.steps.counters import Report, make_report
from airflow_provider_braze_blueconic.sync.store.attempts import counters
from airflow_provider_braze_blueconic.sync.store.paths import receipts_folder
from airflow_provider_braze_blueconic.sync.store.references import DeltaRef, MappedRef, SnapshotRef, UploadRef
from airflow_provider_braze_blueconic.sync.store.staging import fetch_folder
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["report_run"]


def report_run(
    workspace: Workspace,
    *,
    snapshot: SnapshotRef | None,
    mapped: MappedRef | None,
    delta: DeltaRef | None,
    passed: bool,
    dry_run: bool,
    uploads: Sequence[UploadRef],
    committed: bool,
    skipped_because: str = "",
) -> Report:
    """Count what the run did, from its receipts, and keep it as a row of the runs table and as ``report.json``.

    A run that was cleared has several tries, and each try that compares anew has a delta of its own. The report is
    about this try's delta, or, where this try did not get that far, about the last one that was sent. What went with
    the others is counted as ``sent_before``.

    :param delta: this try's; ``None`` if it ended before.
    :param passed: the guard let the run pass.
    :param dry_run: the run only planned.
    :param uploads: those that ended well; the counters of the others are beside the delta.
    :param committed: the outcomes are in the ledger.
    :param skipped_because: why there was nothing to do; empty if there was.
    """
    sent = _Sent(delta, ReceiptSummary(0, {}, {}), 0) if dry_run else _what_was_sent(workspace, delta)
    report = make_report(
        goal_id=workspace.folder.goal_id,
        run_key=workspace.run_key,
        snapshot=snapshot,
        mapped=mapped,
        delta=sent.delta,
        passed=passed,
        dry_run=dry_run,
        uploads=uploads if dry_run else _all_uploads(workspace, sent.delta, uploads),
        committed=committed,
        receipts=sent.receipts,
        sent_before=sent.before,
        skipped_because=skipped_because,
    )
    read_started_at = dt.datetime.fromisoformat(snapshot["as_of"]) if snapshot else None
    runs = open_runs(workspace)
    by = next((one["fingerprint"] for one in (sent.delta, snapshot) if one and "fingerprint" in one), "")
    runs.add(report, read_started_at=read_started_at, mapping_hash=by)
    uri = workspace.folder.report(workspace.run_key)
    workspace.staging.write_bytes(uri, json.dumps(report, indent=1).encode())
    return report


@dataclass(frozen=True)
class _Sent:
    """What the tries of a run sent.

    :param delta: the one that the report is about; ``None`` if no try got that far.
    :param receipts: what the target said to it.
    :param before: people whom the target accepted of the other ones.
    """

    delta: DeltaRef | None
    receipts: ReceiptSummary
    before: int


def _what_was_sent(workspace: Workspace, delta: DeltaRef | None) -> _Sent:
    """Count the receipts of all tries of the run.

    :param delta: this try's.
    """
    sent, plans = _sent_deltas(workspace)
    if delta is None and plans:
        delta = cast("DeltaRef", json.loads(workspace.staging.read_bytes(plans[-1]))["delta"])
    receipts, before = ReceiptSummary(0, {}, {}), 0
    for uri in sent:
        with workspace.local("report") as local:
            told = summarise(workspace.engine, fetch_folder(workspace.staging, receipts_folder(uri), local))
        if delta is not None and uri == delta["uri"]:
            receipts = told
        else:
            before += told.outcomes.get("accepted", 0)
    return _Sent(delta, receipts, before)


def _all_uploads(workspace: Workspace, delta: DeltaRef | None, ended_well: Sequence[UploadRef]) -> list[UploadRef]:
    """Return the counters of all attempts at a delta, also of those that failed; each counts once."""
    ended = cast("list[UploadRef]", counters(workspace.staging, delta["uri"])) if delta is not None else []
    return list({(each["partition"], each["started_at"]): each for each in [*ended, *ended_well]}.values())


def _sent_deltas(workspace: Workspace) -> tuple[set[str], list[str]]:
    """Return the URIs of the run's deltas of which anything was sent, and those of their plans, the last one last."""
    listed = workspace.staging.list_objects(workspace.folder.run(workspace.run_key))
    sent = {staged.uri.partition("/receipts/")[0] for staged in listed if "/receipts/" in staged.uri}
    plans = [staged for staged in listed if staged.uri.removesuffix("/plan.json") in sent]
    return sent, [staged.uri for staged in sorted(plans, key=lambda plan: plan.modified)]
