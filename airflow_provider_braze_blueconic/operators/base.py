"""What the operators share: where they work, and how an error of ours becomes one of Airflow's."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, BaseOperator

from airflow_provider_braze_blueconic.exceptions import GoalError, SyncError, TransientError, WriterConflict

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.sync.pipeline import Workspace

__all__ = ["GoalOperator", "as_airflow_exception", "is_true"]

_WORTH_A_RETRY = (TransientError, WriterConflict)


def as_airflow_exception(error: SyncError) -> AirflowException:
    """Turn an error of ours into Airflow's: only what can go better by itself is tried again."""
    from airflow_provider_braze_blueconic.sync.upload import Stopped

    if isinstance(error, (*_WORTH_A_RETRY, Stopped)):
        return AirflowException(str(error))
    return AirflowFailException(str(error))


def is_true(value: object) -> bool:
    """Read a flag that may come out of a template as text.

    :raises ValueError: for text that is neither true nor false.
    """
    if isinstance(value, bool):
        return value
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "none": False, "": False}
    text = str(value).strip().lower()
    if text not in words:
        raise ValueError(f"{value!r} is neither true nor false")
    return words[text]


class GoalOperator(BaseOperator):
    """One step of a goal.

    :param goal_id: the goal's id; its state lies in ``<staging>/<goal id>/`` (templated).
    :param staging: ``s3://bucket/prefix`` (templated).
    :param aws_conn_id: connection of type ``aws`` for ``staging``.
    :param origin: ``{"file": name, "lines": {path: line}}`` of the goal file, for error messages.
    """

    template_fields: Sequence[str] = ("goal_id", "staging")

    def __init__(
        self,
        *,
        goal_id: str,
        staging: str,
        aws_conn_id: str = "aws_default",
        origin: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.goal_id = goal_id
        self.staging = staging
        self.aws_conn_id = aws_conn_id
        self.origin = origin

    @abstractmethod
    def run_step(self, workspace: Workspace, context: Context) -> Any:
        """Do the step and return its reference: a plain dict."""

    def execute(self, context: Context) -> Any:
        """Run the step in a workspace of its own."""
        return self._run_in_workspace(context)

    def _run_in_workspace(self, context: Context) -> Any:
        # Apart from execute(), so that a step which waited can go on here: Airflow lets nobody else call execute().
        try:
            with self._workspace(context) as workspace:
                return self.run_step(workspace, context)
        except GoalError as error:
            raise as_airflow_exception(GoalError([self._located(problem) for problem in error.problems])) from None
        except SyncError as error:
            # The cause can hold an answer's body: its message was written for people, the chain was not.
            raise as_airflow_exception(error) from None

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
        key = run_key(context["run_id"])
        with tempfile.TemporaryDirectory(prefix="braze-blueconic-", dir=settings.work_folder) as folder:
            yield Workspace(
                StagingHook(self.aws_conn_id),
                GoalFolder(self.staging, self.goal_id),
                key,
                Engine(Path(folder), memory_limit=settings.memory_limit),
            )
