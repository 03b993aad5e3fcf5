"""Errors, grouped by who has to act.

::

    SyncError
    ├── GoalError        the goal's author: a name, a type or an option in the goal file
    ├── SettingError     whoever wrote the DAG or set up the installation: a setting has no such value
    ├── AccessError      the owner of a key, a right or a bucket
    ├── TransientError   nobody: the same call may work later
    ├── LimitExceeded    whoever holds the limit that the goal sets
    ├── WriterConflict   another run writes the same goal
    ├── GoalBusy         nobody: the run waits for its turn, or says who kept the goal for too long
    ├── BrokenTable      whoever looks after the bucket: a table that holds state can't be read
    ├── UnsupportedTable whoever gave a table that holds state a feature that this package can't use
    └── UnexpectedAnswer a maintainer: a server answered in a form that no rule covers

Operators turn them into Airflow's exceptions in one place: Airflow retries only :class:`TransientError` and
:class:`WriterConflict`. A run that finds its goal busy waits for its turn. Failures of single records are receipts,
never exceptions.

Standard library only: see the package's ``__init__``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "AccessError",
    "BrokenTable",
    "GoalBusy",
    "GoalError",
    "LimitExceeded",
    "Problem",
    "SettingError",
    "SyncError",
    "TransientError",
    "UnexpectedAnswer",
    "UnsupportedTable",
    "WriterConflict",
]


class SyncError(Exception):
    """Base of every error that this package raises on purpose."""


@dataclass(frozen=True)
class Problem:
    """One mistake in a goal.

    :param where: the field's path in the goal, such as ``fields[1].from``; empty for the whole file.
    :param message: what is wrong and what was expected, as one or two sentences.
    :param file: the goal file's name, if the goal came from one.
    :param line: 1-based line in that file, if known.
    """

    where: str
    message: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        place = self.file or ""
        if self.line is not None:
            place = f"{place}:{self.line}"
        head = " ".join(part for part in (place, self.where) if part)
        return f"{head}: {self.message}" if head else self.message


class GoalError(SyncError):
    """The goal asks for something impossible; its author has to change it.

    :param problems: all mistakes that could be found at once, in file order.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[GoalError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class SettingError(SyncError, ValueError):
    """An argument of an operator or hook, or a setting of the installation, has an invalid value."""


class AccessError(SyncError):
    """A key, secret, right, host or bucket is wrong or missing; its owner has to act."""


class TransientError(SyncError):
    """The other system was busy or unreachable for as long as the package waits."""


class LimitExceeded(SyncError):
    """Continuing would break a limit that the goal sets."""


class WriterConflict(SyncError):
    """Another run wrote the same table at the same time; this one changed nothing."""


class GoalBusy(SyncError):
    """Another run of the same goal is running, or took over; this one must not continue.

    :param why: who holds the goal, since when, and what this run didn't do.
    :param remedy: what a person can do; empty if the run waits for its turn.
    """

    def __init__(self, why: str, remedy: str = "") -> None:
        self.why = why
        self.remedy = remedy
        super().__init__(" ".join(part for part in (why, remedy) if part))

    def __reduce__(self) -> tuple[type[GoalBusy], tuple[str, str]]:
        return type(self), (self.why, self.remedy)


class BrokenTable(SyncError):
    """A table with a goal's state exists, but some of its files are missing or damaged."""


class UnsupportedTable(SyncError):
    """A table with a goal's state is intact, but has a feature that this package can't read or write."""


class UnexpectedAnswer(SyncError):
    """A server answered in a form that no rule covers, so the answer doesn't count as success."""
