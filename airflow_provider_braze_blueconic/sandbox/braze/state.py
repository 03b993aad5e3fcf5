"""The state of the sandbox's Braze: who is in the workspace, and how they change."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow_provider_braze_blueconic.sandbox.braze.attribute_types import AttributeTypes
from airflow_provider_braze_blueconic.sandbox.braze.counts import read_counted
from airflow_provider_braze_blueconic.sandbox.braze.days import IMPORTED, BrazeDay, how_many, new_values
from airflow_provider_braze_blueconic.sandbox.braze.objects import KINDS, Kind
from airflow_provider_braze_blueconic.sandbox.braze.planting import plant
from airflow_provider_braze_blueconic.sandbox.braze.standard_fields import STANDARD_FIELDS
from airflow_provider_braze_blueconic.sandbox.braze.traffic import Outcome, Traffic
from airflow_provider_braze_blueconic.sandbox.braze.user import COUNTED, User
from airflow_provider_braze_blueconic.sandbox.braze.users import Users
from airflow_provider_braze_blueconic.sandbox.braze.workspace import Segment
from airflow_provider_braze_blueconic.sandbox.braze.writes import Writer
from airflow_provider_braze_blueconic.sandbox.in_force import Faults
from airflow_provider_braze_blueconic.sandbox.people import Person

__all__ = ["BrazeState"]


class BrazeState:
    """A workspace's users and attributes. Safe to use from several threads; no write looks at all users.

    :param people: who BlueConic knows; most of them with a key are users already, under their first one.
    :param faults: its ``braze`` settings are read at each call.
    :param clock: stamps new users (never the seeded ones); aware UTC.
    """

    def __init__(
        self,
        people: Sequence[Person] = (),
        *,
        seed: int = 1,
        faults: Faults | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.attributes = AttributeTypes()
        self.traffic = Traffic()
        self._faults = faults or Faults(seed=seed)
        self._clock = clock
        self._seed = seed
        self._lock = threading.RLock()
        self._day = 0
        self._users = Users(seed=seed)
        self._writer = Writer(self._users, self.attributes, self.traffic, faults=self._faults, clock=clock)
        plant(people, self._users, self.attributes)

    def __len__(self) -> int:
        return len(self._users)

    def users(self) -> Iterator[dict[str, Any]]:
        """Return every user as an export shows it, with ``subscription_groups`` (which exports leave out)."""
        with self._lock:
            users = list(self._users)
        for user in users:
            with self._lock:
                shown = user.export()
                if user.groups:
                    shown["subscription_groups"] = dict(user.groups)
            yield shown

    def user(self, external_id: str) -> dict[str, Any] | None:
        """Return one user as an export shows it."""
        with self._lock:
            return self._users.named(external_id).export() if external_id in self._users else None

    def export(self, identifiers: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the user that an object's identifiers name, as an export shows it."""
        with self._lock:
            user = self._users.find(identifiers)
            return None if user is None else user.export()

    def external_ids(self) -> set[str]:
        with self._lock:
            return self._users.external_ids()

    def find(self, identifiers: Mapping[str, Any]) -> User | None:
        """Look a user up by the identifiers of an object, in Braze's order of preference."""
        return self._users.find(identifiers)

    def members(self, segment: Segment) -> list[User]:
        """Return the users that are in a segment at this moment, in order of their creation."""
        with self._lock:
            return [user for user in self._users if segment.has(user.external_id, user.fields)]

    def show(self, user: User, *, fields: Collection[str], attributes: Collection[str]) -> dict[str, Any]:
        """Return a user as a segment export shows it: see :meth:`User.export`."""
        with self._lock:
            return user.export(fields=fields, attributes=attributes)

    # What tests and next_day change, without a request

    def add(
        self, values: Mapping[str, Any], *, external_id: str | None = None, aliases: Iterable[tuple[str, str]] = ()
    ) -> str:
        """Create a user and return its ``braze_id``.

        :param values: see :meth:`change`.
        :param aliases: pairs of alias name and label.
        """
        with self._lock:
            user = self._users.make(self._clock(), created_from="REST API")
            if external_id is not None:
                self._users.identify(user, external_id)
            for alias in aliases:
                self._users.alias(user, alias)
            self._apply(user, values)
            return user.braze_id

    def change(self, external_id: str, values: Mapping[str, Any]) -> None:
        """Change a user directly: no rule is applied to a value, nothing is counted or billed.

        :param values: standard fields, ``custom_attributes`` (an object with those to change), ``total_revenue``,
            and ``custom_events`` and ``purchases`` as exports show them. ``None`` removes a value.
        :raises ValueError: on another name, or a time that is none.
        """
        with self._lock:
            self._apply(self._users.named(external_id), values)

    def increase_revenue(self, external_id: str, amount: float) -> None:
        """Let a user spend money."""
        with self._lock:
            user = self._users.named(external_id)
            self._apply(user, {"total_revenue": round((user.revenue or 0.0) + amount, 2)})

    def next_day(self, *, changed: float = 0.01, apart_from: Collection[str] = ()) -> BrazeDay:
        """Let a day pass for the users of "BlueConic Test Users": some move, shop, or are tagged.

        Who and what is decided by the seed and the number of the day.

        :param changed: a whole number counts users, a fraction is a share of them (at least one user unless 0).
            Each of them has another home city, tags, revenue or favourite store afterwards, or two of these.
        :param apart_from: external ids of users to whom nothing happens.
        """
        with self._lock:
            self._day += 1
            draw = random.Random(f"{self._seed}:braze-day:{self._day}")
            members = {user.external_id or "": user for user in self.members(IMPORTED)}
            changeable = sorted(members.keys() - set(apart_from))
            chosen = draw.sample(changeable, how_many(changed, len(changeable)))
            for external_id in chosen:
                self._apply(members[external_id], new_values(members[external_id], draw))
            return BrazeDay(self._day, changed=tuple(chosen))

    def _apply(self, user: User, values: Mapping[str, Any]) -> None:
        counted = {name: kind for kind, name in COUNTED.items()}
        unknown = values.keys() - STANDARD_FIELDS.keys() - counted.keys() - {"custom_attributes", "total_revenue"}
        if unknown:
            raise ValueError(f"a user has no {', '.join(sorted(unknown))}; put attributes into custom_attributes")
        self._users.touch(user)
        for name, value in values.items():
            if name == "custom_attributes":
                for attribute, each in value.items():
                    self._set_attribute(user, attribute, each)
            elif name == "total_revenue":
                user.revenue = value
            elif name in counted:
                kept = {key: each for key, each in user.counts.items() if key[0] != counted[name]}
                new = {(counted[name], each["name"]): read_counted(each) for each in value or ()}
                user.counts = kept | new
            else:
                self._users.set_field(user, name, value)

    def _set_attribute(self, user: User, name: str, value: Any) -> None:
        if value is None:
            user.custom.pop(name, None)
            return
        user.custom[name] = value
        # Written to nobody, so that the workspace knows the attribute and its type.
        self.attributes.write({}, name, value, merge=False, array_length=self._faults.braze.array_length)

    def delete(self, external_id: str) -> None:
        """Remove a user."""
        with self._lock:
            self._users.remove(external_id)

    def track(
        self,
        arrays: Mapping[Kind, Sequence[Any]],
        *,
        refuse: Callable[[Kind, int, Any], str | None] | None = None,
        at_most: int | None = None,
    ) -> Outcome:
        """Take the objects of one request.

        :param refuse: a fault's reason against an object.
        :param at_most: a fault: only so many objects are applied before the connection breaks.
        """
        accepted: dict[Kind, int] = dict.fromkeys(arrays, 0)
        errors: list[dict[str, Any]] = []
        with self._lock:
            self.traffic.requests += 1
            for kind in KINDS:
                for index, item in enumerate(arrays.get(kind, ())):
                    if at_most is not None and sum(accepted.values()) >= at_most:
                        return Outcome(accepted, errors)
                    self.traffic.objects += 1
                    problem = (refuse and refuse(kind, index, item)) or self._writer.take(kind, item)
                    if problem is None:
                        accepted[kind] += 1
                        self.traffic.accepted += 1
                    else:
                        self.traffic.refused += 1
                        errors.append({"type": problem, "input_array": kind, "index": index})
        return Outcome(accepted, errors)

    def count_refused_request(self, objects: int) -> None:
        """Count a request that was refused whole."""
        with self._lock:
            self.traffic.requests += 1
            self.traffic.objects += objects
            self.traffic.refused += objects
