"""The commit: the receipts of uploads go into the receipts table and the ledger."""

from __future__ import annotations

import datetime as dt
import logging
from pathlib import Path

from airflow_provider_braze_blueconic.sync.observations.written import mark_written
from airflow_provider_braze_blueconic.sync.state.acknowledged import Acknowledged
from airflow_provider_braze_blueconic.sync.state.goal_tables import open_ledger, open_receipts
from airflow_provider_braze_blueconic.sync.state.missing_ledger import refuse_vanished_ledger
from airflow_provider_braze_blueconic.sync.state.open_uploads import mark_open, open_uploads, unmark
from airflow_provider_braze_blueconic.sync.state.receipt_summary import ReceiptSummary, summarise
from airflow_provider_braze_blueconic.sync.store.attempts import is_anybody_at_work, unfinished
from airflow_provider_braze_blueconic.sync.store.delta_files import has_its_files
from airflow_provider_braze_blueconic.sync.store.fence import close
from airflow_provider_braze_blueconic.sync.store.paths import delta_file, receipts_folder
from airflow_provider_braze_blueconic.sync.store.references import DeltaRef
from airflow_provider_braze_blueconic.sync.store.staging import fetch_folder
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["commit_uploads", "recover_uploads"]

log = logging.getLogger(__name__)


def recover_uploads(workspace: Workspace, *, but: str | None = None) -> int:
    """Commit what uploads were told that never reached their commit, and say how many there were.

    :param but: id of a delta whose upload goes on.
    """
    goal_id = workspace.folder.goal_id
    recovered = 0
    for mark, delta in open_uploads(workspace):
        if delta["delta_id"] == but:
            continue
        if not has_its_files(workspace.staging, delta):
            # Work files expire; without this a goal that slept for long would never run again.
            log.warning("%s: an earlier upload of run %s wasn't committed and its files have expired; its records "
                        "are sent again", goal_id, delta["run_key"])  # fmt: skip
            workspace.staging.delete([mark])
            continue
        log.info("%s: an earlier upload of run %s wasn't committed; committing its receipts now",
                 goal_id, delta["run_key"])  # fmt: skip
        summary = commit_uploads(workspace, delta)
        if unknown := summary.outcomes.get("unknown"):
            # No report tells it: that run had none, and this one sends something else.
            log.warning("%s: %s people have an unknown outcome from run %s; numbers that may have been added are "
                        'not added again. See outcome "unknown" in the receipts table',
                        goal_id, f"{unknown:,}", delta["run_key"])  # fmt: skip
        recovered += 1
    return recovered


def commit_uploads(workspace: Workspace, delta: DeltaRef) -> ReceiptSummary:
    """Put the outcomes of a delta's uploads into the receipts table and the ledger; twice is once.

    Receipts first, then the ledger, then what other goals are told of it, then the mark away. A kill after the receipts
    leaves the ledger as it was: the next try finds the receipts' transaction and only moves the ledger. A kill after
    the ledger leaves the mark: the next try finds both transactions and only does what is left.

    An attempt that still lives, as the process of a killed worker may, is stopped before the receipts are read. One
    that begins during the commit keeps the mark.

    :raises WriterConflict: if another run moved the ledger meanwhile; nothing was changed, try again.
    """
    staging = workspace.staging
    close(staging, delta["uri"], label=f"{workspace.folder.goal_id} commit")
    with workspace.local("commit") as local:
        files = _download_delta(workspace, delta, local)
        parts = fetch_folder(staging, receipts_folder(delta["uri"]), local / "receipts")
        summary = summarise(workspace.engine, parts)
        if parts and files:
            open_receipts(workspace).commit(
                workspace.engine,
                run_key=delta["run_key"],
                delta_id=delta["delta_id"],
                delta=files,
                parts=parts,
                receipt_rows=summary.receipts,
                folder=local,
            )
        _move_ledger(workspace, delta, files, parts, summary)
    wrote = dt.datetime.now(dt.UTC) if summary.receipts else None
    mark_written(staging, workspace.folder, read=dt.datetime.fromisoformat(delta["as_of"]), wrote=wrote)
    unmark(workspace, delta)
    if is_anybody_at_work(staging, delta["uri"]):
        mark_open(workspace, delta)
    return summary


def _download_delta(workspace: Workspace, delta: DeltaRef, local: Path) -> dict[int, Path]:
    files: dict[int, Path] = {}
    for partition in delta["partitions"]:
        files[partition] = local / f"partition={partition}.parquet"
        workspace.staging.download_file(delta_file(delta["uri"], partition), files[partition])
    return files


def _move_ledger(
    workspace: Workspace, delta: DeltaRef, files: dict[int, Path], parts: list[Path], summary: ReceiptSummary
) -> None:
    """Let the ledger learn what the target acknowledged.

    :param files: partition → local file of the delta.
    :param parts: local part receipts.
    :raises SyncError: if the ledger has vanished since the delta was made.
    """
    ledger = open_ledger(workspace)
    if delta.get("newest_as_of") and not ledger.exists:
        refuse_vanished_ledger(workspace.folder)
    ledger.commit(
        workspace.engine,
        Acknowledged(
            run_key=delta["run_key"],
            delta_id=delta["delta_id"],
            as_of=dt.datetime.fromisoformat(delta["as_of"]),
            partitions=delta["ledger_partitions"],
            delta=files,
            receipts=parts,
            receipt_rows=summary.receipts,
            policy=delta["policy"],
            links=delta.get("links"),
            broken_off=_broken_off(workspace, delta),
            settings=delta.get("settings", {}),
            last_delta=delta.get("last_delta"),
        ),
    )


def _broken_off(workspace: Workspace, delta: DeltaRef) -> frozenset[int]:
    """Name the partitions of which an attempt did not come to its end."""
    return frozenset(map(int, unfinished(workspace.staging, delta["uri"])))
