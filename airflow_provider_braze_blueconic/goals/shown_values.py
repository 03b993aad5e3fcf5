"""Values as messages show them."""

from __future__ import annotations

__all__ = ["quoted", "short", "shown"]

_SHOWN_CHARACTERS = 60


def shown(value: object) -> str:
    """Write a value as its author would, cut to a length that fits a message."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int | float):
        return short(str(value))
    return "a list" if isinstance(value, list | tuple) else "a mapping"


def quoted(text: str) -> str:
    """Quote a text, cut to a length that fits a message."""
    return f'"{short(text)}"'


def short(text: str) -> str:
    """Cut a text to a length that fits a message, on one line."""
    line = text if text.isprintable() else " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}…"
