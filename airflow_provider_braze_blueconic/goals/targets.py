"""The names that Braze gives a meaning of its own: attributes that can be written, fields that can be exported.

Every other top-level name in a Braze attributes object is a custom attribute.
Standard library only.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from airflow_provider_braze_blueconic.sync.braze_paths import BRAZE_EXPORT_FIELDS, ExportKind

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BRAZE_ATTRIBUTES",
    "BRAZE_EXPORT_FIELDS",
    "BRAZE_STRING_CHARACTERS",
    "LEGISLATIONS",
    "SUBSCRIPTION_GROUP_PREFIX",
    "SUBSCRIPTION_STATES",
    "AttributeKind",
    "BrazeAttribute",
    "ExportKind",
    "FieldType",
    "Scalar",
    "braze_attribute",
    "braze_name_hint",
    "braze_name_problem",
    "braze_value_problem",
    "subscription_group",
]

FieldType = Literal["string", "integer", "float", "boolean", "time", "array", "object"]
"""The types that a goal can ask for."""
AttributeKind = Literal["string", "date", "time", "boolean", "array", "object"]
"""What Braze holds in a reserved attribute; ``date`` is ``YYYY-MM-DD``."""
Scalar = str | int | float | bool | None

_ATTRIBUTES_PAGE = 'docs "User attributes object", read 2026-11'
_STANDARD_PAGE = 'docs "Standard attributes", read 2026-11'
_TRACK_PAGE = 'docs "POST /users/track", read 2026-11'

BRAZE_STRING_CHARACTERS = 255
"""Characters of a string attribute, at most: docs "Custom attribute data types", read 2026-11.
A longer value is silently not stored.
"""
_NAME_CHARACTERS = 255
_NAME_BYTES = 479
"""Of an attribute's name, at most: Braze cuts a longer one off, which is another name: docs "Custom attributes",
read 2026-11.
"""
_IMAGE_URL_CHARACTERS = 1024  # docs "Standard attributes", read 2026-11

SUBSCRIPTION_GROUP_PREFIX = "subscription_groups."
SUBSCRIPTION_STATES = ("subscribed", "unsubscribed")  # docs "POST /users/track", read 2026-11
_GLOBAL_STATES = ("opted_in", "subscribed", "unsubscribed")  # docs "User attributes object", read 2026-11

_ACCEPTED_TYPES: Mapping[AttributeKind, tuple[FieldType, ...]] = {
    "string": ("string",),
    "date": ("time", "string"),
    "time": ("time", "string"),
    "boolean": ("boolean",),
    "array": ("array",),
    "object": ("object",),
}

LEGISLATIONS = (  # noqa: SIM905 - read by people, who want lines and not quotes
    "GDPR UK_GDPR SWITZERLAND_DPA CCPA NYPA SB220 SB1392 SB190 CDPA_CTCPDA UCPA TDPSA MTCDPA FDBR OCPA DPDPA "
    "ICDPA NHPA NJDPA NEDPA TENNESSEE_TIPA INDIANA_INCDPA KENTUCKY_KCDPA MINNESOTA_MCDPA MARYLAND_MODPA "
    "RHODE_ISLAND_RIDTPPA PIPEDA BRAZIL_LGPD ARGENTINA_DPL PERU_DPL MEXICO_LFPDPPP CHILE_L19_628 "
    "COLOMBIA_L1581_D1377 COSTA_RICA_L8968 PANAMA_L81 GUATEMALA_LAIP HONDURAS_LPDCP EL_SALVADOR NICARAGUA_L787 "
    "BELIZE_DPA HAITI_APD JAMAICA_DPA TRINIDAD_TOBAGO_DPA ISRAEL_PPL JAPAN_APPI CHINA_PIPL SOUTH_KOREA_PIPA "
    "AUSTRALIA_PRIVACY_ACT NEW_ZEALAND_PRIVACY_ACT NONE"
).split()
"""Privacy legislation zones: BlueConic REST API v2, release 103, PUT /profiles, read 2026-11."""


@dataclass(frozen=True)
class BrazeAttribute:
    """One top-level name of Braze's attributes object that is not a custom attribute.

    :param name: the only spelling that Braze takes for it.
    :param kind: what Braze holds there.
    :param refusal: why a goal can't write it, as a sentence; empty if it can.
    :param words: the only values that Braze takes; empty for any value of the kind.
    :param characters: length of a text value, at most.
    :param source: the vendor's page.
    """

    name: str
    kind: AttributeKind
    source: str
    refusal: str = ""
    words: tuple[str, ...] = ()
    characters: int = BRAZE_STRING_CHARACTERS

    @property
    def writable(self) -> bool:
        """Whether a field of a goal can write it."""
        return not self.refusal

    @property
    def accepted_types(self) -> tuple[FieldType, ...]:
        """The types of a goal that don't contradict what Braze holds."""
        if subscription_group(self.name) is not None:
            return ("string", "boolean")
        return _ACCEPTED_TYPES[self.kind]


