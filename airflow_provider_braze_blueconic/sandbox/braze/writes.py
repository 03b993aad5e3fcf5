"""What the objects of a request to ``/users/track`` do to users."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from airflow_provider_braze_blueconic.sandbox.braze.attribute_types import AttributeTypes
from airflow_provider_braze_blueconic.sandbox.braze.counts import Counted
from airflow_provider_braze_blueconic.sandbox.braze.field_checks import find_problem
from airflow_provider_braze_blueconic.sandbox.braze.objects import (
    Kind,
    event_problem,
    identifier_problem,
    purchase_problem,
)
from airflow_provider_braze_blueconic.sandbox.braze.standard_fields import (
    BILLED,
    CONTROLS,
    IDENTIFIERS,
    STANDARD_FIELDS,
)
from airflow_provider_braze_blueconic.sandbox.braze.times import parse_time
from airflow_provider_braze_blueconic.sandbox.braze.traffic import Traffic
from airflow_provider_braze_blueconic.sandbox.braze.user import User
from airflow_provider_braze_blueconic.sandbox.braze.users import Users
from airflow_provider_braze_blueconic.sandbox.in_force import Faults

__all__ = ["Writer"]

_UNFIELDED = CONTROLS | IDENTIFIERS | {"subscription_groups", "push_tokens", "push_token_import"}
_PROBLEMS: Mapping[Kind, Callable[[Mapping[str, Any]], str | None]] = {
    "attributes": find_problem,
    "events": event_problem,
    "purchases": purchase_problem,
}


class Writer:
    """Takes objects one by one; the caller holds the workspace's lock.

    :param traffic: counts what they cost and whom they make.
    :param faults: its ``braze`` settings are read at each object.
    :param clock: stamps new users; aware UTC.
    """

    def __init__(
        self,
        users: Users,
        attributes: AttributeTypes,
        traffic: Traffic,
        *,
        faults: Faults,
        clock: Callable[[], datetime],
    ) -> None:
        self._users = users
        self._attributes = attributes
        self._traffic = traffic
        self._faults = faults
        self._clock = clock

    def take(self, kind: Kind, item: Any) -> str | None:
        """Take an object, or return why it is refused."""
        if not isinstance(item, dict):
            return f"each of '{kind}' must be an object"
        settings = self._faults.braze
        problem = identifier_problem(item, blocked=settings.blocked_external_ids) or _PROBLEMS[kind](item)
        if problem is not None:
            return problem
        user = self._find_or_create(item)
        if user is None:
            self._traffic.unmatched += 1
            if settings.bill_unmatched:
                self._traffic.data_points += len(item.keys() - _UNFIELDED)
            return None
        self._users.touch(user)
        if kind == "attributes":
            self._set(user, item)
        else:
            self._count(user, kind, item)
            self._traffic.data_points += 1
        return None

    def _find_or_create(self, item: Mapping[str, Any]) -> User | None:
        user = self._users.find(item)
        if user is not None:
            return user
        # Update-only is the default with an alias, creation with everything else.
        # That braze_id never creates is UNVERIFIED for this endpoint: Braze assigns it.
        update_only = item.get("_update_existing_only", "user_alias" in item)
        if update_only or item.get("braze_id") is not None:
            return None
        return self._create(item)

    def _create(self, item: Mapping[str, Any]) -> User:
        user = self._users.make(self._clock(), created_from="REST API")
        self._traffic.created += 1
        if item.get("external_id") is not None:
            self._users.identify(user, item["external_id"])
        elif item.get("user_alias") is not None:
            self._users.alias(user, (item["user_alias"]["alias_name"], item["user_alias"]["alias_label"]))
        else:  # an email-only or phone-only profile: its address is the one attribute that is written
            name = "email" if item.get("email") is not None else "phone"
            self._users.set_field(user, name, item[name])
            self._traffic.data_points += 1
        return user

    def _set(self, user: User, item: Mapping[str, Any]) -> None:
        merge = item.get("_merge_objects") is True
        array_length = self._faults.braze.array_length
        points = 0
        for name, value in item.items():
            rule = STANDARD_FIELDS.get(name)
            if rule is not None:
                if name in BILLED and not _is_identifier_here(item, name, user, value):
                    points += 1
                self._users.set_field(user, name, None if value is None else rule(value))
            elif name not in _UNFIELDED:
                points += self._attributes.write(user.custom, name, value, merge=merge, array_length=array_length)
        for group in item.get("subscription_groups", ()):
            # A subscription state spreads to everybody with the same e-mail address.
            for each in self._users.sharing_email(user):
                each.groups[group["subscription_group_id"]] = group["subscription_state"]
        self._traffic.data_points += points

    def _count(self, user: User, kind: Kind, item: Mapping[str, Any]) -> None:
        now = self._clock()
        time = min(parse_time(item["time"]) or now, now)  # a time to come is now: docs "Event object"
        key = (kind, item["name"] if kind == "events" else item["product_id"])
        before = user.counts.get(key)
        if before is None:
            user.counts[key] = Counted(time, time, 1)
        else:
            user.counts[key] = Counted(min(before.first, time), max(before.last, time), before.count + 1)
        if kind == "purchases":  # without a look at the currency: how Braze converts is UNVERIFIED
            user.revenue = round((user.revenue or 0.0) + item["price"] * item.get("quantity", 1), 2)


def _is_identifier_here(item: Mapping[str, Any], name: str, user: User, value: Any) -> bool:
    """Tell whether an e-mail address or number only served to find the user, so that nothing was written."""
    if name not in {"email", "phone"} or any(item.get(each) is not None for each in IDENTIFIERS):
        return False
    if name == "phone" and item.get("email") is not None:
        return False
    return str(user.fields.get(name, "")).lower() == str(value).lower()
