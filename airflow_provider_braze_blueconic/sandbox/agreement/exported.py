"""Whether Braze and BlueConic agree: every mapped field of every person, compared by other code than the pipeline's.

For each field it is worked out in plain Python what Braze should hold for a profile, and that is compared with what
Braze's side of the sandbox does hold. It shares nothing with the mapping, so that a mistake there shows here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from faker.providers.date_time import Provider as DateProvider

from airflow_provider_braze_blueconic.sandbox.agreement.outcome import Agreement

__all__ = ["compare"]

_STANDARD = {
    "first_name",
    "last_name",
    "email",
    "phone",
    "dob",
    "home_city",
    "country",
    "language",
    "gender",
    "time_zone",
}

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]{2,}")
_LEFT_OUT = object()
_COUNTRIES = {country.name: country.alpha_2_code for country in DateProvider.countries}
_COUNTRIES |= {"United Kingdom": "GB", "United States": "US", "Netherlands": "NL"}


def compare(
    profiles: Iterable[Mapping[str, Any]],
    users: Iterable[Mapping[str, Any]],
    fields: Sequence[Mapping[str, Any]],
    *,
    identifier: str,
) -> Agreement:
    """Compare the profiles of a segment with the users of Braze.

    :param profiles: as BlueConic's API shows them, with permissions and segments.
    :param users: as Braze exports them.
    :param fields: rows of a goal file (``from`` or ``value``, ``to``, ``type``, ``as``).
    :param identifier: property that holds the external id.
    """
    held = {user["external_id"]: user for user in users if "external_id" in user}
    agreement = Agreement()
    for external_id, profile in _people(profiles, identifier).items():
        agreement.people += 1
        user = held.get(external_id)
        if user is None:
            agreement.absent += 1
            continue
        for row in fields:
            expected = _expected(row, profile)
            if expected is _LEFT_OUT:
                agreement.left_out += 1
            elif expected is not None:
                agreement.values += 1
                if not _same(expected, _held(user, row["to"])):
                    agreement.differences[row["to"]] += 1
    return agreement


def _people(profiles: Iterable[Mapping[str, Any]], identifier: str) -> Mapping[str, Mapping[str, Any]]:
    """Leave out profiles without an identifier or with two; of one person's profiles keep the latest."""
    latest: dict[str, tuple[tuple[int, str], Mapping[str, Any]]] = {}
    for profile in profiles:
        ids = {value.strip() for value in _values(profile, identifier) if value.strip()}
        if len(ids) != 1:
            continue
        external_id = ids.pop()
        modified = int(_values(profile, "lastmodifieddate")[0])
        before = latest.get(external_id)
        if before is None or modified > before[0][0] or (modified == before[0][0] and profile["id"] < before[0][1]):
            latest[external_id] = ((modified, profile["id"]), profile)
    return {external_id: profile for external_id, (_, profile) in latest.items()}


def _values(profile: Mapping[str, Any], property_id: str) -> list[str]:
    return next((entry["values"] for entry in profile["properties"] if entry["id"] == property_id), [])


def _expected(row: Mapping[str, Any], profile: Mapping[str, Any]) -> Any:
    """Work out what Braze should hold: a value, ``None`` for nothing said, or left out."""
    match row.get("from"):
        case None:
            return row["value"]
        case "profile_id":
            return profile["id"]
        case "permission_level":
            return profile["permissions"]["level"]
        case "segments":
            shown = "name" if row.get("as", "names") == "names" else "id"
            return sorted(segment[shown] for segment in profile["segments"])
        case "interactions":
            return sorted(set(_values(profile, "interactions_viewed"))) or None
        case source:
            return _expected_property(row, _values(profile, source.removeprefix("property.")))


def _expected_property(row: Mapping[str, Any], raw: Sequence[str]) -> Any:
    values = [value.strip() for value in raw if value.strip()]
    if not values:
        return None
    if row.get("type") == "array":
        return sorted(set(values))
    return _CONVERSIONS.get(row["to"], _by_type(row.get("type", "string")))(values[0])


def _text(value: str) -> Any:
    return value if len(value) <= 255 else _LEFT_OUT


def _email(value: str) -> Any:
    return value.lower() if _EMAIL.fullmatch(value) else _LEFT_OUT


def _phone(value: str) -> str:
    bare = re.sub(r"[\s().\-/]", "", value)
    return bare if re.fullmatch(r"\+[1-9]\d{6,14}", bare) else value


def _country(value: str) -> Any:
    return value.upper() if value.upper() in _COUNTRIES.values() else _COUNTRIES.get(value, _LEFT_OUT)


def _moment(value: str) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(value))


def _by_type(type_: str) -> Callable[[str], Any]:
    conversions: Mapping[str, Callable[[str], Any]] = {
        "integer": int,
        "float": float,
        "boolean": lambda value: {"true": True, "false": False}[value.lower()],
        "time": _moment,
    }
    return conversions.get(type_, _text)


_CONVERSIONS: Mapping[str, Callable[[str], Any]] = {
    "email": _email,
    "phone": _phone,
    "country": _country,
    "language": lambda value: re.split("[-_]", value)[0].lower(),
    "dob": lambda value: _moment(value).date().isoformat(),
}


def _held(user: Mapping[str, Any], target: str) -> Any:
    return user.get(target) if target in _STANDARD else user.get("custom_attributes", {}).get(target)


def _same(expected: Any, held: Any) -> bool:
    if isinstance(expected, datetime):
        try:
            return datetime.fromisoformat(str(held).replace(" UTC", "+00:00")) == expected
        except ValueError:
            return False
    if isinstance(expected, list):
        return isinstance(held, list) and sorted(held) == expected
    return type(held) is type(expected) and bool(held == expected)
