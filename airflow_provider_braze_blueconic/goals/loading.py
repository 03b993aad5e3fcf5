"""Goal files: read, checked, and remembered by line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.exceptions import GoalError, Problem
from airflow_provider_braze_blueconic.goals.checks import export_hints
from airflow_provider_braze_blueconic.goals.document import Document, read_document
from airflow_provider_braze_blueconic.goals.models import ExportGoal
from airflow_provider_braze_blueconic.goals.places import check_places, places_of
from airflow_provider_braze_blueconic.goals.validation import validate_goal, validate_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from airflow_provider_braze_blueconic.goals.findings import Finding
    from airflow_provider_braze_blueconic.goals.models import ImportGoal

__all__ = [
    "RECONCILE_SUFFIX",
    "BrokenGoal",
    "LoadedGoal",
    "Origin",
    "broken_goal",
    "find_hints",
    "load_folder",
    "load_goal",
    "validate_paths",
]

_ENDINGS = (".yaml", ".yml")

RECONCILE_SUFFIX = "__reconcile"
"""What the id of a goal's reconcile DAG has more than that of the goal's own."""

_LARGEST_FILE = 250_000
"""Bytes of a goal file that are read; a goal of a thousand fields has some seventy thousand."""

_TIMEZONE = str(ExportGoal.model_fields["timezone"].default)


@dataclass(frozen=True)
class Origin:
    """Where a goal was written.

    :param file: the file's name, without folders.
    :param lines: path → 1-based line, for each key and list item, such as ``"fields[1].from"`` → 14.
    """

    file: str
    lines: Mapping[str, int]

    def line(self, path: str) -> int | None:
        """Find the line of a path, or of the nearest thing around it that is written down."""
        return _line_of(path, self.lines)

    def problem(self, where: str, message: str) -> Problem:
        """Make a problem that names this file and the line."""
        return Problem(where, message, self.file, self.line(where))


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


def load_goal(path: Path) -> LoadedGoal:
    """Read one goal file.

    :raises GoalError: with all mistakes at once, by line.
    """
    outcome = _read(path)
    if isinstance(outcome, BrokenGoal):
        raise GoalError(outcome.problems)
    return outcome


def load_folder(folder: Path, *, wanted: Callable[[str, bytes], bool] | None = None) -> list[LoadedGoal | BrokenGoal]:
    """Read all goal files (``*.yaml``, ``*.yml``) of a folder, without the folders in it.

    :param wanted: (file name, content) → whether to read it further; ``None`` reads all.
    :return: by file name; a goal whose id an earlier file has is a :class:`BrokenGoal` without id, and one that would
        write into another's folder is broken too.
    :raises GoalError: if the folder can't be listed.
    """
    paths = _goal_files(folder)
    if wanted is not None:
        paths = [path for path in paths if wanted(_shown_name(path), _content(path))]
    return _as_one_set(_read(path) for path in paths)


def validate_paths(paths: Sequence[Path]) -> list[Problem]:
    """Check goal files, and the goal files of folders, as one set.

    :return: all mistakes, file by file; empty if all is well. An id that two files have is one, and so is a place in
        another's folder, a path that isn't there, or a folder without a goal file.
    """
    problems, outcomes = _read_paths(paths)
    problems += [problem for outcome in outcomes if isinstance(outcome, BrokenGoal) for problem in outcome.problems]
    return problems


def find_hints(paths: Sequence[Path]) -> list[Problem]:
    """Find what may be a mistake in goal files that are well-formed, file by file."""
    _, outcomes = _read_paths(paths)
    return [hint for outcome in outcomes if isinstance(outcome, LoadedGoal) for hint in outcome.hints]


def _read_paths(paths: Sequence[Path]) -> tuple[list[Problem], list[LoadedGoal | BrokenGoal]]:
    problems: list[Problem] = []
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        try:
            inside = _goal_files(path)
        except GoalError as error:
            problems += error.problems
            continue
        if not inside:
            problems.append(Problem("", f"holds no goal file ({', '.join(_ENDINGS)}).", str(path)))
        files += inside
    return problems, _as_one_set(_read(path) for path in dict.fromkeys(files))


def _goal_files(folder: Path) -> list[Path]:
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise GoalError([Problem("", f"can't be listed: {_reason(error)}.", str(folder))]) from error
    files = (path for path in entries if path.suffix.lower() in _ENDINGS and not path.name.startswith("."))
    return sorted((path for path in files if not _is_folder(path)), key=lambda path: path.name)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # not even that can be known; reading it says why
        return False


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def _shown_name(path: Path) -> str:
    """Give the name of a file as text that can be shown and stored: a name is bytes, and may hold line breaks."""
    return "".join(c if c.isprintable() else "\ufffd" for c in path.name)


def _content(path: Path) -> bytes:
    """Read a file, or nothing of one that can't be read."""
    try:
        return _bytes_of(path)
    except OSError:
        return b""


