"""The places of a goal in S3, some of which can't lie in others.

A goal's folder belongs to the goal alone: its tables are vacuumed and its work files expire, so a run removes what else
lies there. Goals are plain mappings here, as written, half-broken ones included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_braze_blueconic.goals.findings import Finding
from airflow_provider_braze_blueconic.goals.shown_values import short

__all__ = ["Places", "check_own_places", "check_places", "places_of"]

_Kind = Literal["folder", "old folder", "segment export", "delivery", "files", "notes"]

_NOTES = "~observed"  # below each staging prefix; no goal id begins with "~"
_SEGMENT_EXPORTS = "segment-export"  # docs "POST /users/export/segment": what Braze adds to its root path, read 2026-11
_WILDCARD = re.compile(r"(\*+|%.)")

_KEPT_OUT: Mapping[_Kind, frozenset[_Kind]] = {
    "folder": frozenset({"folder", "old folder", "segment export", "delivery", "files"}),
    "old folder": frozenset({"folder", "old folder", "segment export", "delivery", "files"}),
    "notes": frozenset({"folder", "old folder", "segment export", "delivery", "files"}),
    "segment export": frozenset({"folder", "old folder"}),
    "delivery": frozenset({"delivery"}),
}
"""What can't lie in a place of each kind."""

_SENTENCES: Mapping[_Kind, str] = {
    "folder": (
        "is in the folder of {owner}, {uri}, where runs delete files that aren't their own. Choose another folder."
    ),
    "old folder": "is in the folder that {owner} was renamed from, {uri}. Choose another folder.",
    "notes": "is in {uri}, where goals share what they read. Choose another folder.",
    "segment export": "is where Braze writes the segment exports of {owner}, {uri}. Choose another folder.",
    "delivery": (
        "is where {owner} delivers too, but BlueConic needs the same columns in each file. Choose another folder."
    ),
}
_TAKEN_OVER = (
    "is the folder of {owner}, whose state this goal would take over. If both are the same goal, remove {owner}."
)


@dataclass(frozen=True)
class _Place:
    """One place in S3.

    :param where: path in the goal that names it.
    :param parts: bucket and folders; of ``files`` the names too, with ``*`` and date codes.
    """

    where: str
    kind: _Kind
    parts: tuple[str, ...]

    @property
    def uri(self) -> str:
        return short(f"s3://{'/'.join(self.parts)}")

    def is_inside(self, other: _Place) -> bool:
        """Tell whether it is the other place, or anything of it lies below."""
        if self.kind != "files":
            return self.parts[: len(other.parts)] == other.parts
        pairs = zip(self.parts, other.parts, strict=False)
        return len(self.parts) > len(other.parts) and all(_matches(pattern, name) for pattern, name in pairs)

    def gives_way(self, other: _Place, *, is_later: bool) -> bool:
        """Tell whether it can't be where it is because of the other one: what lies inside, or the later of equals."""
        if self.kind not in _KEPT_OUT.get(other.kind, ()) or not self.is_inside(other):
            return False
        if self.parts != other.parts:
            return other.kind != "delivery"
        if self.kind == other.kind:
            return is_later
        return not (self.kind == "folder" and other.kind == "old folder")  # then it is the other's name that is wrong


@dataclass(frozen=True)
class Places:
    """All places of one goal.

    :param name: how messages call the goal.
    """

    name: str
    places: tuple[_Place, ...]


def places_of(goal: Mapping[str, Any], *, name: str) -> Places:
    """Collect the places of a goal, as far as they can be read."""
    source, deliver, reconcile = (goal.get(key) for key in ("source", "deliver", "reconcile"))
    old_id = goal.get("renamed_from") if goal.get("renamed_from") != goal.get("id") else None
    found = [
        _place("staging", "folder", goal.get("staging"), goal.get("id")),
        _place("renamed_from", "old folder", goal.get("staging"), old_id),
        _place("staging", "notes", goal.get("staging"), _NOTES),
        _place("source.export", "segment export", _get(source, "export"), _SEGMENT_EXPORTS),
        _place("reconcile.export", "segment export", _get(reconcile, "export"), _SEGMENT_EXPORTS),
        _place("deliver.s3_csv", "delivery", _get(deliver, "s3_csv")),
        _place("source.s3_csv", "files", _get(source, "s3_csv")),
    ]
    return Places(name, tuple(place for place in found if place is not None))


def check_own_places(goal: Mapping[str, Any]) -> Iterator[Finding]:
    """Check the places of one goal against each other."""
    return (finding for _, _, finding in _clashes([places_of(goal, name="the goal itself")]))


def check_places(goals: Sequence[Places]) -> list[tuple[int, Finding]]:
    """Check the places of several goals against each other.

    :return: number of the goal that has to change, and what.
    """
    found = [(number, finding) for number, other, finding in _clashes(goals) if number != other]
    return list(dict.fromkeys(found))


def _clashes(goals: Sequence[Places]) -> Iterator[tuple[int, int, Finding]]:
    """Find the places that can't be where they are, with the numbers of their goal and of the other one.

    Looked up by the folders around each, since a folder may hold hundreds of goals and is read every half minute.
    """
    claims: dict[tuple[str, ...], list[tuple[int, _Place]]] = {}
    for number, goal in enumerate(goals):
        for place in goal.places:
            claims.setdefault(place.parts, []).append((number, place))
    for number, goal in enumerate(goals):
        for place in goal.places:
            around = [place.parts[:length] for length in range(1, len(place.parts) + 1)]
            for parts in claims if place.kind == "files" else around:
                for other, theirs in claims.get(parts, ()):
                    if place.gives_way(theirs, is_later=number > other):
                        yield number, other, Finding(place.where, _sentence(place, theirs, goals[other].name))


def _sentence(place: _Place, theirs: _Place, owner: str) -> str:
    takes_over = (place.kind, theirs.kind) == ("old folder", "folder") and place.parts == theirs.parts
    sentence = _TAKEN_OVER if takes_over else _SENTENCES[theirs.kind]
    return f"{place.uri} {sentence.format(owner=owner, uri=theirs.uri)}"


def _get(part: object, key: str) -> object:
    return part.get(key) if isinstance(part, Mapping) else None


def _place(where: str, kind: _Kind, *texts: object) -> _Place | None:
    uri = "/".join(text for text in texts if isinstance(text, str))
    if not all(isinstance(text, str) and text for text in texts) or not uri.startswith("s3://"):
        return None
    return _Place(where, kind, tuple(part for part in uri.removeprefix("s3://").split("/") if part))


def _matches(pattern: str, name: str) -> bool:
    """Tell whether a part of a file pattern can be a folder's name."""
    pieces = enumerate(_WILDCARD.split(pattern))
    expression = "".join(_wildcard(piece) if number % 2 else re.escape(piece) for number, piece in pieces)
    return re.fullmatch(expression, name) is not None


def _wildcard(text: str) -> str:
    if text == "%%":
        return "%"
    return "[^/]*" if text.startswith("*") else "[0-9]+"
