"""The turn of a run at its goal, which other runs may hold or wait for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowRuntimeError

from airflow_provider_braze_blueconic.exceptions import GoalBusy
from airflow_provider_braze_blueconic.operators.task_log import TaskLog

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.hooks.settings import Settings
    from airflow_provider_braze_blueconic.sync.store.holder import Holder
    from airflow_provider_braze_blueconic.sync.store.lock import GoalLock
    from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
    from airflow_provider_braze_blueconic.sync.store.queue import GoalQueue
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["Meeting", "meet", "next_question"]


_ENDED = frozenset({"success", "failed", "queued"})
"""States of a run in Airflow's words (``DagRunState``). One that had its goal and is queued was cleared: it begins
anew, and perhaps not before the run that asks has ended, since a DAG has one scheduled run at a time."""


@dataclass(frozen=True)
class Meeting:
    """The lock and the queue through which a step meets other runs.

    :param other: folder of another goal → its lock.
    :param log: of the task.
    """

    lock: GoalLock
    queue: GoalQueue
    other: Callable[[GoalFolder], GoalLock]
    settings: Settings
    log: TaskLog


def meet(workspace: Workspace, context: Context, *, task_id: str, settles: str, log: TaskLog) -> Meeting:
    """Make the lock of a goal, and the queue in front of it, for one task of a run.

    :param settles: see :class:`~airflow_provider_braze_blueconic.sync.store.lock.GoalLock`.
    :param log: of the task.
    """
    from airflow_provider_braze_blueconic.hooks.settings import Settings
    from airflow_provider_braze_blueconic.sync.store.lock import GoalLock
    from airflow_provider_braze_blueconic.sync.store.queue import GoalQueue

    settings = Settings.load()
    holder = _holder(workspace, context, task_id)
    has_ended = partial(_has_ended, context.get("ti"), workspace.folder.goal_id, log)

    def lock(folder: GoalFolder, queue: GoalQueue | None = None) -> GoalLock:
        seconds = settings.lock_seconds
        return GoalLock(
            workspace.staging, folder, holder, seconds=seconds, has_ended=has_ended, queue=queue, settles=settles
        )

    queue = GoalQueue(
        workspace.staging, workspace.folder, holder, lock_seconds=settings.lock_seconds, has_ended=has_ended
    )
    return Meeting(lock(workspace.folder, queue), queue, lock, settings, log)


def _holder(workspace: Workspace, context: Context, task_id: str) -> Holder:
    from airflow_provider_braze_blueconic.hooks.settings import this_airflow
    from airflow_provider_braze_blueconic.sync.store.holder import Holder

    run = context.get("dag_run")
    started = getattr(run, "start_date", None)
    return Holder(
        workspace.run_key,
        started.isoformat() if started else "",
        context["run_id"],
        task_id,
        dag_id=getattr(run, "dag_id", ""),
        airflow=this_airflow(),
    )


def _has_ended(ti: Any, goal_id: str, log: TaskLog, dag_id: str, run_id: str) -> bool | None:
    """Ask Airflow whether a run of its own has ended; ``None`` where it doesn't say."""
    ask = getattr(ti, "get_dagrun_state", None)  # not where a task runs outside of Airflow's task runner
    if ask is None:
        return None
    try:
        return ask(dag_id, run_id) in _ENDED
    except Exception as error:  # noqa: BLE001  # whatever it is, the lock has rules for what Airflow doesn't say
        if _status(error) == HTTPStatus.NOT_FOUND:
            return True  # somebody deleted the run, or its DAG
        log.info("%s: Airflow doesn't say how run %s ended: %s", goal_id, run_id, type(error).__name__)
        return None


def _status(error: Exception) -> object:
    """Return the status with which Airflow's API answered a task, if it did."""
    if isinstance(error, AirflowRuntimeError):
        return (error.error.detail or {}).get("status_code")
    # In dag.test(), which has no supervisor between the task and the API.
    return getattr(getattr(error, "response", None), "status_code", None)


def next_question(busy: GoalBusy, meeting: Meeting) -> float:
    """Return in how many seconds a step whose goal is busy checks again.

    Runs of one goal can meet although its DAG has ``max_active_runs=1``: a backfill starts up to ten at once, next to
    the scheduled one; a reconcile is another DAG; and another Airflow may have the same goal.

    :raises GoalBusy: if the run has waited as long as it may.
    """
    minutes = meeting.settings.wait_for_goal_minutes
    if not minutes:
        raise busy
    turn = meeting.queue.wait(60 * minutes)
    if turn.is_over:
        raise GoalBusy(
            f"{busy.why} It has waited since {turn.since:%Y-%m-%d %H:%M:%S} UTC, and [braze_blueconic] "
            f"wait_for_goal_minutes allows for {minutes:g} minutes.",
            busy.remedy,
        )
    meeting.log.info(
        "%s Waiting since %s UTC; it checks again in %g s.",
        busy.why, f"{turn.since:%Y-%m-%d %H:%M:%S}", turn.asks_again_seconds,
    )  # fmt: skip
    return turn.asks_again_seconds
