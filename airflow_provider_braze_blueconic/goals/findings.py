"""Mistakes in a goal before they have a file and a line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Finding", "join_path"]


@dataclass(frozen=True)
class Finding:
    """One mistake, with a path that is relative to what was checked.

    :param where: such as ``fields[1].to``; ``""`` for the whole.
    :param message: what is wrong and what to change, as sentences.
    :param see: path of another place that has to do with it; ``""`` if none.
    """

    where: str
    message: str
    see: str = ""

    def below(self, path: str) -> Finding:
        """Move it under the place that was checked."""
        return replace(self, where=join_path([path, self.where]), see=join_path([path, self.see]) if self.see else "")

    def text(self, line: int | None = None) -> str:
        """Write it out.

        :param line: the line of ``see`` in the goal file, if there is one.
        """
        if not self.see:
            return self.message
        return f"{self.message} See {self.see}{'' if line is None else f', line {line}'}."


def join_path(parts: Iterable[str | int]) -> str:
    """Write a path as messages show it: ``fields[1].from``."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part:
            path += f".{part}" if path and not part.startswith("[") else part
    return path
