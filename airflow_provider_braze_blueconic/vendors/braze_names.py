"""Names for a Braze attribute: which ones Braze would read differently than the author means."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.vendors.braze_attributes import (
    BRAZE_ATTRIBUTES,
    SUBSCRIPTION_GROUP_PREFIX,
    braze_attribute,
    subscription_group,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["braze_name_hint", "braze_name_problem"]

_NAME_CHARACTERS = 255
_NAME_BYTES = 479
"""Of an attribute's name, at most: Braze cuts a longer one off, which is another name: docs "Custom attributes",
read 2026-11.
"""


def _squeeze(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


_BY_SQUEEZED_NAME = {_squeeze(name): name for name in BRAZE_ATTRIBUTES}


def braze_name_problem(target: str) -> str | None:  # noqa: PLR0911 - one return a rule
    """Say why Braze would not take this name as the author means it.

    :return: a sentence, or ``None`` if the name is fine.
    """
    if not target.strip() or target != target.strip() or not target.isprintable():
        return "isn't a valid name: it is empty, or has a control character, or begins or ends with a space."
    if problem := _length_problem(target):
        return problem
    if target.startswith("$"):
        return 'starts with "$", which Braze reserves for its own operators.'
    group = subscription_group(target)
    if group is not None:
        if _is_uuid(group):
            return None
        return f'needs the id of one group, a UUID, after "{SUBSCRIPTION_GROUP_PREFIX}".'
    if target.startswith("custom_attributes."):
        return (
            f'has a prefix too many; name a custom attribute without it: "{target.removeprefix("custom_attributes.")}".'
        )
    reserved = BRAZE_ATTRIBUTES.get(target)
    if reserved is not None:
        return reserved.refusal or None
    meant = _BY_SQUEEZED_NAME.get(_squeeze(target))
    if meant is None:
        return None
    if not BRAZE_ATTRIBUTES[meant].writable:
        return f'looks like "{meant}", which {BRAZE_ATTRIBUTES[meant].refusal}'
    return (
        f'is spelled "{meant}" in Braze. Any other spelling becomes a new custom attribute, which is billed, and '
        "the real field stays stale."
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


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.casefold()
    except ValueError:
        return False
