"""Sets of goals: which of them would use each other's DAGs or folders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airflow_provider_braze_blueconic.exceptions import Problem
from airflow_provider_braze_blueconic.goals.loaded import BrokenGoal, LoadedGoal, file_of, refused
from airflow_provider_braze_blueconic.goals.places import check_places, places_of

__all__ = ["RECONCILE_SUFFIX", "as_one_set"]

RECONCILE_SUFFIX = "__reconcile"
"""What the id of a goal's reconcile DAG has more than that of the goal's own."""


def as_one_set(outcomes: Iterable[LoadedGoal | BrokenGoal]) -> list[LoadedGoal | BrokenGoal]:
    """Refuse the goals that would take each other's DAGs or folders."""
    return _refuse_twin_files(_refuse_shared_places(_refuse_second_names(outcomes)))


def _refuse_second_names(outcomes: Iterable[LoadedGoal | BrokenGoal]) -> list[LoadedGoal | BrokenGoal]:
    """Refuse the goals whose DAGs would have the name of an earlier file's: names are what ids are made to.

    Names that differ by capitals only count as one: not every database and disk below Airflow tells them apart.
    """
    owners: dict[str, tuple[str, str]] = {}
    checked: list[LoadedGoal | BrokenGoal] = []
    for outcome in outcomes:
        file = file_of(outcome)
        taken = [(where, name) for where, name in _names(outcome) if name.casefold() in owners]
        if taken:
            where, name = taken[0]
            problem = Problem(where, _taken(where, name, *owners[name.casefold()]), file)
            outcome = refused(outcome, [problem], loses_id=where == "id")  # noqa: PLW2901 - now known as broken
        for _, name in _names(outcome):
            owners.setdefault(name.casefold(), (name, file))
        checked.append(outcome)
    return checked


def _names(outcome: LoadedGoal | BrokenGoal) -> list[tuple[str, str]]:
    """Name the DAGs of a file, without what all have in common, and the place in the goal that each comes from."""
    if isinstance(outcome, BrokenGoal):
        return [("id", outcome.id)] if outcome.id is not None else []
    goal = outcome.goal
    reconciles = getattr(goal, "reconcile", None) is not None
    return [("id", goal.id), *([("reconcile", f"{goal.id}{RECONCILE_SUFFIX}")] if reconciles else [])]


def _taken(where: str, name: str, theirs: str, owner: str) -> str:
    if where == "reconcile":
        return f'needs a DAG with the id "{name}", which is already used by {owner}. Change one of the ids.'
    if name == theirs:
        reconciles = name.endswith(RECONCILE_SUFFIX)
        whose = f"the id, or the name of the reconcile, of {owner}" if reconciles else f"the id of {owner}"
        return f'"{name}" is already {whose}; each goal needs its own.'
    return f'"{name}" differs from "{theirs}" of {owner} only by upper and lower case; each goal needs its own id.'


def _refuse_shared_places(outcomes: Sequence[LoadedGoal | BrokenGoal]) -> list[LoadedGoal | BrokenGoal]:
    numbers = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, LoadedGoal)]
    goals = [outcome for outcome in outcomes if isinstance(outcome, LoadedGoal)]
    places = [places_of(one.goal.model_dump(by_alias=True), name=one.origin.file) for one in goals]
    found: dict[int, list[Problem]] = {}
    for place, finding in check_places(places):
        problem = Problem(finding.where, finding.text(), goals[place].origin.file)
        found.setdefault(numbers[place], []).append(problem)
    return [refused(outcome, found[number]) if number in found else outcome for number, outcome in enumerate(outcomes)]


def _refuse_twin_files(outcomes: Sequence[LoadedGoal | BrokenGoal]) -> list[LoadedGoal | BrokenGoal]:
    """Say of broken files without an id that they are named alike: their names are all that tells them apart."""
    owners: dict[str, str] = {}
    checked: list[LoadedGoal | BrokenGoal] = []
    for outcome in outcomes:
        if isinstance(outcome, BrokenGoal) and outcome.id is None:
            stem = outcome.file.rpartition(".")[0].casefold()
            if stem in owners:
                message = f"has the same name as {owners[stem]}, so their DAGs look alike. Rename one of them."
                outcome = refused(outcome, [Problem("", message, outcome.file)])  # noqa: PLW2901 - the same file
            owners.setdefault(stem, outcome.file)
        checked.append(outcome)
    return checked
