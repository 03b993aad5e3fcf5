"""The profiles with which the sandbox's BlueConic begins."""

from __future__ import annotations

import random
from datetime import timedelta

from airflow_provider_braze_blueconic.sandbox.blueconic.dialogues import DIALOGUES
from airflow_provider_braze_blueconic.sandbox.blueconic.profile import Profile, milliseconds
from airflow_provider_braze_blueconic.sandbox.blueconic.segments import ALL_SEGMENT, NEWSLETTER_SEGMENT, VIP_SEGMENT
from airflow_provider_braze_blueconic.sandbox.people import REFERENCE, Person

__all__ = ["make_profile", "segments_of"]

_VARIANTS = [variant for _, _, variants in DIALOGUES for variant in variants]


def segments_of(person: Person, *, is_vip: bool) -> list[str]:
    segments = [ALL_SEGMENT, VIP_SEGMENT if is_vip else "seg-prospects"]
    if "newsletter" in person.consented:
        segments.append(NEWSLETTER_SEGMENT)
    if person.email:
        segments.append("seg-known")
    if person.last_purchase and person.last_purchase > REFERENCE - timedelta(days=90):
        segments.append("seg-recent-buyers")
    if person.language == "nl":
        segments.append("seg-dutch")
    segments.append(f"seg-hour-{person.number % 3}")
    return segments


def _is_linked(person: Person) -> bool:
    """Tell whether the profile knows already whom Braze means: about 70 % do, and no two of them the same user."""
    return person.number % 10 < 7 and person.number % 90 != 13  # the latter are second profiles of one person


def make_profile(person: Person, draw: random.Random) -> Profile:
    """Make the profile of a person."""
    stamp = int(person.modified.timestamp() * 1000)
    return Profile(
        id=person.id,
        values={name: texts for name, texts in _values(person, draw).items() if texts and texts[0]},
        created=person.created,
        modified=stamp,
        modified_before=stamp,
        level=person.level,
        legislation=person.legislation,
        consented=list(person.consented),
        refused=list(person.refused),
        replaces=[f"merged-{person.id}"] if person.number % 120 == 17 else [],
    )


def _values(person: Person, draw: random.Random) -> dict[str, list[str]]:
    return {
        "crm_id": list(person.crm_ids),
        "braze_external_id": list(person.crm_ids[:1]) if _is_linked(person) else [],
        "email": [person.email],
        "firstname": [person.first_name],
        "lastname": [person.last_name],
        "points": [str(person.points)],
        "revenue": [person.revenue],
        "interests": list(person.interests),
        "city": [person.city],
        "country": [person.country],
        "language": [person.language],
        "phone": [person.phone],
        "birthdate": [milliseconds(person.birth) if person.birth else ""],
        "last_purchase": [milliseconds(person.last_purchase) if person.last_purchase else ""],
        "newsletter": [person.newsletter],
        "email_consent_state": [person.email_state],
        "address": [person.address],
        "bio": [person.bio],
        "customer_number": [person.customer_number],
        "visits": [str(person.visits)],
        "interactions_viewed": draw.sample(_VARIANTS, draw.randrange(0, 4)),
        "lastvisitdate": [milliseconds(person.visited)],
        "domaingroup": ["DEFAULT"],
    }
