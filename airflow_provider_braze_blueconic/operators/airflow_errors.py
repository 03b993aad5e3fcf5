"""How Airflow shows the error that ended a step."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_braze_blueconic.exceptions import GoalError, Problem, SyncError, TransientError, WriterConflict

__all__ = ["as_airflow_exception", "shown_error"]

_WORTH_A_RETRY = (TransientError, WriterConflict)

_PACKAGE = Path(__file__).parents[1]


def as_airflow_exception(error: SyncError) -> AirflowException:
    """Turn one of our errors into Airflow's exception; Airflow retries only what a retry can fix."""
    from airflow_provider_braze_blueconic.sync.sending.upload import Stopped

    if isinstance(error, (*_WORTH_A_RETRY, Stopped)):
        return AirflowException(str(error))
    return AirflowFailException(str(error))


def shown_error(error: Exception, *, goal_id: str, task_id: str, origin: Mapping[str, Any] | None) -> Exception:
    """Turn the error that ended a step into one for Airflow to show; only our texts and Airflow's are meant for people.

    :param origin: where the goal was written, as the operator's argument says.
    """
    if isinstance(error, GoalError):
        return as_airflow_exception(GoalError([_located(problem, origin) for problem in error.problems]))
    if isinstance(error, SyncError):
        return as_airflow_exception(error)
    if isinstance(error, AirflowException) or type(error).__module__.startswith("airflow."):
        return error
    if isinstance(error, FileNotFoundError):
        return AirflowException(f"{goal_id}: {error}")  # the address of a file or an object, no more
    frames = traceback.extract_tb(error.__traceback__)
    frame = next((frame for frame in reversed(frames) if Path(frame.filename).is_relative_to(_PACKAGE)), frames[-1])
    return AirflowException(
        f"{goal_id}: {_kind(error)} in {task_id}, at {Path(frame.filename).name}:{frame.lineno}. Try again; if it "
        "keeps happening, please report it as a bug. Its text isn't shown, because it can contain values."
    )


def _located(problem: Problem, origin: Mapping[str, Any] | None) -> Problem:
    if not origin or problem.line is not None:
        return problem
    return replace(problem, file=origin["file"], line=origin["lines"].get(problem.where))


def _kind(error: Exception) -> str:
    """Name an error, and what the system says of its number, such as of a full disk."""
    name = type(error).__name__
    return f"{name} ({os.strerror(error.errno)})" if isinstance(error, OSError) and error.errno else name
