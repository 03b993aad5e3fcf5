"""The segments and campaigns of the sandbox's Braze workspace."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["CAMPAIGNS", "SEGMENTS", "Campaign", "Segment", "campaign_id", "segment_id"]


def _nobody(_external_id: str | None, _fields: Mapping[str, Any]) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment and who is in it.

    :param has: told a user's external id (or ``None``) and standard fields, says whether the user is a member.
    """

    name: str
    tags: tuple[str, ...] = ()
    description: str = "An audience of the past."
    has: Callable[[str | None, Mapping[str, Any]], bool] = _nobody

    @property
    def id(self) -> str:
        return segment_id(self.name)


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign; an archived one is listed only when that is asked for, and yet users have received it."""

    name: str
    is_archived: bool = False

    @property
    def id(self) -> str:
        return campaign_id(self.name)


def segment_id(name: str) -> str:
    """Return the API identifier of one of the workspace's segments."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox-segment:{name}"))


def campaign_id(name: str) -> str:
    """Return the API identifier of one of the workspace's campaigns."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox-campaign:{name}"))


SEGMENTS = (
    Segment("All users", ("sandbox",), "Everybody in the workspace.", lambda _external_id, _fields: True),
    Segment(
        "BlueConic Test Users",
        ("sandbox", "blueconic"),
        "Users that came from BlueConic.",
        lambda external_id, _fields: external_id is not None and external_id.startswith("crm-"),
    ),
    Segment(
        "Newsletter subscribers",
        ("sandbox",),
        "email_subscribe is opted_in.",
        lambda _external_id, fields: fields.get("email_subscribe") == "opted_in",
    ),
    Segment("Empty segment", ("sandbox",), "Nobody is in it."),
    *(Segment(f"Campaign audience {number:03d}") for number in range(1, 103)),
)
"""Oldest first, as ``GET /segments/list`` shows them; more than one page."""

CAMPAIGNS = (
    Campaign("Welcome series"),
    Campaign("Win back"),
    Campaign("Loyalty update"),
    Campaign("Spring sale of last year", is_archived=True),
)
