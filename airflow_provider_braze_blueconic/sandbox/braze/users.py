"""The users of the sandbox's Braze, found by each of their identifiers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from airflow_provider_braze_blueconic.sandbox.braze.standard_fields import NOT_STORED
from airflow_provider_braze_blueconic.sandbox.braze.user import User

__all__ = ["Users"]


class Users:
    """All users of a workspace; no look-up goes through all of them. The caller holds the workspace's lock.

    :param seed: goes into the ids that Braze gives.
    """

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        self._made = 0
        self._changes = 0
        self._by_braze_id: dict[str, User] = {}
        self._by_external_id: dict[str, User] = {}
        self._by_alias: dict[tuple[str, str], User] = {}
        self._by_email: dict[str, dict[str, User]] = {}
        self._by_phone: dict[str, dict[str, User]] = {}

    def __len__(self) -> int:
        return len(self._by_braze_id)

    def __iter__(self) -> Iterator[User]:
        """Go through the users in order of their creation."""
        return iter(self._by_braze_id.values())

    def __contains__(self, external_id: str) -> bool:
        return external_id in self._by_external_id

    def external_ids(self) -> set[str]:
        return set(self._by_external_id)

    def named(self, external_id: str) -> User:
        """Return the user with an external id.

        :raises KeyError: there is none.
        """
        return self._by_external_id[external_id]

    def find(self, identifiers: Mapping[str, Any]) -> User | None:
        """Look a user up by the identifiers of an object, in Braze's order of preference."""
        if isinstance(identifiers.get("external_id"), str):
            return self._by_external_id.get(identifiers["external_id"])
        if isinstance(identifiers.get("braze_id"), str):
            return self._by_braze_id.get(identifiers["braze_id"])
        if isinstance(identifiers.get("user_alias"), dict):
            alias = identifiers["user_alias"]
            return self._by_alias.get((alias.get("alias_name", ""), alias.get("alias_label", "")))
        if isinstance(identifiers.get("email"), str):
            return _preferred(self._by_email.get(identifiers["email"].lower(), {}))
        if isinstance(identifiers.get("phone"), str):
            return _preferred(self._by_phone.get(identifiers["phone"].lower(), {}), prefer_identified=False)
        return None

    def sharing_email(self, user: User) -> list[User]:
        """Return the users with the same e-mail address, the user first."""
        email = user.fields.get("email")
        sharing = self._by_email.get(email.lower(), {}).values() if email else ()
        return list({user.braze_id: user, **{other.braze_id: other for other in sharing}}.values())

    def make(self, created: datetime, *, created_from: str, is_seeded: bool = False) -> User:
        self._made += 1
        braze_id = f"{self._seed % 2**32:08x}{self._made:016x}"
        user = User(braze_id, created=created, created_from=created_from, is_seeded=is_seeded)
        self._by_braze_id[braze_id] = user
        return user

    def identify(self, user: User, external_id: str) -> None:
        user.external_id = external_id
        self._by_external_id[external_id] = user

    def alias(self, user: User, alias: tuple[str, str]) -> None:
        user.aliases[alias] = None
        self._by_alias[alias] = user

    def touch(self, user: User) -> None:
        """Note that a user was changed later than all others."""
        self._changes += 1
        user.changed = self._changes

    def set_field(self, user: User, name: str, value: Any) -> None:
        """Set a standard field in its stored form; ``None`` removes it."""
        if value is NOT_STORED:
            return
        if name in {"email", "phone"}:
            _move(self._by_email if name == "email" else self._by_phone, user, user.fields.get(name), value)
        if value is None:
            user.fields.pop(name, None)
        else:
            user.fields[name] = value

    def remove(self, external_id: str) -> None:
        user = self._by_external_id.pop(external_id)
        del self._by_braze_id[user.braze_id]
        for alias in user.aliases:
            del self._by_alias[alias]
        _move(self._by_email, user, user.fields.get("email"), None)
        _move(self._by_phone, user, user.fields.get("phone"), None)


def _move(index: dict[str, dict[str, User]], user: User, old: str | None, new: str | None) -> None:
    if old is not None:
        same = index.get(old.lower(), {})
        same.pop(user.braze_id, None)
        if not same:
            index.pop(old.lower(), None)
    if new is not None:
        index.setdefault(new.lower(), {})[user.braze_id] = user


def _preferred(found: Mapping[str, User], *, prefer_identified: bool = True) -> User | None:
    """Choose among users with one address: an external id first, then the latest change."""
    return max(
        found.values(),
        key=lambda user: (prefer_identified and user.external_id is not None, user.changed),
        default=None,
    )
