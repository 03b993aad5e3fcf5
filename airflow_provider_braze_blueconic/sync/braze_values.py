"""What Braze stores of a value: normal forms, limits and why a value would be refused or silently dropped.

A value that Braze stores otherwise than sent is a difference every night, and each costs a data point;
so values are brought into Braze's own form before they are compared.
All pages read 2026-11.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from airflow_provider_braze_blueconic.sync.countries import country_text
from airflow_provider_braze_blueconic.sync.emails import braze_email_sql
from airflow_provider_braze_blueconic.sync.languages import language_text
from airflow_provider_braze_blueconic.sync.space import SPACE_CLASS
from airflow_provider_braze_blueconic.sync.times import AS_FOUND, TimeReading, read_moment
from airflow_provider_braze_blueconic.sync.values import (
    FieldType,
    Lookup,
    ValueRule,
    array_rule,
    boolean_rule,
    checked_rule,
    date_rule,
    float_rule,
    integer_rule,
    lookup_rule,
    number_sql,
    object_rule,
    string_rule,
    time_rule,
)

__all__ = [
    "FREE_TARGETS",
    "PHONE_PATTERN",
    "PHONE_SEPARATORS",
    "SUBSCRIPTION_GROUP_PREFIX",
    "braze_rule",
    "check_document",
    "excluding_identifiers",
    "is_billable",
    "is_clearable",
]

SUBSCRIPTION_GROUP_PREFIX = "subscription_groups."
"""``subscription_groups.<group id>`` is one field here; the request joins them into Braze's one array."""

_STRING_CHARACTERS = 255  # docs "Custom attribute data types"; a longer one is accepted and not applied
_IMAGE_URL_CHARACTERS = 1024  # docs "Standard user attributes"
_ARRAY_ELEMENTS = 500  # docs "User attributes object": default and maximum; the 501st drops the first
_LAST_YEAR = 3000  # docs "Nested custom attributes": later dates are not stored
_DOCUMENT_BYTES = 100_000  # docs "Nested custom attributes" say 100 KB; KB or KiB is UNVERIFIED, so the smaller

PHONE_PATTERN = r"\+[1-9][0-9]{6,14}"
PHONE_SEPARATORS = rf"\(0\)|[{SPACE_CLASS}().\-\x{{2010}}-\x{{2015}}\x{{2212}}/]"
"""``+31 (0)6`` is written for people: the zero is not dialled from abroad."""

_STATES = frozenset({"email_subscribe", "push_subscribe"})

FREE_TARGETS = _STATES | {
    "email_click_tracking_disabled",
    "email_open_tracking_disabled",
    "marked_email_as_spam_at",
}
"""The group "Subscription and consent" costs no data points: docs "Standard attributes"."""

_OPERATORS = frozenset({"inc", "add", "remove", "$add", "$remove", "$update"})
"""Keys that make an object an operation on what the attribute holds: docs "User attributes object"."""

_TYPES = "Braze docs, Custom attribute data types"
_STANDARD = "Braze docs, Standard user attributes"
_NESTED = "Braze docs, Nested custom attributes"
_TRACK = "Braze docs, POST /users/track"

_GENDERS = {
    "M": ("m", "h", "male", "man", "boy", "mr", "mr.", "mannelijk", "dhr", "dhr.", "heer", "männlich", "mann", "herr",
          "masculin", "homme", "masculino", "hombre", "homem", "maschio", "maschile", "uomo", "mężczyzna", "mand"),
    "F": ("f", "w", "v", "k", "female", "woman", "girl", "mrs", "mrs.", "ms", "ms.", "miss", "vrouw", "vrouwelijk",
          "mevr", "mevr.", "mevrouw", "dame", "weiblich", "frau", "féminin", "feminin", "femme", "femenino", "feminino",
          "mujer", "mulher", "femmina", "femminile", "donna", "kobieta", "kvinna", "kvinde", "kvinne"),
    "O": ("o", "other", "diverse", "divers", "non-binary", "nonbinary", "non binary", "anders", "andere", "overig",
          "autre", "otro", "outro", "altro"),
    "N": ("n", "n/a", "not applicable", "niet van toepassing", "nvt", "n.v.t."),
    "P": ("p", "prefer not to say", "zeg ik liever niet", "keine angabe"),
}  # fmt: skip
"""Braze's letter → what people write for it, in lower case. Letters that mean one thing wherever they are used; ``x``,
``d`` and ``u`` don't."""

