"""The send loop: batches out at the pace the server allows, a receipt for every record that comes back.

The loop owns pace, repetition and bisecting. A sender makes one attempt and says what the answer means
(:class:`~.seam.Verdict`); what may be repeated is decided on this side alone (:mod:`~.answers`). While there is nothing
but failures, one request at a time goes out, after growing pauses, until one succeeds or patience ends
(:mod:`~.patience`). What can't be repeated has its intent made durable before each attempt (:mod:`~.intents`).

Another copy of the same task may begin meanwhile (:mod:`~.fence`): then nothing more starts here.

Time is the running event loop's, for reading as for waiting, so that a test moves both by running a loop of its own.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from airflow_provider_braze_blueconic.exceptions import SyncError
from airflow_provider_braze_blueconic.sync.sending.answers import Answers
from airflow_provider_braze_blueconic.sync.sending.batch_queue import BatchQueue
from airflow_provider_braze_blueconic.sync.sending.batches import Batch, cut
from airflow_provider_braze_blueconic.sync.sending.bookkeeping import Bookkeeping
from airflow_provider_braze_blueconic.sync.sending.intents import Intents
from airflow_provider_braze_blueconic.sync.sending.outcomes import Outcomes
from airflow_provider_braze_blueconic.sync.sending.pacing import Pacing
from airflow_provider_braze_blueconic.sync.sending.patience import Patience
from airflow_provider_braze_blueconic.sync.sending.rejections import too_many_rejected
from airflow_provider_braze_blueconic.sync.sending.rows import Rows
from airflow_provider_braze_blueconic.sync.sending.seam import Sender
from airflow_provider_braze_blueconic.sync.sending.settings import UploadSettings
from airflow_provider_braze_blueconic.sync.sending.tally import Tally
from airflow_provider_braze_blueconic.sync.state.part_receipts import PartReceipts
from airflow_provider_braze_blueconic.sync.store.watch import Watch

__all__ = ["Stopped", "Upload"]

_GRACE_SECONDS = 3.0
"""For answers on their way when the task is told to end: Airflow kills it 5 s after SIGTERM (task SDK, supervisor)."""

_LOOK_UP_SECONDS = 1.0
"""Longest wait without asking again what to do."""

_SHORT_SECONDS = 0.05
"""Below this a wait for the next start is a plain sleep: no answer can make it shorter by much, and thousands of starts
a second wait so."""


class Stopped(SyncError):
    """The task was told to end; what was sent has its receipts, and a retry sends the rest."""


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
        self._settings = settings
        self._label = label
        self._sent_by_run = sent_by_run
        self._tally = tally if tally is not None else Tally()
        self._watch = Watch(is_newest, label=label, on_look=self._looked) if is_newest is not None else None
        self._queue = BatchQueue(self._tally)
        self._patience = Patience(settings, label=label, fail=self._fail)
        self._outcomes = Outcomes(receipts, self._tally, shown_keys=settings.shown_keys)
        self._answers = Answers(self._outcomes, self._queue, self._patience, pacing, label=label, fail=self._fail)
        self._books = Bookkeeping(receipts, self._tally, settings, label=label, total=total, fail=self._fail)
        self._intents = Intents(self._outcomes, self._books, self._queue, watch=self._watch, on_superseded=self._looked)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clock: Callable[[], float] = time.monotonic
        self._in_flight: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._stop_requested = False
        self._failure: SyncError | None = None

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

    async def run(self, records: Iterable[Rows]) -> Tally:
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
        beside = [asyncio.create_task(self._books.run())]
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
            self._intents.put_back()
            self._tally.seconds = self._clock() - began
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)  # what went wrong there is in self._failure
            await self._books.finish(lambda: self._stop_requested)
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
        self._queue.fill(batches)
        while self._failure is None and not self._stop_requested:
            now = self._clock()
            following = self._queue.following(now)
            prepared = self._intents.next
            if following is None and prepared is None:
                ready = self._queue.next_ready()
                if ready is None and not self._in_flight:
                    return
                await self._wait_for_change(_LOOK_UP_SECONDS if ready is None else ready - now)
            elif len(self._in_flight) >= self._patience.in_flight_limit(prepared or following):
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
        start = max(self._pacing.next_start(now), self._patience.until)
        if start - now > _LOOK_UP_SECONDS:
            self._intents.put_back()
        elif following is not None and not following.repeatable and self._intents.has_room():
            self._start(self._intents.prepare(self._queue.take(now)))
            return
        if start > now:
            await self._wait_for_start(start - now)
        elif self._intents.next is not None:
            self._start(self._attempt(self._intents.take(), self._pacing.started(now)))
        elif following is not None and following.repeatable:
            self._start(self._attempt(self._queue.take(now), self._pacing.started(now)))
        else:
            await self._wait_for_change(_LOOK_UP_SECONDS)  # for intents on their way
        if len(self._in_flight) % 16 == 0:
            await asyncio.sleep(0)  # answers come first: a burst of starts must not keep them waiting

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._in_flight.add(task)
        task.add_done_callback(self._finished)

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
        elif self._patience.limit.allows(seconds):
            await self._wait_for_change(seconds)

    async def _wait_for_change(self, seconds: float) -> None:
        """Wait for the end of an attempt, for :meth:`stop`, or for some seconds: pauses grow and shrink meanwhile."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, _LOOK_UP_SECONDS)):
                await self._changed.wait()

    async def _attempt(self, batch: Batch, number: int) -> None:
        settings = self._settings
        body = b"".join((settings.before, batch.records.content(), settings.after))
        self._tally.requests += 1
        try:
            reply = await self._sender.send(body)
        except BaseException:
            # Cut off, or a sender with a bug: what can't be repeated must not look as if it had never been sent.
            self._outcomes.hold_unrepeatable(batch, "the upload ended before the answer came", None)
            raise
        self._pacing.ended(self._clock())
        self._tally.requests += reply.requests - 1
        self._pacing.observe(reply.headers, self._clock(), number=number)
        self._answers.take(batch, reply, self._clock())
        self._check_rejections()

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
