"""Braze's side of the sandbox: the users of a workspace and what writes do to them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from .custom_attributes import AttributeTypes, parse_time
from .faults import Faults
from .people import REFERENCE, Person
from .seeded_users import (
    HISTORY_FIELDS,
    SEEDED_ATTRIBUTES,
    STORES,
    TAGS,
    Counted,
    invent_history,
    seed_attributes,
    seed_counts,
    seed_email,
    seed_fields,
    seed_revenue,
)
from .standard_fields import BILLED, CONTROLS, IDENTIFIERS, NOT_STORED, STANDARD_FIELDS, find_problem
from .workspace import SEGMENTS, Segment

__all__ = ["KINDS", "BrazeDay", "BrazeState", "Kind", "Outcome", "Traffic", "User"]

Kind = Literal["attributes", "events", "purchases"]
KINDS: tuple[Kind, ...] = ("attributes", "events", "purchases")
"""The arrays of a request, in the order in which Braze begins with them."""

MAX_EXTERNAL_ID_BYTES = 987  # docs "POST /users/track", read 2026-11
MAX_QUANTITY = 100  # docs "Purchase object", read 2026-11
_UNFIELDED = CONTROLS | IDENTIFIERS | {"subscription_groups", "push_tokens", "push_token_import"}
_SHARED_EMAIL = 60  # every so many seeded users has the e-mail address of the one before
_COUNTED: Mapping[Kind, str] = {"events": "custom_events", "purchases": "purchases"}
_IMPORTED = next(segment for segment in SEGMENTS if segment.name == "BlueConic Test Users")
_CITIES = ("Ede", "Zwolle", "Leeds", "Gent", "Sevilla")  # where people move to in a day
_STRANGERS = 20  # one user in Braze that BlueConic does not know, for every so many people
_ALIAS_ONLY = 50  # one user with nothing but an alias, for every so many people
_ALIASED = 10  # every so many seeded users has an alias beside the external id
_UNKNOWN_TO_BRAZE = 33  # every so many people have no user yet: about 3 %


class User:
    """One user profile.

    :param is_seeded: whether the user has a history (devices, campaigns received, ...) besides what is kept here.
    """

    __slots__ = (
        "aliases",
        "braze_id",
        "changed",
        "counts",
        "created",
        "created_from",
        "custom",
        "external_id",
        "fields",
        "groups",
        "is_seeded",
        "revenue",
    )

    def __init__(self, braze_id: str, *, created: datetime, created_from: str, is_seeded: bool) -> None:
        self.braze_id = braze_id
        self.external_id: str | None = None
        self.aliases: dict[tuple[str, str], None] = {}
        self.fields: dict[str, Any] = {}
        self.custom: dict[str, Any] = {}
        self.groups: dict[str, str] = {}
        self.counts: dict[tuple[str, str], Counted] = {}
        self.revenue: float | None = None
        self.created = created
        self.created_from = created_from
        self.is_seeded = is_seeded
        self.changed = 0

    def export(self, *, fields: Collection[str] | None = None, attributes: Collection[str] = ()) -> dict[str, Any]:
        """Return the user as exports show it: a field without a value is left out.

        That events, purchases and messages only count for 90 days is not played: the seed data would grow old with
        the clock.

        :param fields: the fields asked for; ``None`` for all. ``custom_attributes`` among them means all of those.
        :param attributes: the custom attributes asked for by name.
        """
        shown: dict[str, Any] = {
            "created_at": f"{self.created:%Y-%m-%d %H:%M:%S}.{self.created.microsecond // 1000:03d} UTC",
            "created_from": self.created_from,
            "braze_id": self.braze_id,
            "random_bucket": int(self.braze_id[-8:], 16) % 10_000,
        }
        if self.external_id is not None:
            shown["external_id"] = self.external_id
        shown["user_aliases"] = [{"alias_name": name, "alias_label": label} for name, label in self.aliases]
        shown.update((name, value) for name, value in self.fields.items() if name != "current_location")
        location = self.fields.get("current_location")
        if location:
            shown["last_coordinates"] = [location["longitude"], location["latitude"]]
        shown["total_revenue"] = self.revenue
        if fields is None or "custom_attributes" in fields:
            custom = dict(self.custom)
        else:
            custom = {name: self.custom[name] for name in attributes if name in self.custom}
        for kind, name in _COUNTED.items():
            shown[name] = [counted.show(each) for (of, each), counted in self.counts.items() if of == kind]
        if self.is_seeded and (fields is None or not HISTORY_FIELDS.isdisjoint(fields)):
            shown.update(invent_history(self.braze_id, created=self.created))
        wanted = shown if fields is None else {name: shown[name] for name in fields if name in shown}
        wanted["custom_attributes"] = custom
        return {name: value for name, value in wanted.items() if value not in (None, "", [], {})}


@dataclass
class Traffic:
    """What has been sent to ``/users/track`` and ``/users/track/bulk``, as Braze counts it.

    :param requests: requests that reached the reading of their objects.
    :param objects: objects in them.
    :param accepted: objects that were queued.
    :param refused: objects named in ``errors``, or in a request that was refused whole.
    :param unmatched: accepted objects that changed nobody: update only, and nobody was found.
    :param created: users that came into being.
    :param data_points: what the accepted objects cost.
    """

    requests: int = 0
    objects: int = 0
    accepted: int = 0
    refused: int = 0
    unmatched: int = 0
    created: int = 0
    data_points: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True)
class BrazeDay:
    """What :meth:`BrazeState.next_day` did. The ids are external ids."""

    day: int
    changed: tuple[str, ...] = field(repr=False)

    def counts(self) -> dict[str, int]:
        return {"day": self.day, "changed": len(self.changed)}


@dataclass(frozen=True)
class Outcome:
    """What became of one request's objects."""

    accepted: Mapping[Kind, int]
    errors: Sequence[Mapping[str, Any]]


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
        self._made = 0
        self._changes = 0
        self._day = 0
        self._by_braze_id: dict[str, User] = {}
        self._by_external_id: dict[str, User] = {}
        self._by_alias: dict[tuple[str, str], User] = {}
        self._by_email: dict[str, dict[str, User]] = {}
        self._by_phone: dict[str, dict[str, User]] = {}
        self._plant(people)

    def __len__(self) -> int:
        return len(self._by_braze_id)

    def users(self) -> Iterator[dict[str, Any]]:
        """Return every user as an export shows it, with ``subscription_groups`` (which exports leave out)."""
        with self._lock:
            users = list(self._by_braze_id.values())
        for user in users:
            with self._lock:
                shown = user.export()
                if user.groups:
                    shown["subscription_groups"] = dict(user.groups)
            yield shown

    def user(self, external_id: str) -> dict[str, Any] | None:
        """Return one user as an export shows it."""
        with self._lock:
            user = self._by_external_id.get(external_id)
            return None if user is None else user.export()

    def export(self, identifiers: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the user that an object's identifiers name, as an export shows it."""
        with self._lock:
            user = self.find(identifiers)
            return None if user is None else user.export()

    def external_ids(self) -> set[str]:
        with self._lock:
            return set(self._by_external_id)

    def members(self, segment: Segment) -> list[User]:
        """Return the users that are in a segment at this moment, in order of their creation."""
        with self._lock:
            return [user for user in self._by_braze_id.values() if segment.has(user.external_id, user.fields)]

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
            user = self._make(self._clock(), created_from="REST API")
            if external_id is not None:
                self._identify(user, external_id)
            for alias in aliases:
                self._alias(user, alias)
            self._apply(user, values)
            return user.braze_id

    def change(self, external_id: str, values: Mapping[str, Any]) -> None:
        """Change a user directly: no rule is applied to a value, nothing is counted or billed.

        :param values: standard fields, ``custom_attributes`` (an object with those to change), ``total_revenue``,
            and ``custom_events`` and ``purchases`` as exports show them. ``None`` removes a value.
        :raises ValueError: on another name, or a time that is none.
        """
        with self._lock:
            self._apply(self._by_external_id[external_id], values)

    def increase_revenue(self, external_id: str, amount: float) -> None:
        """Let a user spend money."""
        with self._lock:
            user = self._by_external_id[external_id]
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
            members = {user.external_id or "": user for user in self.members(_IMPORTED)}
            changeable = sorted(members.keys() - set(apart_from))
            chosen = draw.sample(changeable, _how_many(changed, len(changeable)))
            for external_id in chosen:
                self._apply(members[external_id], _new_values(members[external_id], draw))
            return BrazeDay(self._day, changed=tuple(chosen))

    def _apply(self, user: User, values: Mapping[str, Any]) -> None:
        counted = {name: kind for kind, name in _COUNTED.items()}
        unknown = values.keys() - STANDARD_FIELDS.keys() - counted.keys() - {"custom_attributes", "total_revenue"}
        if unknown:
            raise ValueError(f"a user has no {', '.join(sorted(unknown))}; put attributes into custom_attributes")
        self._changes += 1
        user.changed = self._changes
        for name, value in values.items():
            if name == "custom_attributes":
                for attribute, each in value.items():
                    self._set_attribute(user, attribute, each)
            elif name == "total_revenue":
                user.revenue = value
            elif name in counted:
                kept = {key: each for key, each in user.counts.items() if key[0] != counted[name]}
                new = {(counted[name], each["name"]): _read_counted(each) for each in value or ()}
                user.counts = kept | new
            else:
                self._set_field(user, name, value)

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
            user = self._by_external_id.pop(external_id)
            del self._by_braze_id[user.braze_id]
            for alias in user.aliases:
                del self._by_alias[alias]
            self._index(self._by_email, user, user.fields.get("email"), None)
            self._index(self._by_phone, user, user.fields.get("phone"), None)

    def find(self, identifiers: Mapping[str, Any]) -> User | None:
        """Look a user up by the identifiers of an object, in Braze's order of preference."""
        if isinstance(identifiers.get("external_id"), str):
            return self._by_external_id.get(identifiers["external_id"])
        if isinstance(identifiers.get("braze_id"), str):
            return self._by_braze_id.get(identifiers["braze_id"])
        if isinstance(identifiers.get("user_alias"), dict):
            alias = identifiers["user_alias"]
            return self._by_alias.get((alias.get("alias_name", ""), alias.get("alias_label", "")))
        if isinstance(identifiers.get("email"), str):
            return _preferred(self._by_email.get(identifiers["email"].lower(), {}))
        if isinstance(identifiers.get("phone"), str):
            return _preferred(self._by_phone.get(identifiers["phone"].lower(), {}), prefer_identified=False)
        return None

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
                    problem = (refuse and refuse(kind, index, item)) or self._take(kind, item)
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

    def _take(self, kind: Kind, item: Any) -> str | None:
        if not isinstance(item, dict):
            return f"each of '{kind}' must be an object"
        problem = self._identifier_problem(item)
        if problem is None:
            if kind == "attributes":
                problem = find_problem(item)
            elif kind == "events":
                problem = _event_problem(item)
            else:
                problem = _purchase_problem(item)
        if problem is not None:
            return problem
        user = self._find_or_create(item)
        if user is None:
            self.traffic.unmatched += 1
            if self._faults.braze.bill_unmatched:
                self.traffic.data_points += len(item.keys() - _UNFIELDED)
            return None
        self._changes += 1
        user.changed = self._changes
        if kind == "attributes":
            self._set(user, item)
        else:
            self._count(user, kind, item)
            self.traffic.data_points += 1
        return None

    def _count(self, user: User, kind: Kind, item: Mapping[str, Any]) -> None:
        now = self._clock()
        time = min(parse_time(item["time"]) or now, now)  # a time to come is now: docs "Event object"
        key = (kind, item["name"] if kind == "events" else item["product_id"])
        before = user.counts.get(key)
        if before is None:
            user.counts[key] = Counted(time, time, 1)
        else:
            user.counts[key] = Counted(min(before.first, time), max(before.last, time), before.count + 1)
        if kind == "purchases":  # without a look at the currency: how Braze converts is UNVERIFIED
            user.revenue = round((user.revenue or 0.0) + item["price"] * item.get("quantity", 1), 2)

    def _identifier_problem(self, item: Mapping[str, Any]) -> str | None:
        primary = [name for name in ("external_id", "user_alias", "braze_id") if item.get(name) is not None]
        if len(primary) > 1:
            return "You must specify only one of 'external_id', 'user_alias' or 'braze_id'"
        if not primary:
            if item.get("email") is not None or item.get("phone") is not None:
                return None if isinstance(item.get("email", ""), str) else "EMAIL_BAD_FORMAT"
            return "One of 'external_id', 'user_alias', 'braze_id', 'email' or 'phone' is required"
        if primary == ["user_alias"]:
            return _alias_problem(item["user_alias"])
        value = item[primary[0]]
        if not isinstance(value, str) or not value:
            return f"'{primary[0]}' must be a non-empty string"
        return self._external_id_problem(value) if primary == ["external_id"] else None

    def _external_id_problem(self, external_id: str) -> str | None:
        if len(external_id.encode()) > MAX_EXTERNAL_ID_BYTES:
            return "EXTERNAL_USER_ID_TOO_LARGE"
        if external_id in self._faults.braze.blocked_external_ids:
            return "provided external_id is blacklisted and disallowed"
        return None

    def _find_or_create(self, item: Mapping[str, Any]) -> User | None:
        user = self.find(item)
        if user is not None:
            return user
        # Update-only is the default with an alias, creation with everything else.
        # That braze_id never creates is UNVERIFIED for this endpoint: Braze assigns it.
        update_only = item.get("_update_existing_only", "user_alias" in item)
        if update_only or item.get("braze_id") is not None:
            return None
        user = self._make(self._clock(), created_from="REST API")
        self.traffic.created += 1
        if item.get("external_id") is not None:
            self._identify(user, item["external_id"])
        elif item.get("user_alias") is not None:
            self._alias(user, (item["user_alias"]["alias_name"], item["user_alias"]["alias_label"]))
        else:  # an email-only or phone-only profile: its address is the one attribute that is written
            name = "email" if item.get("email") is not None else "phone"
            self._set_field(user, name, item[name])
            self.traffic.data_points += 1
        return user

    def _make(self, created: datetime, *, created_from: str, is_seeded: bool = False) -> User:
        self._made += 1
        braze_id = f"{self._seed % 2**32:08x}{self._made:016x}"
        user = User(braze_id, created=created, created_from=created_from, is_seeded=is_seeded)
        self._by_braze_id[braze_id] = user
        return user

    def _identify(self, user: User, external_id: str) -> None:
        user.external_id = external_id
        self._by_external_id[external_id] = user

    def _alias(self, user: User, alias: tuple[str, str]) -> None:
        user.aliases[alias] = None
        self._by_alias[alias] = user

    def _set(self, user: User, item: Mapping[str, Any]) -> None:
        merge = item.get("_merge_objects") is True
        array_length = self._faults.braze.array_length
        points = 0
        for name, value in item.items():
            rule = STANDARD_FIELDS.get(name)
            if rule is not None:
                if name in BILLED and not self._is_identifier_here(item, name, user, value):
                    points += 1
                self._set_field(user, name, None if value is None else rule(value))
            elif name not in _UNFIELDED:
                points += self.attributes.write(user.custom, name, value, merge=merge, array_length=array_length)
        for group in item.get("subscription_groups", ()):
            self._subscribe(user, group["subscription_group_id"], group["subscription_state"])
        self.traffic.data_points += points

    @staticmethod
    def _is_identifier_here(item: Mapping[str, Any], name: str, user: User, value: Any) -> bool:
        """Tell whether an e-mail address or number only served to find the user, so that nothing was written."""
        if name not in {"email", "phone"} or any(item.get(each) is not None for each in IDENTIFIERS):
            return False
        if name == "phone" and item.get("email") is not None:
            return False
        return str(user.fields.get(name, "")).lower() == str(value).lower()

    def _set_field(self, user: User, name: str, value: Any) -> None:
        if value is NOT_STORED:
            return
        if name in {"email", "phone"}:
            index = self._by_email if name == "email" else self._by_phone
            self._index(index, user, user.fields.get(name), value)
        if value is None:
            user.fields.pop(name, None)
        else:
            user.fields[name] = value

    @staticmethod
    def _index(index: dict[str, dict[str, User]], user: User, old: str | None, new: str | None) -> None:
        if old is not None:
            same = index.get(old.lower(), {})
            same.pop(user.braze_id, None)
            if not same:
                index.pop(old.lower(), None)
        if new is not None:
            index.setdefault(new.lower(), {})[user.braze_id] = user

    def _subscribe(self, user: User, group_id: str, state: str) -> None:
        """Set a subscription state, which spreads to everybody with the same e-mail address."""
        email = user.fields.get("email")
        sharing = self._by_email.get(email.lower(), {}).values() if email else ()
        for each in {user.braze_id: user, **{other.braze_id: other for other in sharing}}.values():
            each.groups[group_id] = state

    def _plant(self, people: Sequence[Person]) -> None:
        for name, kind in SEEDED_ATTRIBUTES:
            self.attributes.fix(name, kind)
        shared = None
        for person in people:
            if (
                not person.crm_ids
                or person.number % _UNKNOWN_TO_BRAZE == 8
                or person.crm_ids[0] in self._by_external_id
            ):
                continue
            user = self._plant_user(person.crm_ids[0], created=person.created)
            email = shared if shared and person.number % _SHARED_EMAIL == 2 else person.email
            shared = person.email if seed_email(person.email) else None
            self._set_field(user, "email", seed_email(email))
            for name, value in seed_fields(person).items():
                self._set_field(user, name, value)
            user.custom = seed_attributes(person)
            user.counts = {(kind, name): counted for kind, name, counted in seed_counts(person)}
            user.revenue = seed_revenue(person)
            if person.number % _ALIASED == 1:
                self._alias(user, (f"alias-{person.number:07d}", "crm"))
        for number in range(len(people) // _STRANGERS):
            user = self._plant_user(f"app-only-{number:06d}", created=REFERENCE - timedelta(days=number % 300))
            self._set_field(user, "email", f"app.only.{number}@example.net")
        for number in range(len(people) // _ALIAS_ONLY):
            user = self._make(REFERENCE - timedelta(days=number % 90), created_from="SDK", is_seeded=True)
            self._alias(user, (f"visitor-{number:06d}", "web"))

    def _plant_user(self, external_id: str, *, created: datetime) -> User:
        user = self._make(created, created_from="SDK" if self._made % 4 else "CSV import", is_seeded=True)
        self._identify(user, external_id)
        return user


def _how_many(wanted: float, members: int) -> int:
    if isinstance(wanted, float):
        wanted = max(round(wanted * members), 1) if wanted else 0
    return min(int(wanted), members)


def _new_values(user: User, draw: random.Random) -> dict[str, Any]:
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


def _read_counted(shown: Mapping[str, Any]) -> Counted:
    first, last = parse_time(shown["first"]), parse_time(shown["last"])
    if first is None or last is None:
        raise ValueError("first and last must be ISO 8601 times")
    return Counted(first, last, shown["count"])


def _preferred(found: Mapping[str, User], *, prefer_identified: bool = True) -> User | None:
    """Choose among users with one address: an external id first, then the latest change."""
    return max(
        found.values(),
        key=lambda user: (prefer_identified and user.external_id is not None, user.changed),
        default=None,
    )


def _alias_problem(alias: Any) -> str | None:
    names = ("alias_name", "alias_label")
    good = isinstance(alias, dict) and all(isinstance(alias.get(each), str) and alias[each] for each in names)
    return None if good else "'user_alias' must have 'alias_name' and 'alias_label'"


def _event_problem(item: Mapping[str, Any]) -> str | None:
    if not isinstance(item.get("name"), str) or not item["name"]:
        return "'name' is required"
    return _time_problem(item)


def _time_problem(item: Mapping[str, Any]) -> str | None:
    if not isinstance(item.get("time"), str) or parse_time(item["time"]) is None:
        return "'time' must be an ISO 8601 time"
    return None


def _purchase_problem(item: Mapping[str, Any]) -> str | None:
    if not isinstance(item.get("product_id"), str) or not 0 < len(item["product_id"]) <= 255:
        return "'product_id' is required"
    currency = item.get("currency")
    if not isinstance(currency, str) or len(currency) != 3 or not currency.isalpha():
        return "'currency' must be an ISO 4217 code"
    if not isinstance(item.get("price"), (int, float)) or isinstance(item["price"], bool):
        return "'price' must be a number"
    quantity = item.get("quantity", 1)
    if not isinstance(quantity, int) or not 1 <= quantity <= MAX_QUANTITY:
        return f"'quantity' must be between 1 and {MAX_QUANTITY}"
    return _time_problem(item)