_NAMED_ZONES = (
    "Hawaii",
    "Alaska",
    "Pacific Time (US & Canada)",
    "Arizona",
    "Mountain Time (US & Canada)",
    "Central Time (US & Canada)",
    "Eastern Time (US & Canada)",
    "Indiana (East)",
)
"""Names that Braze takes beside IANA's; its page gives ``Eastern Time (US & Canada)`` as the example of the family."""


def braze_rule(target: str, type_: FieldType, reading: TimeReading = AS_FOUND) -> ValueRule:
    """Return how values of a Braze attribute are written.

    :param target: attribute name, or ``subscription_groups.<id>``.
    :param type_: the type that the goal or the source property gives; a standard attribute's own form comes first.
    :param reading: how the source writes times, where the attribute is one.
    """
    if target.startswith(SUBSCRIPTION_GROUP_PREFIX):
        return _subscription_group()
    standard = _STANDARD_RULES.get(target)
    rule = standard() if standard is not None else _TYPE_RULES[type_]()
    if target in _DAYS:
        return date_rule(source=rule.source, reading=reading)
    if target in _MOMENTS or (standard is None and type_ == "time"):
        return time_rule(source=rule.source, reading=reading)
    return rule


def is_standard(target: str) -> bool:
    """Tell whether Braze gives this name a meaning of its own; any other is a custom attribute."""
    return target in _STANDARD_RULES or target.startswith(SUBSCRIPTION_GROUP_PREFIX)


def is_billable(target: str) -> bool:
    """Tell whether writing this attribute costs a data point."""
    return target not in FREE_TARGETS and not target.startswith(SUBSCRIPTION_GROUP_PREFIX)


def is_clearable(target: str) -> bool:
    """Tell whether ``null`` clears this attribute. A subscription has no empty state: Braze refuses the person."""
    return target not in _STATES and not target.startswith(SUBSCRIPTION_GROUP_PREFIX)


_EXCLUDING_IDENTIFIERS: Mapping[str, tuple[str, ...]] = {"email": ("email", "phone"), "phone": ("phone",)}
"""A key stands in an object once, so an identifier can't be a field as well. And Braze takes ``phone`` for the
identifier only where ``email`` is absent: docs "Standard user attributes", read 2026-11."""


def excluding_identifiers(target: str) -> tuple[str, ...]:
    """Name the identifiers beside which an attribute can't be written.

    Beside ``phone``, an ``email`` would decide who is written to, and that person would get the phone number too.
    """
    return _EXCLUDING_IDENTIFIERS.get(target, ())


def check_document(text: str) -> tuple[str | None, str | None]:
    """Bring a nested value into canonical form.

    Nulls are left out, wherever they stand: one of them makes Braze drop the attribute's update. What remains is sent,
    an empty object included. A missing key and a null are the same to Braze, which replaces the object.

    :param text: source text.
    :return: (canonical JSON text, None), or (None, reason).
    """
    try:
        return _check_document(text)
    except RecursionError:
        return None, "too_deep"


def _check_document(text: str) -> tuple[str | None, str | None]:
    try:
        value = _without_nulls(json.loads(text, parse_float=_plain_float, object_hook=_stored_object))
        canonical = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        size = len(canonical.encode())
    except ValueError:  # also half of a surrogate pair, which UTF-8 can't hold
        return None, "not_json"
    if isinstance(value, dict):
        if not _OPERATORS.isdisjoint(value):
            return None, "operator_in_object"
        objects = [value]
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        objects = value
    else:
        return None, "not_an_object"
    for item in objects:
        reason = _document_fault(item)
        if reason:
            return None, reason
    if size > _DOCUMENT_BYTES:
        return None, "too_large"
    return canonical, None


