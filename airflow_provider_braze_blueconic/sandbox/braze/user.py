"""One user profile of the sandbox's Braze."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from airflow_provider_braze_blueconic.sandbox.braze.counts import Counted
from airflow_provider_braze_blueconic.sandbox.braze.objects import Kind
from airflow_provider_braze_blueconic.sandbox.braze.seeded_history import HISTORY_FIELDS, invent_history

__all__ = ["COUNTED", "User"]

COUNTED: Mapping[Kind, str] = {"events": "custom_events", "purchases": "purchases"}


class User:
    """One user profile.

    :param is_seeded: whether the user has a history (devices, campaigns received, ...) besides what is kept here.
    """

    __slots__ = (
        "aliases",
        "braze_id",
        "changed",
        "counts",
        "created",
        "created_from",
        "custom",
        "external_id",
        "fields",
        "groups",
        "is_seeded",
        "revenue",
    )

    def __init__(self, braze_id: str, *, created: datetime, created_from: str, is_seeded: bool) -> None:
        self.braze_id = braze_id
        self.external_id: str | None = None
        self.aliases: dict[tuple[str, str], None] = {}
        self.fields: dict[str, Any] = {}
        self.custom: dict[str, Any] = {}
        self.groups: dict[str, str] = {}
        self.counts: dict[tuple[str, str], Counted] = {}
        self.revenue: float | None = None
        self.created = created
        self.created_from = created_from
        self.is_seeded = is_seeded
        self.changed = 0

    def export(self, *, fields: Collection[str] | None = None, attributes: Collection[str] = ()) -> dict[str, Any]:
        """Return the user as exports show it: a field without a value is left out.

        That events, purchases and messages only count for 90 days is not played: the seed data would grow old with
        the clock.

        :param fields: the fields asked for; ``None`` for all. ``custom_attributes`` among them means all of those.
        :param attributes: the custom attributes asked for by name.
        """
        shown = self._shown()
        if self.is_seeded and (fields is None or not HISTORY_FIELDS.isdisjoint(fields)):
            shown.update(invent_history(self.braze_id, created=self.created))
        wanted = shown if fields is None else {name: shown[name] for name in fields if name in shown}
        if fields is None or "custom_attributes" in fields:
            wanted["custom_attributes"] = dict(self.custom)
        else:
            wanted["custom_attributes"] = {name: self.custom[name] for name in attributes if name in self.custom}
        return {name: value for name, value in wanted.items() if value not in (None, "", [], {})}

    def _shown(self) -> dict[str, Any]:
        """Return everything but the custom attributes and what was done for ever."""
        shown: dict[str, Any] = {
            "created_at": f"{self.created:%Y-%m-%d %H:%M:%S}.{self.created.microsecond // 1000:03d} UTC",
            "created_from": self.created_from,
            "braze_id": self.braze_id,
            "random_bucket": int(self.braze_id[-8:], 16) % 10_000,
        }
        if self.external_id is not None:
            shown["external_id"] = self.external_id
        shown["user_aliases"] = [{"alias_name": name, "alias_label": label} for name, label in self.aliases]
        shown.update((name, value) for name, value in self.fields.items() if name != "current_location")
        location = self.fields.get("current_location")
        if location:
            shown["last_coordinates"] = [location["longitude"], location["latitude"]]
        shown["total_revenue"] = self.revenue
        for kind, name in COUNTED.items():
            shown[name] = [counted.show(each) for (of, each), counted in self.counts.items() if of == kind]
        return shown
