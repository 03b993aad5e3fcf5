"""The profiles of the sandbox's BlueConic, and how they change."""

from __future__ import annotations

import bisect
import random
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow_provider_braze_blueconic.sandbox.blueconic.days import DaySummary, how_many, new_values
from airflow_provider_braze_blueconic.sandbox.blueconic.dialogues import DIALOGUES, describe_dialogue
from airflow_provider_braze_blueconic.sandbox.blueconic.matches import Matches
from airflow_provider_braze_blueconic.sandbox.blueconic.objectives import OBJECTIVES, describe_objective
from airflow_provider_braze_blueconic.sandbox.blueconic.profile import Profile, show
from airflow_provider_braze_blueconic.sandbox.blueconic.properties import save_property, seed_properties
from airflow_provider_braze_blueconic.sandbox.blueconic.property_values import merge_values
from airflow_provider_braze_blueconic.sandbox.blueconic.refinement import Refinement
from airflow_provider_braze_blueconic.sandbox.blueconic.seeding import make_profile, segments_of
from airflow_provider_braze_blueconic.sandbox.blueconic.segments import (
    VIP_SEGMENT,
    Segment,
    describe_segment,
    seed_segments,
)
from airflow_provider_braze_blueconic.sandbox.blueconic.traffic import BulkTraffic
from airflow_provider_braze_blueconic.sandbox.blueconic.value_index import ValueIndex
from airflow_provider_braze_blueconic.sandbox.in_force import Faults
from airflow_provider_braze_blueconic.sandbox.people import Person

__all__ = ["BlueConicState"]


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
        self._values = ValueIndex(self.profiles)
        self._heirs: dict[str, str] = {}
        self._seed = seed
        self._faults = faults
        self._version = 0
        self._matches = Matches(self.profiles)
        draw = random.Random(f"profiles:{seed}")
        for person in people:
            profile = make_profile(person, draw)
            self.profiles[profile.id] = profile
            self._heirs.update(dict.fromkeys(profile.replaces, profile.id))
            for segment_id in segments_of(person, is_vip=person.number < vip):
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
                self._values.put(profile, name, texts)
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
                self._values.put(profile, name, texts)
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
                self._values.put(heir, name, texts)
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
                self._values.put(profile, name, ())
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
            leavers = draw.sample(members, how_many(left, len(members), most=len(members)))
            comers = draw.sample(outside, how_many(entered, len(members), most=len(outside)))
            gone = set(leavers)
            staying = [profile_id for profile_id in members if profile_id not in gone]
            changing = draw.sample(staying, how_many(changed, len(members), most=len(staying)))
            for profile_id in changing:
                self.change(profile_id, new_values(self.profiles[profile_id], draw, day=self.day))
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
            ids = self._matches.of(
                segment_id,
                self.segments[segment_id].members,
                refinement,
                version=self._version,
                now=self.clock(),
                lag_ms=self._faults.blueconic.index_lag_s * 1000,
            )[:most]
            start = bisect.bisect_right(ids, after) if after else 0
            page = [self.profiles[profile_id] for profile_id in ids[start : start + count]]
            return page, len(ids), start + count < len(ids)

    def render(self, profile: Profile, *, only: Sequence[str] | None, expand: frozenset[str]) -> dict[str, Any]:
        """Return a profile as the API shows it: see :func:`~.profile.show`."""
        with self.lock:
            return show(profile, only=only, expand=expand, segments=self.segments)

    def sharing(self, property_id: str) -> dict[str, set[str]]:
        """Return the values of a property that several profiles hold → ids of these profiles."""
        with self.lock:
            return self._values.sharing(property_id)

    def look_up(self, property_id: str, value: str) -> set[str]:
        """Return the ids of the profiles that hold a value of a property, compared letter by letter (UNVERIFIED)."""
        with self.lock:
            return self._values.look_up(property_id, value)

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
