"""What the sandbox's BlueConic was sent in bulk."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BulkTraffic"]


@dataclass
class BulkTraffic:
    """What bulk writes have been sent and what became of them.

    :param requests: requests that reached the reading of their entries.
    :param entries: entries that were processed.
    :param states: how often each state was the result.
    :param triggers: entries that set off the tenant's triggers (such as webhooks): they changed a profile and had
        not switched ``triggerOnPropertyChange`` off.
    :param invalid_properties: rules that were left out for what they would have stored.
    """

    requests: int = 0
    entries: int = 0
    states: Counter[str] = field(default_factory=Counter)
    triggers: int = 0
    invalid_properties: int = 0

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "states": dict(self.states)}
