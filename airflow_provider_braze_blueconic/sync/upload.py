"""The send loop: batches out at the pace the server allows, a receipt for every record that comes back.

The loop owns pace, repetition and bisecting. A sender makes one attempt and says what the answer means
(:class:`~.sending.Verdict`); what may be repeated is decided here alone:

* refused as a whole because of one bad record: the named records are rejected, the others go again; if none is named,
  the batch is halved until the bad record stands alone;
* busy or failed before anything was done: again after a growing pause;
* unknown (it may have been applied): again only if the records can be repeated without harm, else held as unknown;
* nothing but failures: one request at a time, after growing pauses, until one succeeds or patience ends.

Time is the running event loop's, for reading as for waiting, so that a test moves both by running a loop of its own.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import heapq
import json
import logging
import re
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from airflow_provider_braze_blueconic.exceptions import AccessError, LimitExceeded, SyncError, TransientError
from airflow_provider_braze_blueconic.sync.batches import Batch, Outgoing, cut
from airflow_provider_braze_blueconic.sync.pacing import Pacing
from airflow_provider_braze_blueconic.sync.receipts import PartReceipts, Receipt
from airflow_provider_braze_blueconic.sync.sending import BatchLimits, Refusal, Reply, Sender, Verdict

__all__ = ["Stopped", "Tally", "Upload", "UploadSettings"]

log = logging.getLogger(__name__)

_FIRST_FAILURE = 300
"""HTTP statuses below it say that the request was taken."""

_GRACE_SECONDS = 3.0
"""For answers on their way when the task is told to end: Airflow kills it 5 s after SIGTERM (task SDK, supervisor)."""

_LOOK_UP_SECONDS = 1.0
"""Longest wait without asking again what to do."""

_SHORT_SECONDS = 0.05
"""Below this a wait for the next start is a plain sleep: no answer can make it shorter by much, and thousands of starts
a second wait so."""

_OUTAGE_AFTER = 16
"""Failures without a success between them after which the server counts as down."""

_LONGEST_PAUSE_SECONDS = 60.0

_LAST_FLUSHES = 3
"""Tries to write the last receipts; half a second apart, to end before Airflow's kill."""


class Stopped(SyncError):
    """The task was told to end; what was sent has its receipts, and a retry sends the rest."""


@dataclass(frozen=True)
class UploadSettings:
    """How an upload behaves.

    :param limits: what fits into one request.
    :param before: bytes before the records in a body.
    :param after: bytes after them.
    :param repeatable: sending a record twice leaves the target as sending it once does.
    :param max_in_flight: requests without an answer, at most. At a cap of 1,000 requests/s, 512 reach it up to half
        a second of latency.
    :param max_tries: attempts at one batch that end without a verdict on its records.
    :param patience: seconds in which attempts only fail, after which the upload gives up.
    :param rate_limit_patience: seconds that a rate limit may keep everything waiting; an hourly limit resets on the
        clock hour (Braze docs "API limits", read 2026-11).
    :param flush_seconds: receipts become durable at least this often.
    :param flush_patience: seconds for which they may fail to, after which the upload gives up: a kill would lose them.
    :param progress_seconds: time between two progress messages.
    :param rejected_percent: share of rejected records at which the upload stops; ``None`` for no limit.
    :param rejected_after: records with an outcome before that share means anything.
    """

    limits: BatchLimits
    before: bytes
    after: bytes
    repeatable: bool = True
    max_in_flight: int = 512
    max_tries: int = 6
    patience: float = 300.0
    rate_limit_patience: float = 3_900.0
    flush_seconds: float = 0.5
    flush_patience: float = 30.0
    progress_seconds: float = 10.0
    rejected_percent: float | None = None
    rejected_after: int = 1_000