def _plain_float(text: str) -> float:
    return float(text) + 0.0  # minus zero equals zero and has another text


def _without_nulls(value: object) -> object:
    """Leave the nulls out of a list, and of the lists in it; of its objects they are gone already."""
    return [item for item in map(_without_nulls, value) if item is not None] if isinstance(value, list) else value


def _stored_object(item: dict[str, object]) -> dict[str, object] | None:
    """Leave the nulls out, and write the moment of a ``{"$time": …}`` as Braze does; one without a moment is a null."""
    kept = {key: _without_nulls(value) for key, value in item.items() if value is not None}
    if kept.keys() == {"$time"}:
        return {"$time": _stored_time(kept["$time"])}
    return None if item.keys() == {"$time"} else kept


def _stored_time(text: object) -> str | bool:
    """Return a moment as Braze stores it, ``False`` if it can't be read."""
    moment = read_moment(str(text))
    if moment is None or moment.year > _LAST_YEAR:
        return False
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _document_fault(value: object) -> str | None:
    """Find the first reason why Braze would drop a nested value; one drops every nested update of the attribute."""
    match value:
        case str() if len(value) > _STRING_CHARACTERS:
            return "too_long"
        case float() if not math.isfinite(value):
            return "not_a_number"
        case {"$time": moment, **others} if others or not isinstance(moment, str):
            return "bad_date"
        case dict() if "$time" not in value and any(map(_is_bad_key, value)):
            return "bad_key_in_object"
    inner: Iterable[object] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((fault for fault in map(_document_fault, inner) if fault), None)


def _is_bad_key(key: str) -> bool:
    return not key or len(key) > _STRING_CHARACTERS or any(character in " .$" for character in key)


@cache
def _email() -> ValueRule:
    return ValueRule(
        text=f"to_json({braze_email_sql('{v}')})::VARCHAR",
        reasons=(("bad_email", "TRUE"),),
        source="Braze docs, Email validation; POST /users/track: EMAIL_BAD_FORMAT",
        is_email=True,
    )


@cache
def _phone() -> ValueRule:
    # E.164 is recommended, not demanded, and what Braze does with other forms is UNVERIFIED: so separators are
    # only dropped where the rest is E.164, and anything else goes as it is.
    bare = f"regexp_replace({{v}}, '{PHONE_SEPARATORS}', '', 'g')"
    return ValueRule(
        text=(
            f"CASE WHEN regexp_full_match({bare}, '{PHONE_PATTERN}') THEN to_json({bare})::VARCHAR "
            f"WHEN length({{v}}) <= {_STRING_CHARACTERS} THEN to_json({{v}})::VARCHAR END"
        ),
        reasons=(("too_long", "TRUE"),),
        source=_STANDARD,
    )


@cache
def _country() -> ValueRule:
    return checked_rule(country_text, reason="unknown_country", source=f"{_STANDARD}: stored as NULL")


@cache
def _language() -> ValueRule:
    return checked_rule(language_text, reason="unknown_language", source="Braze docs, Supported language codes")


@cache
def _time_zone() -> ValueRule:
    import zoneinfo

    # Some machines list their own clock, and IANA a placeholder for a clock that was never set.
    names = [*zoneinfo.available_timezones() - {"Factory", "localtime"}, *_NAMED_ZONES]
    return lookup_rule(
        Lookup("time_zone", {name.lower(): json.dumps(name) for name in names}),
        reason="unknown_time_zone",
        source=f"{_STANDARD}: invalid values are not set",
    )


@cache
def _gender() -> ValueRule:
    lookup = Lookup("gender", {word: f'"{letter}"' for letter, words in _GENDERS.items() for word in words})
    return lookup_rule(lookup, reason="unknown_gender", source=_STANDARD)


