"""The invented people that both services of the sandbox know, oddities of real customer data included."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from faker import Faker

__all__ = ["REFERENCE", "Person", "make_people"]

REFERENCE = datetime(2026, 1, 1, tzinfo=UTC)
"""The moment at which the seed data was "written": no seeded value depends on the wall clock."""

_LOCALES = ("en_GB", "nl_NL", "de_DE", "fr_FR", "es_ES")
_POOL = 400  # names to draw from, per kind: Faker is slow for each value and quick to fill a pool
_LONG_BIO = 300  # characters: more than Braze keeps
_COUNTRIES = (
    ("NL", "Netherlands"),
    ("GB", "United Kingdom"),
    ("DE", "Germany"),
    ("FR", "France"),
    ("ES", "Spain"),
    ("US", "United States"),
    ("AU", "Australia"),
    ("BE", "Belgium"),
)
_UNKNOWN_COUNTRIES = ("Atlantis", "n/a", "XX")
_LANGUAGES = ("en", "nl", "de", "fr", "es")
_BAD_EMAILS = ("{name}.example.com", "{name}@@example.com", "{name} at example.org", "@example.com")
_INTERESTS = ("running", "cycling", "cooking", "travel", "music", "gardening", "film", "chess", "sailing", "books")
_EMAIL_STATES = ("subscribed", "opted_in", "unsubscribed")
_LEGISLATIONS = ("GDPR", "GDPR", "GDPR", "UK_GDPR", "CCPA", "NONE")


@dataclass(frozen=True, slots=True)
class Person:
    """One invented person, in words of no vendor. An empty text or tuple means "not known".

    :param number: 0-based place in the seed data.
    :param id: a UUID that is stable for a seed.
    :param crm_ids: the keys of the customer's own system: usually one, sometimes none, two, or another person's.
    :param level: what may be stored about the person.
    """

    number: int
    id: str
    crm_ids: tuple[str, ...]
    email: str
    first_name: str
    last_name: str
    points: int
    revenue: str
    interests: tuple[str, ...]
    city: str
    country: str
    language: str
    phone: str
    birth: datetime | None
    last_purchase: datetime | None
    newsletter: str
    email_state: str
    address: str
    bio: str
    customer_number: str
    level: str
    legislation: str
    consented: tuple[str, ...]
    refused: tuple[str, ...]
    created: datetime
    modified: datetime
    visited: datetime
    visits: int


def make_people(count: int, *, seed: int) -> list[Person]:
    """Invent *count* people, the same ones for the same seed and the same version of Faker.

    The oddities (missing, doubled and shared keys, bad addresses, unknown countries, long texts) come at
    fixed places, so that even a small sandbox has each of them.
    """
    pools = _Pools.fill(seed)
    draw = random.Random(f"people:{seed}")
    return [_make_person(number, draw, pools) for number in range(count)]


@dataclass(frozen=True, slots=True)
class _Pools:
    first_names: Sequence[str]
    last_names: Sequence[str]
    cities: Sequence[str]
    streets: Sequence[str]
    sentences: Sequence[str]

    @classmethod
    def fill(cls, seed: int) -> _Pools:
        fakes = []
        for offset, locale in enumerate(_LOCALES):
            fake = Faker(locale, use_weighting=False)
            fake.seed_instance(seed * len(_LOCALES) + offset)
            fakes.append(fake)
        turns = [fakes[number % len(fakes)] for number in range(_POOL)]
        return cls(
            first_names=[fake.first_name() for fake in turns],
            last_names=[fake.last_name() for fake in turns],
            cities=[fake.city() for fake in turns],
            streets=[fake.street_name() for fake in turns],
            sentences=[fakes[0].sentence(nb_words=8) for _ in range(_POOL // 4)],
        )


def _make_person(number: int, draw: random.Random, pools: _Pools) -> Person:
    first_name, last_name = draw.choice(pools.first_names), draw.choice(pools.last_names)
    city = draw.choice(pools.cities)
    created = REFERENCE - timedelta(days=draw.randrange(60, 1500), seconds=draw.randrange(86_400))
    modified = REFERENCE - timedelta(days=draw.randrange(1, 60), seconds=draw.randrange(86_400))
    consented, refused = _consent(draw)
    return Person(
        number=number,
        id=str(uuid.UUID(int=draw.getrandbits(128), version=4)),
        crm_ids=_crm_ids(number),
        email=_email(number, draw, first_name, last_name),
        first_name=first_name,
        last_name="" if number % 35 == 9 else last_name,
        points=draw.randrange(0, 20_000),
        revenue=f"{draw.randrange(0, 500_000) / 100:.2f}",
        interests=tuple(draw.sample(_INTERESTS, draw.randrange(0, 5))),
        city="" if number % 45 == 4 else city,
        country=_country(number, draw),
        language=_language(number, draw),
        phone=_phone(number, draw),
        birth=None if number % 12 == 5 else datetime(1940, 1, 1, tzinfo=UTC) + timedelta(days=draw.randrange(24_000)),
        last_purchase=None if number % 6 == 1 else modified - timedelta(days=draw.randrange(1, 400)),
        newsletter="true" if "newsletter" in consented else "false",
        email_state="" if number % 20 == 12 else draw.choice(_EMAIL_STATES),
        address=_address(draw, pools, city),
        bio=_bio(number, draw, pools.sentences),
        customer_number="007" if number == 7 else f"{number:07d}",
        level=_level(number),
        legislation=draw.choice(_LEGISLATIONS),
        consented=consented,
        refused=refused,
        created=created,
        modified=modified,
        visited=modified - timedelta(seconds=draw.randrange(3600)),
        visits=draw.randrange(1, 80),
    )


def _consent(draw: random.Random) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what a person consented to, and what the person refused."""
    consented = tuple(name for name, share in (("newsletter", 0.7), ("personalisation", 0.6)) if draw.random() < share)
    refused = tuple(name for name in ("newsletter",) if name not in consented and draw.random() < 0.5)
    return consented, refused


