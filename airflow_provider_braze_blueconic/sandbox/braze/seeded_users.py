"""The values of Braze's seeded users: one of every type, odd ones among them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from airflow_provider_braze_blueconic.sandbox.braze.attribute_kinds import AttributeType
from airflow_provider_braze_blueconic.sandbox.braze.counts import Counted
from airflow_provider_braze_blueconic.sandbox.braze.field_checks import find_problem
from airflow_provider_braze_blueconic.sandbox.braze.standard_fields import NOT_STORED, STANDARD_FIELDS
from airflow_provider_braze_blueconic.sandbox.braze.times import stored_time
from airflow_provider_braze_blueconic.sandbox.people import Person

__all__ = [
    "SEEDED_ATTRIBUTES",
    "STORES",
    "TAGS",
    "seed_attributes",
    "seed_counts",
    "seed_email",
    "seed_fields",
    "seed_revenue",
]

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
