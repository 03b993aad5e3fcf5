"""What Braze's seeded users have done for ever.

What a test or a day can change is made once and kept in the user. This is the same for ever, so it is made anew
whenever somebody asks for it: twenty thousand users stay small.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_braze_blueconic.sandbox.braze.times import stored_time
from airflow_provider_braze_blueconic.sandbox.braze.workspace import CAMPAIGNS, Campaign
from airflow_provider_braze_blueconic.sandbox.people import REFERENCE

__all__ = ["HISTORY_FIELDS", "invent_history"]

HISTORY_FIELDS = frozenset(
    """apps attributed_ad attributed_adgroup attributed_campaign attributed_source campaigns_received canvases_received
    cards_clicked devices push_tokens uninstalled_at""".split()  # noqa: SIM905 - a list a reader can scan
)
"""What :func:`invent_history` may return."""

_DEVICES = (
    ("iPhone 15", "17.4", "KPN", "iOS"),
    ("Galaxy S23", "14", "Vodafone", "Android"),
    ("Pixel 8", "14", None, "Android"),
    ("iPad Air", "16.7", None, "iOS"),
)


def invent_history(braze_id: str, *, created: datetime) -> Mapping[str, Any]:
    """Return what a seeded user has done for ever: the fields of an export that nothing in the sandbox changes."""
    draw = random.Random(int(braze_id, 16))
    seen = REFERENCE - timedelta(days=draw.randrange(40), seconds=draw.randrange(86_400))
    history: dict[str, Any] = {
        "campaigns_received": [_received(each, draw, seen) for each in CAMPAIGNS if draw.random() < 0.4],
        "cards_clicked": [{"name": "Winter card"}] if draw.random() < 0.1 else None,
    }
    if draw.random() < 0.2:
        history["canvases_received"] = [_canvas(draw, seen)]
    if draw.random() < 0.6:
        history |= _equipment(draw, seen, created=created)
    if draw.random() < 0.05:
        history |= {"attributed_source": "Summer network", "attributed_campaign": "Summer"}
        history |= {"attributed_adgroup": "Group A", "attributed_ad": "Banner 7"}
    return history


def _received(campaign: Campaign, draw: random.Random, seen: datetime) -> dict[str, Any]:
    return {
        "name": campaign.name,
        "api_campaign_id": campaign.id,
        "last_received": stored_time(seen - timedelta(hours=draw.randrange(500))),
        "engaged": {"opened_email": draw.random() < 0.5, "clicked_email": draw.random() < 0.2},
        "converted": draw.random() < 0.1,
        "in_control": False,
    }


def _canvas(draw: random.Random, seen: datetime) -> dict[str, Any]:
    return {
        "name": "Onboarding",
        "api_canvas_id": "0d5a36cf-0e1f-4a8e-a0ad-6e2a6f6f0c11",
        "last_entered": stored_time(seen - timedelta(days=30)),
        "last_received_message": stored_time(seen - timedelta(days=draw.randrange(30))),
        "variation_name": "Variant 1",
        "in_control": False,
        "steps_received": [
            {
                "name": "First step",
                "api_canvas_step_id": "5b8f0c0a-7d3c-4c55-8f3f-1d1e9e2d7a42",
                "last_received": stored_time(seen - timedelta(days=1)),
            }
        ],
    }


def _equipment(draw: random.Random, seen: datetime, *, created: datetime) -> dict[str, Any]:
    devices, tokens, apps = [], [], {}
    for model, system, carrier, platform in draw.sample(_DEVICES, draw.randrange(1, 3)):
        device_id = f"{draw.getrandbits(64):016x}"
        devices.append(
            {
                "model": model,
                "os": system,
                "carrier": carrier,
                "device_id": device_id,
                "ad_tracking_enabled": draw.random() < 0.5,
            }
        )
        tokens.append(
            {
                "app": f"Shop {platform}",
                "platform": platform,
                "token": f"{draw.getrandbits(128):032x}",
                "device_id": device_id,
                "notifications_enabled": True,
            }
        )
        apps[platform] = {
            "name": f"Shop {platform}",
            "platform": platform,
            "version": f"4.{draw.randrange(9)}",
            "sessions": draw.randrange(1, 200),
            "first_used": stored_time(created),
            "last_used": stored_time(seen),
        }
    return {
        "devices": devices,
        "push_tokens": tokens,
        "apps": list(apps.values()),
        "uninstalled_at": stored_time(seen) if draw.random() < 0.05 else None,
    }
