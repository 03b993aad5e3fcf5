"""The send loop: batches out at the pace the server allows, a receipt for every record that comes back.

The loop owns pace, repetition and bisecting. A sender makes one attempt and says what the answer means
(:class:`~.sending.Verdict`); what may be repeated is decided here alone:

* refused as a whole because of one bad record: the named records are rejected, the others go again; if none is named,
  the batch is halved until the bad record stands alone;
* busy or failed before anything was done: again after a growing pause;
* unknown (it may have been applied): records that can be repeated without harm go again, the others are held so;
* nothing but failures: one request at a time, after growing pauses, until one succeeds or patience ends.

What can't be repeated has its intent made durable before each attempt, and withdrawn when the attempt certainly did
nothing: whatever is killed when, nobody can find such a record to be unsent that may have been sent.

Another copy of the same task may begin meanwhile (:mod:`~.fence`): then nothing more starts here.

Time is the running event loop's, for reading as for waiting, so that a test moves both by running a loop of its own.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import heapq
import logging
import time
import traceback
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from airflow_provider_braze_blueconic.exceptions import AccessError, SyncError, TransientError
from airflow_provider_braze_blueconic.sync.batches import Batch, Outgoing, cut
from airflow_provider_braze_blueconic.sync.fence import Watch
from airflow_provider_braze_blueconic.sync.masking import mask_values
from airflow_provider_braze_blueconic.sync.pacing import Pacing
from airflow_provider_braze_blueconic.sync.receipts import PartReceipts, Receipt
from airflow_provider_braze_blueconic.sync.rejections import too_many_rejected
from airflow_provider_braze_blueconic.sync.sending import BatchLimits, NotTaken, Refusal, Reply, Sender, Verdict

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

_INTENDED_AHEAD = 2
"""Batches whose intents are durable or on their way while others are sent, so that nothing waits for them. No more: of
each, a kill that leaves no second makes people unknown who were not sent."""

_SUCCESSES = 10
"""Successes of each request under way after which one more is tried, where there had been too many."""

_UNSPOKEN = "the answer says nothing of this record, so that it may have been applied or not"

_PATIENCE_ONCE_STOPPED = 1.0
"""Seconds in which the last receipts may fail to be written once the task was told to end: Airflow's kill is near."""

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_LAST_PAUSE_SECONDS = 2.0
"""Between two tries to write the last receipts. No longer: a stop may come meanwhile."""


class Stopped(SyncError):
    """The task was told to end; what was sent has its receipts, and a retry sends the rest."""


