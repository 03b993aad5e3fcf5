"""What an answer of ``PUT /profiles`` says of each entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_braze_blueconic.hooks.blueconic_api.sent_entries import SentEntries
from airflow_provider_braze_blueconic.sync.sending.seam import NotTaken, Refusal

__all__ = ["ACCEPTED_STATES", "Judged", "judge"]

_NOT_ADDED = "BlueConic says that the profile is unchanged, so nothing was added"
"""Why a number was not added."""

ACCEPTED_STATES = frozenset({"CREATED", "MODIFIED", "UNCHANGED"})

# State → the outcome of the entry, and why. Any other state, and DELETED, which no entry of ours asks for, tells
# nothing that could be believed.
_NOT_TAKEN: Mapping[str, tuple[NotTaken, str]] = {
    "NOTFOUND": ("not_found", "BlueConic has no profile that matches"),
    "CONSENT_MISMATCH": ("no_consent", "the person didn't consent to any of the objectives"),
    # UNVERIFIED what it covers; a consent that is missing has a state of its own.
    "SKIPPED": ("rejected", "skipped by BlueConic without a reason"),
    "RESTRICTION_MISMATCH": (
        "rejected",
        "restriction mismatch: the profile doesn't meet the entry's restriction",
    ),
    "UNAUTHORIZED": (
        "rejected",
        "unauthorized: the application's user has no right to write properties marked as PII",
    ),
}

_OTHER = "another property"

_Told = Refusal | Mapping[str, str] | None
"""Why an entry was not accepted, or property → why it was not; ``None`` if that is not to be told."""


@dataclass(frozen=True)
class Judged:
    """What an answer says of the entries of a batch, by position.

    :param taken: → property → why it alone was not accepted; empty for an entry that was accepted as a whole.
    :param changed: those whose profile was created or modified.
    :param idle: those with a number to which something was to be added, and whose profile is said to be unchanged.
    """

    refusals: list[Refusal]
    taken: dict[int, Mapping[str, str]]
    unanswered: list[int]
    changed: list[int]
    idle: list[int]

    def drop(self, positions: Collection[int]) -> None:
        """Forget what an answer says of some entries."""
        self.refusals[:] = [refusal for refusal in self.refusals if refusal.position not in positions]
        for position in positions:
            self.taken.pop(position, None)


def judge(entries: SentEntries, answers: Sequence[object], only: Sequence[int] | None = None) -> Judged:
    """Find what an answer says of each entry by its key: that results come in the entries' order is UNVERIFIED.

    :param only: positions of the entries to judge; ``None`` for all.
    """
    found = _by_key(answers)
    one_entry = _Judge(entries)
    judged = Judged([], {}, [], [], [])
    for position in range(len(entries.keys)) if only is None else only:
        key = entries.keys[position]
        results = [] if key in entries.doubled else found.get(key, [])
        told = one_entry.judge(position, results)
        if told is None:
            judged.unanswered.append(position)
            continue
        if isinstance(told, Refusal):
            judged.refusals.append(told)
        else:
            judged.taken[position] = told
            if any(result["state"] != "UNCHANGED" for result in results):
                judged.changed.append(position)
        if all(one_entry.not_added(position, result) for result in results):
            judged.idle.append(position)
    return judged


def _by_key(answers: Sequence[object]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for answer in answers:
        key = answer.get("identifier") if isinstance(answer, dict) else None
        if isinstance(answer, dict) and isinstance(key, str):
            found.setdefault(key.strip(), []).append(answer)
    return found


class _Judge:
    """Judges the results of one entry after the other."""

    def __init__(self, entries: SentEntries) -> None:
        self._entries = entries

    def judge(self, position: int, results: Sequence[Mapping[str, Any]]) -> _Told:
        """Judge all results of an entry. Several are only followed where each tells of another profile, and all agree.

        UNVERIFIED what BlueConic does with an entry that several profiles match. If some of them took it and others
        did not, it would go again, and a number would be added to twice in those that took it.
        """
        told = [self._judge_one(position, result) for result in results]
        if len(told) == 1:
            return told[0]
        return _same_refusal(told) or self._taken_by_all(position, results, told)

    def not_added(self, position: int, result: Mapping[str, Any]) -> set[str]:
        """Return the numbers to which nothing was added although BlueConic refused nothing: it says so by the state."""
        if result.get("state") != "UNCHANGED":
            return set()
        return self._entries.sums(position) - (_errors(result.get("validationErrors")) or {}).keys()

    def _taken_by_all(self, position: int, results: Sequence[Mapping[str, Any]], told: Sequence[_Told]) -> _Told:
        taken = [reasons for reasons in told if isinstance(reasons, Mapping)]
        profiles = {str(result.get("profileId") or "") for result in results} - {""}
        if not told or len(taken) < len(told) or len(profiles) < len(told):
            return None
        refused = Counter(name for reasons in taken for name in reasons)
        if any(0 < refused[name] < len(taken) for name in self._entries.sums(position)):
            return None
        return {name: text for reasons in taken for name, text in reasons.items()}

    def _judge_one(self, position: int, result: Mapping[str, Any]) -> _Told:
        state, errors = result.get("state"), _errors(result.get("validationErrors"))
        if not isinstance(state, str) or errors is None:
            return None
        if state in _NOT_TAKEN:
            return _not_taken(position, state, errors)
        if state not in ACCEPTED_STATES:
            return None
        return self._accepted(position, result, errors)

    def _accepted(self, position: int, result: Mapping[str, Any], errors: Mapping[str, str]) -> _Told:
        listed = _listed(errors)
        known = self._entries.properties(position) if errors else set()
        # Names are counted in the report: one that the entry does not have could be anything.
        reasons = {name if name in known else _OTHER: text for name, text in errors.items()}
        not_added = self.not_added(position, result)
        if not_added:
            reasons |= dict.fromkeys(not_added, _NOT_ADDED)
            listed = _listed(reasons)
        # A profile that was created is there, whatever it lacks: rejected it would be created anew each time.
        if reasons and result["state"] != "CREATED" and self._entries.rules(position).keys() <= reasons.keys():
            return Refusal(position, listed)
        return reasons


def _not_taken(position: int, state: str, errors: Mapping[str, str]) -> Refusal:
    outcome, reason = _NOT_TAKEN[state]
    if errors and outcome == "rejected":
        reason = f"{reason}: {_listed(errors)}"
    return Refusal(position, reason, outcome)


def _same_refusal(told: Sequence[_Told]) -> Refusal | None:
    """Return the refusal in which all results agree."""
    refusals = [each for each in told if isinstance(each, Refusal)]
    is_one = len(refusals) == len(told) and len({refusal.outcome for refusal in refusals}) == 1
    return refusals[0] if is_one else None


def _listed(errors: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in errors.items())


def _errors(told: object) -> dict[str, str] | None:
    """Read validation errors; ``None`` if they have an unknown form."""
    if not told:
        return {}
    if not isinstance(told, dict):
        return None
    return {
        str(name): "; ".join(map(str, texts)) if isinstance(texts, list) else str(texts)
        for name, texts in told.items()
        if texts != []
    }
