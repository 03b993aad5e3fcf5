"""Intents: the upload records what it can't repeat before each attempt, and withdraws it if nothing was done.

Whatever is killed when, nobody can find such a record to be unsent that may have been sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine

from airflow_provider_braze_blueconic.sync.sending.batch_queue import BatchQueue
from airflow_provider_braze_blueconic.sync.sending.batches import Batch
from airflow_provider_braze_blueconic.sync.sending.bookkeeping import Bookkeeping
from airflow_provider_braze_blueconic.sync.sending.outcomes import Outcomes
from airflow_provider_braze_blueconic.sync.store.watch import Watch

__all__ = ["Intents"]

log = logging.getLogger(__name__)

_AHEAD = 2
"""Batches whose intents are durable or on their way while others are sent, so that nothing waits for them. No more: of
each, a kill that leaves no second makes people unknown who were not sent."""

_TRY_AGAIN_SECONDS = 1.0


class Intents:
    """The batches that can't be repeated and are about to be sent.

    :param outcomes: takes what is noted.
    :param books: makes it durable.
    :param queue: gets a batch back that is not sent.
    :param watch: knows whether this is the newest attempt; ``None`` where there can't be another one.
    :param on_superseded: called when it is not.
    """

    def __init__(
        self,
        outcomes: Outcomes,
        books: Bookkeeping,
        queue: BatchQueue,
        *,
        watch: Watch | None,
        on_superseded: Callable[[], None],
    ) -> None:
        self._outcomes = outcomes
        self._books = books
        self._queue = queue
        self._watch = watch
        self._on_superseded = on_superseded
        self._on_their_way = 0
        self._durable: deque[Batch] = deque()

    @property
    def next(self) -> Batch | None:
        """The batch that may be sent next; ``None`` if no intent is durable."""
        return self._durable[0] if self._durable else None

    def take(self) -> Batch:
        """Take the next batch; it may be sent now."""
        return self._durable.popleft()

    def has_room(self) -> bool:
        """Tell whether another batch may be prepared."""
        return self._on_their_way + len(self._durable) < _AHEAD

    def prepare(self, batch: Batch) -> Coroutine[None, None, None]:
        """Count a batch that is prepared from now on, and return the work that is to be done for it."""
        self._on_their_way += 1
        return self._make_durable(batch)

    def put_back(self) -> None:
        """Withdraw the intents of batches whose turn does not come soon, or not at all."""
        while self._durable:
            self._withdraw(self._durable.pop(), after=0.0)

    async def _make_durable(self, batch: Batch) -> None:
        """Make durable that a batch is about to be sent, and let it be sent then.

        Who is superseded between the two does not send: the newer attempt may have looked for intents before this one
        was there. From the look on it finds it.
        """
        self._outcomes.note(batch, "intended")
        try:
            await self._books.flush()
            is_newest = self._watch is None or await self._watch.look()
        except Exception as error:  # noqa: BLE001  the edge of the object store, as in the bookkeeping, which ends the upload
            self._withdraw(batch, after=_TRY_AGAIN_SECONDS)
            log.warning("%s Trying again; nothing is sent until then.", self._books.not_durable(error))
        except BaseException:
            self._outcomes.note(batch, "withdrawn")
            raise
        else:
            if is_newest:
                self._durable.append(batch)
            else:
                self._withdraw(batch, after=0.0)
                self._on_superseded()
        finally:
            self._on_their_way -= 1

    def _withdraw(self, batch: Batch, *, after: float) -> None:
        self._outcomes.note(batch, "withdrawn")
        self._queue.put_back(batch, asyncio.get_running_loop().time() + after)
