"""Segments and campaigns as the API of the sandbox's Braze shows them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from fastapi import Request

from airflow_provider_braze_blueconic.sandbox.braze.requests import refuse, whole_number
from airflow_provider_braze_blueconic.sandbox.braze.workspace import CAMPAIGNS, SEGMENTS, Segment
from airflow_provider_braze_blueconic.sandbox.people import REFERENCE

__all__ = [
    "data_series",
    "describe_campaign",
    "describe_campaigns",
    "describe_segment",
    "describe_segments",
    "find_segment",
]

_MAX_DAYS = 100  # of /segments/data_series: docs, read 2026-11


def find_segment(wanted: Any) -> Segment:
    """Return the segment with an id, or refuse the request."""
    segment = next((each for each in SEGMENTS if each.id == wanted), None)
    if segment is None:
        refuse(400, "Invalid segment_id")  # status and text UNVERIFIED
    return segment


def describe_segments() -> list[dict[str, Any]]:
    """Return the segments as their list shows them."""
    return [
        {"id": each.id, "name": each.name, "analytics_tracking_enabled": True, "tags": list(each.tags)}
        for each in SEGMENTS
    ]


def describe_segment(segment: Segment) -> dict[str, Any]:
    """Return a segment as its details show it."""
    return {
        "message": "success",
        "created_at": REFERENCE.isoformat(),
        "updated_at": REFERENCE.isoformat(),
        "name": segment.name,
        "description": segment.description,
        "text_description": segment.description,
        "tags": list(segment.tags),
        "teams": [],
    }


def describe_campaigns(*, with_archived: bool) -> list[dict[str, Any]]:
    """Return the campaigns as their list shows them."""
    return [
        {
            "id": each.id,
            "last_edited": REFERENCE.isoformat(),
            "name": each.name,
            "is_api_campaign": False,
            "tags": ["sandbox"],
        }
        for each in CAMPAIGNS
        if with_archived or not each.is_archived
    ]


def data_series(request: Request, *, size: int) -> dict[str, Any]:
    days = whole_number(request, "length", default=0)
    if not 1 <= days <= _MAX_DAYS:
        refuse(400, f"length must be between 1 and {_MAX_DAYS}")
    try:
        ending = datetime.fromisoformat(request.query_params.get("ending_at", REFERENCE.isoformat()))
    except ValueError:
        refuse(400, "ending_at must be an ISO 8601 time")
    data = [{"time": (ending - timedelta(days=days - 1 - day)).date().isoformat(), "size": size} for day in range(days)]
    return {"message": "success", "data": data}


def describe_campaign(request: Request) -> dict[str, Any]:
    wanted = request.query_params.get("campaign_id", "")
    campaign = next((each for each in CAMPAIGNS if each.id == wanted), None)
    if campaign is None:
        refuse(400, "Invalid Campaign ID")
    return {
        "message": "success",
        "created_at": REFERENCE.isoformat(),
        "updated_at": REFERENCE.isoformat(),
        "archived": campaign.is_archived,
        "draft": False,
        "enabled": not campaign.is_archived,
        "has_post_launch_draft": False,
        "name": campaign.name,
        "description": "",
        "schedule_type": "time_based",
        "channels": ["email"],
        "first_sent": REFERENCE.isoformat(),
        "last_sent": REFERENCE.isoformat(),
        "tags": ["sandbox"],
        "teams": [],
        "messages": {},
        "conversion_behaviors": [],
    }