@dataclass(frozen=True)
class UploadSettings:
    """How an upload behaves.

    :param limits: what fits into one request.
    :param before: bytes before the records in a body.
    :param after: bytes after them.
    :param shown_keys: keys of a record under which there is never a value of the person, so that a server's text may be
        shown with what stands there.
    :param max_in_flight: requests without an answer, at most. At a cap of 1,000 requests/s, 512 reach it up to half
        a second of latency.
    :param max_tries: attempts at one batch that end without a verdict on its records.
    :param patience: seconds in which attempts only fail, after which the upload gives up.
    :param rate_limit_patience: seconds that a rate limit may keep everything waiting; an hourly limit resets on the
        clock hour (Braze docs "API limits", read 2026-11).
    :param flush_seconds: receipts become durable at least this often.
    :param flush_patience: seconds for which they may fail to, after which the upload gives up: a kill would lose them.
    :param progress_seconds: time between two progress messages.
    :param rejected_percent: share of the run's records that may be rejected; more stop it. ``None`` for no limit.
    :param rejected_after: records with an outcome before that share means anything.
    """

    limits: BatchLimits
    before: bytes
    after: bytes
    shown_keys: frozenset[str] = frozenset()
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
    :param not_found: records for whom nobody is there to write to.
    :param no_consent: records of people who did not consent.
    :param unknown: records whose outcome is unknown.
    :param rate_limited: answers that said to slow down.
    :param repeated: requests that were sent again.
    :param seconds: from the first request to the last answer.
    """

    requests: int = 0
    accepted: int = 0
    rejected: int = 0
    not_found: int = 0
    no_consent: int = 0
    unknown: int = 0
    rate_limited: int = 0
    repeated: int = 0
    seconds: float = 0.0

    @property
    def records(self) -> int:
        """Records with an outcome."""
        return self.accepted + self.rejected + self.not_found + self.no_consent + self.unknown

    def count(self, outcome: NotTaken) -> None:
        """Count one record that was not taken."""
        setattr(self, outcome, getattr(self, outcome) + 1)


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
    :param sent_by_run: records that the whole run sends, of which a share may be rejected.
    :param is_newest: asks the store whether no newer attempt at the same upload has begun; called in a thread. ``None``
        where there can't be one.
    :param tally: counts what is done.
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
        sent_by_run: int = 0,
        is_newest: Callable[[], bool] | None = None,
        tally: Tally | None = None,
    ) -> None:
        self._sender = sender
        self._pacing = pacing
        self._receipts = receipts
        self._settings = settings
        self._label = label
        self._total = total
        self._sent_by_run = sent_by_run
        self._tally = tally if tally is not None else Tally()
        self._watch = Watch(is_newest, label=label, on_look=self._looked) if is_newest is not None else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clock: Callable[[], float] = time.monotonic
        self._batches: Iterator[Batch] = iter(())
        self._fresh: Batch | None = None
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
        self._room = float(settings.max_in_flight)
        self._backed_off = 0
        self._backed_off_until = 0.0
        self._intending = 0
        self._intended: deque[Batch] = deque()

    @property
    def tally(self) -> Tally:
        """What was done so far; it stands also after a failure."""
        return self._tally

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
        :raises Superseded: if a newer attempt has begun.
        :raises SyncError: if the sender broke its promise; what it was sending has no receipt.
        """
        settings = self._settings
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        batches = cut(records, settings.limits, envelope_bytes=len(settings.before) + len(settings.after))
        began = self._clock()
        beside = [asyncio.create_task(self._keep_books())]
        if self._watch is not None:
            beside.append(asyncio.create_task(self._watch.run()))
        for task in beside:
            task.add_done_callback(self._finished)
        try:
            await self._dispatch(batches)
        except asyncio.CancelledError:
            self._stop_requested = True
            raise
        finally:
            await self._drain()
            self._put_back()
            self._tally.seconds = self._clock() - began
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)  # what went wrong there is in self._failure
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
        self._batches = batches
        self._fresh = next(batches, None)
        while self._failure is None and not self._stop_requested:
            now = self._clock()
            following = self._waiting[0].batch if self._is_time_again(now) else self._fresh
            if following is None and not self._intended:
                if not self._waiting and not self._in_flight:
                    return
                await self._wait_for_change(self._waiting[0].ready - now if self._waiting else _LOOK_UP_SECONDS)
            elif len(self._in_flight) >= self._in_flight_limit(self._intended[0] if self._intended else following):
                await self._wait_for_change(_LOOK_UP_SECONDS)
            else:
                await self._go_on(following, now)

    async def _go_on(self, following: Batch | None, now: float) -> None:
        """Send a batch, wait until one may start, or prepare one that can't be repeated.

        :param following: the batch whose turn it is, beside those that are prepared.
        """
        if self._watch is not None and not self._watch.may_start(now):
            await self._wait_for_change(_LOOK_UP_SECONDS)
            return
        start = max(self._pacing.next_start(now), self._held_until, self._backed_off_until)
        if start - now > _LOOK_UP_SECONDS:
            self._put_back()
        elif following is not None and not following.repeatable and self._may_intend():
            self._intending += 1
            self._start(self._intend(self._take(now)))
            return
        if start > now:
            await self._wait_for_start(start - now)
        elif self._intended:
            self._start(self._attempt(self._intended.popleft(), self._pacing.started(now)))
        elif following is not None and following.repeatable:
            self._start(self._attempt(self._take(now), self._pacing.started(now)))
        else:
            await self._wait_for_change(_LOOK_UP_SECONDS)  # for intents on their way
        if len(self._in_flight) % 16 == 0:
            await asyncio.sleep(0)  # answers come first: a burst of starts must not keep them waiting

    def _is_time_again(self, now: float) -> bool:
        return bool(self._waiting) and self._waiting[0].ready <= now

    def _may_intend(self) -> bool:
        return self._intending + len(self._intended) < _INTENDED_AHEAD

    def _take(self, now: float) -> Batch:
        """Take the batch whose turn it is: one that waited to go again, else a fresh one."""
        if self._fresh is None or self._is_time_again(now):
            self._tally.repeated += 1
            return heapq.heappop(self._waiting).batch
        batch, self._fresh = self._fresh, next(self._batches, None)
        return batch

    def _in_flight_limit(self, batch: Batch | None) -> int:
        """A server that is down is asked by one request at a time, and at once if each could leave people unknown."""
        outage = _OUTAGE_AFTER if batch is None or batch.repeatable else 1
        return int(self._room) if self._failures < outage else 1

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._in_flight.add(task)
        task.add_done_callback(self._finished)

    async def _intend(self, batch: Batch) -> None:
        """Make durable that a batch is about to be sent, and let it be sent then.

        Who is superseded between the two does not send: the newer attempt may have looked for intents before this one
        was there. From the look on it finds it.
        """
        self._note(batch, "intended")
        try:
            await asyncio.to_thread(self._receipts.flush)
            is_newest = self._watch is None or await self._watch.look()
        except Exception as error:  # noqa: BLE001  the edge of the object store, as in _keep_books, which ends the upload
            self._note(batch, "withdrawn")
            log.warning("%s Trying again before anybody is sent.", self._not_durable(error))
            self._requeue(batch, self._clock() + _LOOK_UP_SECONDS)
        except BaseException:
            self._note(batch, "withdrawn")
            raise
        else:
            if is_newest:
                self._intended.append(batch)
            else:
                self._note(batch, "withdrawn")
                self._requeue(batch, self._clock())
                self._looked()
        finally:
            self._intending -= 1

    def _put_back(self) -> None:
        """Withdraw the intents of batches whose turn does not come soon, or not at all."""
        while self._intended:
            batch = self._intended.pop()
            self._note(batch, "withdrawn")
            self._requeue(batch, self._clock())

    def _note(self, batch: Batch, outcome: Literal["intended", "withdrawn"]) -> None:
        """Write into our own books what is about to happen, or did not happen, to what can't be repeated."""
        if not batch.repeatable:
            noted_at = dt.datetime.now(dt.UTC)
            self._receipts.add(
                Receipt(record.identifier, outcome, "", None, noted_at)
                for record in batch.records
                if not record.repeatable
            )

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

    def _looked(self) -> None:
        if self._watch is not None and self._watch.failure is not None:
            self._fail(self._watch.failure)
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
            self._hold_unrepeatable(batch, "the upload ended before the answer came", None)
            raise
        self._tally.requests += reply.requests - 1
        self._pacing.observe(reply.headers, self._clock(), number=number)
        if not _speaks_of(batch, reply):
            # It speaks of records that were not sent, so of ours it says nothing.
            reply = Reply(Verdict.UNKNOWN, reply.status, (), reply.headers, reply.sentence)
        self._judge(batch, reply)
        self._check_rejections()

    def _judge(self, batch: Batch, reply: Reply) -> None:
        now = self._clock()
        self._note_progress(reply.verdict, now)
        match reply.verdict:
            case Verdict.READ_ENTRIES:
                self._settle(batch, reply, now)
            case Verdict.SPLIT:
                self._split(batch, reply)
            case Verdict.WAIT:
                self._note(batch, "withdrawn")
                self._wait(batch, reply, now)
            case Verdict.RETRY:
                self._note(batch, "withdrawn")
                self._note_failure(reply, now)
                self._repeat(batch, reply, now)
            case Verdict.UNKNOWN:
                if reply.status is None or reply.status >= _FIRST_FAILURE:
                    self._note_failure(reply, now, held=not batch.repeatable)
                self._leave_open(batch, batch.records, reply, now)
            case Verdict.STOP:
                self._note(batch, "withdrawn")
                self._fail(AccessError(reply.sentence))

    def _note_progress(self, verdict: Verdict, now: float) -> None:
        if verdict is not Verdict.WAIT:
            self._limited_since = None
        if self._failures and verdict not in (Verdict.RETRY, Verdict.UNKNOWN):
            self._failures = self._pauses = 0
            self._held_until = now

    def _settle(self, batch: Batch, reply: Reply, now: float) -> None:
        self._room_again()
        sent_at = dt.datetime.now(dt.UTC)
        if not (reply.refusals or reply.unanswered or reply.partial or reply.again):
            accepted: Iterable[Outgoing] = batch.records
            self._tally.accepted += len(batch.records)
        else:
            refused = {refusal.position for refusal in reply.refusals}
            silent = set(reply.unanswered) - refused
            self._refuse(batch, reply.refusals, reply.status)
            self._leave_open(batch, [batch.records[position] for position in sorted(silent)], reply, now)
            again = set(reply.again) - refused - silent
            self._try_in_another_form(batch, again, reply, now)
            told = refused | silent | again
            partial = {position: why for position, why in reply.partial.items() if position not in told}
            self._accept_in_part(batch, partial, reply.status)
            other = told | partial.keys()
            accepted = [record for position, record in enumerate(batch.records) if position not in other]
            self._tally.accepted += len(accepted)
        self._receipts.add(Receipt(record.identifier, "accepted", "", reply.status, sent_at) for record in accepted)

    def _try_in_another_form(self, batch: Batch, positions: Collection[int], reply: Reply, now: float) -> None:
        if positions:
            records = Batch(tuple(batch.records[position] for position in sorted(positions)), batch.tries)
            self._note(records, "withdrawn")
            self._repeat(records, reply, now)

    def _leave_open(self, batch: Batch, silent: Collection[Outgoing], reply: Reply, now: float) -> None:
        """Deal with records of a batch of which no answer tells whether they were applied."""
        if not silent:
            return
        reason = reply.sentence or _UNSPOKEN
        if reply.status is not None and reply.status < _FIRST_FAILURE:
            # It took the batch and said something unclear. Asking again would cost as much again, and not be
            # clearer: who is really missing comes back with the next run.
            self._hold(silent, reason, reply.status)
            return
        rest = self._hold_unrepeatable(Batch(tuple(silent), batch.tries), reason, reply.status)
        if rest is not None:
            self._repeat(rest, reply, now)

    def _accept_in_part(self, batch: Batch, partial: Mapping[int, Mapping[str, str]], status: int | None) -> None:
        sent_at = dt.datetime.now(dt.UTC)
        for position, reasons in partial.items():
            record = batch.records[position]
            text = self._mask("; ".join(f"{target}: {reason}" for target, reason in reasons.items()), record)
            self._receipts.add([Receipt(record.identifier, "accepted", text, status, sent_at, tuple(reasons))])
        self._tally.accepted += len(partial)

    def _split(self, batch: Batch, reply: Reply) -> None:
        refused = {refusal.position for refusal in reply.refusals}
        self._refuse(batch, reply.refusals, reply.status)
        rest: Batch | None = batch
        if refused:
            others = tuple(record for position, record in enumerate(batch.records) if position not in refused)
            rest = Batch(others) if others else None
        if rest is None:
            return
        if reply.doubtful and not rest.repeatable:
            held = self._hold_unrepeatable(rest, reply.sentence or "refused, perhaps not as a whole", reply.status)
            if held is not None:
                self._requeue(Batch(held.records), self._clock())
            return
        self._note(rest, "withdrawn")
        if refused:
            self._requeue(rest, self._clock())
        elif len(rest.records) == 1:
            self._refuse(rest, (Refusal(0, reply.sentence or "refused"),), reply.status)
        else:
            for half in rest.halves():
                self._requeue(half, self._clock())

    def _wait(self, batch: Batch, reply: Reply, now: float) -> None:
        self._tally.rate_limited += 1
        until = self._pacing.refused(reply.headers, now)
        if not reply.headers:
            until = max(until, self._back_off(now, until - now))
        if self._limited_since is None:
            self._limited_since = now
        waited = until - self._limited_since
        if waited > self._settings.rate_limit_patience:
            self._fail(self._limited_for_too_long(waited))
        elif until - max(now, self._limit_told_until) > self._settings.progress_seconds:
            self._limit_told_until = until
            log.warning("%s: over the rate limit; waiting %.0f s, as the server asks", self._label, until - now)
        self._requeue(batch, until)

    def _back_off(self, now: float, pause: float) -> float:
        """Send less at a time, after pauses that double: the server does not say how long to wait, or for what.

        Refusals of requests that were under way together count once.

        :param pause: seconds of the first pause.
        :return: until when.
        """
        if now >= self._backed_off_until:
            self._room = max(1.0, self._room / 2)
            self._backed_off_until = now + min(_LONGEST_PAUSE_SECONDS, pause * 2.0**self._backed_off)
            self._backed_off = min(self._backed_off + 1, 10)
        return self._backed_off_until

    def _room_again(self) -> None:
        """Let one more request be under way after a while of successes: each try too many costs a pause."""
        self._backed_off = 0
        if self._room < self._settings.max_in_flight:
            self._room = min(float(self._settings.max_in_flight), self._room + 1.0 / (_SUCCESSES * self._room))

    def _limited_for_too_long(self, seconds: float) -> TransientError:
        return TransientError(
            f"{self._label}: the rate limit keeps everything waiting for {seconds:,.0f} s, longer than the "
            f"{self._settings.rate_limit_patience:,.0f} s that a run waits. The rest is sent by the next try."
        )

    def _repeat(self, batch: Batch, reply: Reply, now: float) -> None:
        """Send a batch again after a pause, unless it was tried often enough.

        What can't be repeated is only here if nothing was done with it. Tried often enough, it stays unsent: unknown
        would be said of it for good.
        """
        if batch.tries + 1 >= self._settings.max_tries:
            tried = [record for record in batch.records if record.repeatable]
            self._hold(tried, reply.sentence or "no answer", reply.status)
            if len(tried) < len(batch.records):
                log.warning("%s: %s people were not sent; they go with the next run. Last answer: %s",
                            self._label, f"{len(batch.records) - len(tried):,}", reply.sentence or "none.")  # fmt: skip
            return
        # Spread by a running number, so that a recovering server is not hit by all at once.
        pause = _growing_pause(batch.tries) * (0.75 + 0.5 * (self._numbers % 16) / 16)
        self._requeue(replace(batch, tries=batch.tries + 1), now + pause)

    def _note_failure(self, reply: Reply, now: float, *, held: bool = False) -> None:
        """Hold everything back when nothing succeeds any more: it would use up the tries of every batch in seconds.

        :param held: the failure left people unknown for good; each further one would leave more.
        """
        if not self._failures:
            self._failing_since = now
        self._failures += 1
        if self._failures >= (1 if held else _OUTAGE_AFTER) and now >= self._held_until:
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

    def _refuse(self, batch: Batch, refusals: Iterable[Refusal], status: int | None) -> None:
        sent_at = dt.datetime.now(dt.UTC)
        for refusal in {refusal.position: refusal for refusal in refusals}.values():
            record = batch.records[refusal.position]
            reason = self._mask(refusal.reason, record) if refusal.outcome == "rejected" else refusal.reason
            self._receipts.add([Receipt(record.identifier, refusal.outcome, reason, status, sent_at)])
            self._tally.count(refusal.outcome)

    def _hold(self, records: Collection[Outgoing], reason: str, status: int | None) -> None:
        sent_at = dt.datetime.now(dt.UTC)
        self._receipts.add([Receipt(record.identifier, "unknown", reason, status, sent_at) for record in records])
        self._tally.unknown += len(records)

    def _hold_unrepeatable(self, batch: Batch, reason: str, status: int | None) -> Batch | None:
        """Hold what can't be repeated, and return the rest of the batch."""
        if batch.repeatable:
            return batch
        self._hold([record for record in batch.records if not record.repeatable], reason, status)
        rest = tuple(record for record in batch.records if record.repeatable)
        return Batch(rest, batch.tries) if rest else None

    def _mask(self, reason: str, record: Outgoing) -> str:
        return mask_values(reason, record.body, shown_keys=self._settings.shown_keys)

    def _check_rejections(self) -> None:
        tally = self._tally
        if tally.records < self._settings.rejected_after:
            return
        problem = too_many_rejected(
            self._label,
            rejected=tally.rejected,
            unknown=tally.unknown,
            sent=max(self._sent_by_run, tally.records),
            percent=self._settings.rejected_percent,
        )
        if problem is not None:
            self._fail(problem)

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
        """Make the last receipts durable, with the patience that a store deserves; little of it once told to stop."""
        began, pause = self._clock(), _FIRST_PAUSE_SECONDS
        while True:
            try:
                await asyncio.to_thread(self._receipts.flush)
            except Exception as error:  # noqa: BLE001  the same edge; what can't be written now is lost with this process
                failure = self._not_durable(error)
                patience = _PATIENCE_ONCE_STOPPED if self._stop_requested else self._settings.flush_patience
                is_over = self._clock() - began >= patience
                log.warning("%s%s", failure, " These people are sent again." if is_over else " Trying again.")
                if is_over:
                    self._fail(failure)
                    return
                await asyncio.sleep(_FIRST_PAUSE_SECONDS if self._stop_requested else pause)
                pause = min(2 * pause, _LONGEST_LAST_PAUSE_SECONDS)
            else:
                return

    def _not_durable(self, error: Exception) -> SyncError:
        if isinstance(error, SyncError):
            return error
        kind, people = type(error).__name__, f"{len(self._receipts):,}"
        return TransientError(f"{self._label}: the receipts of {people} people could not be written ({kind}).")


def _speaks_of(batch: Batch, reply: Reply) -> bool:
    """Tell whether a reply only speaks of records that are in the batch."""
    if not (reply.refusals or reply.unanswered or reply.partial or reply.again):
        return True
    positions = [refusal.position for refusal in reply.refusals]
    named = (*positions, *reply.unanswered, *reply.partial, *reply.again)
    return all(0 <= place < len(batch.records) for place in named)


def _growing_pause(number: int) -> float:
    """1, 2, 4 … s, at most a minute."""
    return min(_LONGEST_PAUSE_SECONDS, 2.0 ** min(number, 10))
