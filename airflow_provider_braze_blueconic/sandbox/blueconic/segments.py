"""The segments of the sandbox's BlueConic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_provider_braze_blueconic.sandbox.blueconic.history import HISTORY

__all__ = [
    "ALL_SEGMENT",
    "EMPTY_SEGMENT",
    "NEWSLETTER_SEGMENT",
    "VIP_SEGMENT",
    "Segment",
    "describe_segment",
    "seed_segments",
]

ALL_SEGMENT = "seg-all"
VIP_SEGMENT = "seg-vip"
NEWSLETTER_SEGMENT = "seg-newsletter"
EMPTY_SEGMENT = "seg-nobody"


@dataclass(slots=True)
class Segment:
    """One segment; ``members`` are profile ids.

    :param shows_count: BlueConic leaves ``profileCount`` out of some segments.
    """

    id: str
    name: str
    description: str
    tags: list[str]
    shows_count: bool = True
    members: set[str] = field(default_factory=set)


def seed_segments() -> list[Segment]:
    return [
        Segment(ALL_SEGMENT, "All Visitors", "Everybody", []),
        Segment(VIP_SEGMENT, "VIP customers", "Customers with a loyalty card", ["braze", "loyalty"]),
        Segment(NEWSLETTER_SEGMENT, "Newsletter readers", "Consented to the newsletter", ["braze"]),
        Segment(EMPTY_SEGMENT, "Nobody yet", "Waits for its first profile", []),
        Segment("seg-prospects", "VIP prospects", "Not a VIP today", ["loyalty"]),
        Segment("seg-known", "Known, with e-mail", "", []),
        Segment("seg-recent-buyers", "Recent buyers", "", []),
        Segment("seg-dutch", "Dutch speakers", "", []),
        Segment("seg-hour-0", "Preferred visit hour: Morning", "", []),
        Segment("seg-hour-1", "Preferred visit hour: Afternoon", "", []),
        Segment("seg-hour-2", "Preferred visit hour: Evening", "", [], shows_count=False),
        Segment("seg-retired", "VIP customers 2019", "An old definition", []),
    ]


def describe_segment(segment: Segment) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": segment.id,
        "name": segment.name,
        "description": segment.description,
        "tags": list(segment.tags),
        "inverseOf": "",
        "inversedBy": "",
        **HISTORY,
    }
    if segment.shows_count:
        shown["profileCount"] = len(segment.members)
    return shown
