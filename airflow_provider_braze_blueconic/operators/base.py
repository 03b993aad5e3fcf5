"""What the operators share: where they work, and how an error of ours becomes one of Airflow's."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
import traceback
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow import __version__ as airflow_version
from airflow.exceptions import AirflowRescheduleException  # common-compat does not have it
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, BaseOperator
from airflow.sdk.exceptions import AirflowRuntimeError
from packaging.version import Version

from airflow_provider_braze_blueconic.exceptions import (
    GoalBusy,
    GoalError,
    Problem,
    SettingError,
    SyncError,
    TransientError,
    WriterConflict,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.hooks.settings import Settings
    from airflow_provider_braze_blueconic.sync.lock import GoalLock
    from airflow_provider_braze_blueconic.sync.pipeline import Workspace
    from airflow_provider_braze_blueconic.sync.queue import GoalQueue
    from airflow_provider_braze_blueconic.sync.staging import GoalFolder

__all__ = ["GoalOperator", "as_airflow_exception", "is_true"]

_WORTH_A_RETRY = (TransientError, WriterConflict)

_CAN_WAIT = Version(airflow_version).release >= (3, 1, 8)
"""Any task may ask to be started again at a given time. Older schedulers heed that of sensors alone: they would start
the task at once, again and again. Read in ``TaskInstance.are_dependencies_met`` of 3.0.6, 3.1.0 to 3.1.8, 3.2.0 to
3.2.2, 3.3.0 and 3.3.2."""

_DEFER_SLACK = dt.timedelta(minutes=10)
"""Until a wait in the triggerer counts as failed, so that a task ends also where no triggerer runs."""

_ENDED = frozenset({"success", "failed", "queued"})
"""States of a run in Airflow's words (``DagRunState``). One that had its goal and is queued was cleared: it begins
anew, and perhaps not before the run that asks has ended, since a DAG has one scheduled run at a time."""

_PACKAGE = Path(__file__).parents[1]


def as_airflow_exception(error: SyncError) -> AirflowException:
    """Turn an error of ours into Airflow's: only what can go better by itself is tried again."""
    from airflow_provider_braze_blueconic.sync.upload import Stopped

    if isinstance(error, (*_WORTH_A_RETRY, Stopped)):
        return AirflowException(str(error))
    return AirflowFailException(str(error))


def _status(error: Exception) -> object:
    """Return the status with which Airflow's API answered a task, if it did."""
    if isinstance(error, AirflowRuntimeError):
        return (error.error.detail or {}).get("status_code")
    # In dag.test(), which has no supervisor between the task and the API.
    return getattr(getattr(error, "response", None), "status_code", None)


def _kind(error: Exception) -> str:
    """Name an error, and what the system says of its number, such as of a full disk."""
    name = type(error).__name__
    return f"{name} ({os.strerror(error.errno)})" if isinstance(error, OSError) and error.errno else name


def is_true(value: object) -> bool:
    """Read a flag that may come out of a template as text.

    :raises SettingError: for text that is neither true nor false.
    """
    if isinstance(value, bool):
        return value
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "none": False, "": False}
    text = str(value).strip().lower()
    if text not in words:
        raise SettingError(f"{value!r} is neither true nor false")
    return words[text]


@dataclass(frozen=True)
class _Meeting:
    """What a step meets other runs with.

    :param other: folder of another goal → its lock.
    """

    lock: GoalLock
    queue: GoalQueue
    other: Callable[[GoalFolder], GoalLock]
    settings: Settings


