"""The DAG that replaces a goal that can't run, with a message that says why."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Container
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, BaseOperator, Context

from airflow_provider_braze_blueconic.dag_factory.dag import TAG, dag_id, set_timetable
from airflow_provider_braze_blueconic.exceptions import Problem
from airflow_provider_braze_blueconic.goals.loaded import BrokenGoal

__all__ = ["BrokenGoalOperator", "file_id", "listed", "mistakes_of", "placeholder"]

_BROKEN_TAG = "broken goal"

_LONGEST_STEM = 200
"""Letters of a file's name that go into a DAG id, of which Airflow takes 250."""


class BrokenGoalOperator(BaseOperator):
    """Fails with the mistakes of a goal file.

    :param message: all mistakes, one a line.
    """

    ui_color = "#fecaca"

    def __init__(self, *, message: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.message = message

    def execute(self, context: Context) -> None:  # noqa: ARG002
        """Fail, without a retry."""
        raise AirflowFailException(self.message)


def placeholder(broken: BrokenGoal, taken: Container[str]) -> DAG:
    """Make the DAG that stands for a goal that can't be run.

    A module that raises would lose all its DAGs. A schedule that can be read is kept, so that a nightly sync which
    stopped being one fails every night instead of falling silent.

    :param taken: ids of DAGs that are there already.
    """
    mistakes, message = mistakes_of(broken), listed(broken)
    fence = "`" * (1 + max(2, *map(len, re.findall("`+", message)), 0))
    name = dag_id(broken.id) if broken.id and dag_id(broken.id) not in taken else file_id(broken.file)
    others = (f"{name}_{number}" for number in itertools.count(2))
    dag = DAG(
        dag_id=name if name not in taken else next(other for other in others if other not in taken),
        dag_display_name=f"⚠ {broken.file}: {mistakes}",
        description=_short(broken.problems),
        doc_md=f"**{broken.file} has {mistakes} and can't be run.**\n\n{fence}\n{message}\n{fence}",
        schedule=broken.schedule,
        catchup=False,
        max_active_runs=1,
        tags=sorted({TAG, _BROKEN_TAG, *broken.labels}),
        default_args={"retries": 0},
    )
    set_timetable(dag, broken.timezone)
    with dag:
        BrokenGoalOperator(task_id="goal_file", message=f"{broken.file} has {mistakes}:\n{message}")
    return dag


def file_id(file: str) -> str:
    """Name the DAG of a file that has no id of its own: it must not take the DAG of a goal that has that id."""
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "_" for c in Path(file).stem)
    if len(stem) > _LONGEST_STEM:
        digest = hashlib.md5(file.encode(), usedforsecurity=False).hexdigest()
        stem = f"{stem[: _LONGEST_STEM - 9]}-{digest[:8]}"
    return f"{dag_id(stem)}__broken"


def mistakes_of(broken: BrokenGoal) -> str:
    """Say how many mistakes there are."""
    return "1 mistake" if len(broken.problems) == 1 else f"{len(broken.problems)} mistakes"


def listed(broken: BrokenGoal) -> str:
    """List the mistakes, one a line."""
    return "\n".join(str(problem) for problem in broken.problems)


def _short(problems: tuple[Problem, ...]) -> str:
    text = str(problems[0]) if problems else "unknown mistake"
    return text if len(text) <= 200 else text[:199] + "…"