@dataclass
class Tally:
    """What an upload did so far.

    :param requests: requests sent, repetitions included.
    :param accepted: records accepted.
    :param rejected: records rejected.
    :param unknown: records whose outcome is unknown.
    :param rate_limited: answers that said to slow down.
    :param repeated: requests that were sent again.
    :param seconds: from the first request to the last answer.
    """

    requests: int = 0
    accepted: int = 0
    rejected: int = 0
    unknown: int = 0
    rate_limited: int = 0
    repeated: int = 0
    seconds: float = 0.0

    @property
    def records(self) -> int:
        """Records with an outcome."""
        return self.accepted + self.rejected + self.unknown


@dataclass(order=True)
class _Waiting:
    ready: float
    number: int
    batch: Batch = field(compare=False)


class Upload:
    """One upload of one partition.

    :param sender: makes the attempts.
    :param pacing: says when.
    :param receipts: takes the outcomes.
    :param label: for log lines: goal and partition, never a person.
    :param total: records to send, for progress.
    """

    def __init__(
        self,
        sender: Sender,
        pacing: Pacing,
        receipts: PartReceipts,
        settings: UploadSettings,
        *,
        label: str = "",
        total: int = 0,
    ) -> None:
        self._sender = sender
        self._pacing = pacing
        self._receipts = receipts
        self._settings = settings
        self._label = label
        self._total = total
        self._tally = Tally()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clock: Callable[[], float] = time.monotonic
        self._waiting: list[_Waiting] = []
        self._numbers = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._stop_requested = False
        self._failure: SyncError | None = None
        self._failures = 0
        self._failing_since = 0.0
        self._pauses = 0
        self._held_until = 0.0
        self._limited_since: float | None = None
        self._limit_told_until = 0.0

    def stop(self) -> None:
        """Start no further request; safe to call from a signal handler or another thread."""
        self._stop_requested = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended: there is nothing left to stop
                self._loop.call_soon_threadsafe(self._changed.set)

    async def run(self, records: Iterable[Outgoing]) -> Tally:
        """Send all records and return what happened; every outcome has its receipt.

        :raises AccessError: if no request can succeed.
        :raises TransientError: if the server failed, or receipts could not be written, for longer than the settings'
            patience.
        :raises LimitExceeded: if too many records were rejected.
        :raises Stopped: after :meth:`stop`.
        :raises SyncError: if the sender broke its promise; what it was sending has no receipt.
        """
        settings = self._settings
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        batches = cut(records, settings.limits, envelope_bytes=len(settings.before) + len(settings.after))
        began = self._clock()
        books = asyncio.create_task(self._keep_books())
        books.add_done_callback(self._finished)
        try:
            await self._dispatch(batches)
        except asyncio.CancelledError:
            self._stop_requested = True
            raise
        finally:
            await self._drain()
            self._tally.seconds = self._clock() - began
            books.cancel()
            await asyncio.gather(books, return_exceptions=True)  # what went wrong there is in self._failure
            await self._flush_the_rest()
        if self._failure is not None:
            raise self._failure
        if self._stop_requested:
            raise Stopped(f"{self._label}: stopped after {self._tally.records:,} people; a retry sends the rest.")
        return self._tally

    async def _drain(self) -> None:
        """Wait for answers on their way: each is 75 people who need not be sent again.

        When the task is being killed there are few seconds for it; what is cut off has no receipt and goes again.
        """
        give_up: float | None = None
        while self._in_flight:
            now = self._clock()
            if self._stop_requested and give_up is None:
                give_up = now + _GRACE_SECONDS
            if give_up is not None and now >= give_up:
                break
            await self._wait_for_change(_LOOK_UP_SECONDS if give_up is None else give_up - now)
        late = list(self._in_flight)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_LOOK_UP_SECONDS)

    async def _dispatch(self, batches: Iterator[Batch]) -> None:
        fresh: Batch | None = next(batches, None)
        while self._failure is None and not self._stop_requested:
            now = self._clock()
            again = self._waiting and self._waiting[0].ready <= now
            if not again and fresh is None:
                if not self._waiting and not self._in_flight:
                    return
                await self._wait_for_change(self._waiting[0].ready - now if self._waiting else _LOOK_UP_SECONDS)
                continue
            # A server that is down is asked by one request at a time.
            if len(self._in_flight) >= (self._settings.max_in_flight if self._failures < _OUTAGE_AFTER else 1):
                await self._wait_for_change(_LOOK_UP_SECONDS)
                continue
            start = max(self._pacing.next_start(now), self._held_until)
            if start > now:
                await self._wait_for_start(start - now)
                continue
            if again:
                batch = heapq.heappop(self._waiting).batch
                self._tally.repeated += 1
            elif fresh is not None:
                batch, fresh = fresh, next(batches, None)
            task = asyncio.create_task(self._attempt(batch, self._pacing.started(now)))
            self._in_flight.add(task)
            task.add_done_callback(self._finished)
            if len(self._in_flight) % 16 == 0:
                await asyncio.sleep(0)  # answers come first: a burst of starts must not keep them waiting

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its text may hold a person or a key; where it was raised may not, and is what a maintainer needs.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(frame.filename).name}:{frame.lineno}"
            self._fail(
                SyncError(
                    f"{self._label}: {type(error).__name__} in the send loop, at {where}. What was accepted is kept. "
                    "Please report this as a bug."
                )
            )
        self._changed.set()

    def _fail(self, failure: SyncError) -> None:
        """End the upload; the first failure is the one that is told."""
        self._failure = self._failure or failure

    async def _wait_for_start(self, seconds: float) -> None:
        if seconds <= _SHORT_SECONDS:
            await asyncio.sleep(seconds)
        elif seconds > self._settings.rate_limit_patience:
            self._fail(self._limited_for_too_long(seconds))
        else:
            await self._wait_for_change(seconds)

    async def _wait_for_change(self, seconds: float) -> None:
        """Wait for the end of an attempt, for :meth:`stop`, or for some seconds: pauses grow and shrink meanwhile."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, _LOOK_UP_SECONDS)):
                await self._changed.wait()

    async def _attempt(self, batch: Batch, number: int) -> None:
        settings = self._settings
        body = b"".join((settings.before, b",".join([record.body for record in batch.records]), settings.after))
        self._tally.requests += 1
        try:
            reply = await self._sender.send(body)
        except BaseException:
            # Cut off, or a sender with a bug: what can't be repeated must not look as if it had never been sent.
            if not settings.repeatable:
                self._hold(batch, "the upload ended before the answer came", None)
            raise
        self._pacing.observe(reply.headers, self._clock(), number=number)
        if reply.refusals and not all(0 <= refusal.position < len(batch.records) for refusal in reply.refusals):
            # It speaks of records that were not sent, so of ours it says nothing.
            reply = replace(reply, verdict=Verdict.UNKNOWN)
        self._judge(batch, reply)
        self._check_rejections()

    def _judge(self, batch: Batch, reply: Reply) -> None:
        now, verdict = self._clock(), reply.verdict
        if verdict is not Verdict.WAIT:
            self._limited_since = None
        if self._failures and verdict not in (Verdict.RETRY, Verdict.UNKNOWN):
            self._failures = self._pauses = 0
            self._held_until = now
        match verdict:
            case Verdict.READ_ENTRIES:
                self._settle(batch, reply)
            case Verdict.SPLIT:
                self._split(batch, reply)
            case Verdict.WAIT:
                self._wait(batch, reply, now)
            case Verdict.RETRY:
                self._repeat_or_hold(batch, reply, now, repeatable=True)
            case Verdict.UNKNOWN if reply.status is not None and reply.status < _FIRST_FAILURE:
                # It took the batch and said something unclear. Asking again would cost as much again, and not be
                # clearer: who is really missing comes back with the next run.
                self._hold(batch, reply.sentence or "unclear answer", reply.status)
            case Verdict.UNKNOWN:
                self._repeat_or_hold(batch, reply, now, repeatable=self._settings.repeatable)
            case Verdict.STOP:
                self._fail(AccessError(reply.sentence))

    def _settle(self, batch: Batch, reply: Reply) -> None:
        refused = {refusal.position: refusal for refusal in reply.refusals}
        self._reject(batch, reply.refusals, reply.status)
        accepted = [record for position, record in enumerate(batch.records) if position not in refused]
        self._tally.accepted += len(accepted)
        sent_at = dt.datetime.now(dt.UTC)
        self._receipts.add(Receipt(record.identifier, "accepted", "", reply.status, sent_at) for record in accepted)

    def _split(self, batch: Batch, reply: Reply) -> None:
        if reply.refusals:
            refused = {refusal.position for refusal in reply.refusals}
            self._reject(batch, reply.refusals, reply.status)
            rest = tuple(record for position, record in enumerate(batch.records) if position not in refused)
            if rest:
                self._requeue(Batch(rest), self._clock())
        elif len(batch.records) == 1:
            self._reject(batch, (Refusal(0, reply.sentence or "refused"),), reply.status)
        else:
            for half in batch.halves():
                self._requeue(half, self._clock())

    def _wait(self, batch: Batch, reply: Reply, now: float) -> None:
        self._tally.rate_limited += 1
        until = self._pacing.refused(reply.headers, now)
        if self._limited_since is None:
            self._limited_since = now
        waited = until - self._limited_since
        if waited > self._settings.rate_limit_patience:
            self._fail(self._limited_for_too_long(waited))
        elif until - max(now, self._limit_told_until) > self._settings.progress_seconds:
            self._limit_told_until = until
            log.warning("%s: over the rate limit; waiting %.0f s, as the server asks", self._label, until - now)
        self._requeue(batch, until)

    def _limited_for_too_long(self, seconds: float) -> TransientError:
        return TransientError(
            f"{self._label}: the rate limit keeps everything waiting for {seconds:,.0f} s, longer than the "
            f"{self._settings.rate_limit_patience:,.0f} s that a run waits. The rest is sent by the next try."
        )

    def _repeat_or_hold(self, batch: Batch, reply: Reply, now: float, *, repeatable: bool) -> None:
        self._note_failure(reply, now)
        if not repeatable or batch.tries + 1 >= self._settings.max_tries:
            self._hold(batch, reply.sentence or "no answer", reply.status)
            return
        # Spread by a running number, so that a recovering server is not hit by all at once.
        pause = _growing_pause(batch.tries) * (0.75 + 0.5 * (self._numbers % 16) / 16)
        self._requeue(replace(batch, tries=batch.tries + 1), now + pause)

    def _note_failure(self, reply: Reply, now: float) -> None:
        """Hold everything back when nothing succeeds any more: it would use up the tries of every batch in seconds."""
        if not self._failures:
            self._failing_since = now
        self._failures += 1
        if self._failures >= _OUTAGE_AFTER and now >= self._held_until:
            pause = _growing_pause(self._pauses)
            self._pauses += 1
            self._held_until = now + pause
            log.warning("%s: %s failures in a row; the next request in %.0f s", self._label, self._failures, pause)
        if now - self._failing_since > self._settings.patience:
            self._fail(
                TransientError(
                    f"{self._label}: no request has succeeded for {now - self._failing_since:,.0f} s. "
                    f"Last answer: {reply.sentence or 'none.'} The rest is sent by the next try."
                )
            )

    def _requeue(self, batch: Batch, ready: float) -> None:
        self._numbers += 1
        heapq.heappush(self._waiting, _Waiting(ready, self._numbers, batch))

    def _reject(self, batch: Batch, refusals: Iterable[Refusal], status: int | None) -> None:
        sent_at = dt.datetime.now(dt.UTC)
        named = {refusal.position: refusal.reason for refusal in refusals}
        for position, reason in named.items():
            record = batch.records[position]
            self._receipts.add(
                [Receipt(record.identifier, "rejected", mask_values(reason, record.body), status, sent_at)]
            )
        self._tally.rejected += len(named)

    def _hold(self, batch: Batch, reason: str, status: int | None) -> None:
        sent_at = dt.datetime.now(dt.UTC)
        held = [Receipt(record.identifier, "unknown", reason, status, sent_at) for record in batch.records]
        self._receipts.add(held)
        self._tally.unknown += len(held)

    def _check_rejections(self) -> None:
        limit, tally = self._settings.rejected_percent, self._tally
        if limit is None or tally.records < self._settings.rejected_after:
            return
        share = 100 * tally.rejected / tally.records
        if share > limit:
            self._fail(
                LimitExceeded(
                    f"{self._label}: {tally.rejected:,} of {tally.records:,} people were rejected ({share:.1f} %), "
                    f"more than limits.rejected_percent = {limit:g}. What was accepted is kept. Look at the receipts "
                    "for the reasons."
                )
            )

    async def _keep_books(self) -> None:
        """Make receipts durable and say how far the upload is, until cancelled."""
        last_progress = last_flush = began = self._clock()
        while True:
            await asyncio.sleep(self._settings.flush_seconds)
            try:
                await asyncio.to_thread(self._receipts.flush)
            except Exception as error:  # noqa: BLE001  the edge of the object store: the receipts are kept and go again
                failure = self._not_durable(error)
                log.warning("%s Trying again.", failure)
                if self._clock() - last_flush > self._settings.flush_patience:
                    self._fail(failure)
            else:
                last_flush = self._clock()
            now = self._clock()
            if now - last_progress >= self._settings.progress_seconds:
                last_progress = now
                tally = self._tally
                speed = tally.records / max(now - began, 0.001)
                left = (self._total - tally.records) / speed if speed else 0.0
                log.info(
                    "%s: %s of %s people sent, %s/s, %.0f s left, %s rejected",
                    self._label,
                    f"{tally.records:,}",
                    f"{self._total:,}",
                    f"{speed:,.0f}",
                    max(left, 0.0),
                    f"{tally.rejected:,}",
                )

    async def _flush_the_rest(self) -> None:
        for left in reversed(range(_LAST_FLUSHES)):
            try:
                await asyncio.to_thread(self._receipts.flush)
            except Exception as error:  # noqa: BLE001  the same edge; what can't be written now is lost with this process
                failure = self._not_durable(error)
                log.warning("%s%s", failure, " Trying again." if left else " These people are sent again.")
                if not left:
                    self._fail(failure)
                    return
                await asyncio.sleep(0.5)
            else:
                return

    def _not_durable(self, error: Exception) -> SyncError:
        if isinstance(error, SyncError):
            return error
        kind, people = type(error).__name__, f"{len(self._receipts):,}"
        return TransientError(f"{self._label}: the receipts of {people} people could not be written ({kind}).")


def _growing_pause(number: int) -> float:
    """1, 2, 4 … s, at most a minute."""
    return min(_LONGEST_PAUSE_SECONDS, 2.0 ** min(number, 10))


_EMAIL_LIKE = re.compile(r"[^\s'\"<>]+@[^\s'\"<>]+")


def mask_values(reason: str, body: bytes) -> str:
    """Hide the person's own values in a text of the server, so that it can be shown.

    :param body: the record as it was sent.
    """
    texts: list[str] = []

    def collect(value: object) -> None:
        if isinstance(value, dict):
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)
        elif value is not None and not isinstance(value, bool):
            texts.append(str(value))

    try:
        collect(json.loads(body))
    except ValueError:
        return "refused; the server's text is not shown because the record could not be read"
    texts += [json.dumps(text, ensure_ascii=ascii_)[1:-1] for text in texts for ascii_ in (True, False)]
    for text in sorted(set(texts) - {""}, key=len, reverse=True):
        if len(text) > 2:
            reason = reason.replace(text, "***")
        else:
            reason = re.sub(rf"(?<!\w){re.escape(text)}(?!\w)", "***", reason)
    return _EMAIL_LIKE.sub("***", reason)[:300]
