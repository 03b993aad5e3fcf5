"""The steps of a path: a key, a filter, or the place of one of several values, as an author writes them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

__all__ = ["NAME", "Step", "Where", "in_quotes", "is_plain", "parse_steps", "short"]

NAME = re.compile(r'[^.\[\]"]+')
"""A name that stands in a path without quotes."""
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_QUOTED_KEY = re.compile(rf"\[({_QUOTED})\]")
_WHERE = re.compile(rf'\[([^.\[\]"=]+)=({_QUOTED}|[^\[\]"]+)\]')
_INDEX = re.compile(r"\[(-?[0-9]{1,4})\]")
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Where:
    """A step that keeps only elements whose ``key`` has this value, written as a text."""

    key: str
    value: str


Step = str | Where | int
"""A key, a filter, or the place of one of several values."""
_Read = tuple[Step, int]
"""A step, and where it ends."""


def parse_steps(text: str, position: int, *, places: bool) -> tuple[Step, ...]:
    """Read what follows the field of a path.

    :param position: where the field ends.
    :param places: one of several values can be picked by its place.
    :raises ValueError: with a sentence that says what is wrong with it.
    """
    forms = (_read_key, _read_quoted_key, *((_read_place,) if places else ()), _read_where)
    steps: list[Step] = []
    while position < len(text):
        found = next((read for form in forms if (read := form(text, position)) is not None), None)
        if found is None:
            place_too = ", or [<number>] for one of several" if places else ""
            raise ValueError(
                f"{in_quotes(text)} can't be read from {in_quotes(text[position:])} on. "
                f'Expected .<name>, ["<name with a dot>"] or [<name>=<value>]{place_too}.'
            )
        step, position = found
        steps.append(step)
    return tuple(steps)


def _read_key(text: str, position: int) -> _Read | None:
    if text[position] != "." or not (name := NAME.match(text, position + 1)) or not is_plain(name[0]):
        return None
    return name[0], name.end()


def _read_quoted_key(text: str, position: int) -> _Read | None:
    key = _QUOTED_KEY.match(text, position)
    return (_unquoted(key[1]), key.end()) if key else None


def _read_place(text: str, position: int) -> _Read | None:
    place = _INDEX.match(text, position)
    return (int(place[1]), place.end()) if place else None


def _read_where(text: str, position: int) -> _Read | None:
    where = _WHERE.match(text, position)
    if where is None or not is_plain(where[1]):
        return None
    key, value = where[1], where[2]
    if value.startswith('"'):
        return Where(key, _unquoted(value)), where.end()
    if not is_plain(value):
        raise ValueError(f'put the value in {in_quotes(where[0])} between quotes: [{key}="…"].')
    return Where(key, value), where.end()


def is_plain(name: str) -> bool:
    """Tell whether a name can stand without quotes."""
    return name.strip() == name != "" and name.isprintable()


def _unquoted(quoted: str) -> str:
    try:
        return str(json.loads(quoted))
    except ValueError:
        raise ValueError(
            f"{short(quoted)} can't be read: between quotes, write \\\" for a quote and \\\\ for \\."
        ) from None


def in_quotes(text: str) -> str:
    """Show a part of a path in a message."""
    return f'"{short(text)}"'


def short(text: str) -> str:
    """Make one line of a text, cut where it is long."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}…"
