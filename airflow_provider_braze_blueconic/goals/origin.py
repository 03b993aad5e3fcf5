"""Where a goal was written: its file, with the line of each key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_braze_blueconic.exceptions import Problem

__all__ = ["Origin", "line_of"]


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
        return line_of(path, self.lines)

    def problem(self, where: str, message: str) -> Problem:
        """Make a problem that names this file and the line."""
        return Problem(where, message, self.file, self.line(where))


def line_of(path: str, lines: Mapping[str, int]) -> int | None:
    """Find the line of a path, or of the nearest thing around it that is written down."""
    while path not in lines and path:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path)
