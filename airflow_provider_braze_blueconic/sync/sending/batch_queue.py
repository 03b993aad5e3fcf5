"""The batches that wait to be sent: new ones in their order, and retried ones once they are ready."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from airflow_provider_braze_blueconic.sync.sending.batches import Batch
from airflow_provider_braze_blueconic.sync.sending.tally import Tally

__all__ = ["BatchQueue"]


@dataclass(order=True)
class _Waiting:
    ready: float
    number: int
    batch: Batch = field(compare=False)


class BatchQueue:
    """The batches of an upload that are to be sent, first or once more. Times are monotonic seconds.

    :param tally: counts what goes again.
    :ivar returned: how often a batch was put back so far.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._batches: Iterator[Batch] = iter(())
        self._fresh: Batch | None = None
        self._waiting: list[_Waiting] = []
        self.returned = 0

    def fill(self, batches: Iterator[Batch]) -> None:
        """Take fresh batches from here, one at a time."""
        self._batches = batches
        self._fresh = next(batches, None)

    def following(self, now: float) -> Batch | None:
        """Return whose turn it is: one that waited to go again, else a fresh one; ``None`` if none is there."""
        return self._waiting[0].batch if self._is_time_again(now) else self._fresh

    def take(self, now: float) -> Batch:
        """Take the batch whose turn it is out of the queue; there must be one."""
        if self._fresh is None or self._is_time_again(now):
            self._tally.repeated += 1
            return heapq.heappop(self._waiting).batch
        batch, self._fresh = self._fresh, next(self._batches, None)
        return batch

    def put_back(self, batch: Batch, ready: float) -> None:
        """Let a batch be sent again.

        :param ready: not before then.
        """
        self.returned += 1
        heapq.heappush(self._waiting, _Waiting(ready, self.returned, batch.alone()))

    def next_ready(self) -> float | None:
        """Return when the next batch that goes again is ready; ``None`` if none waits."""
        return self._waiting[0].ready if self._waiting else None

    def _is_time_again(self, now: float) -> bool:
        return bool(self._waiting) and self._waiting[0].ready <= now
