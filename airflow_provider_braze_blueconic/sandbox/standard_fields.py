"""What the sandbox's Braze makes of the standard fields of a user: refused, stored in its own form, or ignored."""

from __future__ import annotations

import re
import unicodedata
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from faker.providers.date_time import Provider as _FakerDates

from .custom_attributes import MAX_CHARACTERS, parse_time, stored_time

__all__ = ["BILLED", "CONTROLS", "IDENTIFIERS", "NOT_STORED", "STANDARD_FIELDS", "find_problem"]

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

# Page "Email validation", read 2026-11. Its list of top-level domains is not asked: tests and demo live in ".example".
_HOST = re.compile(r"[a-z\d]([a-z\d-]{0,61}[a-z\d])?(\.[a-z\d]([a-z\d-]{0,61}[a-z\d])?)+", re.IGNORECASE | re.ASCII)
_MICROSOFT_LOCAL = re.compile(r"\w[-\w]*(\.[-\w]+)*", re.ASCII)
_LOCAL_SIGNS = frozenset("_-^+$'&#/!%*=?`|~.")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SUBSCRIPTION_STATES = ("opted_in", "subscribed", "unsubscribed")
_GROUP_STATES = ("subscribed", "unsubscribed")
_MAX_IMAGE_URL = 1024  # characters: docs "Standard attributes", read 2026-11

_COUNTRY_CODES = frozenset(
    """AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO
    JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR
    MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO
    RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV
    TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW""".split()  # noqa: SIM905 - a list a reader can scan
)
# Page "Supported language codes", read 2026-11, in its order.
_LANGUAGES = frozenset(
    """en af agq ak sq am ar hy as ay az ksf bas eu be bem bn bez bs br bg my km ca tzm chr cgg zh swc kw hr cs da
    dav dua nl dz guz et eo ewo ee fo fa fil fi fr gl lg ka de gsw el kl gn gu ha haw he hi hu is ig id iu ga it
    jv ja dyo kab kln kam kn ks kk ebu ki rw ky ko ku lo la lv ln lt lu lb luo luy jmc mk mg ms ml mt gv mr mas
    mer mo mn mfe mua naq ne nd nb nus nyn nn om ps ff pl pt pa qu rm ro rof ru rwk saq se sbp sa gd sr seh ksb sn
    ii sd si sk sl so es sw sv shi tl tg ta twq tt te teo th bo ti to tr tk ug uk ur uz vai vi vun cy xh yav yi yo
    dje zu""".split()  # noqa: SIM905 - the same
)
_RAILS_ZONES = frozenset({"Eastern Time (US & Canada)", "Central Time (US & Canada)", "Pacific Time (US & Canada)"})


def find_problem(fields: Mapping[str, Any]) -> str | None:
    """Return why Braze refuses an attributes object, apart from its identifiers; ``None`` when it takes it.

    The docs name codes, a live workspace was seen to answer a sentence: the sandbox gives both kinds.
    """
    for name in _CHECKS.keys() & fields.keys():
        problem = _CHECKS[name](fields[name])
        if problem is not None:
            return problem
    return None


def _check_email(value: Any) -> str | None:
    return None if value is None or (isinstance(value, str) and _is_address(value)) else "EMAIL_BAD_FORMAT"


def _is_address(text: str) -> bool:
    local, _, host = text.rpartition("@")
    if not 1 <= len(local) <= 64 or not _HOST.fullmatch(host) or host.rpartition(".")[2].isdigit():
        return False
    if local[0] == "." or local[-1] == "." or not all(map(_is_local_character, local)):
        return False
    host = host.lower()
    if "gmail" in host and len(local) < 2:
        return False
    is_microsoft = any(word in host for word in ("msn", "hotmail", "outlook", "live"))
    return not is_microsoft or _MICROSOFT_LOCAL.fullmatch(local.partition("+")[0]) is not None


def _is_local_character(character: str) -> bool:
    """Beyond ASCII letters, marks, numbers, punctuation and symbols count; spaces and what can't be seen do not."""
    if character.isascii():
        return character.isalnum() or character in _LOCAL_SIGNS
    return unicodedata.category(character)[0] in "LMNPS"


def _check_email_state(value: Any) -> str | None:
    if value in _SUBSCRIPTION_STATES:
        return None
    return "'email_subscribe' must be 'subscribed', 'unsubscribed', or 'opted_in'"


def _check_push_state(value: Any) -> str | None:
    return None if value in _SUBSCRIPTION_STATES else "BAD_PUSH_SUBSCRIPTION_STATE"


def _check_location(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, dict) and value.keys() == {"longitude", "latitude"}:
        numbers = value.values()
        if all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in numbers):
            return None
    return "BAD_LOCATION_UPDATE"


def _check_groups(value: Any) -> str | None:
    if not isinstance(value, list):
        return "BAD_SUBSCRIPTION_GROUP_ARRAY"
    for each in value:
        if not isinstance(each, dict):
            return "BAD_SUBSCRIPTION_GROUP_HASH"
        if not isinstance(each.get("subscription_group_id"), str) or not _UUID.fullmatch(each["subscription_group_id"]):
            return "BAD_SUBSCRIPTION_GROUP_ID"
        if each.get("subscription_state") not in _GROUP_STATES:
            return "BAD_SUBSCRIPTION_GROUP_STATE"
    return None


def _check_push_tokens(value: Any) -> str | None:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        return "BAD_PUSH_TOKEN_VALUE"
    for each in value:
        if not isinstance(each.get("app_id"), str):
            return "BAD_PUSH_TOKEN_APP_ID"
        if not isinstance(each.get("token"), str):
            return "BAD_PUSH_TOKEN_STRING"
        if "device_id" in each and not 8 <= len(str(each["device_id"]).encode()) <= 255:
            return "BAD_DEVICE_ID"
    return None


_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "email": _check_email,
    "email_subscribe": _check_email_state,
    "push_subscribe": _check_push_state,
    "current_location": _check_location,
    "subscription_groups": _check_groups,
    "push_tokens": _check_push_tokens,
    "email_subscription_info": lambda _: "INVALID_ATTRIBUTE_EMAIL_SUBSCRIPTION_INFO",
}


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
    return code if code in _COUNTRY_CODES else _country_names().get(text.casefold())


@lru_cache(maxsize=1)
def _country_names() -> Mapping[str, str]:
    names = {country.name.casefold(): country.alpha_2_code for country in _FakerDates.countries}
    more = {"uk": "GB", "great britain": "GB", "england": "GB", "usa": "US", "united states of america": "US"}
    more |= {"united states": "US", "united kingdom": "GB", "netherlands": "NL", "the netherlands": "NL"}
    more |= {"australia": "AU", "south korea": "KR", "russia": "RU", "czech republic": "CZ", "czechia": "CZ"}
    return names | more


def _language(value: Any) -> Any:
    return value if isinstance(value, str) and value in _LANGUAGES else NOT_STORED


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) | _RAILS_ZONES


def _time_zone(value: Any) -> Any:
    return value if isinstance(value, str) and value in _zones() else NOT_STORED


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
