"""The lock during a step: a separate thread renews it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow_provider_braze_blueconic.exceptions import GoalBusy, SyncError, TransientError
from airflow_provider_braze_blueconic.sync.store.lock import GoalLock

__all__ = ["hold", "release"]

log = logging.getLogger(__name__)

_BEATS = 3
"""Signs of life in ``lock_seconds``: two of them may fail or be late."""

_SILENT_FOR = 3
"""Times ``lock_seconds`` without a sign of life that reached S3, after which a step stops by itself.

Not sooner, since whoever would take over has to reach S3 too, and begins with reading the source. And not never: where
S3 is out of reach for this machine alone, another one may be at work by then.
"""


class _Heartbeat:
    """Gives signs of life from a thread of its own, until it is ended or must not go on."""

    def __init__(self, lock: GoalLock, on_lost: Callable[[], None]) -> None:
        self._lock = lock
        self._on_lost = on_lost
        self._ended = threading.Event()
        # A daemon: a request that hangs must not keep the process of a finished task alive.
        self._thread = threading.Thread(target=self._run, name=f"lock of {lock.goal_id}", daemon=True)
        self.failure: SyncError | None = None

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Stop. A sign that hangs may still come after this: others then wait until it counts as dead."""
        self._ended.set()
        self._thread.join(self._lock.seconds)

    def _run(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(self._lock.seconds / _BEATS):
            try:
                self._lock.beat()
                last = time.monotonic()
            except GoalBusy as error:
                self.failure = error
            # Whatever it is, a thread that ends in silence would make this run look dead.
            except Exception as error:  # noqa: BLE001
                self.failure = self._failed(error, time.monotonic() - last)
            if self.failure is not None:
                self._on_lost()
                return

    def _failed(self, error: Exception, silent: float) -> SyncError | None:
        # Only our own errors were written for people; another one's text may hold anything.
        said = str(error) if isinstance(error, SyncError) else f"It failed with {type(error).__name__}."
        if silent < _SILENT_FOR * self._lock.seconds:
            log.warning("%s: this run couldn't renew its lock; another attempt follows. %s",
                        self._lock.goal_id, said)  # fmt: skip
            return None
        return TransientError(
            f"{self._lock.goal_id}: this run couldn't renew its lock for {silent:.0f} s, so another run may have "
            f"started. This run stopped; what the target acknowledged is kept. {said}"
        )


@contextmanager
def hold(
    lock: GoalLock,
    *,
    gap_seconds: Callable[[], float | None],
    on_lost: Callable[[], None] = lambda: None,
    before_first: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Hold the lock for the time of a block: one step, or, with ``None`` for a gap, all that a run does.

    :param gap_seconds: returns, when the step is done, for how long the run may take until its next one; ``None`` if
        there is none. Without a ``SyncReportOperator`` a run is never said to have ended, and others wait that long.
    :param on_lost: called, from another thread, when the block must not go on.
    :param before_first: see :meth:`~.lock.GoalLock.take`.
    :raises GoalBusy: another run has the lock; or took it over meanwhile, whatever else the block raised.
    :raises TransientError: S3 could not be reached for so long that another run may have taken over.
    """
    lock.take(before_first)
    heartbeat = _Heartbeat(lock, on_lost)
    heartbeat.start()
    try:
        yield
    finally:
        heartbeat.end()
        if heartbeat.failure is not None:
            raise heartbeat.failure
        try:
            lock.leave(gap_seconds())
        except GoalBusy:
            raise
        except (SyncError, OSError) as error:
            log.warning("%s: the end of a step couldn't be recorded. The next step continues; another run would "
                        "wait %g s. %s", lock.goal_id, lock.seconds, error)  # fmt: skip


def release(lock: GoalLock) -> None:
    """Say that the run has ended. That it can't be said fails nothing: the lock then ends by itself."""
    try:
        lock.release()
    except (SyncError, OSError) as error:
        log.warning("%s: the end of the run couldn't be recorded. Another run has to wait until the lock expires. "
                    "%s", lock.goal_id, error)  # fmt: skip