_IDENTIFIER = 'is an identifier of Braze. It is set by "identifiers", not by a field.'
_CONTROL_FLAG = "is a control flag of Braze, not an attribute. The sync sets it where it is needed."
_PUSH = "is not supported: push tokens belong to the app's SDK."

_ATTRIBUTES = (
    BrazeAttribute("external_id", "string", _ATTRIBUTES_PAGE, refusal=_IDENTIFIER),
    BrazeAttribute("braze_id", "string", _ATTRIBUTES_PAGE, refusal=_IDENTIFIER),
    BrazeAttribute("user_alias", "object", _ATTRIBUTES_PAGE, refusal=_IDENTIFIER),
    BrazeAttribute("first_name", "string", _ATTRIBUTES_PAGE),
    BrazeAttribute("last_name", "string", _ATTRIBUTES_PAGE),
    BrazeAttribute("home_city", "string", _ATTRIBUTES_PAGE),
    BrazeAttribute("email", "string", _ATTRIBUTES_PAGE),
    BrazeAttribute("phone", "string", _ATTRIBUTES_PAGE),
    BrazeAttribute("dob", "date", _ATTRIBUTES_PAGE),
    BrazeAttribute("gender", "string", _ATTRIBUTES_PAGE, words=("M", "F", "O", "N", "P")),
    BrazeAttribute("country", "string", _ATTRIBUTES_PAGE),
    BrazeAttribute("language", "string", _ATTRIBUTES_PAGE),
    BrazeAttribute("time_zone", "string", _ATTRIBUTES_PAGE),
    BrazeAttribute("current_location", "object", _ATTRIBUTES_PAGE),
    BrazeAttribute("image_url", "string", _STANDARD_PAGE, characters=_IMAGE_URL_CHARACTERS),
    BrazeAttribute("email_subscribe", "string", _ATTRIBUTES_PAGE, words=_GLOBAL_STATES),
    BrazeAttribute("push_subscribe", "string", _ATTRIBUTES_PAGE, words=_GLOBAL_STATES),
    BrazeAttribute(
        "subscription_groups",
        "array",
        _TRACK_PAGE,
        refusal=f'is a list of groups. Write one group at a time, as "{SUBSCRIPTION_GROUP_PREFIX}<id of the group>".',
    ),
    BrazeAttribute("email_open_tracking_disabled", "boolean", _ATTRIBUTES_PAGE),
    BrazeAttribute("email_click_tracking_disabled", "boolean", _ATTRIBUTES_PAGE),
    BrazeAttribute("marked_email_as_spam_at", "time", _ATTRIBUTES_PAGE),
    BrazeAttribute("date_of_first_session", "time", _ATTRIBUTES_PAGE),
    BrazeAttribute("date_of_last_session", "time", _ATTRIBUTES_PAGE),
    BrazeAttribute("facebook", "object", _ATTRIBUTES_PAGE),
    BrazeAttribute("twitter", "object", _ATTRIBUTES_PAGE),
    BrazeAttribute("push_tokens", "array", _ATTRIBUTES_PAGE, refusal=_PUSH),
    BrazeAttribute("push_token_import", "boolean", _ATTRIBUTES_PAGE, refusal=_PUSH),
    BrazeAttribute(
        "email_subscription_info",
        "object",
        _TRACK_PAGE,
        refusal='is refused by Braze. Use "email_subscribe", or one subscription group.',
    ),
    BrazeAttribute("_update_existing_only", "boolean", _ATTRIBUTES_PAGE, refusal=_CONTROL_FLAG),
    BrazeAttribute("_merge_objects", "boolean", _ATTRIBUTES_PAGE, refusal=_CONTROL_FLAG),
)

BRAZE_ATTRIBUTES: Mapping[str, BrazeAttribute] = MappingProxyType({item.name: item for item in _ATTRIBUTES})


