"""Names and places of a goal, looked up before its work begins, so that all mistakes come at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_braze_blueconic.exceptions import AccessError, GoalError, Problem

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook, ProfileProperty

__all__ = ["Checks", "objective_problems", "property_problems", "unique_problems"]

Found = TypeVar("Found")


class Checks:
    """Collects what is wrong until it is asked to raise."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def look_up(self, where: str, call: Callable[[], Found]) -> Found | None:
        """Make a call; what the goal's author or the owner of a right has to change becomes a problem.

        :param where: place in the goal, for what the error does not place itself.
        :return: ``None`` where it failed.
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

        :raises GoalError: with all that was found.
        """
        if self.problems:
            raise GoalError(self.problems)


def property_problems(
    wanted: Mapping[str, str] | Sequence[str], properties: Mapping[str, ProfileProperty]
) -> list[Problem]:
    """Find the properties that BlueConic does not have.

    :param wanted: ids, or id → the place in the goal that names it; an empty place is not checked.
    :param properties: all that BlueConic has, by id.
    """
    from airflow_provider_braze_blueconic.sync.near_names import nearest

    return [
        Problem(where, f'BlueConic has no property "{property_id}".{nearest(property_id, properties)}')
        for property_id, where in _places(wanted).items()
        if property_id not in properties and where
    ]


def unique_problems(wanted: Mapping[str, str], properties: Mapping[str, ProfileProperty]) -> list[Problem]:
    """Find the properties that can't tell one profile from another; those that are not there are no matter of this."""
    return [
        Problem(
            where,
            f'the BlueConic property "{property_id}" is no unique identifier, so no profile can be found by it. '
            "Make it one in BlueConic (the property's settings: unique identifier), or link by one that is.",
        )
        for property_id, where in wanted.items()
        if property_id in properties and not properties[property_id].indexed
    ]


def objective_problems(objectives: Sequence[str], hook: BlueConicHook) -> list[Problem]:
    """Find the objectives that BlueConic does not have."""
    from airflow_provider_braze_blueconic.sync.near_names import nearest

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
