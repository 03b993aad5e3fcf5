"""BlueConic's side of the sandbox: the profiles of a tenant and how they change."""

from __future__ import annotations

import bisect
import random
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from .definitions import (
    ALL_SEGMENT,
    DIALOGUES,
    NEWSLETTER_SEGMENT,
    OBJECTIVES,
    VIP_SEGMENT,
    Segment,
    describe_dialogue,
    describe_objective,
    describe_segment,
    save_property,
    seed_properties,
    seed_segments,
    stamp,
)
from .faults import Faults
from .people import REFERENCE, Person
from .property_values import merge_values
from .refinement import Refinement

__all__ = ["BlueConicState", "BulkTraffic", "DaySummary", "Profile", "segments_by_rule"]

_CACHED_MATCHES = 8


def _milliseconds(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))


@dataclass(slots=True)
class Profile:
    """One profile: every value is a text in a list, and a property without a value is absent.

    :param modified: last change in Unix milliseconds.
    :param modified_before: the change before that, which is what the index still knows during its lag.
    """

    id: str
    values: dict[str, list[str]]
    created: datetime
    modified: int
    modified_before: int
    level: str
    legislation: str
    consented: list[str]
    refused: list[str]
    replaces: list[str] = field(default_factory=list)
    segments: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class DaySummary:
    """What :meth:`BlueConicState.next_day` did. The ids are profile ids."""

    day: int
    changed: tuple[str, ...] = field(repr=False)
    entered: tuple[str, ...] = field(repr=False)
    left: tuple[str, ...] = field(repr=False)

    def counts(self) -> dict[str, int]:
        return {
            "day": self.day,
            "changed": len(self.changed),
            "entered": len(self.entered),
            "left": len(self.left),
        }


@dataclass
class BulkTraffic:
    """What bulk writes have been sent and what became of them.

    :param requests: requests that reached the reading of their entries.
    :param entries: entries that were processed.
    :param states: how often each state was the result.
    :param triggers: entries that set off the tenant's triggers (such as webhooks): they changed a profile and had
        not switched ``triggerOnPropertyChange`` off.
    :param invalid_properties: rules that were left out for what they would have stored.
    """

    requests: int = 0
    entries: int = 0
    states: Counter[str] = field(default_factory=Counter)
    triggers: int = 0
    invalid_properties: int = 0

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "states": dict(self.states)}


