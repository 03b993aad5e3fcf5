"""The users with which the sandbox's Braze begins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from airflow_provider_braze_blueconic.sandbox.braze.attribute_types import AttributeTypes
from airflow_provider_braze_blueconic.sandbox.braze.seeded_users import (
    SEEDED_ATTRIBUTES,
    seed_attributes,
    seed_counts,
    seed_email,
    seed_fields,
    seed_revenue,
)
from airflow_provider_braze_blueconic.sandbox.braze.user import User
from airflow_provider_braze_blueconic.sandbox.braze.users import Users
from airflow_provider_braze_blueconic.sandbox.people import REFERENCE, Person

__all__ = ["plant"]

_SHARED_EMAIL = 60  # every so many seeded users has the e-mail address of the one before
_STRANGERS = 20  # one user in Braze that BlueConic does not know, for every so many people
_ALIAS_ONLY = 50  # one user with nothing but an alias, for every so many people
_ALIASED = 10  # every so many seeded users has an alias beside the external id
_UNKNOWN_TO_BRAZE = 33  # every so many people have no user yet: about 3 %


def plant(people: Sequence[Person], users: Users, attributes: AttributeTypes) -> None:
    """Make most people users, and some users more that nobody else knows.

    :param users: nobody is there yet.
    """
    for name, kind in SEEDED_ATTRIBUTES:
        attributes.fix(name, kind)
    _plant_people(people, users)
    for number in range(len(people) // _STRANGERS):
        user = _make(users, f"app-only-{number:06d}", created=REFERENCE - timedelta(days=number % 300))
        users.set_field(user, "email", f"app.only.{number}@example.net")
    for number in range(len(people) // _ALIAS_ONLY):
        user = users.make(REFERENCE - timedelta(days=number % 90), created_from="SDK", is_seeded=True)
        users.alias(user, (f"visitor-{number:06d}", "web"))


def _plant_people(people: Sequence[Person], users: Users) -> None:
    shared = None
    for person in people:
        if not person.crm_ids or person.number % _UNKNOWN_TO_BRAZE == 8 or person.crm_ids[0] in users:
            continue
        user = _make(users, person.crm_ids[0], created=person.created)
        email = shared if shared and person.number % _SHARED_EMAIL == 2 else person.email
        shared = person.email if seed_email(person.email) else None
        _fill(user, person, users, email=email)


def _fill(user: User, person: Person, users: Users, *, email: str) -> None:
    users.set_field(user, "email", seed_email(email))
    for name, value in seed_fields(person).items():
        users.set_field(user, name, value)
    user.custom = seed_attributes(person)
    user.counts = {(kind, name): counted for kind, name, counted in seed_counts(person)}
    user.revenue = seed_revenue(person)
    if person.number % _ALIASED == 1:
        users.alias(user, (f"alias-{person.number:07d}", "crm"))


def _make(users: Users, external_id: str, *, created: datetime) -> User:
    user = users.make(created, created_from="SDK" if len(users) % 4 else "CSV import", is_seeded=True)
    users.identify(user, external_id)
    return user
