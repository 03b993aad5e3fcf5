"""How values of Braze's standard attributes are written: by the kind of the attribute, or by a rule of its own.

All pages read 2026-11.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache

from airflow_provider_braze_blueconic.sync.braze.countries import country_text
from airflow_provider_braze_blueconic.sync.braze.documents import check_document
from airflow_provider_braze_blueconic.sync.braze.genders import GENDERS
from airflow_provider_braze_blueconic.sync.braze.languages import language_text
from airflow_provider_braze_blueconic.sync.braze.phones import bare_phone_sql, is_phone_sql
from airflow_provider_braze_blueconic.sync.values.date_formats import TimeReading
from airflow_provider_braze_blueconic.sync.values.emails import braze_email_sql
from airflow_provider_braze_blueconic.sync.values.rules import Lookup, ValueRule
from airflow_provider_braze_blueconic.sync.values.texts import (
    boolean_rule,
    checked_rule,
    date_rule,
    lookup_rule,
    number_sql,
    object_rule,
    string_rule,
    time_rule,
)
from airflow_provider_braze_blueconic.vendors.braze_attributes import (
    BRAZE_STRING_CHARACTERS,
    GLOBAL_STATES,
    SUBSCRIPTION_STATES,
    AttributeKind,
    BrazeAttribute,
    subscription_group,
)

__all__ = ["standard_rule"]

_STANDARD = "Braze docs, Standard user attributes"
_TRACK = "Braze docs, POST /users/track"

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
    bare = bare_phone_sql("{v}")
    return ValueRule(
        text=(
            f"CASE WHEN {is_phone_sql(bare)} THEN to_json({bare})::VARCHAR "
            f"WHEN length({{v}}) <= {BRAZE_STRING_CHARACTERS} THEN to_json({{v}})::VARCHAR END"
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
    lookup = Lookup("gender", {word: f'"{letter}"' for letter, words in GENDERS.items() for word in words})
    return lookup_rule(lookup, reason="unknown_gender", source=_STANDARD)


@cache
def _subscription_state() -> ValueRule:
    lookup = Lookup("subscription_state", {state: f'"{state}"' for state in GLOBAL_STATES})
    return lookup_rule(lookup, reason="bad_subscription_state", source=f"{_TRACK}: BAD_EMAIL_SUBSCRIPTION_STATE")


@cache
def _subscription_group() -> ValueRule:
    subscribed, unsubscribed = SUBSCRIPTION_STATES
    words = dict.fromkeys((subscribed, "true", "1", "yes"), f'"{subscribed}"')
    words |= dict.fromkeys((unsubscribed, "false", "0", "no"), f'"{unsubscribed}"')
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


_OWN_RULES: Mapping[str, Callable[[], ValueRule]] = {
    "country": _country,
    "current_location": _location,
    "email": _email,
    "email_subscribe": _subscription_state,
    "gender": _gender,
    "language": _language,
    "phone": _phone,
    "push_subscribe": _subscription_state,
    "time_zone": _time_zone,
}

_RULES_OF_KINDS: Mapping[AttributeKind, Callable[[BrazeAttribute, TimeReading], ValueRule]] = {
    "string": lambda attribute, _: string_rule(
        longest=attribute.characters, source=f"{_STANDARD}: {attribute.characters:,} characters"
    ),
    "date": lambda _, reading: date_rule(source=f"{_STANDARD}: YYYY-MM-DD", reading=reading),
    "time": lambda _, reading: time_rule(source=_STANDARD, reading=reading),
    "boolean": lambda *_: boolean_rule(source=_STANDARD),
    "object": lambda *_: object_rule(check_document, source=_STANDARD),
}


def standard_rule(attribute: BrazeAttribute, reading: TimeReading) -> ValueRule:
    """Return how values of an attribute are written to which Braze gives a meaning of its own.

    :param attribute: one that a goal can write.
    :param reading: how the source writes times, where the attribute is one.
    """
    if subscription_group(attribute.name) is not None:
        return _subscription_group()
    own = _OWN_RULES.get(attribute.name)
    return own() if own is not None else _RULES_OF_KINDS[attribute.kind](attribute, reading)
