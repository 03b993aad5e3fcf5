"""What follows from the target's answer: an outcome for each record of the batch, or another attempt.

* refused as a whole because of one bad record: the named records are rejected, the others go again; if none is named,
  the batch is halved until the bad record stands alone;
* busy or failed before anything was done: again after a growing pause;
* unknown (it may have been applied): records that can be repeated without harm go again, the others are held so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from airflow_provider_braze_blueconic.exceptions import AccessError, SyncError
from airflow_provider_braze_blueconic.sync.sending.batch_queue import BatchQueue
from airflow_provider_braze_blueconic.sync.sending.batches import Batch
from airflow_provider_braze_blueconic.sync.sending.outcomes import Outcomes
from airflow_provider_braze_blueconic.sync.sending.pacing import Pacing
from airflow_provider_braze_blueconic.sync.sending.patience import Patience
from airflow_provider_braze_blueconic.sync.sending.rows import Outgoing, Rows
from airflow_provider_braze_blueconic.sync.sending.seam import Refusal, Reply, Verdict

__all__ = ["Answers"]

log = logging.getLogger(__name__)

_FIRST_FAILURE = 300
"""HTTP statuses below it say that the request was taken."""

_UNSPOKEN = "the answer doesn't mention this record, so the target may or may not have applied it"


class Answers:
    """Deals with the answers of one upload.

    :param outcomes: gets what became of records.
    :param queue: gets what goes again.
    :param patience: says when, and how often.
    :param pacing: learns of the server's limits.
    :param label: goal and partition, for messages.
    :param fail: is told why the upload has to end, once it has.
    """

    def __init__(
        self,
        outcomes: Outcomes,
        queue: BatchQueue,
        patience: Patience,
        pacing: Pacing,
        *,
        label: str,
        fail: Callable[[SyncError], None],
    ) -> None:
        self._outcomes = outcomes
        self._queue = queue
        self._patience = patience
        self._pacing = pacing
        self._label = label
        self._fail = fail

    def take(self, batch: Batch, reply: Reply, now: float) -> None:
        """Deal with the answer to a batch."""
        if not _speaks_of(batch, reply):
            # It speaks of records that were not sent, so of ours it says nothing.
            reply = Reply(Verdict.UNKNOWN, reply.status, (), reply.headers, reply.sentence)
        self._patience.note(reply.verdict, now)
        match reply.verdict:
            case Verdict.READ_ENTRIES:
                self._settle(batch, reply, now)
            case Verdict.SPLIT:
                self._split(batch, reply, now)
            case Verdict.WAIT:
                self._outcomes.note(batch, "withdrawn")
                self._wait(batch, reply, now)
            case Verdict.RETRY:
                self._outcomes.note(batch, "withdrawn")
                self._patience.outage.failed(reply.sentence, now)
                self._repeat(batch, reply, now)
            case Verdict.UNKNOWN:
                if reply.status is None or reply.status >= _FIRST_FAILURE:
                    self._patience.outage.failed(reply.sentence, now, held=not batch.repeatable)
                self._leave_open(batch, batch.records, reply, now)
            case Verdict.STOP:
                self._outcomes.note(batch, "withdrawn")
                self._fail(AccessError(reply.sentence))

    def _settle(self, batch: Batch, reply: Reply, now: float) -> None:
        self._patience.limit.taken()
        accepted = batch.records
        if _names_records(reply):
            accepted = self._settle_named(batch, reply, now)
        self._outcomes.accept(accepted, reply.status)

    def _settle_named(self, batch: Batch, reply: Reply, now: float) -> Rows:
        """Deal with the records that the answer names, and return those that it took as a whole."""
        refused = {refusal.position for refusal in reply.refusals}
        silent = set(reply.unanswered) - refused
        again = set(reply.again) - refused - silent
        told = refused | silent | again
        partial = {position: why for position, why in reply.partial.items() if position not in told}
        self._outcomes.refuse(batch, reply.refusals, reply.status)
        self._leave_open(batch, [batch.records[position] for position in sorted(silent)], reply, now)
        self._try_in_another_form(batch, again, reply, now)
        self._outcomes.accept_in_part(batch, partial, reply.status)
        other = told | partial.keys()
        return Rows.of(record for position, record in enumerate(batch.records) if position not in other)

    def _try_in_another_form(self, batch: Batch, positions: Collection[int], reply: Reply, now: float) -> None:
        if positions:
            records = Batch(Rows.of(batch.records[position] for position in sorted(positions)), batch.tries)
            self._outcomes.note(records, "withdrawn")
            self._repeat(records, reply, now)

    def _leave_open(self, batch: Batch, silent: Sequence[Outgoing], reply: Reply, now: float) -> None:
        """Deal with records of a batch of which no answer tells whether they were applied."""
        if not silent:
            return
        reason = reply.sentence or _UNSPOKEN
        if reply.status is not None and reply.status < _FIRST_FAILURE:
            # It took the batch and said something unclear. Asking again would cost as much again, and not be
            # clearer: who is really missing comes back with the next run.
            self._outcomes.hold(silent, reason, reply.status)
            return
        rest = self._outcomes.hold_unrepeatable(Batch(Rows.of(silent), batch.tries), reason, reply.status)
        if rest is not None:
            self._repeat(rest, reply, now)

    def _split(self, batch: Batch, reply: Reply, now: float) -> None:
        refused = {refusal.position for refusal in reply.refusals}
        self._outcomes.refuse(batch, reply.refusals, reply.status)
        rest = batch.without(refused)
        if rest is None:
            return
        if reply.doubtful and not rest.repeatable:
            held = self._outcomes.hold_unrepeatable(
                rest, reply.sentence or "refused, perhaps only in part", reply.status
            )
            if held is not None:
                self._queue.put_back(held, now)
            return
        self._outcomes.note(rest, "withdrawn")
        if refused:
            self._queue.put_back(rest, now)
        else:
            self._look_for_the_bad_one(rest, reply, now)

    def _look_for_the_bad_one(self, batch: Batch, reply: Reply, now: float) -> None:
        """Halve a batch of which the server named no bad record; a record alone is the bad one."""
        if len(batch.records) == 1:
            self._outcomes.refuse(batch, (Refusal(0, reply.sentence or "refused"),), reply.status)
            return
        for half in batch.halves():
            self._queue.put_back(half, now)

    def _wait(self, batch: Batch, reply: Reply, now: float) -> None:
        self._outcomes.tally.rate_limited += 1
        until = self._pacing.refused(reply.headers, now)
        self._queue.put_back(batch, self._patience.limit.refused(until, now, hinted=bool(reply.headers)))

    def _repeat(self, batch: Batch, reply: Reply, now: float) -> None:
        """Send a batch again after a pause, unless it was tried often enough.

        What can't be repeated is only here if nothing was done with it. Tried often enough, it stays unsent: unknown
        would be said of it for good.
        """
        if self._patience.is_tried_enough(batch):
            self._give_up(batch, reply)
            return
        pause = self._patience.pause(batch, self._queue.returned)
        self._queue.put_back(replace(batch, tries=batch.tries + 1), now + pause)

    def _give_up(self, batch: Batch, reply: Reply) -> None:
        tried = [record for record in batch.records if record.repeatable]
        self._outcomes.hold(tried, reply.sentence or "no answer", reply.status)
        if len(tried) < len(batch.records):
            log.warning("%s: %s people were not sent; the next run sends them. Last answer: %s",
                        self._label, f"{len(batch.records) - len(tried):,}", reply.sentence or "none.")  # fmt: skip


def _names_records(reply: Reply) -> bool:
    return bool(reply.refusals or reply.unanswered or reply.partial or reply.again)


def _speaks_of(batch: Batch, reply: Reply) -> bool:
    """Tell whether a reply only speaks of records that are in the batch."""
    if not _names_records(reply):
        return True
    positions = [refusal.position for refusal in reply.refusals]
    named = (*positions, *reply.unanswered, *reply.partial, *reply.again)
    return all(0 <= place < len(batch.records) for place in named)
