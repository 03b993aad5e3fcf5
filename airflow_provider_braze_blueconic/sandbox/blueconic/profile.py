"""One profile of the sandbox's BlueConic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_braze_blueconic.sandbox.blueconic.history import stamp
from airflow_provider_braze_blueconic.sandbox.blueconic.segments import NEWSLETTER_SEGMENT, Segment

__all__ = ["Profile", "milliseconds", "segments_by_rule", "show"]


def milliseconds(moment: datetime) -> str:
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


def show(
    profile: Profile, *, only: Sequence[str] | None, expand: frozenset[str], segments: Mapping[str, Segment]
) -> dict[str, Any]:
    """Return a profile as the API shows it.

    :param only: ids of the properties to show; ``None`` for all. Unknown ids are ignored.
    :param expand: of ``permissions``, ``segments``, ``replace``.
    :param segments: of the tenant, by id.
    """
    values = _all_values(profile)
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
        shown["segments"] = [{"id": each, "name": segments[each].name} for each in sorted(profile.segments)]
    if "replace" in expand and profile.replaces:
        shown["replaces"] = list(profile.replaces)
    return shown


def _all_values(profile: Profile) -> dict[str, list[str]]:
    return {
        **profile.values,
        "creationdate": [milliseconds(profile.created)],
        "lastmodifieddate": [str(profile.modified)],
    }


def segments_by_rule(profile: Profile) -> set[str]:
    """Return those segments that a profile's own data puts it into; the others are put together by hand."""
    rules = {
        NEWSLETTER_SEGMENT: "newsletter" in profile.consented,
        "seg-known": "email" in profile.values,
        "seg-dutch": profile.values.get("language", []) == ["nl"],
    }
    return {segment_id for segment_id, holds in rules.items() if holds}