@cache
def _subscription_state() -> ValueRule:
    states = ("opted_in", "subscribed", "unsubscribed")
    lookup = Lookup("subscription_state", {state: f'"{state}"' for state in states})
    return lookup_rule(lookup, reason="bad_subscription_state", source=f"{_TRACK}: BAD_EMAIL_SUBSCRIPTION_STATE")


@cache
def _subscription_group() -> ValueRule:
    words = dict.fromkeys(("subscribed", "true", "1", "yes"), '"subscribed"')
    words |= dict.fromkeys(("unsubscribed", "false", "0", "no"), '"unsubscribed"')
    lookup = Lookup("subscription_group", words)
    return lookup_rule(lookup, reason="bad_subscription_state", source=f"{_TRACK}: BAD_SUBSCRIPTION_GROUP_STATE")


@cache
def _location() -> ValueRule:
    longitude, latitude = (
        number_sql(f"json_extract_string(TRY_CAST({{v}} AS JSON), '$.{name}')") for name in ("longitude", "latitude")
    )
    return ValueRule(
        text=(
            f"CASE WHEN {longitude} BETWEEN -180 AND 180 AND {latitude} BETWEEN -90 AND 90 "
            f"THEN concat('{{\"latitude\":', {latitude}::VARCHAR, ',\"longitude\":', {longitude}::VARCHAR, '}}') END"
        ),
        reasons=(("bad_location", "TRUE"),),
        source=f"{_TRACK}: BAD_LOCATION_UPDATE",
    )


_TYPE_RULES: Mapping[FieldType, Callable[[], ValueRule]] = {
    "string": lambda: string_rule(longest=_STRING_CHARACTERS, source=f"{_TYPES}: 255 characters"),
    "integer": lambda: integer_rule(source=_TYPES),
    "float": lambda: float_rule(source=_TYPES),
    "boolean": lambda: boolean_rule(source=_TYPES),
    "time": lambda: time_rule(source=f"{_TYPES}: years 0 to 3000"),
    "array": lambda: array_rule(
        most=_ARRAY_ELEMENTS,
        longest=_STRING_CHARACTERS,
        longest_bytes=_DOCUMENT_BYTES,
        source=f"{_TYPES}: 500 elements, 255 characters each, 100 KB",
    ),
    "object": lambda: object_rule(check_document, source=f"{_NESTED}: 100 KB, names without space, dot and dollar"),
}

_DAYS = frozenset({"dob"})
_MOMENTS = frozenset({"date_of_first_session", "date_of_last_session", "marked_email_as_spam_at"})

_STANDARD_RULES: Mapping[str, Callable[[], ValueRule]] = {
    "country": _country,
    "current_location": _location,
    "date_of_first_session": lambda: time_rule(source=_STANDARD),
    "date_of_last_session": lambda: time_rule(source=_STANDARD),
    "dob": lambda: date_rule(source=f"{_STANDARD}: YYYY-MM-DD"),
    "email": _email,
    "email_click_tracking_disabled": lambda: boolean_rule(source=_STANDARD),
    "email_open_tracking_disabled": lambda: boolean_rule(source=_STANDARD),
    "email_subscribe": _subscription_state,
    "facebook": lambda: object_rule(check_document, source=_STANDARD),
    "first_name": lambda: string_rule(longest=_STRING_CHARACTERS, source=f"{_STANDARD}: 255 characters"),
    "gender": _gender,
    "home_city": lambda: string_rule(longest=_STRING_CHARACTERS, source=f"{_STANDARD}: 255 characters"),
    "image_url": lambda: string_rule(longest=_IMAGE_URL_CHARACTERS, source=f"{_STANDARD}: 1,024 characters"),
    "language": _language,
    "last_name": lambda: string_rule(longest=_STRING_CHARACTERS, source=f"{_STANDARD}: 255 characters"),
    "marked_email_as_spam_at": lambda: time_rule(source=_STANDARD),
    "phone": _phone,
    "push_subscribe": _subscription_state,
    "time_zone": _time_zone,
    "twitter": lambda: object_rule(check_document, source=_STANDARD),
}
