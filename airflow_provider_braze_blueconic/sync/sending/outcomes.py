"""The outcomes of records: a receipt for each, and its place in the tally."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from airflow_provider_braze_blueconic.sync.sending.batches import Batch
from airflow_provider_braze_blueconic.sync.sending.masking import mask_values
from airflow_provider_braze_blueconic.sync.sending.rows import Outgoing, Rows
from airflow_provider_braze_blueconic.sync.sending.seam import Refusal
from airflow_provider_braze_blueconic.sync.sending.tally import Tally
from airflow_provider_braze_blueconic.sync.state.part_receipts import PartReceipts
from airflow_provider_braze_blueconic.sync.state.receipts import Receipt

__all__ = ["Outcomes"]


class Outcomes:
    """Writes down what became of records.

    :param receipts: takes the outcomes.
    :param tally: counts them.
    :param shown_keys: keys of a record under which there is never a value of the person.
    """

    def __init__(self, receipts: PartReceipts, tally: Tally, *, shown_keys: frozenset[str]) -> None:
        self._receipts = receipts
        self._shown_keys = shown_keys
        self.tally = tally

    def accept(self, records: Rows, status: int | None) -> None:
        """The target took records as a whole."""
        self.tally.accepted += len(records)
        self._receipts.add_accepted(records.identifiers, status, dt.datetime.now(dt.UTC))

    def accept_in_part(self, batch: Batch, partial: Mapping[int, Mapping[str, str]], status: int | None) -> None:
        """The target took records without some fields.

        :param partial: position → target field → the server's reason.
        """
        sent_at = dt.datetime.now(dt.UTC)
        for position, reasons in partial.items():
            record = batch.records[position]
            text = self._mask("; ".join(f"{target}: {reason}" for target, reason in reasons.items()), record)
            self._receipts.add([Receipt(record.identifier, "accepted", text, status, sent_at, tuple(reasons))])
        self.tally.accepted += len(partial)

    def refuse(self, batch: Batch, refusals: Iterable[Refusal], status: int | None) -> None:
        """The target did not take records of a batch; each counts once."""
        sent_at = dt.datetime.now(dt.UTC)
        for refusal in {refusal.position: refusal for refusal in refusals}.values():
            record = batch.records[refusal.position]
            reason = self._mask(refusal.reason, record) if refusal.outcome == "rejected" else refusal.reason
            self._receipts.add([Receipt(record.identifier, refusal.outcome, reason, status, sent_at)])
            self.tally.count(refusal.outcome)

    def hold(self, records: Collection[Outgoing], reason: str, status: int | None) -> None:
        """Nobody knows whether the target applied records: they are not sent again by this upload."""
        sent_at = dt.datetime.now(dt.UTC)
        self._receipts.add([Receipt(record.identifier, "unknown", reason, status, sent_at) for record in records])
        self.tally.unknown += len(records)

    def hold_unrepeatable(self, batch: Batch, reason: str, status: int | None) -> Batch | None:
        """Hold what can't be repeated, and return the rest of the batch."""
        self.hold([record for record in batch.records if not record.repeatable], reason, status)
        return batch.repeatable_rest()

    def note(self, batch: Batch, outcome: Literal["intended", "withdrawn"]) -> None:
        """Write into our own books what is about to happen, or did not happen, to what can't be repeated."""
        if not batch.repeatable:
            noted_at = dt.datetime.now(dt.UTC)
            self._receipts.add(
                Receipt(record.identifier, outcome, "", None, noted_at)
                for record in batch.records
                if not record.repeatable
            )

    def _mask(self, reason: str, record: Outgoing) -> str:
        return mask_values(reason, record.body, shown_keys=self._shown_keys)
