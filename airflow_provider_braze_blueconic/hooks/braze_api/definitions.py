"""What a Braze workspace has set up, as its lists say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer

__all__ = ["BrazeCampaign", "BrazeSegment", "CustomAttribute", "entry_id", "entry_name", "whole_number"]


@dataclass(frozen=True)
class BrazeSegment:
    """A segment."""

    id: str
    name: str


@dataclass(frozen=True)
class BrazeCampaign:
    """A campaign."""

    id: str
    name: str


@dataclass(frozen=True)
class CustomAttribute:
    """A custom attribute.

    :param data_type: as Braze names it.
    :param array_length: elements that an array attribute holds at most; ``None`` for other types.
    :param status: such as ``Active`` or ``Blocklisted``.
    """

    name: str
    data_type: str
    array_length: int | None
    status: str


def entry_id(entry: Mapping[str, Any]) -> str:
    value = entry.get("id")
    if not isinstance(value, str) or not value:
        raise UnexpectedAnswer("Braze listed an entry without an id.")
    return value


def entry_name(entry: Mapping[str, Any]) -> str:
    return str(entry.get("name") or "")


def whole_number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
