"""The wait of a run for its turn, on Airflow versions that reschedule only sensors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

__all__ = ["TurnTrigger"]


class TurnTrigger(BaseTrigger):
    """Wakes a task that waits for its turn.

    :param until: seconds since 1970.
    """

    def __init__(self, until: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in Airflow
        self.until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer makes it again from: a restarted one waits until the same moment."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"until": self.until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait."""
        await asyncio.sleep(max(0.0, self.until - time.time()))
        yield TriggerEvent({})  # type: ignore[no-untyped-call]  # untyped in Airflow