class GoalOperator(BaseOperator):
    """One step of a goal.

    One run of a goal works at a time (:mod:`~airflow_provider_braze_blueconic.sync.lock`): where another run has the
    goal, a step waits for its turn without a worker slot, and fails after ``[braze_blueconic] wait_for_goal_minutes``.
    A run has the goal until its ``SyncReportOperator``; in a DAG without one, until Airflow says that it has ended.

    :param goal_id: the goal's id; its state lies in ``<staging>/<goal id>/`` (templated).
    :param staging: ``s3://bucket/prefix`` (templated).
    :param aws_conn_id: connection of type ``aws`` for ``staging``.
    :param run_prefix: tells runs of several DAGs of one goal apart, whose run ids may be the same.
    :param renamed_from: the id that the goal had before, if it was changed: what it left under that id is taken over.
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
        """Do the step and return its reference: a plain dict."""

    def execute(self, context: Context) -> Any:
        """Run the step in a workspace of its own."""
        return self._run_in_workspace(context)

    def take_turn(self, context: Context, event: Any = None) -> Any:  # noqa: ARG002  # Airflow passes it
        """Begin the step anew, after a wait in the triggerer."""
        return self._run_in_workspace(context)

    def _run_in_workspace(self, context: Context) -> Any:
        # Apart from execute(), so that a step which waited can go on here: Airflow lets nobody else call execute().
        try:
            with self._workspace(context) as workspace:
                meeting = self._meeting(workspace, context)
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
        raise self._for_airflow(failure)

    def _for_airflow(self, error: Exception) -> Exception:
        """Turn what ended a step into what Airflow shows. Only our own errors and Airflow's were written for people."""
        if isinstance(error, GoalError):
            return as_airflow_exception(GoalError([self._located(problem) for problem in error.problems]))
        if isinstance(error, SyncError):
            return as_airflow_exception(error)
        if isinstance(error, AirflowException) or type(error).__module__.startswith("airflow."):
            return error
        if isinstance(error, FileNotFoundError):
            return AirflowException(f"{self.goal_id}: {error}")  # the address of a file or an object, no more
        frames = traceback.extract_tb(error.__traceback__)
        frame = next((frame for frame in reversed(frames) if Path(frame.filename).is_relative_to(_PACKAGE)), frames[-1])
        return AirflowException(
            f"{self.goal_id}: {_kind(error)} in {self.task_id}, at {Path(frame.filename).name}:{frame.lineno}. "
            "Try again; if it lasts, please report it as a bug. What it says is not shown, since it can hold values."
        )

    def wait_between_steps(self, seconds: float) -> None:
        """Have other runs wait for so long after this stretch of the step, if it ends in a deferral."""
        self._lock_gap = seconds

    def on_lock_lost(self, workspace: Workspace) -> None:
        """Do what is left to do when the step has stopped because another run took over."""

    def _meeting(self, workspace: Workspace, context: Context) -> _Meeting:
        from airflow_provider_braze_blueconic.hooks.settings import Settings, this_airflow
        from airflow_provider_braze_blueconic.sync.lock import GoalLock, Holder
        from airflow_provider_braze_blueconic.sync.queue import GoalQueue

        settings = Settings.load()
        run = context.get("dag_run")
        started = getattr(run, "start_date", None)
        holder = Holder(
            workspace.run_key,
            started.isoformat() if started else "",
            context["run_id"],
            self.task_id,
            dag_id=getattr(run, "dag_id", ""),
            airflow=this_airflow(),
        )
        has_ended = partial(self._has_ended, context.get("ti"))

        def lock(folder: GoalFolder, queue: GoalQueue | None = None) -> GoalLock:
            seconds = settings.lock_seconds
            return GoalLock(workspace.staging, folder, holder, seconds=seconds, has_ended=has_ended, queue=queue)

        queue = GoalQueue(
            workspace.staging, workspace.folder, holder, lock_seconds=settings.lock_seconds, has_ended=has_ended
        )
        return _Meeting(lock(workspace.folder, queue), queue, lock, settings)

    @contextmanager
    def _turn(self, workspace: Workspace, meeting: _Meeting) -> Iterator[None]:
        from airflow_provider_braze_blueconic.sync.lock import hold, release
        from airflow_provider_braze_blueconic.sync.renaming import settle_name

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
        with hold(meeting.lock, gap_seconds=lambda: self._gap(meeting.settings), on_lost=self.on_kill):
            settle_name(workspace.staging, workspace.folder, self.renamed_from, hold=hold_other)
            if meeting.queue.is_waiting:
                meeting.queue.leave()
            yield

    def _has_ended(self, ti: Any, dag_id: str, run_id: str) -> bool | None:
        """Ask Airflow whether a run of its own has ended; ``None`` where it doesn't say."""
        ask = getattr(ti, "get_dagrun_state", None)  # not where a task runs outside of Airflow's task runner
        if ask is None:
            return None
        try:
            return ask(dag_id, run_id) in _ENDED
        except Exception as error:  # noqa: BLE001  # whatever it is, the lock has rules for what Airflow doesn't say
            if _status(error) == HTTPStatus.NOT_FOUND:
                return True  # somebody deleted the run, or its DAG
            self.log.info(
                "%s: Airflow does not say what became of run %s: %s", self.goal_id, run_id, type(error).__name__
            )
            return None

    def _gap(self, settings: Settings) -> float:
        # 0 stands for "not between steps", and a deferral is between two.
        longer = self._lock_gap if self._lock_gap is not None and settings.lock_gap_seconds else 0.0
        return max(settings.lock_gap_seconds, longer)

    def _wait_or_fail(self, error: GoalBusy, meeting: _Meeting) -> NoReturn:
        """End a step whose goal is busy: for a while, or for good if the run has waited for as long as it may.

        Runs of one goal meet although its DAG has ``max_active_runs=1``: a backfill starts up to ten at once, beside
        the scheduled one; a reconcile is another DAG; and another Airflow may have the same goal.
        """
        minutes = meeting.settings.wait_for_goal_minutes
        if not minutes:
            raise error
        turn = meeting.queue.wait(60 * minutes)
        if turn.is_over:
            raise GoalBusy(
                f"{error.why} It has waited for its turn since {turn.since:%Y-%m-%d %H:%M:%S} UTC, and "
                f"[braze_blueconic] wait_for_goal_minutes allows for {minutes:g} minutes.",
                error.remedy,
            )
        self.log.info(
            "%s It waits for its turn, since %s UTC, and asks again in %g s.",
            error.why, f"{turn.since:%Y-%m-%d %H:%M:%S}", turn.asks_again_seconds,
        )  # fmt: skip
        at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=turn.asks_again_seconds)
        if _CAN_WAIT:
            raise AirflowRescheduleException(at) from None  # type: ignore[no-untyped-call]  # untyped in Airflow
        from airflow_provider_braze_blueconic.triggers.turn import TurnTrigger

        self.defer(
            trigger=TurnTrigger(at.timestamp()),
            method_name="take_turn",
            timeout=dt.timedelta(seconds=turn.asks_again_seconds) + _DEFER_SLACK,
        )

    def _located(self, problem: Any) -> Any:
        if not self.origin or problem.line is not None:
            return problem
        return replace(problem, file=self.origin["file"], line=self.origin["lines"].get(problem.where))

    def _check_names(self) -> None:
        from airflow_provider_braze_blueconic.sync.staging import folder_problem

        named = {"staging": self.staging, "goal_id": self.goal_id, "renamed_from": self.renamed_from}
        found = {where: folder_problem(name) for where, name in named.items() if name is not None}
        problems = [Problem(where, f'"{named[where]}" {problem}') for where, problem in found.items() if problem]
        if problems:
            raise GoalError(problems)

    @contextmanager
    def _workspace(self, context: Context) -> Iterator[Workspace]:
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.hooks.staging import StagingHook
        from airflow_provider_braze_blueconic.sync.database import Engine
        from airflow_provider_braze_blueconic.sync.pipeline import Workspace
        from airflow_provider_braze_blueconic.sync.staging import GoalFolder, run_key

        settings = Settings.load()
        self._check_names()
        # run_id is the one name that every kind of run has: manual and asset-triggered runs have no logical date.
        key = run_key(self.run_prefix + context["run_id"])
        staging = StagingHook(self.aws_conn_id)
        if not self.ends_run:
            # Before the lock, which only means something where the store heeds conditions.
            staging.check_conditional_writes(self.staging, remember=True)
        with tempfile.TemporaryDirectory(prefix="braze-blueconic-", dir=settings.work_folder) as folder:
            yield Workspace(
                staging,
                GoalFolder(self.staging, self.goal_id),
                key,
                Engine(Path(folder), memory_limit=settings.memory_limit),
            )
