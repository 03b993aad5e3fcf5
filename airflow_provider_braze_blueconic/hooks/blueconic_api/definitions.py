"""What a BlueConic tenant has set up, as its lists say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer

__all__ = ["Objective", "ProfileProperty", "Segment", "entry_id", "entry_name", "names_of_interactions", "whole_number"]


@dataclass(frozen=True)
class Segment:
    """A segment.

    :param profile_count: as BlueConic last counted; ``None`` where it does not say.
    """

    id: str
    name: str
    profile_count: int | None


@dataclass(frozen=True)
class ProfileProperty:
    """A profile property.

    :param filter_type: ``SELECT`` (text), ``EMAIL``, ``RANGE`` (number), ``DECIMAL``, ``CURRENCY``, ``DATETIME``.
    :param indexed: whether it is a unique identifier.
    """

    id: str
    name: str
    filter_type: str
    indexed: bool


@dataclass(frozen=True)
class Objective:
    """A purpose that people consent to."""

    id: str
    name: str


def names_of_interactions(dialogues: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Map the ids of dialogues and of their variants to names."""
    names: dict[str, str] = {}
    for dialogue in dialogues:
        names[entry_id(dialogue)] = entry_name(dialogue)
        variants = dialogue.get("variants")
        # The definition shows a single variant where its text speaks of several: both are read.
        for variant in variants if isinstance(variants, list) else [variants]:
            if isinstance(variant, dict) and isinstance(variant.get("id"), str):
                names.setdefault(variant["id"], entry_name(variant))
    return names


def entry_id(entry: Mapping[str, Any]) -> str:
    value = entry.get("id")
    if not isinstance(value, str) or not value:
        raise UnexpectedAnswer("BlueConic listed an entry without an id.")
    return value


def entry_name(entry: Mapping[str, Any]) -> str:
    name = entry.get("name")
    return name if isinstance(name, str) and name else str(entry.get("id", ""))


def whole_number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
