"""What Braze's seeded users are like: values of every type, and what they have done.

What a test or a day can change is made once and kept in the user. The rest (devices, apps, campaigns received) is the
same for ever, so it is made anew whenever somebody asks for it: twenty thousand users stay small.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .custom_attributes import AttributeType, stored_time
from .people import REFERENCE, Person
from .standard_fields import NOT_STORED, STANDARD_FIELDS, find_problem
from .workspace import CAMPAIGNS, Campaign

__all__ = [
    "HISTORY_FIELDS",
    "SEEDED_ATTRIBUTES",
    "STORES",
    "TAGS",
    "Counted",
    "invent_history",
    "seed_attributes",
    "seed_counts",
    "seed_email",
    "seed_fields",
    "seed_revenue",
]

HISTORY_FIELDS = frozenset(
    """apps attributed_ad attributed_adgroup attributed_campaign attributed_source campaigns_received canvases_received
    cards_clicked devices push_tokens uninstalled_at""".split()  # noqa: SIM905 - a list a reader can scan
)
"""What :func:`invent_history` may return."""
STORES = tuple(f"Store {number}" for number in range(12))
TAGS = ("vip", "app", "web", "outlet", "summer", "staff", "beta", "referred")

SEEDED_ATTRIBUTES: tuple[tuple[str, AttributeType], ...] = (
    ("favourite_store", "string"),
    ("loyalty_tier", "string"),
    ("motto", "string"),
    ("shoe size", "string"),
    ("region.code", "string"),
    ("children", "number"),
    ("average_rating", "number"),
    ("engagement_score", "number"),
    ("legacy_account", "number"),
    ("club_member", "boolean"),
    ("last_store_visit", "time"),
    ("tags", "array"),
    ("address", "object"),
    ("pets", "object_array"),
    ("household", "object"),
    ("last_survey", "time"),
    *((f"survey_answer_{number:02d}", "string") for number in range(1, 56)),
)
"""The first ones hold values; the rest makes ``GET /custom_attributes`` longer than a page."""

_TIERS = ("bronze", "silver", "gold")
_GENDERS = ("F", "M", "F", "M", "O", "N", "P")
_ZONES = ("Europe/Amsterdam", "Europe/London", "Europe/Berlin", "Eastern Time (US & Canada)")
_PUSH_STATES = ("subscribed", "opted_in", "unsubscribed")
_PRODUCTS = ("sku1", "sku2", "sku3", "gift card")
_EVENTS = ("store_visit", "wishlist_shared", "app review")
_PETS = (("Rex", "dog"), ("Tom", "cat"), ("Coco", "parrot"))
# JSON allows these two letters inside a text, and careless readers take the first for the end of a line.
_TWO_LINES = "carpe\u2028diem\u00a0"
_BEYOND_32_BITS = 3_000_000_000
_DEVICES = (
    ("iPhone 15", "17.4", "KPN", "iOS"),
    ("Galaxy S23", "14", "Vodafone", "Android"),
    ("Pixel 8", "14", None, "Android"),
    ("iPad Air", "16.7", None, "iOS"),
)


@dataclass(slots=True)
class Counted:
    """How often a user did something, and when for the first and for the last time."""

    first: datetime
    last: datetime
    count: int

    def show(self, name: str) -> dict[str, Any]:
        """Return it as an entry of an export."""
        return {"name": name, "first": stored_time(self.first), "last": stored_time(self.last), "count": self.count}


def seed_fields(person: Person) -> dict[str, Any]:
    """Return the standard fields of a seeded user, apart from the e-mail address, in their stored form."""
    number = person.number
    given: dict[str, Any] = {
        "first_name": person.first_name,
        "last_name": person.last_name,
        "email_subscribe": person.email_state,
        "push_subscribe": "" if number % 4 == 3 else _PUSH_STATES[number % 3],
        "home_city": person.city,
        "country": STANDARD_FIELDS["country"](person.country),
        "language": STANDARD_FIELDS["language"](person.language),
        "gender": "" if number % 9 == 8 else _GENDERS[number % len(_GENDERS)],
        "phone": person.phone if number % 3 else "",
        "time_zone": "" if number % 6 == 5 else _ZONES[number % len(_ZONES)],
    }
    if person.birth is not None:
        given["dob"] = person.birth.date().isoformat()
    if number % 10 == 1:
        given["current_location"] = {"longitude": round(4.0 + number % 700 / 500, 4), "latitude": 52.3702}
    return {name: value for name, value in given.items() if value and value is not NOT_STORED}


def seed_attributes(person: Person) -> dict[str, Any]:
    """Return the custom attributes of a seeded user: one of each type, odd names and numbers among them."""
    number = person.number
    attributes: dict[str, Any] = {
        "favourite_store": STORES[number % len(STORES)],
        "loyalty_tier": _TIERS[person.points * len(_TIERS) // 20_000],
        "children": number % 5,
        "average_rating": person.points % 50 / 10,
        "club_member": number % 3 == 0,
    }
    if person.last_purchase is not None:
        attributes["last_store_visit"] = stored_time(person.last_purchase)
    if number % 5:
        attributes["tags"] = [TAGS[(number + step) % len(TAGS)] for step in range(number % 4 + 1)]
    if person.city:
        attributes["address"] = json.loads(person.address)
    if number % 7 == 0:
        attributes["engagement_score"] = person.points / 7919  # more decimals than a property of BlueConic keeps
        attributes["shoe size"] = str(36 + number % 10)
    if number % 11 == 0:
        attributes["legacy_account"] = _BEYOND_32_BITS + number
        attributes["region.code"] = f"R{number % 4}"
    if number % 13 == 0:
        attributes["pets"] = [{"name": name, "kind": kind} for name, kind in _PETS[: number % 3 + 1]]
    if number % 60 == 17:
        attributes["motto"] = _TWO_LINES
    return attributes


def seed_counts(person: Person) -> Iterator[tuple[str, str, Counted]]:
    """Yield what a seeded user bought and did: ``purchases`` or ``events``, its name, and how often."""
    number = person.number
    for kind, names, share in (("purchases", _PRODUCTS, 2), ("events", _EVENTS, 3)):
        for place in range(number % share + (number % 17 == 0)):
            last = person.modified - timedelta(hours=place * 7)
            first = person.created + timedelta(days=place)
            yield kind, names[(number + place) % len(names)], Counted(first, last, number % 6 + place + 1)


def seed_revenue(person: Person) -> float | None:
    """Return what a seeded user has spent; somebody who spent nothing has no such value."""
    return float(person.revenue) if person.number % 8 else None


def seed_email(email: str) -> str | None:
    """Return an address if Braze would have taken it."""
    return email if email and find_problem({"email": email}) is None else None


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
