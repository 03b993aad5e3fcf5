"""The properties that an import writes, each with the field that it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from airflow_provider_braze_blueconic.sync.blueconic.values import (
    Merge,
    blueconic_rule,
)
from airflow_provider_braze_blueconic.sync.values.date_formats import TimeReading
from airflow_provider_braze_blueconic.sync.values.rules import ValueRule
from airflow_provider_braze_blueconic.vendors.braze_paths import parse_path

__all__ = ["ImportTarget", "read_targets"]


@dataclass(frozen=True)
class ImportTarget:
    """One property that the import writes.

    :param target: property id.
    :param source: path into the exported user.
    :param merge: how the value meets what the property holds.
    :param of: for ``sum``: ``value`` or ``increase``.
    :param filter_type: BlueConic's type of the property.
    :param date_format: how the field writes its dates, as ``strptime`` has it; ``None`` where the value itself tells.
    """

    target: str
    source: str
    merge: Merge
    of: str | None
    filter_type: str
    date_format: str | None = None

    @property
    def rule(self) -> ValueRule:
        """How Braze's values are written."""
        reading = TimeReading(date_format=self.date_format)
        is_ordered = parse_path(self.source).is_ordered
        return blueconic_rule(self.filter_type, self.merge, reading=reading, is_ordered=is_ordered)

    @property
    def stored_rule(self) -> ValueRule:
        """How BlueConic's own values are written, in the same form."""
        is_ordered = parse_path(self.source).is_ordered
        return blueconic_rule(self.filter_type, self.merge, is_ordered=is_ordered, is_stored=True)

    def as_row(self) -> dict[str, Any]:
        """Return the row of ``fields.json``, which the later steps read."""
        return {
            "target": self.target,
            "source": self.source,
            "merge": self.merge,
            "of": self.of,
            "filter_type": self.filter_type,
            "date_format": self.date_format,
        }


def read_targets(rows: Sequence[Mapping[str, Any]]) -> list[ImportTarget]:
    """Read the rows of ``fields.json``."""
    return [
        ImportTarget(
            row["target"],
            row["source"],
            cast("Merge", row["merge"]),
            row["of"],
            row["filter_type"],
            row.get("date_format"),  # a row of an older version has none
        )
        for row in rows
    ]
