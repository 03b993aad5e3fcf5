"""Names that an author may have meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["nearest"]


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Offer up to three candidates that look like ``name``, for the end of an error message.

    :return: ``' Nearest: "x", "y".'`` with its leading space, or ``""`` when nothing is close.
    """
    spellings: dict[str, str] = {}
    for candidate in candidates:
        spellings.setdefault(candidate.casefold(), candidate)
    close = difflib.get_close_matches(name.casefold(), spellings, n=3, cutoff=0.6)
    if not close:
        return ""
    return " Nearest: " + ", ".join(f'"{spellings[match]}"' for match in close) + "."
