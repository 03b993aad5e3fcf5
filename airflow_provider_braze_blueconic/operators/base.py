"""The base of all operators: one step of a goal, which runs while no other run of the goal does."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from airflow import __version__ as airflow_version
from airflow.exceptions import AirflowRescheduleException  # common-compat does not have it
from airflow.providers.common.compat.sdk import BaseOperator
from packaging.version import Version

from airflow_provider_braze_blueconic.exceptions import GoalBusy
from airflow_provider_braze_blueconic.operators.airflow_errors import shown_error
from airflow_provider_braze_blueconic.operators.turns import Meeting, meet, next_question
from airflow_provider_braze_blueconic.operators.workspaces import (
    check_folder_names,
    check_store,
    open_workspace,
    store_name,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.hooks.settings import Settings
    from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["GoalOperator"]

_CAN_WAIT = Version(airflow_version).release >= (3, 1, 8)
"""Any task may ask to be started again at a given time. Older schedulers heed that of sensors alone: they would start
the task at once, again and again. Read in ``TaskInstance.are_dependencies_met`` of 3.0.6, 3.1.0 to 3.1.8, 3.2.0 to
3.2.2, 3.3.0 and 3.3.2."""

_DEFER_SLACK = dt.timedelta(minutes=10)
"""Until a wait in the triggerer counts as failed, so that a task ends also where no triggerer runs."""


class GoalOperator(BaseOperator):
    """One step of a goal.

    Only one run of a goal works at a time (:mod:`~airflow_provider_braze_blueconic.sync.store.lock`). While another run
    holds the goal, a step waits without a worker slot, and fails after ``[braze_blueconic] wait_for_goal_minutes``. A
    run holds the goal until its ``SyncReportOperator`` ends; in a DAG without one, until Airflow says that the run has
    ended.

    :param goal_id: the goal's id; its state is in ``<staging>/<goal id>/`` (templated).
    :param staging: ``s3://bucket/prefix`` (templated).
    :param aws_conn_id: connection of type ``aws`` for ``staging``.
    :param run_prefix: distinguishes runs of several DAGs of one goal, whose run ids can be equal.
    :param renamed_from: the goal's previous id, if it changed; the run takes over the state under that id.
    :param origin: ``{"file": name, "lines": {path: line}}`` of the goal file, for error messages.
    """

    template_fields: Sequence[str] = ("goal_id", "staging")

    ends_run = False
    """The step only tells what became of the run: it needs no lock, and the run has ended with it."""

    _lock_gap: float | None = None

    def __init__(
        self,
        *,
        goal_id: str,
        staging: str,
        aws_conn_id: str = "aws_default",
        origin: Mapping[str, Any] | None = None,
        run_prefix: str = "",
        renamed_from: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.goal_id = goal_id
        self.staging = staging
        self.aws_conn_id = aws_conn_id
        self.origin = origin
        self.run_prefix = run_prefix
        self.renamed_from = renamed_from

    @abstractmethod
    def run_step(self, workspace: Workspace, context: Context) -> Any:
        """Run the step and return its reference, a plain dict."""

    def execute(self, context: Context) -> Any:
        """Run the step in its own workspace."""
        return self._run_in_workspace(context)

    def take_turn(self, context: Context, event: Any = None) -> Any:  # noqa: ARG002  # Airflow passes it
        """Start the step again after a wait in the triggerer."""
        return self._run_in_workspace(context)

    def _run_in_workspace(self, context: Context) -> Any:
        # Apart from execute(), so that a step which waited can go on here: Airflow lets nobody else call execute().
        try:
            with self._workspace(context) as workspace:
                meeting = meet(workspace, context, task_id=self.task_id, settles=self._settles(workspace), log=self.log)
                try:
                    with self._turn(workspace, meeting):
                        return self.run_step(workspace, context)
                except GoalBusy as error:
                    if meeting.lock.lost:
                        self.on_lock_lost(workspace)
                        raise
                    busy = error
                self._wait_or_fail(busy, meeting)
        except Exception as error:  # noqa: BLE001  what leaves a task is read by people, whatever it is
            failure = error
        # Outside of the block: an error carries along what was being handled, and its text and chain can hold people.
        raise shown_error(failure, goal_id=self.goal_id, task_id=self.task_id, origin=self.origin)

    def wait_between_steps(self, seconds: float) -> None:
        """Set how long other runs wait after this part of the step, if it ends in a deferral."""
        self._lock_gap = seconds

    def on_lock_lost(self, workspace: Workspace) -> None:
        """Clean up after the step has stopped because another run took over."""

    @contextmanager
    def _workspace(self, context: Context) -> Iterator[Workspace]:
        check_folder_names({"staging": self.staging, "goal_id": self.goal_id, "renamed_from": self.renamed_from})
        # run_id is the one name that every kind of run has: manual and asset-triggered runs have no logical date.
        with open_workspace(
            self.run_prefix + context["run_id"],
            goal_id=self.goal_id,
            staging=self.staging,
            aws_conn_id=self.aws_conn_id,
        ) as workspace:
            yield workspace

    @contextmanager
    def _turn(self, workspace: Workspace, meeting: Meeting) -> Iterator[None]:
        from airflow_provider_braze_blueconic.sync.store.heartbeat import hold, release
        from airflow_provider_braze_blueconic.sync.upkeep.renaming import settle_name

        self._lock_gap = None

        def hold_other(folder: GoalFolder) -> AbstractContextManager[None]:
            return hold(meeting.other(folder), gap_seconds=lambda: None)

        if self.ends_run:
            try:
                yield
            finally:
                release(meeting.lock)
                meeting.queue.leave()
            return
        with hold(
            meeting.lock,
            gap_seconds=lambda: self._gap(meeting.settings),
            on_lost=self.on_kill,
            before_first=lambda: check_store(workspace),
        ):
            if not meeting.lock.is_settled:
                settle_name(workspace.staging, workspace.folder, self.renamed_from, hold=hold_other)
                meeting.lock.is_settled = True
            if meeting.queue.is_waiting:
                meeting.queue.leave()
            yield

    def _settles(self, workspace: Workspace) -> str:
        """Name what the first step of a run sees to: that the store can keep a lock, and where the goal's state is."""
        seen_to = json.dumps([store_name(workspace), self.renamed_from])
        return hashlib.sha256(seen_to.encode()).hexdigest()[:16]

    def _gap(self, settings: Settings) -> float:
        # 0 stands for "not between steps", and a deferral is between two.
        longer = self._lock_gap if self._lock_gap is not None and settings.lock_gap_seconds else 0.0
        return max(settings.lock_gap_seconds, longer)

    def _wait_or_fail(self, busy: GoalBusy, meeting: Meeting) -> NoReturn:
        """End a step whose goal is busy: for a while, or for good if the run has waited for as long as it may."""
        seconds = next_question(busy, meeting)
        at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
        if _CAN_WAIT:
            raise AirflowRescheduleException(at) from None  # type: ignore[no-untyped-call]  # untyped in Airflow
        from airflow_provider_braze_blueconic.triggers.turn import TurnTrigger

        self.defer(
            trigger=TurnTrigger(at.timestamp()),
            method_name="take_turn",
            timeout=dt.timedelta(seconds=seconds) + _DEFER_SLACK,
        )
