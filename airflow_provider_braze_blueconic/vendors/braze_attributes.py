"""The attribute names with a special meaning in Braze: what each holds, and how to write it.

Every other top-level name in a Braze attributes object is a custom attribute.
Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BRAZE_ATTRIBUTES",
    "BRAZE_STRING_CHARACTERS",
    "GLOBAL_STATES",
    "SUBSCRIPTION_GROUP_PREFIX",
    "SUBSCRIPTION_STATES",
    "AttributeKind",
    "BrazeAttribute",
    "FieldType",
    "Scalar",
    "braze_attribute",
    "braze_value_problem",
    "excluding_identifiers",
    "is_billable",
    "is_clearable",
    "is_standard",
    "subscription_group",
]

FieldType = Literal["string", "integer", "float", "boolean", "time", "array", "object"]
"""The types that a goal can ask for."""
AttributeKind = Literal["string", "date", "time", "boolean", "array", "object"]
"""What Braze holds in a reserved attribute; ``date`` is ``YYYY-MM-DD``."""
Scalar = str | int | float | bool | None
"""A single value of a goal; ``None`` clears an attribute."""

_ATTRIBUTES_PAGE = 'docs "User attributes object", read 2026-11'
_STANDARD_PAGE = 'docs "Standard attributes", read 2026-11'
_TRACK_PAGE = 'docs "POST /users/track", read 2026-11'

BRAZE_STRING_CHARACTERS = 255
"""Characters of a string attribute, at most: docs "Custom attribute data types", read 2026-11.
A longer value is silently not stored.
"""

_IMAGE_URL_CHARACTERS = 1024  # docs "Standard attributes", read 2026-11

SUBSCRIPTION_GROUP_PREFIX = "subscription_groups."
"""``subscription_groups.<group id>`` is one field of a goal; the request joins them into Braze's one array."""
SUBSCRIPTION_STATES = ("subscribed", "unsubscribed")  # docs "POST /users/track", read 2026-11
"""What a person's subscription to one group can be."""
GLOBAL_STATES = ("opted_in", "subscribed", "unsubscribed")  # docs "User attributes object", read 2026-11
"""What a person's subscription to a whole channel can be."""

_ACCEPTED_TYPES: Mapping[AttributeKind, tuple[FieldType, ...]] = {
    "string": ("string",),
    "date": ("time", "string"),
    "time": ("time", "string"),
    "boolean": ("boolean",),
    "array": ("array",),
    "object": ("object",),
}


@dataclass(frozen=True)
class BrazeAttribute:
    """One top-level name of Braze's attributes object that is not a custom attribute.

    :param name: the only spelling that Braze takes for it.
    :param kind: what Braze holds there.
    :param refusal: why a goal can't write it, as a sentence; empty if it can.
    :param words: the only values that Braze takes; empty for any value of the kind.
    :param characters: length of a text value, at most.
    :param source: the vendor's page.
    :param is_billable: writing it costs a data point. The group "Subscription and consent" costs none: docs "Standard
        attributes", read 2026-11.
    :param is_clearable: ``null`` clears it. A subscription has no empty state: Braze refuses the person.
    :param excluded_by: the identifiers beside which it can't be written: docs "Standard user attributes", read
        2026-11.
    """

    name: str
    kind: AttributeKind
    source: str
    refusal: str = ""
    words: tuple[str, ...] = ()
    characters: int = BRAZE_STRING_CHARACTERS
    is_billable: bool = True
    is_clearable: bool = True
    excluded_by: tuple[str, ...] = ()

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


_IDENTIFIER = 'is an identifier in Braze. "identifiers" sets it, not a field.'
_CONTROL_FLAG = "is a control flag of Braze, not an attribute. The sync sets it where needed."
_PUSH = "is not supported: push tokens belong to the app's SDK."

