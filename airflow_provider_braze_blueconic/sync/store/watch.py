"""The watch during an upload: it stops an attempt that a newer one has overtaken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from airflow_provider_braze_blueconic.exceptions import SyncError, TransientError
from airflow_provider_braze_blueconic.sync.store.attempts import superseded

__all__ = ["GOOD_FOR_SECONDS", "LOOK_EVERY_SECONDS", "Watch"]

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 0.5
"""From one look to the next: one small request each, and an older attempt stops within a second of the newer one's
start."""

GOOD_FOR_SECONDS = 5.0
"""For how long after its beginning a look allows to send. A store that answers slowly stops nobody; one that fails for
longer does."""

_PATIENCE_SECONDS = 30.0
"""After which an attempt that can't look gives up; receipts that can't be written are given as long."""

_TICK_SECONDS = 0.25
_PAUSED_AFTER_SECONDS = 0.75
"""Between two ticks: the process was paused meanwhile, so that its last look says nothing about now."""


class Watch:
    """Looks again and again, beside an upload and in its event loop, whether the upload may go on.

    :param is_newest: asks the store; called in a thread.
    :param label: goal and partition, for messages.
    :param on_look: called after each look.
    """

    def __init__(self, is_newest: Callable[[], bool], *, label: str, on_look: Callable[[], None]) -> None:
        self._is_newest = is_newest
        self._label = label
        self._on_look = on_look
        self._awake: float | None = None
        self._looked: float | None = None
        self._paused = 0.0
        self.failure: SyncError | None = None
        """Why the upload has to end, once it has."""

    def may_start(self, now: float) -> bool:
        """Tell whether a request may start.

        :param now: the loop's time.
        """
        self._notice(now)
        return self.failure is None and self._looked is not None and now - self._looked <= GOOD_FOR_SECONDS

    async def look(self) -> bool:
        """Look once, and tell whether the upload may go on.

        :raises Exception: whatever the store raises; then it is not known.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        is_newest = await asyncio.to_thread(self._is_newest)
        self._notice(clock())
        if not is_newest:
            self.failure = self.failure or superseded(self._label)
        elif began >= self._paused:
            self._looked = began if self._looked is None else max(began, self._looked)
        return is_newest

    async def run(self) -> None:
        """Look until the upload has to end, or until cancelled."""
        clock = asyncio.get_running_loop().time
        answered, told = clock(), False
        while self.failure is None:
            began = clock()
            try:
                await self._look_awake(until=answered + _PATIENCE_SECONDS)
                answered, told = clock(), False
            except Exception as error:  # noqa: BLE001  the edge of the object store: not to know is no reason to go on
                silent = clock() - answered
                if silent > _PATIENCE_SECONDS:
                    self.failure = self._blind(silent, error)
                elif silent > GOOD_FOR_SECONDS and not told:
                    told = True
                    log.warning("%s: sending pauses until S3 says whether this is still the newest attempt (%s)",
                                self._label, type(error).__name__)  # fmt: skip
            self._on_look()
            while self.failure is None and (left := began + LOOK_EVERY_SECONDS - clock()) > 0:
                await asyncio.sleep(min(left, _TICK_SECONDS))
                self._notice(clock())

    async def _look_awake(self, *, until: float) -> None:
        """Look, and notice meanwhile whether this process was paused.

        :raises TimeoutError: no answer came until then.
        """
        clock = asyncio.get_running_loop().time
        look = asyncio.ensure_future(self.look())
        try:
            while not look.done() and clock() <= until:
                await asyncio.wait([look], timeout=_TICK_SECONDS)
                self._notice(clock())
        finally:
            look.cancel()
            await asyncio.wait([look])
        if look.cancelled():
            raise TimeoutError
        look.result()

    def _notice(self, now: float) -> None:
        if self._awake is not None and now - self._awake > _PAUSED_AFTER_SECONDS:
            self._paused, self._looked = now, None
        self._awake = now

    def _blind(self, silent: float, error: Exception) -> SyncError:
        return TransientError(
            f"{self._label}: for {silent:.0f} s S3 didn't say whether a newer attempt has started "
            f"({type(error).__name__}). This attempt stopped; the next one sends the rest."
        )
