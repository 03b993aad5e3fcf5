"""The event that ends a wait for a segment export."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.triggers.segment_export import ExportEvent, ExportWait

__all__ = ["first_event", "valid_event"]


def valid_event(event: Any) -> ExportEvent:
    """Take what a trigger ended with for an event.

    :raises UnexpectedAnswer: if it is none.
    """
    if not isinstance(event, dict) or not {"state", "files", "bytes", "deadline", "short", "error"} <= event.keys():
        raise UnexpectedAnswer("The wait for the segment export ended with an unexpected event. Clear the task.")
    return cast("ExportEvent", event)


async def first_event(trigger: ExportWait, should_stop: Callable[[], bool]) -> ExportEvent | None:
    """Wait here for what the triggerer would wait for; ``None`` if it was told to stop."""
    waiting = asyncio.ensure_future(anext(aiter(trigger.run())))
    try:
        while not waiting.done():
            if should_stop():
                return None
            await asyncio.wait({waiting}, timeout=1.0)
        return valid_event(waiting.result().payload)
    finally:
        waiting.cancel()