_ATTRIBUTES = (
    BrazeAttribute("external_id", "string", _ATTRIBUTES_PAGE, refusal=_IDENTIFIER),
    BrazeAttribute("braze_id", "string", _ATTRIBUTES_PAGE, refusal=_IDENTIFIER),
    BrazeAttribute("user_alias", "object", _ATTRIBUTES_PAGE, refusal=_IDENTIFIER),
    BrazeAttribute("first_name", "string", _ATTRIBUTES_PAGE),
    BrazeAttribute("last_name", "string", _ATTRIBUTES_PAGE),
    BrazeAttribute("home_city", "string", _ATTRIBUTES_PAGE),
    # A key stands in an object once, so an identifier can't be a field as well. And Braze takes phone for the
    # identifier only where email is absent: beside it, an email would decide who is written to, and that person would
    # get the phone number too.
    BrazeAttribute("email", "string", _ATTRIBUTES_PAGE, excluded_by=("email", "phone")),
    BrazeAttribute("phone", "string", _ATTRIBUTES_PAGE, excluded_by=("phone",)),
    BrazeAttribute("dob", "date", _ATTRIBUTES_PAGE),
    BrazeAttribute("gender", "string", _ATTRIBUTES_PAGE, words=("M", "F", "O", "N", "P")),
    BrazeAttribute("country", "string", _ATTRIBUTES_PAGE),
    BrazeAttribute("language", "string", _ATTRIBUTES_PAGE),
    BrazeAttribute("time_zone", "string", _ATTRIBUTES_PAGE),
    BrazeAttribute("current_location", "object", _ATTRIBUTES_PAGE),
    BrazeAttribute("image_url", "string", _STANDARD_PAGE, characters=_IMAGE_URL_CHARACTERS),
    BrazeAttribute(
        "email_subscribe", "string", _ATTRIBUTES_PAGE, words=GLOBAL_STATES, is_billable=False, is_clearable=False
    ),
    BrazeAttribute(
        "push_subscribe", "string", _ATTRIBUTES_PAGE, words=GLOBAL_STATES, is_billable=False, is_clearable=False
    ),
    BrazeAttribute(
        "subscription_groups",
        "array",
        _TRACK_PAGE,
        refusal=f'is a list of groups. Write one group at a time, as "{SUBSCRIPTION_GROUP_PREFIX}<id of the group>".',
    ),
    BrazeAttribute("email_open_tracking_disabled", "boolean", _ATTRIBUTES_PAGE, is_billable=False),
    BrazeAttribute("email_click_tracking_disabled", "boolean", _ATTRIBUTES_PAGE, is_billable=False),
    BrazeAttribute("marked_email_as_spam_at", "time", _ATTRIBUTES_PAGE, is_billable=False),
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
        refusal='can\'t be written: Braze refuses it. Use "email_subscribe", or one subscription group.',
    ),
    BrazeAttribute("_update_existing_only", "boolean", _ATTRIBUTES_PAGE, refusal=_CONTROL_FLAG),
    BrazeAttribute("_merge_objects", "boolean", _ATTRIBUTES_PAGE, refusal=_CONTROL_FLAG),
)


BRAZE_ATTRIBUTES: Mapping[str, BrazeAttribute] = MappingProxyType({item.name: item for item in _ATTRIBUTES})


def braze_attribute(target: str) -> BrazeAttribute | None:
    """Look up a target of a goal.

    :return: ``None`` for a custom attribute; for ``subscription_groups.<id>`` what one group takes.
    """
    if subscription_group(target) is not None:
        return BrazeAttribute(
            target, "string", _TRACK_PAGE, words=SUBSCRIPTION_STATES, is_billable=False, is_clearable=False
        )
    return BRAZE_ATTRIBUTES.get(target)


def subscription_group(target: str) -> str | None:
    """Give the id of the group in ``subscription_groups.<id>``, ``None`` for any other target."""
    if not target.startswith(SUBSCRIPTION_GROUP_PREFIX):
        return None
    return target.removeprefix(SUBSCRIPTION_GROUP_PREFIX)


def is_standard(target: str) -> bool:
    """Tell whether a goal writes what Braze gives a meaning of its own; any other name is a custom attribute."""
    attribute = braze_attribute(target)
    return attribute is not None and attribute.writable


def is_billable(target: str) -> bool:
    """Tell whether writing this attribute costs a data point."""
    attribute = braze_attribute(target)
    return attribute is None or attribute.is_billable


def is_clearable(target: str) -> bool:
    """Tell whether ``null`` clears this attribute."""
    attribute = braze_attribute(target)
    return attribute is None or attribute.is_clearable


def excluding_identifiers(target: str) -> tuple[str, ...]:
    """Name the identifiers beside which an attribute can't be written."""
    attribute = braze_attribute(target)
    return () if attribute is None else attribute.excluded_by


def braze_value_problem(target: str, value: Scalar) -> str | None:
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
    expected, wanted = _SINGLE_VALUES.get(attribute.kind, _TEXT)
    return None if isinstance(value, expected) else f'"{target}" holds {wanted} in Braze.'


_TEXT: tuple[type, str] = (str, "text")
_SINGLE_VALUES: Mapping[AttributeKind, tuple[type, str]] = {"boolean": (bool, "true or false")}
