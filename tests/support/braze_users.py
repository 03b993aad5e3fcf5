"""A Braze that finds its users as the real one does: by any of their identifiers, and an e-mail finds whom it belongs to.

Written from the vendor's pages ("POST /users/track", "User profile lifecycle", "External ID migration", read 2026-11).
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_braze_blueconic.sync.sending.seam import Refusal, Reply, Verdict
from tests.support.import_nights import Braze

__all__ = ["BrazeUser", "BrazeUsers"]

_PRIMARY = ("external_id", "user_alias", "braze_id")


@dataclass
class BrazeUser:
    """One user.

    :param external_ids: the user's own, and those that were renamed and not removed yet.
    :param aliases: (label, name).
    """

    external_ids: set[str] = field(default_factory=set)
    aliases: set[tuple[str, str]] = field(default_factory=set)
    email: str | None = None
    phone: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    written: int = 0

    def is_meant(self, kind: str, value: Any) -> bool:
        """Tell whether an identifier is this user's."""
        match kind:
            case "external_id":
                return value in self.external_ids
            case "user_alias":
                return (value["alias_label"], value["alias_name"]) in self.aliases
            case _:
                return bool(value == getattr(self, kind))


class BrazeUsers(Braze):
    """Users who are found by what an object has: by one primary identifier, else by the e-mail, else by the phone.

    Of several users with one e-mail those with an external id come first, then who was written last.
    """

    def __init__(self, *users: BrazeUser) -> None:
        super().__init__()
        self.people = list(users)
        self.objects: list[dict[str, Any]] = []
        """Everything that was asked, in its order."""
        self.refuses: Collection[str] = ()
        """Values of identifiers that are refused."""
        self.answers = True
        """Whether an answer arrives; what was asked is done all the same."""

    def told(self) -> list[dict[str, Any]]:
        """What was asked since the last time somebody wanted to know, in no order."""
        objects, self.objects = self.objects, []
        return sorted(objects, key=json.dumps)

    def of(self, kind: str, value: Any) -> dict[str, Any]:
        """Attributes of whom an identifier finds."""
        found = self._found(kind, value)
        assert found is not None, f"nobody has the {kind} {value}"
        return found.attributes

    async def send(self, body: bytes) -> Reply:
        refusals = []
        for position, entry in enumerate(json.loads(body)["attributes"]):
            update_only = entry.pop("_update_existing_only")
            kinds = [kind for kind in (*_PRIMARY, "email", "phone") if kind in entry]
            value = entry[kinds[0]]
            if value in self.refuses:
                refusals.append(Refusal(position, "is not valid"))
                continue
            self.objects.append(entry)
            self._write(kinds[0], value, {k: v for k, v in entry.items() if k != kinds[0]}, create=not update_only)
        if not self.answers:
            return Reply(Verdict.UNKNOWN, None, sentence="no answer came")
        return Reply(Verdict.READ_ENTRIES, 201, tuple(refusals))

    def _write(self, kind: str, value: Any, attributes: dict[str, Any], *, create: bool) -> None:
        user = self._found(kind, value)
        if user is None and create:
            user = BrazeUser()
            self.people.append(user)
            match kind:
                case "external_id":
                    user.external_ids.add(value)
                case "user_alias":
                    user.aliases.add((value["alias_label"], value["alias_name"]))
                case _:
                    setattr(user, kind, value)
        if user is None:
            return
        for name, text in attributes.items():
            if name in ("email", "phone"):
                setattr(user, name, text)
            else:
                user.attributes[name] = text
        user.written = max(one.written for one in self.people) + 1
        self.writes.update(attributes.keys())

    def _found(self, kind: str, value: Any) -> BrazeUser | None:
        found = [user for user in self.people if user.is_meant(kind, value)]
        return max(found, key=lambda user: (bool(user.external_ids), user.written), default=None)