def _squeeze(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


_BY_SQUEEZED_NAME = {_squeeze(name): name for name in BRAZE_ATTRIBUTES}


def braze_attribute(target: str) -> BrazeAttribute | None:
    """Look up a target of a goal.

    :return: ``None`` for a custom attribute; for ``subscription_groups.<id>`` what one group takes.
    """
    if subscription_group(target) is not None:
        return BrazeAttribute(target, "string", _TRACK_PAGE, words=SUBSCRIPTION_STATES)
    return BRAZE_ATTRIBUTES.get(target)


def subscription_group(target: str) -> str | None:
    """Give the id of the group in ``subscription_groups.<id>``, ``None`` for any other target."""
    if not target.startswith(SUBSCRIPTION_GROUP_PREFIX):
        return None
    return target.removeprefix(SUBSCRIPTION_GROUP_PREFIX)


def braze_name_problem(target: str) -> str | None:  # noqa: PLR0911 - one return a rule
    """Say why Braze would not take this name as the author means it.

    :return: a sentence, or ``None`` if the name is fine.
    """
    if not target.strip() or target != target.strip() or not target.isprintable():
        return "is not a name: it is empty, or holds a control character or a space at its edge."
    if problem := _length_problem(target):
        return problem
    if target.startswith("$"):
        return 'starts with "$", which Braze keeps for its own operators.'
    group = subscription_group(target)
    if group is not None:
        if _is_uuid(group):
            return None
        return f'needs the id of one group, a UUID, after "{SUBSCRIPTION_GROUP_PREFIX}".'
    if target.startswith("custom_attributes."):
        return f'writes a custom attribute by its bare name: "{target.removeprefix("custom_attributes.")}".'
    reserved = BRAZE_ATTRIBUTES.get(target)
    if reserved is not None:
        return reserved.refusal or None
    meant = _BY_SQUEEZED_NAME.get(_squeeze(target))
    if meant is None:
        return None
    if not BRAZE_ATTRIBUTES[meant].writable:
        return f'looks like "{meant}", which {BRAZE_ATTRIBUTES[meant].refusal}'
    return (
        f'is spelt "{meant}" in Braze. Any other spelling becomes a new custom attribute, '
        "which is billed, and the real field stays stale."
    )


def _length_problem(target: str) -> str | None:
    if len(target) > _NAME_CHARACTERS:
        return f"has {len(target)} characters; Braze cuts a name off after {_NAME_CHARACTERS}."
    size = len(target.encode(errors="replace"))
    return f"has {size} bytes in UTF-8; Braze cuts a name off after {_NAME_BYTES}." if size > _NAME_BYTES else None


_OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "dob": ("birthday", "birthdate", "birth_day", "date_of_birth", "day_of_birth", "bday"),
    "image_url": ("avatar", "avatar_url", "photo", "photo_url", "picture", "profile_picture", "image", "profile_image"),
    "language": ("locale", "lang", "preferred_language", "language_code"),
    "email": ("e_mail", "mail", "email_address", "mail_address"),
    "phone": ("phone_number", "telephone", "mobile", "mobile_phone", "mobile_number", "cell_phone"),
    "first_name": ("given_name", "forename"),
    "last_name": ("surname", "family_name"),
    "home_city": ("city", "hometown"),
    "country": ("country_code", "home_country"),
    "gender": ("sex",),
    "time_zone": ("tz",),
}
"""Standard attribute → what other systems call it; RudderStack, for one, maps ``birthday`` and ``avatar``."""
_MEANT = {_squeeze(name): meant for meant, names in _OTHER_NAMES.items() for name in names}
_BIO = "bio"


def braze_name_hint(target: str) -> str | None:
    """Say which standard attribute may be meant by the name of a custom one.

    :return: a sentence, or ``None``. The name can be used as it is.
    """
    squeezed = _squeeze(target)
    if braze_attribute(target) is not None or braze_name_problem(target):
        return None
    if squeezed == _BIO:
        return f"{_CUSTOM_HINT} Braze's profiles have a bio, but its API page no longer names a field for it."
    meant = _MEANT.get(squeezed)
    return f'{_CUSTOM_HINT} Did you mean "{meant}"?' if meant else None


_CUSTOM_HINT = "becomes a custom attribute."


def braze_value_problem(target: str, value: Scalar) -> str | None:  # noqa: PLR0911 - one return a rule
    """Say why this fixed value is of another kind than what Braze stores under this name, or longer.

    :param value: ``None`` clears the attribute, which is always possible.
    :return: a sentence, or ``None`` if the value is fine.
    """
    if value is None:
        return None
    attribute = braze_attribute(target)
    characters = attribute.characters if attribute else BRAZE_STRING_CHARACTERS
    if isinstance(value, str) and len(value) > characters:
        return f"the text has {len(value)} characters; Braze stores at most {characters} here."
    if attribute is None:
        return None
    if attribute.kind in ("array", "object"):
        return f'"{target}" holds an {attribute.kind} in Braze, which a single value can\'t be.'
    if isinstance(value, bool) and subscription_group(target) is not None:
        return None
    expected: type = bool if attribute.kind == "boolean" else str
    if not isinstance(value, expected):
        wanted = "true or false" if expected is bool else "text"
        return f'"{target}" holds {wanted} in Braze.'
    return None


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.casefold()
    except ValueError:
        return False
