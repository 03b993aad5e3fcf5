"""What the operators share: where they work, and how an error of ours becomes one of Airflow's."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
import traceback
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow import __version__ as airflow_version
from airflow.exceptions import AirflowRescheduleException  # common-compat does not have it
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, BaseOperator
from packaging.version import Version

from airflow_provider_braze_blueconic.exceptions import (
    GoalBusy,
    GoalError,
    SettingError,
    SyncError,
    TransientError,
    WriterConflict,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.hooks.settings import Settings
    from airflow_provider_braze_blueconic.sync.pipeline import Workspace
    from airflow_provider_braze_blueconic.sync.staging import GoalFolder

__all__ = ["GoalOperator", "as_airflow_exception", "is_true"]

_WORTH_A_RETRY = (TransientError, WriterConflict)

_CAN_WAIT = Version(airflow_version).release >= (3, 3)
"""Any task may ask to be started again at a given time, which older schedulers heed of sensors alone: they would start
the task at once, again and again, before the tasks that it waits for. Seen in 3.0.6 and 3.3.2
(``TaskInstance.are_dependencies_met``); the versions between them are UNVERIFIED, so they count as older."""

_PACKAGE = Path(__file__).parents[1]

_TURN_AFTER = 4
"""Times ``lock_seconds`` until a backfill's run asks again. Up to nine others ask too, each for some seconds of a
worker slot that the run at work may need."""


def as_airflow_exception(error: SyncError) -> AirflowException:
    """Turn an error of ours into Airflow's: only what can go better by itself is tried again."""
    from airflow_provider_braze_blueconic.sync.upload import Stopped

    if isinstance(error, (*_WORTH_A_RETRY, Stopped)):
        return AirflowException(str(error))
    return AirflowFailException(str(error))


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


class GoalOperator(BaseOperator):
    """One step of a goal.

    One run of a goal works at a time (:mod:`~airflow_provider_braze_blueconic.sync.lock`): a step fails early where
    another run is at work. A run has the goal until its ``SyncReportOperator``; in a DAG without one, until nothing
    happened for ``[braze_blueconic] lock_gap_seconds``.

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

    def _run_in_workspace(self, context: Context) -> Any:
        # Apart from execute(), so that a step which waited can go on here: Airflow lets nobody else call execute().
        try:
            with self._workspace(context) as workspace, self._turn(workspace, context):
                return self.run_step(workspace, context)
        except Exception as error:  # noqa: BLE001  what leaves a task is read by people, whatever it is
            failure = error
        # Outside of the block: an error carries along what was being handled, and its text and chain can hold people.
        if isinstance(failure, GoalBusy):
            self._wait_or_fail(failure, context)
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

    @contextmanager
    def _turn(self, workspace: Workspace, context: Context) -> Iterator[None]:
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.sync.lock import GoalLock, Holder, hold, release
        from airflow_provider_braze_blueconic.sync.renaming import settle_name

        settings = Settings.load()
        started = getattr(context.get("dag_run"), "start_date", None)
        holder = Holder(workspace.run_key, started.isoformat() if started else "", context["run_id"], self.task_id)
        self._lock_gap = None
        lock = GoalLock(workspace.staging, workspace.folder, holder, seconds=settings.lock_seconds)

        def hold_other(folder: GoalFolder) -> AbstractContextManager[None]:
            other = GoalLock(workspace.staging, folder, holder, seconds=settings.lock_seconds)
            return hold(other, gap_seconds=lambda: None)

        if self.ends_run:
            try:
                yield
            finally:
                release(lock)
            return
        try:
            with hold(lock, gap_seconds=lambda: self._gap(settings), on_lost=self.on_kill):
                settle_name(workspace.staging, workspace.folder, self.renamed_from, hold=hold_other)
                yield
        except GoalBusy:
            if lock.lost:
                self.on_lock_lost(workspace)
            raise

    def _gap(self, settings: Settings) -> float:
        # 0 stands for "not between steps", and a deferral is between two.
        longer = self._lock_gap if self._lock_gap is not None and settings.lock_gap_seconds else 0.0
        return max(settings.lock_gap_seconds, longer)

    def _wait_or_fail(self, error: GoalBusy, context: Context) -> NoReturn:
        """End a step whose goal is busy.

        A backfill starts up to ten runs of a DAG at once, whatever the DAG's ``max_active_runs`` says (``Backfill`` in
        ``airflow.models.backfill``, read in 3.3.2), so its runs wait for their turn.
        """
        from airflow_provider_braze_blueconic.hooks.settings import Settings

        if getattr(context.get("dag_run"), "run_type", None) != "backfill":
            raise as_airflow_exception(error) from None
        if not _CAN_WAIT:
            raise AirflowException(
                f"{error} This is a run of a backfill; on this Airflow create it with --max-active-runs 1, so that its "
                "runs don't meet."
            ) from None
        wait = _TURN_AFTER * Settings.load().lock_seconds
        self.log.info("%s This is a run of a backfill, so it waits for its turn; it asks again in %g s.", error, wait)
        at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=wait)
        raise AirflowRescheduleException(at) from None  # type: ignore[no-untyped-call]  # untyped in Airflow

    def _located(self, problem: Any) -> Any:
        if not self.origin or problem.line is not None:
            return problem
        return replace(problem, file=self.origin["file"], line=self.origin["lines"].get(problem.where))

    @contextmanager
    def _workspace(self, context: Context) -> Iterator[Workspace]:
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.hooks.staging import StagingHook
        from airflow_provider_braze_blueconic.sync.database import Engine
        from airflow_provider_braze_blueconic.sync.pipeline import Workspace
        from airflow_provider_braze_blueconic.sync.staging import GoalFolder, run_key

        settings = Settings.load()
        # run_id is the one name that every kind of run has: manual and asset-triggered runs have no logical date.
        key = run_key(self.run_prefix + context["run_id"])
        with tempfile.TemporaryDirectory(prefix="braze-blueconic-", dir=settings.work_folder) as folder:
            yield Workspace(
                StagingHook(self.aws_conn_id),
                GoalFolder(self.staging, self.goal_id),
                key,
                Engine(Path(folder), memory_limit=settings.memory_limit),
            )
