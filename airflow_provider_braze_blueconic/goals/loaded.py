"""The result of loading a goal file: a goal that can run, or a broken one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_braze_blueconic.exceptions import Problem
from airflow_provider_braze_blueconic.goals.document import Document
from airflow_provider_braze_blueconic.goals.export_checks import export_hints
from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal
from airflow_provider_braze_blueconic.goals.import_goal import ImportGoal
from airflow_provider_braze_blueconic.goals.origin import Origin
from airflow_provider_braze_blueconic.goals.validation import validate_part

__all__ = ["BrokenGoal", "LoadedGoal", "broken_goal", "file_of", "refused", "unreadable_goal"]

_TIMEZONE = str(ExportGoal.model_fields["timezone"].default)


@dataclass(frozen=True)
class LoadedGoal:
    """A goal that can be run, and where it was written."""

    goal: ExportGoal | ImportGoal
    origin: Origin

    @property
    def hints(self) -> tuple[Problem, ...]:
        """What may be a mistake and can be meant, by line. The goal runs all the same."""
        if self.goal.goal != "export":
            return ()
        found = export_hints(self.goal.model_dump(by_alias=True))
        return tuple(self.origin.problem(finding.where, finding.message) for finding in found)


@dataclass(frozen=True)
class BrokenGoal:
    """A goal file with mistakes, and what could be read of it all the same.

    :param id: ``None`` if there is none, if it is no valid id, or if another file has it already.
    :param problems: all mistakes, by line.
    :param schedule: ``None`` also for a goal that is switched off.
    """

    file: str
    id: str | None
    problems: tuple[Problem, ...]
    name: str | None = None
    schedule: str | None = None
    labels: tuple[str, ...] = field(default=())
    timezone: str = _TIMEZONE


def file_of(outcome: LoadedGoal | BrokenGoal) -> str:
    """Name the file of a goal."""
    return outcome.origin.file if isinstance(outcome, LoadedGoal) else outcome.file


def unreadable_goal(file: str, document: Document, problems: Sequence[Problem]) -> BrokenGoal:
    """Take what could be read of a file with mistakes."""
    value: Mapping[str, Any] = document.value if isinstance(document.value, dict) else {}
    identifier = value.get("id")
    return BrokenGoal(
        file=file,
        id=validate_part("id", identifier) if identifier is not None else None,
        problems=tuple(problems),
        name=validate_part("name", value.get("name")),
        schedule=None if value.get("enabled") is False else validate_part("schedule", value.get("schedule")),
        labels=tuple(validate_part("labels", value.get("labels", [])) or ()),
        timezone=validate_part("timezone", value.get("timezone", _TIMEZONE)) or _TIMEZONE,
    )


def broken_goal(loaded: LoadedGoal, *problems: Problem, goal_id: str | None = None) -> BrokenGoal:
    """Take a goal that is right by itself for broken.

    :param goal_id: its id, unless that is another's.
    """
    goal = loaded.goal
    return BrokenGoal(
        file=loaded.origin.file,
        id=goal_id,
        problems=problems,
        name=goal.name,
        schedule=goal.schedule if goal.enabled else None,
        labels=goal.labels,
        timezone=goal.timezone,
    )


def refused(outcome: LoadedGoal | BrokenGoal, problems: Sequence[Problem], *, loses_id: bool = False) -> BrokenGoal:
    """Take a goal for broken that can't be beside others.

    :param loses_id: its id is another's.
    """
    if isinstance(outcome, LoadedGoal):
        placed = [outcome.origin.problem(problem.where, problem.message) for problem in problems]
        return broken_goal(outcome, *placed, goal_id=None if loses_id else outcome.goal.id)
    return replace(outcome, id=None if loses_id else outcome.id, problems=(*problems, *outcome.problems))