class BlueConicState:
    """A tenant's profiles, segments, properties, objectives and dialogues. Safe to use from several threads.

    Values change through its methods only: they keep the indexes of unique identifiers.

    :param people: the first *vip* of them are the members of "VIP customers".
    :param faults: its ``blueconic`` settings are read at each call.
    :param clock: stamps changes (never the seed data); aware UTC.
    """

    def __init__(
        self,
        people: Sequence[Person],
        *,
        vip: int,
        seed: int,
        faults: Faults,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.day = 0
        self.profiles: dict[str, Profile] = {}
        self.properties: dict[str, dict[str, Any]] = {each["id"]: each for each in seed_properties()}
        self.segments: dict[str, Segment] = {each.id: each for each in seed_segments()}
        self.bulk = BulkTraffic()
        self._indexes: dict[str, defaultdict[str, set[str]]] = {}
        self._heirs: dict[str, str] = {}
        self._seed = seed
        self._faults = faults
        self._version = 0
        self._matches: dict[tuple[str, str, int, float], list[str]] = {}
        draw = random.Random(f"profiles:{seed}")
        for person in people:
            profile = _make_profile(person, draw)
            self.profiles[profile.id] = profile
            self._heirs.update(dict.fromkeys(profile.replaces, profile.id))
            for segment_id in _segments_of(person, is_vip=person.number < vip):
                self._join(profile, segment_id)

    # What tests and next_day change

    def change(
        self,
        profile_id: str,
        values: Mapping[str, Sequence[str]],
        *,
        legislation: str | None = None,
        consented: Sequence[str] | None = None,
        refused: Sequence[str] | None = None,
    ) -> None:
        """Set properties of a profile (an empty list removes one) and move its last modified date.

        :param legislation: the zone it lives in from now on; ``None`` leaves it, as with the two below.
        :param consented: the objectives that it consented to, all of them.
        :param refused: the same for those that it refused.
        """
        with self.lock:
            profile = self.profiles[profile_id]
            for name, texts in values.items():
                self._put(profile, name, texts)
            profile.legislation = profile.legislation if legislation is None else legislation
            profile.consented = profile.consented if consented is None else list(consented)
            profile.refused = profile.refused if refused is None else list(refused)
            self._touch(profile)

    def add(
        self,
        values: Mapping[str, Sequence[str]],
        *,
        segments: Iterable[str] = (),
        id: str | None = None,  # noqa: A002
        level: str = "PERSONAL",
        legislation: str = "GDPR",
        consented: Sequence[str] = (),
        refused: Sequence[str] = (),
    ) -> str:
        """Create a profile and return its id."""
        now = self.clock()
        stamp = int(now.timestamp() * 1000)
        profile = Profile(
            id=id or str(uuid.uuid4()),
            values={},
            created=now,
            modified=stamp,
            modified_before=0,
            level=level,
            legislation=legislation,
            consented=list(consented),
            refused=list(refused),
        )
        with self.lock:
            self.profiles[profile.id] = profile
            for name, texts in values.items():
                self._put(profile, name, texts)
            for segment_id in segments:
                self._join(profile, segment_id)
            self._version += 1
        return profile.id

    def merge(self, profile_id: str, heir_id: str) -> None:
        """Merge a profile away: another one inherits its values by each property's merge strategy, and its segments.

        Afterwards the id leads to the heir, who is the one that was modified last. How BlueConic merges consent is
        UNVERIFIED; here the heir keeps its own.
        """
        with self.lock:
            gone, heir = self.profiles[profile_id], self.profiles[heir_id]
            merged = {
                name: merge_values(self.properties[name]["mergeStrategy"], heir.values.get(name, []), texts)
                for name, texts in gone.values.items()
                if name in self.properties
            }
            segments, inherited = set(gone.segments), [*gone.replaces, gone.id]
            self.delete(gone.id)
            for name, texts in merged.items():
                self._put(heir, name, texts)
            for segment_id in segments:
                self._join(heir, segment_id)
            heir.replaces += inherited
            self._heirs.update(dict.fromkeys(inherited, heir.id))
            self._touch(heir)

    def delete(self, profile_id: str) -> None:
        """Remove a profile from the tenant."""
        with self.lock:
            profile = self.profiles.pop(profile_id)
            for name in list(profile.values):
                self._put(profile, name, ())
            for segment_id in profile.segments:
                self.segments[segment_id].members.discard(profile_id)
            self._version += 1

    def enter(self, profile_id: str, segment_id: str, *, touch: bool = True) -> None:
        """Put a profile into a segment; ``touch=False`` is an entry by the passing of time alone."""
        with self.lock:
            self._join(self.profiles[profile_id], segment_id)
            self._moved(profile_id, touch=touch)

    def leave(self, profile_id: str, segment_id: str, *, touch: bool = True) -> None:
        """Take a profile out of a segment; ``touch=False`` leaves its last modified date alone."""
        with self.lock:
            self.profiles[profile_id].segments.discard(segment_id)
            self.segments[segment_id].members.discard(profile_id)
            self._moved(profile_id, touch=touch)

    def next_day(
        self, *, changed: float = 0.01, entered: float = 0.002, left: float = 0.002, apart_from: Collection[str] = ()
    ) -> DaySummary:
        """Let a day of customers' lives pass: some change, some enter "VIP customers", some leave it.

        Who and what is decided by the seed and the number of the day; the last modified date is the clock's.

        :param changed: whole numbers count people, fractions are shares of the segment (at least one person unless 0).
            A change touches one or two properties, also such as a goal would not map.
        :param apart_from: ids of profiles to which nothing happens.
        """
        with self.lock:
            self.day += 1
            draw = random.Random(f"{self._seed}:day:{self.day}")
            members = sorted(self.segments[VIP_SEGMENT].members.difference(apart_from))
            outside = sorted(self.profiles.keys() - self.segments[VIP_SEGMENT].members.union(apart_from))
            leavers = draw.sample(members, _people(left, len(members), most=len(members)))
            comers = draw.sample(outside, _people(entered, len(members), most=len(outside)))
            gone = set(leavers)
            staying = [profile_id for profile_id in members if profile_id not in gone]
            changing = draw.sample(staying, _people(changed, len(members), most=len(staying)))
            for profile_id in changing:
                self.change(profile_id, _new_values(self.profiles[profile_id], draw, day=self.day))
            for profile_id in comers:
                self.enter(profile_id, VIP_SEGMENT)
            for profile_id in leavers:
                self.leave(profile_id, VIP_SEGMENT)
            return DaySummary(self.day, changed=tuple(changing), entered=tuple(comers), left=tuple(leavers))

    # What the API reads

    def page(
        self, segment_id: str, *, refinement: Refinement | None, after: str, count: int, most: int | None = None
    ) -> tuple[list[Profile], int, bool]:
        """Return the members after a profile id in order of id, the number of all hits, and whether more follow.

        :param most: ``maxHitsAllowed``: hits beyond it do not exist for the caller.
        """
        with self.lock:
            ids = self._matching(segment_id, refinement)[:most]
            start = bisect.bisect_right(ids, after) if after else 0
            page = [self.profiles[profile_id] for profile_id in ids[start : start + count]]
            return page, len(ids), start + count < len(ids)

    def render(self, profile: Profile, *, only: Sequence[str] | None, expand: frozenset[str]) -> dict[str, Any]:
        """Return a profile as the API shows it.

        :param only: ids of the properties to show; ``None`` for all. Unknown ids are ignored.
        :param expand: of ``permissions``, ``segments``, ``replace``.
        """
        with self.lock:
            values = self._all_values(profile)
            names = values if only is None else dict.fromkeys(name for name in only if name in values)
            shown: dict[str, Any] = {
                "id": profile.id,
                "creationDate": stamp(profile.created),
                "privacyLegislation": profile.legislation,
                "consentedObjectives": list(profile.consented),
                "refusedObjectives": list(profile.refused),
            }
            if "permissions" in expand:
                shown["permissions"] = {"level": profile.level}
            shown["properties"] = [{"id": name, "values": list(values[name])} for name in names]
            if "segments" in expand:
                shown["segments"] = [
                    {"id": segment_id, "name": self.segments[segment_id].name}
                    for segment_id in sorted(profile.segments)
                ]
            if "replace" in expand and profile.replaces:
                shown["replaces"] = list(profile.replaces)
            return shown

    def sharing(self, property_id: str) -> dict[str, set[str]]:
        """Return the values of a property that several profiles hold → ids of these profiles."""
        holders: defaultdict[str, set[str]] = defaultdict(set)
        with self.lock:
            for profile in self.profiles.values():
                for value in profile.values.get(property_id, ()):
                    holders[value.strip()].add(profile.id)
        return {value: ids for value, ids in holders.items() if len(ids) > 1}

    def look_up(self, property_id: str, value: str) -> set[str]:
        """Return the ids of the profiles that hold a value of a property, compared letter by letter (UNVERIFIED)."""
        with self.lock:
            index = self._indexes.get(property_id)
            if index is None:
                index = self._indexes[property_id] = defaultdict(set)
                for profile in self.profiles.values():
                    for text in profile.values.get(property_id, ()):
                        index[text].add(profile.id)
            return set(index.get(value, ()))

    def find(self, profile_id: str) -> Profile | None:
        """Return a profile by its id, or by the id of a profile that was merged into it."""
        with self.lock:
            found = self.profiles.get(profile_id)
            while found is None and profile_id in self._heirs:
                profile_id = self._heirs[profile_id]
                found = self.profiles.get(profile_id)
            return found

    def describe_segments(self) -> list[dict[str, Any]]:
        with self.lock:
            return [describe_segment(segment) for segment in self.segments.values()]

    def describe_properties(self) -> list[dict[str, Any]]:
        with self.lock:
            return [dict(each) for each in self.properties.values()]

    def describe_objectives(self) -> list[dict[str, Any]]:
        with self.lock:
            return [
                describe_objective(
                    *each,
                    consented=sum(each[0] in profile.consented for profile in self.profiles.values()),
                    refused=sum(each[0] in profile.refused for profile in self.profiles.values()),
                    total=len(self.profiles),
                )
                for each in OBJECTIVES
            ]

    def describe_dialogues(self) -> list[dict[str, Any]]:
        return [describe_dialogue(*each) for each in DIALOGUES]

    def save_property(self, property_id: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Create or update a property.

        :raises ValueError: when BlueConic would answer 400.
        """
        with self.lock:
            saved = save_property(self.properties.get(property_id), property_id, document, now=self.clock())
            self.properties[property_id] = saved
            return dict(saved)

    def counts(self) -> dict[str, Any]:
        """Return the size of everything, for ``GET /sandbox/state``."""
        with self.lock:
            return {
                "day": self.day,
                "profiles": len(self.profiles),
                "segments": {segment.id: len(segment.members) for segment in self.segments.values()},
            }

    def _put(self, profile: Profile, name: str, texts: Sequence[str]) -> None:
        index = self._indexes.get(name)
        if index is not None:
            for text in profile.values.get(name, ()):
                index[text].discard(profile.id)
            for text in texts:
                index[text].add(profile.id)
        if texts:
            profile.values[name] = list(texts)
        else:
            profile.values.pop(name, None)

    def _join(self, profile: Profile, segment_id: str) -> None:
        profile.segments.add(segment_id)
        self.segments[segment_id].members.add(profile.id)

    def _moved(self, profile_id: str, *, touch: bool) -> None:
        if touch:
            self._touch(self.profiles[profile_id])
        else:
            self._version += 1

    def _touch(self, profile: Profile) -> None:
        profile.modified_before = profile.modified
        profile.modified = int(self.clock().timestamp() * 1000)
        self._version += 1

    def _all_values(self, profile: Profile) -> dict[str, list[str]]:
        return {
            **profile.values,
            "creationdate": [_milliseconds(profile.created)],
            "lastmodifieddate": [str(profile.modified)],
        }

    def _matching(self, segment_id: str, refinement: Refinement | None) -> list[str]:
        lag_ms = self._faults.blueconic.index_lag_s * 1000
        now = self.clock()
        key = (segment_id, "" if refinement is None else refinement.text, self._version, lag_ms)
        moves = refinement is not None and (lag_ms > 0 or refinement.depends_on_now)
        if not moves and key in self._matches:
            return self._matches[key]
        ids = sorted(self.segments[segment_id].members)
        if refinement is not None:
            ids = [
                profile_id
                for profile_id in ids
                if self._is_refined(self.profiles[profile_id], refinement, now=now, lag_ms=lag_ms)
            ]
        while len(self._matches) >= _CACHED_MATCHES:
            self._matches.pop(next(iter(self._matches)))
        if not moves:
            self._matches[key] = ids
        return ids

    def _is_refined(self, profile: Profile, refinement: Refinement, *, now: datetime, lag_ms: float) -> bool:
        modified = profile.modified
        if lag_ms and now.timestamp() * 1000 - modified < lag_ms:
            modified = profile.modified_before

        def look_up(name: str) -> Sequence[str]:
            if name == "lastmodifieddate":
                return [str(modified)]
            if name == "creationdate":
                return [_milliseconds(profile.created)]
            return profile.values.get(name, ())

        return refinement.holds(
            look_up, consented=profile.consented, refused=profile.refused, legislation=profile.legislation, now=now
        )


def _people(wanted: float, size: int, *, most: int) -> int:
    if isinstance(wanted, int):
        return min(wanted, most)
    return min(max(1, round(wanted * size)) if wanted and size else 0, most)


def _segments_of(person: Person, *, is_vip: bool) -> list[str]:
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


def segments_by_rule(profile: Profile) -> set[str]:
    """Return those segments that a profile's own data puts it into; the others are put together by hand."""
    rules = {
        NEWSLETTER_SEGMENT: "newsletter" in profile.consented,
        "seg-known": "email" in profile.values,
        "seg-dutch": profile.values.get("language", []) == ["nl"],
    }
    return {segment_id for segment_id, holds in rules.items() if holds}


def _is_linked(person: Person) -> bool:
    """Tell whether the profile knows already whom Braze means: about 70 % do, and no two of them the same user."""
    return person.number % 10 < 7 and person.number % 90 != 13  # the latter are second profiles of one person


def _make_profile(person: Person, draw: random.Random) -> Profile:
    values = {
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
        "birthdate": [_milliseconds(person.birth) if person.birth else ""],
        "last_purchase": [_milliseconds(person.last_purchase) if person.last_purchase else ""],
        "newsletter": [person.newsletter],
        "email_consent_state": [person.email_state],
        "address": [person.address],
        "bio": [person.bio],
        "customer_number": [person.customer_number],
        "visits": [str(person.visits)],
        "interactions_viewed": draw.sample(_VARIANTS, draw.randrange(0, 4)),
        "lastvisitdate": [_milliseconds(person.visited)],
        "domaingroup": ["DEFAULT"],
    }
    stamp = int(person.modified.timestamp() * 1000)
    return Profile(
        id=person.id,
        values={name: texts for name, texts in values.items() if texts and texts[0]},
        created=person.created,
        modified=stamp,
        modified_before=stamp,
        level=person.level,
        legislation=person.legislation,
        consented=list(person.consented),
        refused=list(person.refused),
        replaces=[f"merged-{person.id}"] if person.number % 120 == 17 else [],
    )


_VARIANTS = [variant for _, _, variants in DIALOGUES for variant in variants]


def _new_values(profile: Profile, draw: random.Random, *, day: int) -> dict[str, list[str]]:
    """Choose one or two properties of a profile and their next values."""
    values: dict[str, list[str]] = {}
    for name in draw.sample(_CHANGEABLE, draw.randrange(1, 3)):
        values[name] = _new_value(name, profile.values.get(name, []), draw, day=day)
    return values


_CHANGEABLE = ("points", "interests", "city", "last_purchase", "bio", "visits", "firstname", "revenue")


def _new_value(name: str, old: Sequence[str], draw: random.Random, *, day: int) -> list[str]:
    match name:
        case "points" | "visits":
            value = str(int(old[0] if old else 0) + draw.randrange(1, 500))
        case "revenue":
            value = f"{float(old[0] if old else 0) + draw.randrange(1, 20_000) / 100:.2f}"
        case "last_purchase":
            value = _milliseconds(REFERENCE + timedelta(days=day, seconds=draw.randrange(86_400)))
        case "firstname":
            value = f"{old[0].split('-')[0] if old else 'Kim'}-{draw.choice(('Jo', 'Lee', 'Max', 'Noa'))}{day}"
        case "interests":
            fresh = f"interest-{day}-{draw.randrange(50)}"
            return [] if old and draw.random() < 0.1 else [*old[-3:], fresh]
        case _:
            value = f"{name} of day {day}, {draw.randrange(1000)}"
    return [value]
