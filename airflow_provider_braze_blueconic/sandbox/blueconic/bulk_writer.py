"""What an entry of a bulk write does to profiles."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from airflow_provider_braze_blueconic.sandbox.blueconic.bulk_entries import Entry, Rule
from airflow_provider_braze_blueconic.sandbox.blueconic.drafts import Draft
from airflow_provider_braze_blueconic.sandbox.blueconic.legislations import NO_LEGISLATION
from airflow_provider_braze_blueconic.sandbox.blueconic.profile import Profile, segments_by_rule
from airflow_provider_braze_blueconic.sandbox.blueconic.rules import Rules
from airflow_provider_braze_blueconic.sandbox.blueconic.segments import ALL_SEGMENT
from airflow_provider_braze_blueconic.sandbox.blueconic.settings import BlueConicSettings
from airflow_provider_braze_blueconic.sandbox.blueconic.state import BlueConicState

__all__ = ["Writer"]


class Writer:
    """Applies entries one by one; the caller holds the tenant's lock."""

    def __init__(
        self, state: BlueConicState, objectives: Collection[str], settings: BlueConicSettings, sums: Collection[str]
    ) -> None:
        self._state = state
        self._objectives = objectives
        self._settings = settings
        self._rules = Rules(state.properties, sums=sums, empty_set_clears=settings.empty_set_clears)

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
        draft = Draft.of(profile)
        denied = self._denied(rules, draft)
        if denied is not None:
            return _result(entry, denied, profile_id=profile.id)
        self._rules.follow(rules, draft)
        if draft.is_as(profile):
            return _result(entry, "UNCHANGED", profile_id=profile.id, faults=draft.faults)
        self._change(profile, draft)
        return _result(entry, "MODIFIED", profile_id=profile.id, faults=draft.faults)

    def _change(self, profile: Profile, draft: Draft) -> None:
        before = segments_by_rule(profile)
        self._state.change(
            profile.id,
            draft.changes(profile),
            legislation=draft.legislation,
            consented=draft.consented,
            refused=draft.refused,
        )
        after = segments_by_rule(profile)
        for segment_id in after - before:
            self._state.enter(profile.id, segment_id, touch=False)
        for segment_id in before - after:
            self._state.leave(profile.id, segment_id, touch=False)

    def _create(self, entry: Entry) -> dict[str, Any]:
        if entry.segment is not None:  # who does not exist is a member of nothing
            return _result(entry, "RESTRICTION_MISMATCH", profile_id=entry.profile_id)
        rules = [rule for rule in entry.rules if rule.restriction != "EXISTING_PROFILES_ONLY"]
        draft = Draft(values={}, legislation=entry.legislation or NO_LEGISLATION, consented=[], refused=[])
        denied = self._denied(rules, draft)
        if denied is not None:
            return _result(entry, denied, profile_id=entry.profile_id)
        if self._settings.stores_matching and entry.matching:
            draft.values.update({each.property_id: [each.value] for each in entry.matching[0]})
        self._rules.follow(rules, draft)
        draft.values["domaingroup"] = [entry.domain_group]
        profile_id = self._add(entry, draft)
        return _result(entry, "CREATED", profile_id=profile_id, faults=draft.faults)

    def _add(self, entry: Entry, draft: Draft) -> str:
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
        return profile_id

    def _denied(self, rules: Sequence[Rule], draft: Draft) -> str | None:
        """Return the state of an entry that may not be written."""
        if self._objectives and not self._rules.has_consent(rules, draft, objectives=self._objectives):
            return "CONSENT_MISMATCH"
        if not self._settings.pii_rights and self._rules.touch_pii(rules):
            return "UNAUTHORIZED"
        return None


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
