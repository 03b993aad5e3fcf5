"""The objects of a request to ``/users/track``, and what Braze has against one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from airflow_provider_braze_blueconic.sandbox.braze.times import parse_time

__all__ = ["KINDS", "Kind", "event_problem", "identifier_problem", "purchase_problem"]

Kind = Literal["attributes", "events", "purchases"]

KINDS: tuple[Kind, ...] = ("attributes", "events", "purchases")
"""The arrays of a request, in the order in which Braze begins with them."""

_MAX_EXTERNAL_ID_BYTES = 987  # docs "POST /users/track", read 2026-11
_MAX_QUANTITY = 100  # docs "Purchase object", read 2026-11


def identifier_problem(item: Mapping[str, Any], *, blocked: Collection[str]) -> str | None:
    """Return what Braze has against the identifiers of an object.

    :param blocked: external ids that it takes no data for.
    """
    primary = [name for name in ("external_id", "user_alias", "braze_id") if item.get(name) is not None]
    if len(primary) > 1:
        return "You must specify only one of 'external_id', 'user_alias' or 'braze_id'"
    if not primary:
        if item.get("email") is not None or item.get("phone") is not None:
            return None if isinstance(item.get("email", ""), str) else "EMAIL_BAD_FORMAT"
        return "One of 'external_id', 'user_alias', 'braze_id', 'email' or 'phone' is required"
    if primary == ["user_alias"]:
        return _alias_problem(item["user_alias"])
    value = item[primary[0]]
    if not isinstance(value, str) or not value:
        return f"'{primary[0]}' must be a non-empty string"
    return _external_id_problem(value, blocked) if primary == ["external_id"] else None


def _external_id_problem(external_id: str, blocked: Collection[str]) -> str | None:
    if len(external_id.encode()) > _MAX_EXTERNAL_ID_BYTES:
        return "EXTERNAL_USER_ID_TOO_LARGE"
    if external_id in blocked:
        return "provided external_id is blacklisted and disallowed"
    return None


def _alias_problem(alias: Any) -> str | None:
    names = ("alias_name", "alias_label")
    good = isinstance(alias, dict) and all(isinstance(alias.get(each), str) and alias[each] for each in names)
    return None if good else "'user_alias' must have 'alias_name' and 'alias_label'"


def event_problem(item: Mapping[str, Any]) -> str | None:
    if not isinstance(item.get("name"), str) or not item["name"]:
        return "'name' is required"
    return _time_problem(item)


def _time_problem(item: Mapping[str, Any]) -> str | None:
    if not isinstance(item.get("time"), str) or parse_time(item["time"]) is None:
        return "'time' must be an ISO 8601 time"
    return None


def purchase_problem(item: Mapping[str, Any]) -> str | None:
    if not isinstance(item.get("product_id"), str) or not 0 < len(item["product_id"]) <= 255:
        return "'product_id' is required"
    currency = item.get("currency")
    if not isinstance(currency, str) or len(currency) != 3 or not currency.isalpha():
        return "'currency' must be an ISO 4217 code"
    if not isinstance(item.get("price"), (int, float)) or isinstance(item["price"], bool):
        return "'price' must be a number"
    quantity = item.get("quantity", 1)
    if not isinstance(quantity, int) or not 1 <= quantity <= _MAX_QUANTITY:
        return f"'quantity' must be between 1 and {_MAX_QUANTITY}"
    return _time_problem(item)
