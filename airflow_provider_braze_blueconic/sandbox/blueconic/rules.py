"""What the rules of an entry make of a profile."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from airflow_provider_braze_blueconic.sandbox.blueconic.bulk_entries import Rule
from airflow_provider_braze_blueconic.sandbox.blueconic.drafts import Draft
from airflow_provider_braze_blueconic.sandbox.blueconic.legislations import NO_LEGISLATION, PRIVACY_LEGISLATIONS
from airflow_provider_braze_blueconic.sandbox.blueconic.objectives import OBJECTIVES, has_consent
from airflow_provider_braze_blueconic.sandbox.blueconic.properties import is_system_property
from airflow_provider_braze_blueconic.sandbox.blueconic.property_values import SUM_STRATEGIES, next_values

__all__ = ["Rules"]

_SPECIAL = ("privacy_legislation", "consented_objectives", "refused_objectives")


class Rules:
    """Follows rules on a draft.

    :param properties: of the tenant, by id.
    :param sums: the words for adding to a number that the tenant knows.
    :param empty_set_clears: whether ``SET`` with nothing given empties a property or leaves it.
    """

    def __init__(
        self, properties: Mapping[str, Mapping[str, Any]], *, sums: Collection[str], empty_set_clears: bool
    ) -> None:
        self._properties = properties
        self._sums = sums
        self._empty_set_clears = empty_set_clears

    def follow(self, rules: Sequence[Rule], draft: Draft) -> None:
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

    def has_consent(self, rules: Sequence[Rule], draft: Draft, *, objectives: Collection[str]) -> bool:
        """Tell whether the profile, with what the entry itself says of consent, agreed to one of the objectives."""
        given = Draft({}, draft.legislation, list(draft.consented), [])
        for rule in rules:
            if rule.property_id == "privacy_legislation":
                with suppress(ValueError):  # it will be left out
                    self._follow_special(rule, given)
            elif rule.property_id == "consented_objectives" and rule.strategy != "REMOVE":
                given.consented += rule.values
        refused = [each for each in draft.refused if each not in given.consented]
        return any(
            has_consent(each, consented=given.consented, refused=refused, legislation=given.legislation)
            for each in objectives
        )

    def touch_pii(self, rules: Sequence[Rule]) -> bool:
        """Tell whether a rule is about a property that holds personal data."""
        known = (self._properties[rule.property_id] for rule in rules if rule.property_id in self._properties)
        return any(described["dataSensitivity"] == "PII" for described in known)

    def _follow_ordinary(self, rule: Rule, draft: Draft) -> None:
        described = self._properties.get(rule.property_id)
        if described is None:  # UNVERIFIED: it could be created instead, or refuse the request
            raise ValueError("the tenant has no such property")
        if is_system_property(described):  # UNVERIFIED: what is read-only for sure is how it is set up
            raise ValueError("the property is read-only")
        values = self._next(described["filterType"], draft.values.get(rule.property_id, ()), rule)
        if values:
            draft.values[rule.property_id] = values
        else:
            draft.values.pop(rule.property_id, None)

    def _follow_special(self, rule: Rule, draft: Draft) -> None:
        if rule.property_id == "privacy_legislation":
            self._follow_legislation(rule, draft)
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

    def _follow_legislation(self, rule: Rule, draft: Draft) -> None:
        old = [] if draft.legislation == NO_LEGISLATION else [draft.legislation]
        zones = self._next("SELECT", old, rule)
        if len(zones) > 1 or not PRIVACY_LEGISLATIONS.issuperset(zones):
            raise ValueError("not a privacy legislation zone")
        draft.legislation = zones[0] if zones else NO_LEGISLATION

    def _next(self, filter_type: str, old: Sequence[str], rule: Rule) -> list[str]:
        return next_values(filter_type, old, rule.strategy, rule.values, empty_set_clears=self._empty_set_clears)
