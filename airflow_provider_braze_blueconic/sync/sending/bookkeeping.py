"""The bookkeeping of an upload: it saves receipts while it sends, and logs its progress."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from airflow_provider_braze_blueconic.exceptions import SyncError, TransientError
from airflow_provider_braze_blueconic.sync.sending.settings import UploadSettings
from airflow_provider_braze_blueconic.sync.sending.tally import Tally
from airflow_provider_braze_blueconic.sync.state.part_receipts import PartReceipts

__all__ = ["Bookkeeping"]

log = logging.getLogger(__name__)

_PATIENCE_ONCE_STOPPED = 1.0
"""Seconds in which the last receipts may fail to be written once the task was told to end: Airflow's kill is near."""

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_LAST_PAUSE_SECONDS = 2.0
"""Between two tries to write the last receipts. No longer: a stop may come meanwhile."""


class Bookkeeping:
    """Keeps the receipts of one upload.

    :param receipts: takes the outcomes.
    :param tally: counts them.
    :param settings: how often, and how long it may fail.
    :param label: goal and partition, for messages.
    :param total: records to send.
    :param fail: is told why the upload has to end, once it has.
    """

    def __init__(
        self,
        receipts: PartReceipts,
        tally: Tally,
        settings: UploadSettings,
        *,
        label: str,
        total: int,
        fail: Callable[[SyncError], None],
    ) -> None:
        self._receipts = receipts
        self._tally = tally
        self._settings = settings
        self._label = label
        self._total = total
        self._fail = fail

    async def flush(self) -> None:
        """Make all receipts so far durable.

        :raises Exception: whatever the store raises.
        """
        await asyncio.to_thread(self._receipts.flush)

    async def run(self) -> None:
        """Make receipts durable and say how far the upload is, until cancelled."""
        clock = asyncio.get_running_loop().time
        last_progress = last_flush = began = clock()
        while True:
            await asyncio.sleep(self._settings.flush_seconds)
            try:
                await self.flush()
            except Exception as error:  # noqa: BLE001  the edge of the object store: the receipts are kept and go again
                failure = self.not_durable(error)
                log.warning("%s Trying again.", failure)
                if clock() - last_flush > self._settings.flush_patience:
                    self._fail(failure)
            else:
                last_flush = clock()
            now = clock()
            if now - last_progress >= self._settings.progress_seconds:
                last_progress = now
                self._tell_progress(now - began)

    async def finish(self, is_stopped: Callable[[], bool]) -> None:
        """Make the last receipts durable, with the patience that a store deserves; little of it once told to stop."""
        clock = asyncio.get_running_loop().time
        began, pause = clock(), _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self.flush()
            except Exception as error:  # noqa: BLE001  the same edge; what can't be written now is lost with this process
                failure = self.not_durable(error)
                patience = _PATIENCE_ONCE_STOPPED if is_stopped() else self._settings.flush_patience
                is_over = clock() - began >= patience
                log.warning(
                    "%s%s", failure, " The next attempt sends these people again." if is_over else " Trying again."
                )
                if is_over:
                    self._fail(failure)
                    return
                await asyncio.sleep(_FIRST_PAUSE_SECONDS if is_stopped() else pause)
                pause = min(2 * pause, _LONGEST_LAST_PAUSE_SECONDS)
            else:
                return

    def not_durable(self, error: Exception) -> SyncError:
        """Return the error of receipts that could not be written."""
        if isinstance(error, SyncError):
            return error
        kind, people = type(error).__name__, f"{len(self._receipts):,}"
        return TransientError(f"{self._label}: the receipts of {people} people couldn't be written ({kind}).")

    def _tell_progress(self, seconds: float) -> None:
        records = self._tally.records
        speed = records / max(seconds, 0.001)
        left = (self._total - records) / speed if speed else 0.0
        log.info(
            "%s: %s of %s people sent, %s/s, %.0f s left, %s rejected",
            self._label,
            f"{records:,}",
            f"{self._total:,}",
            f"{speed:,.0f}",
            max(left, 0.0),
            f"{self._tally.rejected:,}",
        )
