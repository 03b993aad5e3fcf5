"""What the sandbox's Braze stores of the standard fields of a user."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from airflow_provider_braze_blueconic.sandbox.braze.codes import COUNTRY_CODES, LANGUAGES, country_names, time_zones
from airflow_provider_braze_blueconic.sandbox.braze.nested_values import MAX_CHARACTERS
from airflow_provider_braze_blueconic.sandbox.braze.times import parse_time, stored_time

__all__ = ["BILLED", "CONTROLS", "IDENTIFIERS", "NOT_STORED", "STANDARD_FIELDS"]

CONTROLS = frozenset({"_update_existing_only", "_merge_objects"})
IDENTIFIERS = frozenset({"external_id", "braze_id", "user_alias"})

NOT_STORED = object()
"""What a rule returns for a value that Braze silently leaves out."""

# Standard fields that cost a data point when they are written: docs "Data points", read 2026-11. Subscription states,
# ids, aliases and tokens are free.
BILLED = frozenset(
    {
        "first_name",
        "last_name",
        "email",
        "gender",
        "country",
        "language",
        "home_city",
        "time_zone",
        "dob",
        "phone",
        "current_location",
        "twitter",
    }
)

_MAX_IMAGE_URL = 1024  # characters: docs "Standard attributes", read 2026-11


def _text(value: Any) -> Any:
    # The 255 characters are documented for custom attributes; that they hold here too is UNVERIFIED.
    return value if isinstance(value, str) and len(value) <= MAX_CHARACTERS else NOT_STORED


def _day(value: Any) -> Any:
    moment = parse_time(value) if isinstance(value, str) else None
    return NOT_STORED if moment is None else date(moment.year, moment.month, moment.day).isoformat()


def _moment(value: Any) -> Any:
    moment = parse_time(value) if isinstance(value, str) else None
    return NOT_STORED if moment is None else stored_time(moment)


def _country(value: Any) -> Any:
    """Map a code or an English name; what cannot be mapped is stored as NULL, over whatever was there."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    code = text.upper()
    return code if code in COUNTRY_CODES else country_names().get(text.casefold())


def _language(value: Any) -> Any:
    return value if isinstance(value, str) and value in LANGUAGES else NOT_STORED


def _time_zone(value: Any) -> Any:
    return value if isinstance(value, str) and value in time_zones() else NOT_STORED


def _one_of(allowed: Sequence[str]) -> Callable[[Any], Any]:
    return lambda value: value if value in allowed else NOT_STORED


def _flag(value: Any) -> Any:
    return value if isinstance(value, bool) else NOT_STORED


def _record(value: Any) -> Any:
    return value if isinstance(value, dict) else NOT_STORED


def _image(value: Any) -> Any:
    return value if isinstance(value, str) and len(value) <= _MAX_IMAGE_URL else NOT_STORED


STANDARD_FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "first_name": _text,
    "last_name": _text,
    "home_city": _text,
    "email": lambda value: value,  # checked before
    "phone": _text,  # kept in the form in which it came
    "dob": _day,
    "gender": _one_of(("M", "F", "O", "N", "P")),  # that others are left out is UNVERIFIED
    "country": _country,
    "language": _language,  # that others are left out is UNVERIFIED
    "time_zone": _time_zone,
    "current_location": _record,
    "image_url": _image,
    "email_subscribe": lambda value: value,
    "push_subscribe": lambda value: value,
    "email_open_tracking_disabled": _flag,
    "email_click_tracking_disabled": _flag,
    "marked_email_as_spam_at": _moment,
    "date_of_first_session": _moment,
    "date_of_last_session": _moment,
    "facebook": _record,
    "twitter": _record,
}
"""The stored form of each standard field; :data:`NOT_STORED` where the value is silently left out.
``subscription_groups``, ``push_tokens`` and ``push_token_import`` are handled by the user."""
