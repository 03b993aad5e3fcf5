"""The entries of a batch of profiles, as they were sent."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from airflow_provider_braze_blueconic.hooks.blueconic_api.sum_words import INCREMENT_RULE, SUM_WORDS

__all__ = ["SentEntries", "count_entries"]

_SENT_KEY = re.compile(rb'\{\s*"identifier"\s*:\s*"([^"\\]+)"')
"""The name at the beginning of each entry. In a value every quote has a backslash, so it can't be found there."""


def count_entries(sent: bytes) -> int:
    """Count the entries of a body."""
    return len(_SENT_KEY.findall(sent))


class SentEntries:
    """The entries of a batch that was sent. They are parsed only where an answer asks for it: most never do.

    :param sent: the body; each entry begins with its ``identifier``.
    """

    def __init__(self, sent: bytes) -> None:
        self._sent = sent
        self.keys = [key.decode() for key in _SENT_KEY.findall(sent)]

    @cached_property
    def doubled(self) -> set[str]:
        """Keys of several entries: a result of one of them can't be told from that of another."""
        return {key for key, times in Counter(self.keys).items() if times > 1}

    def sums(self, position: int) -> set[str]:
        """Return the numbers to which an entry adds something; adding nothing says nothing."""
        if INCREMENT_RULE not in self._sent:
            return set()
        return {
            rule["id"]
            for rule in self._parsed[position].get("properties", ())
            if rule.get("strategy") == SUM_WORDS[0] and any(map(_is_not_zero, rule.get("values", ())))
        }

    def rules(self, position: int) -> dict[str, str]:
        """Return property → strategy of what an entry does to a profile that exists."""
        rules = self._parsed[position].get("properties", ())
        return {rule["id"]: rule.get("strategy") for rule in rules if rule.get("restriction") != "NEW_PROFILES_ONLY"}

    def properties(self, position: int) -> set[str]:
        """Return the properties that an entry names."""
        return {rule["id"] for rule in self._parsed[position].get("properties", ())}

    def only_adds(self, position: int) -> bool:
        """Tell whether nothing but adding can have changed a profile."""
        return self.rules(position).keys() == self.sums(position)

    @cached_property
    def _parsed(self) -> list[Mapping[str, Any]]:
        entries: list[Mapping[str, Any]] = json.loads(self._sent)
        return entries


def _is_not_zero(number: str) -> bool:
    return any(digit in "123456789" for digit in number)
