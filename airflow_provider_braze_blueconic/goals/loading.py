"""Goal files, read as one set: each becomes a goal, or a list of its mistakes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from airflow_provider_braze_blueconic.exceptions import GoalError, Problem
from airflow_provider_braze_blueconic.goals.document import read_document
from airflow_provider_braze_blueconic.goals.findings import Finding
from airflow_provider_braze_blueconic.goals.goal_files import (
    ENDINGS,
    LARGEST_FILE,
    bytes_of,
    content_of,
    goal_files,
    reason_of,
    shown_name,
)
from airflow_provider_braze_blueconic.goals.goal_sets import as_one_set
from airflow_provider_braze_blueconic.goals.loaded import BrokenGoal, LoadedGoal, unreadable_goal
from airflow_provider_braze_blueconic.goals.origin import Origin, line_of
from airflow_provider_braze_blueconic.goals.validation import validate_goal

__all__ = ["find_hints", "load_folder", "load_goal", "validate_paths"]


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
    paths = goal_files(folder)
    if wanted is not None:
        paths = [path for path in paths if wanted(shown_name(path), content_of(path))]
    return as_one_set(_read(path) for path in paths)


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
            inside = goal_files(path)
        except GoalError as error:
            problems += error.problems
            continue
        if not inside:
            problems.append(Problem("", f"holds no goal file ({', '.join(ENDINGS)}).", str(path)))
        files += inside
    return problems, as_one_set(_read(path) for path in dict.fromkeys(files))


def _read(path: Path) -> LoadedGoal | BrokenGoal:
    file = shown_name(path)
    try:
        return _read_goal(path, file)
    except Exception as error:  # noqa: BLE001  whatever a file holds, the goals beside it go on
        kind = type(error).__name__
        message = f"can't be checked ({kind}). Please report this as a bug, with the file."
        return BrokenGoal(file, None, (Problem("", message, file),))


def _read_goal(path: Path, file: str) -> LoadedGoal | BrokenGoal:
    try:
        raw = bytes_of(path)
    except OSError as error:
        return BrokenGoal(file, None, (Problem("", f"can't be read: {reason_of(error)}.", file),))
    if len(raw) > LARGEST_FILE:
        message = f"has more than {LARGEST_FILE:,} bytes; a goal file is much smaller."
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
    return unreadable_goal(file, document, problems)


def _problem(finding: Finding, file: str, lines: Mapping[str, int]) -> Problem:
    message = finding.text(line_of(finding.see, lines) if finding.see else None)
    return Problem(finding.where, message, file, line_of(finding.where, lines))


def _sort_key(path: str) -> list[tuple[int, str]]:
    """Put ``fields[10]`` after ``fields[9]``."""
    return [
        (int(part), "") if re.fullmatch(r"[0-9]{1,9}", part) else (-1, part) for part in re.split(r"[.\[\]]+", path)
    ]
