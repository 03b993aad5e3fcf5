"""The send loop: batches out at the pace the server allows, a receipt for every record that comes back.

The loop owns pace, repetition and bisecting. A sender makes one attempt and says what the answer means
(:class:`~.sending.Verdict`); what may be repeated is decided here alone:

* refused as a whole because of one bad record: the named records are rejected, the others go again; if none is named,
  the batch is halved until the bad record stands alone;
* busy or failed before anything was done: again after a growing pause;
* unknown (it may have been applied): again only if the records can be repeated without harm, else held as unknown.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import heapq
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from airflow_provider_braze_blueconic.exceptions import AccessError, LimitExceeded, SyncError, TransientError
from airflow_provider_braze_blueconic.sync.batches import Batch, Outgoing, cut
from airflow_provider_braze_blueconic.sync.pacing import Pacing
from airflow_provider_braze_blueconic.sync.receipts import PartReceipts, Receipt
from airflow_provider_braze_blueconic.sync.sending import BatchLimits, Refusal, Reply, Sender, Verdict

__all__ = ["Stopped", "Tally", "Upload", "UploadSettings"]

log = logging.getLogger(__name__)

_GRACE_SECONDS = 3.0
"""For answers on their way when the task is told to end: Airflow kills it 5 s after SIGTERM (task SDK, supervisor)."""


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
    :param patience: seconds without any success, while attempts fail, after which the upload gives up.
    :param rate_limit_patience: seconds that a rate limit may keep everything waiting; an hourly limit resets on the
        clock hour (Braze docs "API limits", read 2026-11).
    :param flush_seconds: receipts become durable at least this often.
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
    flush_seconds: float = 1.0
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
    :param clock: monotonic seconds.
    :param sleep: waits some seconds.
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
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sender = sender
        self._pacing = pacing
        self._receipts = receipts
        self._settings = settings
        self._label = label
        self._total = total
        self._clock = clock
        self._sleep = sleep
        self._tally = Tally()
        self._waiting: list[_Waiting] = []
        self._numbers = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._stop_requested = False
        self._failure: SyncError | None = None
        self._last_success = 0.0
        self._limited_since: float | None = None

    def stop(self) -> None:
        """Start no further request; safe to call from a signal handler or another thread."""
        self._stop_requested = True

    async def run(self, records: Iterable[Outgoing]) -> Tally:
        """Send all records and return what happened; every outcome has its receipt.

        :raises AccessError: if no request can succeed.
        :raises TransientError: if the server failed for longer than the settings' patience.
        :raises LimitExceeded: if too many records were rejected.
        :raises Stopped: after :meth:`stop`.
        """
        settings = self._settings
        batches = cut(records, settings.limits, envelope_bytes=len(settings.before) + len(settings.after))
        began = self._last_success = self._clock()
        background = asyncio.create_task(self._keep_books())
        try:
            await self._dispatch(batches)
        finally:
            await self._drain()
            background.cancel()
            await asyncio.gather(background, return_exceptions=True)
            self._tally.seconds = self._clock() - began
            await asyncio.to_thread(self._receipts.flush)
        if self._failure is not None:
            raise self._failure
        if self._stop_requested:
            raise Stopped(f"{self._label}: stopped after {self._tally.records:,} people; a retry sends the rest.")
        return self._tally

    async def _drain(self) -> None:
        """Wait for answers on their way: each is 75 people who need not be sent again.

        When the task is being killed there are few seconds for it; what is cut off has no receipt and goes again.
        """
        if not self._in_flight:
            return
        _, late = await asyncio.wait(self._in_flight, timeout=_GRACE_SECONDS if self._stop_requested else None)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _dispatch(self, batches: Iterator[Batch]) -> None:
        fresh: Batch | None = next(batches, None)
        while self._failure is None and not self._stop_requested:
            now = self._clock()
            again = self._waiting and self._waiting[0].ready <= now
            if not again and fresh is None:
                if not self._waiting and not self._in_flight:
                    return
                await self._wait_for_change(self._waiting[0].ready - now if self._waiting else None)
                continue
            if len(self._in_flight) >= self._settings.max_in_flight:
                await self._wait_for_change(None)
                continue
            start = self._pacing.next_start(now)
            if start > now:
                # A pause may grow while waiting, so the answer is asked for again, at most a second later.
                await self._sleep(min(start - now, 1.0))
                continue
            if again:
                batch = heapq.heappop(self._waiting).batch
                self._tally.repeated += 1
            elif fresh is not None:
                batch, fresh = fresh, next(batches, None)
            self._pacing.started(now)
            task = asyncio.create_task(self._attempt(batch))
            self._in_flight.add(task)
            task.add_done_callback(self._finished)
            if len(self._in_flight) % 16 == 0:
                await asyncio.sleep(0)  # answers come first: a burst of starts must not keep them waiting

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or SyncError(f"{self._label}: {type(error).__name__} in the send loop")
            log.error("%s: the send loop failed", self._label, exc_info=None)
        self._changed.set()

    async def _wait_for_change(self, seconds: float | None) -> None:
        self._changed.clear()
        if seconds is not None and not self._in_flight:
            await self._sleep(max(0.0, min(seconds, 1.0)))
            return
        try:
            await asyncio.wait_for(
                self._changed.wait(), timeout=1.0 if seconds is None else max(0.001, min(seconds, 1.0))
            )
        except TimeoutError:
            return

    async def _attempt(self, batch: Batch) -> None:
        settings = self._settings
        body = b"".join((settings.before, b",".join([record.body for record in batch.records]), settings.after))
        self._tally.requests += 1
        reply = await self._sender.send(body)
        now = self._clock()
        self._pacing.observe(reply.headers, now, in_flight=len(self._in_flight) - 1)
        if reply.verdict is not Verdict.WAIT:
            self._limited_since = None
        match reply.verdict:
            case Verdict.READ_ENTRIES:
                self._last_success = now
                self._settle(batch, reply)
            case Verdict.SPLIT:
                self._last_success = now
                self._split(batch, reply)
            case Verdict.WAIT:
                self._wait(batch, reply, now)
            case Verdict.RETRY:
                self._repeat(batch, reply, now)
            case Verdict.UNKNOWN if settings.repeatable:
                self._repeat(batch, reply, now)
            case Verdict.UNKNOWN:
                self._hold(batch.records, reply.sentence or "outcome unknown", reply.status)
            case Verdict.STOP:
                self._failure = self._failure or AccessError(reply.sentence)
        self._check_rejections()

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
            self._failure = self._failure or TransientError(
                f"{self._label}: the rate limit has kept everything waiting for {waited:,.0f} s, longer than the "
                f"{self._settings.rate_limit_patience:,.0f} s that a run waits. The rest is sent by the next try."
            )
        elif until - now > self._settings.progress_seconds:
            log.warning("%s: over the rate limit; waiting %.0f s, as the server asks", self._label, until - now)
        self._requeue(batch, until)

    def _repeat(self, batch: Batch, reply: Reply, now: float) -> None:
        if batch.tries + 1 >= self._settings.max_tries:
            self._hold(batch.records, reply.sentence or "no answer", reply.status)
        else:
            # 1, 2, 4 … s, at most 60; spread by the batch's number so that a recovering server is not hit at once.
            pause = min(60.0, 2.0**batch.tries) * (0.75 + 0.5 * (self._numbers % 16) / 16)
            self._requeue(replace(batch, tries=batch.tries + 1), now + pause)
        if now - self._last_success > self._settings.patience:
            self._failure = self._failure or TransientError(
                f"{self._label}: no request has succeeded for {now - self._last_success:,.0f} s. "
                f"Last answer: {reply.sentence or 'none'} The rest is sent by the next try."
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

    def _hold(self, records: Iterable[Outgoing], reason: str, status: int | None) -> None:
        sent_at = dt.datetime.now(dt.UTC)
        held = [Receipt(record.identifier, "unknown", reason, status, sent_at) for record in records]
        self._receipts.add(held)
        self._tally.unknown += len(held)

    def _check_rejections(self) -> None:
        limit, tally = self._settings.rejected_percent, self._tally
        if limit is None or tally.records < self._settings.rejected_after:
            return
        share = 100 * tally.rejected / tally.records
        if share > limit:
            self._failure = self._failure or LimitExceeded(
                f"{self._label}: {tally.rejected:,} of {tally.records:,} people were rejected ({share:.1f} %), more "
                f"than limits.rejected_percent = {limit:g}. What was accepted is kept. Look at the receipts for the reasons."
            )

    async def _keep_books(self) -> None:
        """Make receipts durable and say how far the upload is, until cancelled."""
        last_progress = began = self._clock()
        while True:
            await self._sleep(self._settings.flush_seconds)
            if len(self._receipts):
                await asyncio.to_thread(self._receipts.flush)
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
    for text in sorted(texts, key=len, reverse=True):
        if len(text) > 2:
            reason = reason.replace(text, "***")
        else:
            reason = re.sub(rf"(?<!\w){re.escape(text)}(?!\w)", "***", reason)
    return _EMAIL_LIKE.sub("***", reason)[:300]
