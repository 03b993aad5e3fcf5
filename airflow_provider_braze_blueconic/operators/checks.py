"""Checks of the names in a goal, before its work begins, so that all mistakes are reported at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_braze_blueconic.exceptions import AccessError, GoalError, Problem

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook
    from airflow_provider_braze_blueconic.hooks.blueconic_api.definitions import ProfileProperty

__all__ = ["Checks", "objective_problems", "property_problems", "unique_problems"]

Found = TypeVar("Found")


class Checks:
    """Collects problems until ``finish`` raises them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def look_up(self, where: str, call: Callable[[], Found]) -> Found | None:
        """Make a call and collect an error that the goal's author or the owner of a right has to fix.

        :param where: place in the goal, for errors that don't name one.
        :return: ``None`` if it failed.
        """
        try:
            return call()
        except GoalError as error:
            self.problems += error.problems
        except (AccessError, ValueError) as error:  # ValueError: an address that is none
            self.problems.append(Problem(where, str(error)))
        return None

    def finish(self) -> None:
        """End the checks.

        :raises GoalError: with all problems found.
        """
        if self.problems:
            raise GoalError(self.problems)


def property_problems(
    wanted: Mapping[str, str] | Sequence[str], properties: Mapping[str, ProfileProperty]
) -> list[Problem]:
    """Find the properties that BlueConic doesn't have.

    :param wanted: ids, or id → the place in the goal that names it; an empty place is not checked.
    :param properties: all that BlueConic has, by id.
    """
    from airflow_provider_braze_blueconic.near_names import nearest

    return [
        Problem(where, f'BlueConic has no property "{property_id}".{nearest(property_id, properties)}')
        for property_id, where in _places(wanted).items()
        if property_id not in properties and where
    ]


def unique_problems(wanted: Mapping[str, str], properties: Mapping[str, ProfileProperty]) -> list[Problem]:
    """Find the properties that aren't unique identifiers, among those that exist."""
    return [
        Problem(
            where,
            f"the BlueConic property \"{property_id}\" isn't a unique identifier, so it can't find a profile. "
            "Make it one in BlueConic (the property's settings: unique identifier), or link by another property.",
        )
        for property_id, where in wanted.items()
        if property_id in properties and not properties[property_id].indexed
    ]


def objective_problems(objectives: Sequence[str], hook: BlueConicHook) -> list[Problem]:
    """Find the objectives that BlueConic doesn't have."""
    from airflow_provider_braze_blueconic.near_names import nearest

    if not objectives:
        return []
    known = [objective.id for objective in hook.list_objectives()]
    return [
        Problem(f"objectives[{number}]", f'BlueConic has no objective "{objective}".{nearest(objective, known)}')
        for number, objective in enumerate(objectives)
        if objective not in known
    ]


def _places(wanted: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    return dict(wanted) if isinstance(wanted, Mapping) else dict.fromkeys(wanted, "properties")
