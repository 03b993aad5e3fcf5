"""BlueConic's bulk write: what ``PUT /profiles`` does with each of its entries.

From the definition, read 2026-11. It gives the states but not in which order the reasons are looked at when several
apply; here it is skipped, not found, restriction, consent, rights (UNVERIFIED).
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from .bulk_entries import Entry, Rule, read_entries
from .definitions import (
    ALL_SEGMENT,
    NO_LEGISLATION,
    OBJECTIVES,
    PRIVACY_LEGISLATIONS,
    has_consent,
    is_system_property,
)
from .faults import BlueConicSettings, Fault
from .profiles import BlueConicState, Profile, segments_by_rule
from .property_values import SUM_STRATEGIES, VALUE_STRATEGIES, next_values

__all__ = ["BulkAnswer", "write_profiles"]

_SPECIAL = ("privacy_legislation", "consented_objectives", "refused_objectives")


@dataclass(frozen=True)
class BulkAnswer:
    """What is answered.

    :param results: as the API shows them.
    :param too_many: there were more entries than are processed, so the answer is 413.
    """

    results: Sequence[Mapping[str, Any]] = field(repr=False)
    too_many: bool


def write_profiles(
    state: BlueConicState,
    document: Any,
    *,
    objectives: Collection[str],
    settings: BlueConicSettings,
    at_most: int | None = None,
    fault: Fault | None = None,
) -> BulkAnswer:
    """Apply the entries of one request, in their order.

    :param document: the JSON of the body.
    :param objectives: ids of the query parameter ``objectiveIds``; empty for no check of consent.
    :param at_most: a fault: only so many entries are applied before the connection breaks.
    :param fault: one of the kind ``entry_state``.
    :raises RequestRefused: when the answer is 400; nothing is applied then.
    """
    sums = SUM_STRATEGIES if settings.sum_strategy == "both" else (settings.sum_strategy,)
    too_many = isinstance(document, list) and len(document) > settings.bulk_entries
    with state.lock:
        state.bulk.requests += 1
        entries = read_entries(
            document[: settings.bulk_entries] if too_many else document,
            unique={each["id"] for each in state.properties.values() if each["indexed"]},
            strategies=(*VALUE_STRATEGIES, *(SUM_STRATEGIES if settings.unknown_sum == "ignored" else sums)),
        )
        writer = _Writer(state, objectives, settings, sums)
        results: list[dict[str, Any]] = []
        for position, entry in enumerate(entries[:at_most]):
            instead = _state_instead(fault, entry, position, len(entries))
            written = writer.write(entry) if instead is None else [writer.pass_over(entry, instead)]
            if not entry.names() & set(settings.unanswered):
                results += written
        if settings.shuffle_results:
            results = _shuffle(results, seed=state.bulk.requests)
    return BulkAnswer(results, too_many=too_many)


def _state_instead(fault: Fault | None, entry: Entry, position: int, entries: int) -> str | None:
    """Return the state with which a fault answers an entry: evenly spread ones, and those that it means by name."""
    if fault is None:
        return None
    chosen = round(entries * fault.entry_share)
    is_chosen = (position + 1) * chosen // entries > position * chosen // entries
    return fault.state if is_chosen or entry.names() & set(fault.identifiers) else None


def _shuffle(results: list[dict[str, Any]], *, seed: int) -> list[dict[str, Any]]:
    shuffled = random.Random(f"results:{seed}").sample(results, len(results))
    return shuffled if shuffled != results else shuffled[::-1]


@dataclass
class _Draft:
    """A profile as it will be when the rules of an entry have been followed."""

    values: dict[str, list[str]]
    legislation: str
    consented: list[str]
    refused: list[str]
    faults: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, profile: Profile) -> _Draft:
        return cls(
            values=dict(profile.values),
            legislation=profile.legislation,
            consented=list(profile.consented),
            refused=list(profile.refused),
        )

    def is_as(self, profile: Profile) -> bool:
        return (self.values, self.legislation, self.consented, self.refused) == (
            profile.values,
            profile.legislation,
            profile.consented,
            profile.refused,
        )


class _Writer:
    """Applies entries one by one; the caller holds the tenant's lock."""

    def __init__(
        self, state: BlueConicState, objectives: Collection[str], settings: BlueConicSettings, sums: Collection[str]
    ) -> None:
        self._state = state
        self._objectives = objectives
        self._settings = settings
        self._sums = sums

    def pass_over(self, entry: Entry, state: str) -> dict[str, Any]:
        """Answer an entry with a state, and do nothing with it."""
        self._state.bulk.entries += 1
        self._state.bulk.states[state] += 1
        return _result(entry, state, profile_id=entry.profile_id)

    def write(self, entry: Entry) -> list[dict[str, Any]]:
        """Apply an entry and return its result; several of them when it means several profiles."""
        traffic = self._state.bulk
        traffic.entries += 1
        if entry.names() & set(self._settings.skipped):
            results = [_result(entry, "SKIPPED", profile_id=entry.profile_id)]
        elif found := self._find(entry):
            results = [self._write_known(entry, profile) for profile in found]
        elif entry.strategy == "UPSERT":
            results = [self._create(entry)]
        else:
            results = [_result(entry, "NOTFOUND", profile_id=entry.profile_id)]
        for result in results:
            traffic.states[result["state"]] += 1
            traffic.triggers += entry.trigger and result["state"] in {"CREATED", "MODIFIED"}
            traffic.invalid_properties += len(result.get("validationErrors", ()))
        return results

    def _find(self, entry: Entry) -> list[Profile]:
        if entry.profile_id is not None:
            # A merged-away id leads to its heir, except that nothing is deleted by it: UNVERIFIED, and can't be undone.
            profiles = self._state.profiles
            found = profiles.get(entry.profile_id) if entry.strategy == "DELETE" else self._state.find(entry.profile_id)
            return [] if found is None else [found]
        ids: set[str] = set()
        for criteria in entry.matching:
            ids |= set.intersection(*(self._state.look_up(each.property_id, each.value) for each in criteria))
        profiles_found = [self._state.profiles[profile_id] for profile_id in sorted(ids)]
        in_group = [each for each in profiles_found if _domain_group(each) == entry.domain_group]
        return in_group if self._settings.several_matches == "all" else in_group[:1]

    def _write_known(self, entry: Entry, profile: Profile) -> dict[str, Any]:
        if entry.segment is not None and entry.segment not in profile.segments:
            return _result(entry, "RESTRICTION_MISMATCH", profile_id=profile.id)
        if entry.strategy == "DELETE":
            self._state.delete(profile.id)
            return _result(entry, "DELETED", profile_id=profile.id)
        rules = [rule for rule in entry.rules if rule.restriction != "NEW_PROFILES_ONLY"]
        draft = _Draft.of(profile)
        if not self._has_consent(rules, draft):
            return _result(entry, "CONSENT_MISMATCH", profile_id=profile.id)
        if not self._may_write(rules):
            return _result(entry, "UNAUTHORIZED", profile_id=profile.id)
        self._follow(rules, draft)
        if draft.is_as(profile):
            return _result(entry, "UNCHANGED", profile_id=profile.id, faults=draft.faults)
        before = segments_by_rule(profile)
        changed = {name for name in draft.values.keys() | profile.values if self._differs(name, draft, profile)}
        self._state.change(
            profile.id,
            {name: draft.values.get(name, []) for name in changed},
            legislation=draft.legislation,
            consented=draft.consented,
            refused=draft.refused,
        )
        after = segments_by_rule(profile)
        for segment_id in after - before:
            self._state.enter(profile.id, segment_id, touch=False)
        for segment_id in before - after:
            self._state.leave(profile.id, segment_id, touch=False)
        return _result(entry, "MODIFIED", profile_id=profile.id, faults=draft.faults)

    def _create(self, entry: Entry) -> dict[str, Any]:
        if entry.segment is not None:  # who does not exist is a member of nothing
            return _result(entry, "RESTRICTION_MISMATCH", profile_id=entry.profile_id)
        rules = [rule for rule in entry.rules if rule.restriction != "EXISTING_PROFILES_ONLY"]
        draft = _Draft(values={}, legislation=entry.legislation or NO_LEGISLATION, consented=[], refused=[])
        if not self._has_consent(rules, draft):
            return _result(entry, "CONSENT_MISMATCH", profile_id=entry.profile_id)
        if not self._may_write(rules):
            return _result(entry, "UNAUTHORIZED", profile_id=entry.profile_id)
        if self._settings.stores_matching and entry.matching:
            draft.values.update({each.property_id: [each.value] for each in entry.matching[0]})
        self._follow(rules, draft)
        draft.values["domaingroup"] = [entry.domain_group]
        profile_id = self._state.add(
            draft.values,
            segments=[ALL_SEGMENT],
            id=entry.profile_id,  # that an id may be chosen is UNVERIFIED
            level=entry.level,
            legislation=draft.legislation,
            consented=draft.consented,
            refused=draft.refused,
        )
        for segment_id in segments_by_rule(self._state.profiles[profile_id]):
            self._state.enter(profile_id, segment_id, touch=False)
        return _result(entry, "CREATED", profile_id=profile_id, faults=draft.faults)

    def _has_consent(self, rules: Sequence[Rule], draft: _Draft) -> bool:
        """Tell whether the profile, with what the entry itself says of consent, agreed to one of the objectives."""
        if not self._objectives:
            return True
        given = _Draft({}, draft.legislation, list(draft.consented), [])
        for rule in rules:
            if rule.property_id == "privacy_legislation":
                with suppress(ValueError):  # it will be left out
                    self._follow_special(rule, given)
            elif rule.property_id == "consented_objectives" and rule.strategy != "REMOVE":
                given.consented += rule.values
        refused = [each for each in draft.refused if each not in given.consented]
        return any(
            has_consent(each, consented=given.consented, refused=refused, legislation=given.legislation)
            for each in self._objectives
        )

    def _may_write(self, rules: Sequence[Rule]) -> bool:
        properties = self._state.properties
        return self._settings.pii_rights or not any(
            properties[rule.property_id]["dataSensitivity"] == "PII" for rule in rules if rule.property_id in properties
        )

    def _follow(self, rules: Sequence[Rule], draft: _Draft) -> None:
        """Follow the rules, the zone first, since whether consent is kept depends on it."""
        for rule in sorted(rules, key=lambda each: each.property_id != "privacy_legislation"):
            if rule.strategy in SUM_STRATEGIES and rule.strategy not in self._sums:
                continue  # a word that the tenant does not know, and only left out where it is not refused
            try:
                if rule.property_id in _SPECIAL:
                    self._follow_special(rule, draft)
                else:
                    self._follow_ordinary(rule, draft)
            except ValueError as error:
                draft.faults.setdefault(rule.property_id, []).append(str(error))

    def _follow_ordinary(self, rule: Rule, draft: _Draft) -> None:
        described = self._state.properties.get(rule.property_id)
        if described is None:  # UNVERIFIED: it could be created instead, or refuse the request
            raise ValueError("the tenant has no such property")
        if is_system_property(described):  # UNVERIFIED: what is read-only for sure is how it is set up
            raise ValueError("the property is read-only")
        values = self._next(described["filterType"], draft.values.get(rule.property_id, ()), rule)
        if values:
            draft.values[rule.property_id] = values
        else:
            draft.values.pop(rule.property_id, None)

    def _follow_special(self, rule: Rule, draft: _Draft) -> None:
        if rule.property_id == "privacy_legislation":
            old = [] if draft.legislation == NO_LEGISLATION else [draft.legislation]
            zones = self._next("SELECT", old, rule)
            if len(zones) > 1 or not PRIVACY_LEGISLATIONS.issuperset(zones):
                raise ValueError("not a privacy legislation zone")
            draft.legislation = zones[0] if zones else NO_LEGISLATION
            return
        if draft.legislation == NO_LEGISLATION:  # as the page on storing consent says: without a zone it is ignored
            return
        if not {each for each, _, _ in OBJECTIVES}.issuperset(rule.values):
            raise ValueError("not an objective of the tenant")
        if rule.property_id == "consented_objectives":
            draft.consented = self._next("SELECT", draft.consented, rule)
            draft.refused = [each for each in draft.refused if each not in draft.consented]
        else:
            draft.refused = self._next("SELECT", draft.refused, rule)
            draft.consented = [each for each in draft.consented if each not in draft.refused]

    def _next(self, filter_type: str, old: Sequence[str], rule: Rule) -> list[str]:
        clears = self._settings.empty_set_clears
        return next_values(filter_type, old, rule.strategy, rule.values, empty_set_clears=clears)

    @staticmethod
    def _differs(name: str, draft: _Draft, profile: Profile) -> bool:
        return draft.values.get(name) != profile.values.get(name)


def _domain_group(profile: Profile) -> str:
    return profile.values.get("domaingroup", ["DEFAULT"])[0]


def _result(
    entry: Entry, state: str, *, profile_id: str | None, faults: Mapping[str, list[str]] | None = None
) -> dict[str, Any]:
    result: dict[str, Any] = {"state": state}
    if entry.identifier is not None:
        result["identifier"] = entry.identifier
    if profile_id is not None:
        result["profileId"] = profile_id
    if faults:
        result["validationErrors"] = dict(faults)
    return result
