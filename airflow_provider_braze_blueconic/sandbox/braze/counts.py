"""How often a user of the sandbox's Braze did something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_provider_braze_blueconic.sandbox.braze.times import parse_time, stored_time

__all__ = ["Counted", "read_counted"]


@dataclass(slots=True)
class Counted:
    """How often a user did something, and when for the first and for the last time."""

    first: datetime
    last: datetime
    count: int

    def show(self, name: str) -> dict[str, Any]:
        """Return it as an entry of an export."""
        return {"name": name, "first": stored_time(self.first), "last": stored_time(self.last), "count": self.count}


def read_counted(shown: Mapping[str, Any]) -> Counted:
    first, last = parse_time(shown["first"]), parse_time(shown["last"])
    if first is None or last is None:
        raise ValueError("first and last must be ISO 8601 times")
    return Counted(first, last, shown["count"])
