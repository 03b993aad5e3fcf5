"""The replay of a past date: the extract of a live source returns the kept snapshot, or is skipped."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import AirflowSkipException
from packaging.version import Version

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.sync.store.references import SnapshotRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
    from airflow_provider_braze_blueconic.sync.upkeep.replays import SnapshotNeeds

__all__ = ["SKIPPED", "keep", "replay_or_read", "replayed"]

log = logging.getLogger(__name__)

_TELLS_WHEN_TRIGGERED = Version(airflow_version).release >= (3, 1, 7)
"""``run_after`` of a manual run is when it was triggered. Before, a run that the UI or the API triggers for a past date
has that date there (``TriggerDAGRunPostBody.validate_context``, read in 3.0.6, 3.1.0 to 3.1.8, 3.2.0 and 3.3.2)."""

SKIPPED = "skipped"
"""XCom that says why an extract was skipped."""


def replay_or_read(
    workspace: Workspace,
    context: Context,
    needs: SnapshotNeeds,
    *,
    timezone: str,
    read: Callable[[Workspace], SnapshotRef],
    may_replay: bool = True,
) -> SnapshotRef:
    """Return the snapshot kept for a past date; otherwise read the source and keep the snapshot.

    :raises AirflowSkipException: see :func:`replayed`.
    """
    snapshot = replayed(workspace, context, needs, timezone=timezone) if may_replay else None
    if snapshot is not None:
        log.info(
            "%s: replaying the snapshot of %s read at %s", workspace.folder.goal_id, needs.source, snapshot["as_of"]
        )
        return snapshot
    snapshot = read(workspace)
    keep(workspace, context, snapshot, connection=needs.connection, holds=needs.holds, timezone=timezone)
    return snapshot


def replayed(workspace: Workspace, context: Context, needs: SnapshotNeeds, *, timezone: str) -> SnapshotRef | None:
    """Return the kept snapshot for a run of a past date; ``None`` for a run that reads the source.

    :raises AirflowSkipException: the date can't be run again; the reason is also pushed as ``skipped``.
    """
    from airflow_provider_braze_blueconic.sync.upkeep.past_dates import asks_for_the_past
    from airflow_provider_braze_blueconic.sync.upkeep.replays import NoSnapshot, find_snapshot

    logical_date = _logical_date(context)
    if logical_date is None:
        return None
    run = context["dag_run"]
    run_after = run.run_after if _TELLS_WHEN_TRIGGERED else None
    now = dt.datetime.now(dt.UTC)
    if not asks_for_the_past(run.run_type, logical_date, run_after=run_after, now=now, timezone=timezone):
        return None
    try:
        return find_snapshot(workspace.staging, workspace.folder, needs, logical_date=logical_date, timezone=timezone)
    except NoSnapshot as reason:
        context["ti"].xcom_push(key=SKIPPED, value=str(reason))
        raise AirflowSkipException(str(reason)) from None


def keep(
    workspace: Workspace,
    context: Context,
    snapshot: SnapshotRef,
    *,
    connection: str,
    holds: Sequence[str],
    timezone: str,
) -> None:
    """Keep a new snapshot, in case its date is run again."""
    from airflow_provider_braze_blueconic.sync.upkeep.kept_snapshots import keep_snapshot
    from airflow_provider_braze_blueconic.sync.upkeep.past_dates import date_of_read

    run_type = getattr(context.get("dag_run"), "run_type", "")
    read_at = dt.datetime.fromisoformat(snapshot["as_of"])
    keep_snapshot(
        workspace.staging,
        workspace.folder,
        snapshot,
        run_key=workspace.run_key,
        logical_date=date_of_read(run_type, _logical_date(context), read_at=read_at, timezone=timezone),
        connection=connection,
        holds=holds,
    )


def _logical_date(context: Context) -> dt.datetime | None:
    # A manual or asset-triggered run may have none; then the key is there or not, by the version of Airflow.
    found: dt.datetime | None = getattr(context.get("dag_run"), "logical_date", None)
    return found
