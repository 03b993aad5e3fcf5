"""What a day brings to the users of the sandbox's Braze."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_braze_blueconic.sandbox.braze.seeded_users import STORES, TAGS
from airflow_provider_braze_blueconic.sandbox.braze.user import User
from airflow_provider_braze_blueconic.sandbox.braze.workspace import SEGMENTS

__all__ = ["IMPORTED", "BrazeDay", "how_many", "new_values"]


@dataclass(frozen=True)
class BrazeDay:
    """What :meth:`BrazeState.next_day` did. The ids are external ids."""

    day: int
    changed: tuple[str, ...] = field(repr=False)

    def counts(self) -> dict[str, int]:
        return {"day": self.day, "changed": len(self.changed)}


_CITIES = ("Ede", "Zwolle", "Leeds", "Gent", "Sevilla")  # where people move to in a day
IMPORTED = next(segment for segment in SEGMENTS if segment.name == "BlueConic Test Users")


def how_many(wanted: float, members: int) -> int:
    if isinstance(wanted, float):
        wanted = max(round(wanted * members), 1) if wanted else 0
    return min(int(wanted), members)


def new_values(user: User, draw: random.Random) -> dict[str, Any]:
    """Invent a day's news of a user: one or two values, each other than before."""
    tags, tag = user.custom.get("tags", []), draw.choice(TAGS)
    fields = {
        "home_city": draw.choice([city for city in _CITIES if city != user.fields.get("home_city")]),
        "total_revenue": round((user.revenue or 0.0) + draw.randrange(100, 20_000) / 100, 2),
    }
    attributes = {
        "tags": ([each for each in tags if each != tag] or None) if tag in tags else [*tags, tag],
        "favourite_store": draw.choice([store for store in STORES if store != user.custom.get("favourite_store")]),
    }
    chosen = draw.sample([*fields, *attributes], draw.randrange(1, 3))
    return {
        **{name: fields[name] for name in chosen if name in fields},
        "custom_attributes": {name: attributes[name] for name in chosen if name in attributes},
    }