def _bytes_of(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # reading a pipe would wait for whoever writes to it
        raise OSError(None, "is not a regular file")
    with path.open("rb") as file:
        return file.read(_LARGEST_FILE + 1)


def _read(path: Path) -> LoadedGoal | BrokenGoal:
    file = _shown_name(path)
    try:
        return _read_goal(path, file)
    except Exception as error:  # noqa: BLE001  whatever a file holds, the goals beside it go on
        kind = type(error).__name__
        message = f"can't be checked ({kind}). Please report this as a bug, with the file."
        return BrokenGoal(file, None, (Problem("", message, file),))


def _read_goal(path: Path, file: str) -> LoadedGoal | BrokenGoal:
    try:
        raw = _bytes_of(path)
    except OSError as error:
        return BrokenGoal(file, None, (Problem("", f"can't be read: {_reason(error)}.", file),))
    if len(raw) > _LARGEST_FILE:
        message = f"has more than {_LARGEST_FILE:,} bytes; a goal has far less."
        return BrokenGoal(file, None, (Problem("", message, file),))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return BrokenGoal(file, None, (Problem("", "is not UTF-8 text.", file, line),))
    return _goal_from(text, file)


def _goal_from(text: str, file: str) -> LoadedGoal | BrokenGoal:
    document = read_document(text, file=file)
    problems = list(document.problems)
    if document.value is None and not problems:
        problems.append(Problem("", "is empty; expected a goal.", file))
    if document.value is not None:
        outcome = validate_goal(document.value)
        if not isinstance(outcome, list) and not problems:
            return LoadedGoal(outcome, Origin(file, document.lines))
        if isinstance(outcome, list):
            problems += [_problem(finding, file, document.lines) for finding in outcome]
    problems.sort(key=lambda problem: (problem.line or 0, _sort_key(problem.where), problem.message))
    return _broken(file, document, problems)


def _problem(finding: Finding, file: str, lines: Mapping[str, int]) -> Problem:
    message = finding.text(_line_of(finding.see, lines) if finding.see else None)
    return Problem(finding.where, message, file, _line_of(finding.where, lines))


def _broken(file: str, document: Document, problems: Sequence[Problem]) -> BrokenGoal:
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


def _as_one_set(outcomes: Iterable[LoadedGoal | BrokenGoal]) -> list[LoadedGoal | BrokenGoal]:
    """Refuse the goals that would take each other's DAGs or folders."""
    return _refuse_twin_files(_refuse_shared_places(_refuse_second_names(outcomes)))


def _refuse_second_names(outcomes: Iterable[LoadedGoal | BrokenGoal]) -> list[LoadedGoal | BrokenGoal]:
    """Refuse the goals whose DAGs would have the name of an earlier file's: names are what ids are made to.

    Names that differ by capitals only count as one: not every database and disk below Airflow tells them apart.
    """
    owners: dict[str, tuple[str, str]] = {}
    checked: list[LoadedGoal | BrokenGoal] = []
    for outcome in outcomes:
        file = _file_of(outcome)
        taken = [(where, name) for where, name in _names(outcome) if name.casefold() in owners]
        if taken:
            where, name = taken[0]
            problem = Problem(where, _taken(where, name, *owners[name.casefold()]), file)
            outcome = _refused(outcome, [problem], loses_id=where == "id")  # noqa: PLW2901 - now known as broken
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
        return f'needs a DAG of the name "{name}", which is already the id of {owner}. Change one of the ids.'
    if name == theirs:
        reconciles = name.endswith(RECONCILE_SUFFIX)
        whose = f"the id, or the name of the reconcile, of {owner}" if reconciles else f"the id of {owner}"
        return f'"{name}" is already {whose}; each goal needs its own.'
    return f'"{name}" differs from "{theirs}" of {owner} by capital letters only; each goal needs an id of its own.'


def _refuse_shared_places(outcomes: Sequence[LoadedGoal | BrokenGoal]) -> list[LoadedGoal | BrokenGoal]:
    numbers = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, LoadedGoal)]
    goals = [outcome for outcome in outcomes if isinstance(outcome, LoadedGoal)]
    places = [places_of(one.goal.model_dump(by_alias=True), name=one.origin.file) for one in goals]
    found: dict[int, list[Problem]] = {}
    for place, finding in check_places(places):
        problem = Problem(finding.where, finding.text(), goals[place].origin.file)
        found.setdefault(numbers[place], []).append(problem)
    return [_refused(outcome, found[number]) if number in found else outcome for number, outcome in enumerate(outcomes)]


def _refused(outcome: LoadedGoal | BrokenGoal, problems: Sequence[Problem], *, loses_id: bool = False) -> BrokenGoal:
    if isinstance(outcome, LoadedGoal):
        placed = [outcome.origin.problem(problem.where, problem.message) for problem in problems]
        return broken_goal(outcome, *placed, goal_id=None if loses_id else outcome.goal.id)
    return replace(outcome, id=None if loses_id else outcome.id, problems=(*problems, *outcome.problems))


def _refuse_twin_files(outcomes: Sequence[LoadedGoal | BrokenGoal]) -> list[LoadedGoal | BrokenGoal]:
    """Say of broken files without an id that they are named alike: their names are all that tells them apart."""
    owners: dict[str, str] = {}
    checked: list[LoadedGoal | BrokenGoal] = []
    for outcome in outcomes:
        if isinstance(outcome, BrokenGoal) and outcome.id is None:
            stem = outcome.file.rpartition(".")[0].casefold()
            if stem in owners:
                message = f"has the name of {owners[stem]}, so that their DAGs look alike. Rename one of them."
                outcome = _refused(outcome, [Problem("", message, outcome.file)])  # noqa: PLW2901 - the same file
            owners.setdefault(stem, outcome.file)
        checked.append(outcome)
    return checked


def _file_of(outcome: LoadedGoal | BrokenGoal) -> str:
    return outcome.origin.file if isinstance(outcome, LoadedGoal) else outcome.file


def _line_of(path: str, lines: Mapping[str, int]) -> int | None:
    while path not in lines and path:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path)


def _sort_key(path: str) -> list[tuple[int, str]]:
    """Put ``fields[10]`` after ``fields[9]``."""
    return [
        (int(part), "") if re.fullmatch(r"[0-9]{1,9}", part) else (-1, part) for part in re.split(r"[.\[\]]+", path)
    ]
