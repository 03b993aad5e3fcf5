"""What a goal's direction decides about its tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal
from airflow_provider_braze_blueconic.goals.import_goal import ImportGoal

__all__ = ["Ends", "Settings", "objective_places"]

Settings = dict[str, Any]
"""Arguments of an operator."""


@dataclass(frozen=True)
class Ends:
    """What the direction decides of a goal's tasks.

    :param extract: makes the task that reads the source.
    :param upload: (delta, guard, map_fields) → makes the task that writes to the target, after these.
    :param places: paths of the goal that errors of the first task can name.
    :param mapping: settings of ``map_fields``.
    :param delta: settings of ``compute_delta``.
    :param guard: settings of ``guard``.
    :param report: settings of ``report``.
    :param look: makes the task that reads what the target holds, if that is asked for.
    """

    extract: Callable[[Settings], Any]
    upload: Callable[[Settings, Any, Any, Any], Any]
    places: tuple[str, ...]
    mapping: Settings
    delta: Settings
    guard: Settings = field(default_factory=dict)
    report: Settings = field(default_factory=dict)
    look: Callable[[Settings], Any] | None = None


def objective_places(goal: ExportGoal | ImportGoal) -> tuple[str, ...]:
    """Name the places of a goal's objectives, for errors."""
    return tuple(f"objectives[{number}]" for number in range(len(goal.objectives)))