def _language(number: int, draw: random.Random) -> str:
    language = draw.choice(_LANGUAGES)
    return f"{language}-XX" if number % 70 == 33 else language


def _address(draw: random.Random, pools: _Pools, city: str) -> str:
    address = {"street": draw.choice(pools.streets), "number": draw.randrange(1, 200), "city": city}
    return json.dumps(address, ensure_ascii=False)


def _level(number: int) -> str:
    if number % 19 != 3:
        return "PERSONAL"
    return "DO_NOT_TRACK" if number % 97 == 41 else "ANONYMOUS"


def _crm_ids(number: int) -> tuple[str, ...]:
    if number % 50 == 7:
        return ()
    if number % 150 == 11:
        return (f"crm-{number:07d}", f"crm-old-{number:07d}")
    if number % 90 == 13:  # two profiles of one person
        return (f"crm-{number - 1:07d}",)
    return (f"crm-{number:07d}",)


def _email(number: int, draw: random.Random, first_name: str, last_name: str) -> str:
    name = "".join(letter for letter in f"{first_name}{last_name}".lower() if letter.isascii() and letter.isalnum())
    if number % 25 == 3:
        return ""
    if number % 40 == 19:
        return draw.choice(_BAD_EMAILS).format(name=name)
    return f"{name}.{number}@example.{draw.choice(('com', 'org', 'net'))}"


def _country(number: int, draw: random.Random) -> str:
    code, name = draw.choice(_COUNTRIES)
    if number % 21 == 6:
        return ""
    if number % 28 == 15:
        return draw.choice(_UNKNOWN_COUNTRIES)
    return draw.choice((code, code, code.lower(), name, name))


def _phone(number: int, draw: random.Random) -> str:
    if number % 8 == 2:
        return ""
    if number % 30 == 21:
        return f"(020) 7946 {number % 1000:04d}"
    return f"+447700{900_000 + draw.randrange(1000)}"  # a range that Ofcom keeps free for fiction


def _bio(number: int, draw: random.Random, sentences: Sequence[str]) -> str:
    text = draw.choice(sentences)
    if number % 30 == 4:
        while len(text) < _LONG_BIO:
            text = f"{text} {draw.choice(sentences)}"
    return "" if number % 3 == 2 else text
