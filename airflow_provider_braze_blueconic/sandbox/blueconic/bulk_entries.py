"""Reading the entries of a bulk write: what is wrong with one of them refuses the whole request.

From BlueConic's definition of ``PUT /profiles``, read 2026-11. It has names, types and words of every field, but not
which of them may be left out; where it is silent, the sandbox asks for what an entry cannot mean anything without.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from airflow_provider_braze_blueconic.sandbox.blueconic.legislations import PRIVACY_LEGISLATIONS
from airflow_provider_braze_blueconic.sandbox.blueconic.properties import LEVELS

__all__ = ["Criterion", "Entry", "EntryStrategy", "RequestRefused", "Rule", "RuleRestriction", "read_entries"]

EntryStrategy = Literal["UPSERT", "UPDATE", "DELETE"]
RuleRestriction = Literal["ALL_PROFILES", "EXISTING_PROFILES_ONLY", "NEW_PROFILES_ONLY"]
_TEXTS = ("profileId", "strategy", "permissionLevel", "privacyLegislation", "domainGroup", "identifier")
_SWITCHES = ("triggerOnPropertyChange", "triggerOnEventAdded")
_FIELDS = {*_TEXTS, *_SWITCHES, "matching", "properties", "restriction", "timeline"}
_RULE_FIELDS = {"id", "values", "strategy", "restriction"}


class RequestRefused(ValueError):
    """The request is answered 400 and nothing of it is applied.

    :param faults: place in the body → what is wrong there.
    """

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("the entries are not what PUT /profiles takes")
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Criterion:
    """A value that a profile must hold to match."""

    property_id: str
    value: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What is to be done with one property."""

    property_id: str
    values: tuple[str, ...]
    strategy: str
    restriction: RuleRestriction


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the request.

    :param matching: a profile matches when it holds all of one of the inner tuples.
    :param segment: only members of it are written.
    """

    identifier: str | None
    profile_id: str | None
    matching: tuple[tuple[Criterion, ...], ...]
    strategy: EntryStrategy
    rules: tuple[Rule, ...]
    level: str
    legislation: str | None
    domain_group: str
    segment: str | None
    trigger: bool

    def names(self) -> set[str]:
        """Return the texts by which a test can mean this entry."""
        named = {criterion.value for criteria in self.matching for criterion in criteria}
        return named | {text for text in (self.identifier, self.profile_id) if text is not None}


def read_entries(document: Any, *, unique: Collection[str], strategies: Collection[str]) -> list[Entry]:
    """Read the entries of a request.

    :param document: the JSON of the body, which must be a list.
    :param unique: the tenant's unique identifiers: no other property can be matched.
    :param strategies: words for what is done with a property that the tenant knows.
    :raises RequestRefused: with everything that is wrong.
    """
    if not isinstance(document, list):
        raise RequestRefused({"": "the body must be a list of entries"})
    reader = _Reader(unique, strategies)
    entries = [reader.entry(f"[{number}]", each) for number, each in enumerate(document)]
    if reader.faults:
        raise RequestRefused(reader.faults)
    return [entry for entry in entries if entry is not None]


class _Reader:
    """Reads one body and gathers its faults."""

    def __init__(self, unique: Collection[str], strategies: Collection[str]) -> None:
        self.faults: dict[str, str] = {}
        self._unique = unique
        self._strategies = strategies

    def entry(self, place: str, document: Any) -> Entry | None:
        if not self._is_object(place, document, _FIELDS):
            return None
        before = len(self.faults)
        for name in _TEXTS:
            self._check(f"{place}.{name}", "must be a text", isinstance(document.get(name, ""), str))
        for name in _SWITCHES:
            self._check(f"{place}.{name}", "must be true or false", isinstance(document.get(name, True), bool))
        # Ignoring events would show a timeline that is none.
        self._check(f"{place}.timeline", "the sandbox keeps no timeline", not document.get("timeline"))
        matching = self._matching(f"{place}.matching", document.get("matching", []))
        rules = self._rules(f"{place}.properties", document.get("properties", []))
        segment = self._segment(f"{place}.restriction", document.get("restriction", {}))
        if len(self.faults) > before:
            return None
        strategy = document.get("strategy", "UPDATE")
        legislation = document.get("privacyLegislation")
        self._one_of(f"{place}.strategy", strategy, get_args(EntryStrategy))
        self._one_of(f"{place}.permissionLevel", document.get("permissionLevel", "PERSONAL"), LEVELS)
        self._one_of(f"{place}.privacyLegislation", legislation or "NONE", PRIVACY_LEGISLATIONS)
        profile_id = document.get("profileId") or None
        # A deletion names its profile by id; that it may match instead is said nowhere.
        addressed = profile_id is not None or (bool(matching) and strategy != "DELETE")
        self._check(f"{place}.profileId", "the entry does not say which profile it means", addressed)
        return Entry(
            identifier=document.get("identifier"),
            profile_id=profile_id,
            matching=matching,
            strategy=strategy,
            rules=rules,
            level=document.get("permissionLevel", "PERSONAL"),
            legislation=legislation,
            domain_group=document.get("domainGroup", "DEFAULT"),
            segment=segment,
            trigger=document.get("triggerOnPropertyChange", True),
        )

    def _matching(self, place: str, document: Any) -> tuple[tuple[Criterion, ...], ...]:
        if not self._check(place, "must be a list of lists", _is_list_of(document, list)):
            return ()
        return tuple(
            tuple(self._criterion(f"{place}[{outer}][{inner}]", each) for inner, each in enumerate(criteria))
            for outer, criteria in enumerate(document)
            if self._check(f"{place}[{outer}]", "must not be empty", bool(criteria))
        )

    def _criterion(self, place: str, document: Any) -> Criterion:
        if not self._is_object(place, document, {"id", "value"}) or not self._check(
            place,
            "needs id and value, both texts",
            all(isinstance(document.get(name), str) for name in ("id", "value")),
        ):
            return Criterion("", "")
        self._check(f"{place}.id", "is not a unique identifier", document["id"] in self._unique)
        return Criterion(document["id"], document["value"])

    def _rules(self, place: str, document: Any) -> tuple[Rule, ...]:
        if not self._check(place, "must be a list", isinstance(document, list)):
            return ()
        rules = (self._rule(f"{place}[{number}]", each) for number, each in enumerate(document))
        return tuple(rule for rule in rules if rule is not None)

    def _rule(self, place: str, document: Any) -> Rule | None:
        if not self._is_object(place, document, _RULE_FIELDS):
            return None
        values, restriction = document.get("values"), document.get("restriction", "ALL_PROFILES")
        self._check(f"{place}.id", "must be a text", isinstance(document.get("id"), str))
        self._check(f"{place}.values", "must be a list of texts", _is_list_of(values, str))
        self._one_of(f"{place}.strategy", document.get("strategy"), self._strategies)
        self._one_of(f"{place}.restriction", restriction, get_args(RuleRestriction))
        if any(f"{place}.{name}" in self.faults for name in _RULE_FIELDS):
            return None
        return Rule(document["id"], tuple(values), document["strategy"], restriction)

    def _segment(self, place: str, document: Any) -> str | None:
        if not self._is_object(place, document, {"isMemberOfSegment"}):
            return None
        segment = document.get("isMemberOfSegment", "")
        self._check(f"{place}.isMemberOfSegment", "must be a text", isinstance(segment, str))
        return str(segment) or None

    def _is_object(self, place: str, document: Any, known: Collection[str]) -> bool:
        if not self._check(place, "must be a JSON object", isinstance(document, dict)):
            return False
        for name in document.keys() - known:
            self._check(f"{place}.{name}", "is not a known field", False)
        return True

    def _one_of(self, place: str, word: Any, allowed: Collection[str]) -> None:
        self._check(place, f"must be one of {', '.join(sorted(allowed))}", isinstance(word, str) and word in allowed)

    def _check(self, place: str, fault: str, holds: bool) -> bool:
        if not holds:
            self.faults.setdefault(place, fault)
        return holds


def _is_list_of(document: Any, kind: type) -> bool:
    return isinstance(document, list) and all(isinstance(each, kind) for each in document)
