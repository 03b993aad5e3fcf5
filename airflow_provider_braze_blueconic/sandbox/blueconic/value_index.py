"""The profiles that hold a value of a property."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from airflow_provider_braze_blueconic.sandbox.blueconic.profile import Profile

__all__ = ["ValueIndex"]


class ValueIndex:
    """Finds profiles by a value, compared letter by letter (UNVERIFIED).

    A property is indexed when it is first asked for.

    :param profiles: of the tenant, by id.
    """

    def __init__(self, profiles: Mapping[str, Profile]) -> None:
        self._profiles = profiles
        self._indexes: dict[str, defaultdict[str, set[str]]] = {}

    def look_up(self, property_id: str, value: str) -> set[str]:
        """Return the ids of the profiles that hold a value."""
        index = self._indexes.get(property_id)
        if index is None:
            index = self._indexes[property_id] = defaultdict(set)
            for profile in self._profiles.values():
                for text in profile.values.get(property_id, ()):
                    index[text].add(profile.id)
        return set(index.get(value, ()))

    def put(self, profile: Profile, name: str, texts: Sequence[str]) -> None:
        """Change the values of a property; none removes it."""
        index = self._indexes.get(name)
        if index is not None:
            for text in profile.values.get(name, ()):
                index[text].discard(profile.id)
            for text in texts:
                index[text].add(profile.id)
        if texts:
            profile.values[name] = list(texts)
        else:
            profile.values.pop(name, None)

    def sharing(self, property_id: str) -> dict[str, set[str]]:
        """Return the values that several profiles hold → ids of these profiles."""
        holders: defaultdict[str, set[str]] = defaultdict(set)
        for profile in self._profiles.values():
            for value in profile.values.get(property_id, ()):
                holders[value.strip()].add(profile.id)
        return {value: ids for value, ids in holders.items() if len(ids) > 1}
