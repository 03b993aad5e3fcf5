"""The receipt: the outcome of one record that was sent."""

from __future__ import annotations

import datetime as dt
from typing import Literal, NamedTuple

__all__ = ["Outcome", "Receipt"]

Outcome = Literal["accepted", "rejected", "not_found", "no_consent", "unknown", "intended", "withdrawn"]
"""``intended`` and ``withdrawn`` only stand in part receipts, and in pairs: see :mod:`.told_receipts`."""


class Receipt(NamedTuple):
    """What became of one sent record. A named tuple, because one is made for every person sent.

    :param identifier: the person, as JSON text.
    :param outcome: ``unknown`` means that the target may or may not have applied it.
    :param reason: why not, with the person's own values masked; empty when accepted as a whole.
    :param status: HTTP status of the last answer, if there was one.
    :param sent_at: UTC.
    :param refused_fields: target fields that the target did not take although it took the record.
    """

    identifier: str
    outcome: Outcome
    reason: str
    status: int | None
    sent_at: dt.datetime
    refused_fields: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        return f"Receipt(outcome={self.outcome!r}, status={self.status!r})"
