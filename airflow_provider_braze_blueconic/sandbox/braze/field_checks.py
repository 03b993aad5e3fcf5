"""Which standard fields of a user make the sandbox's Braze refuse an object."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["find_problem"]

# Page "Email validation", read 2026-11. Its list of top-level domains is not asked: tests and demo live in ".example".
_HOST = re.compile(r"[a-z\d]([a-z\d-]{0,61}[a-z\d])?(\.[a-z\d]([a-z\d-]{0,61}[a-z\d])?)+", re.IGNORECASE | re.ASCII)
_MICROSOFT_LOCAL = re.compile(r"\w[-\w]*(\.[-\w]+)*", re.ASCII)
_LOCAL_SIGNS = frozenset("_-^+$'&#/!%*=?`|~.")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SUBSCRIPTION_STATES = ("opted_in", "subscribed", "unsubscribed")
_GROUP_STATES = ("subscribed", "unsubscribed")


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
