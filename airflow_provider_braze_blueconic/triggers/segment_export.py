"""The wait in the triggerer for Braze's segment exports: it checks, sleeps, and writes nothing.

A trigger can be started anew or run twice at any time, so all that must outlive it is in its arguments, in the event
that it ends with, or in the run's marker in S3.

Connections and clients are made through ``sync_to_async``, as the amazon provider's own triggers do: on Airflow 3.0 a
connection can't be looked up from any other thread. The looks run in a few threads of our own, so that an S3 that
doesn't answer keeps neither the event loop nor anybody else's thread busy.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Literal, TypedDict

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_braze_blueconic.exceptions import SyncError

__all__ = ["ExportEvent", "ExportWait"]

FAILURES = 20
"""Looks in a row that may fail: with the waits between them, about a quarter of an hour of a bucket out of reach."""

_LONGEST_WAIT = 60.0
_PROGRESS_SECONDS = 60.0

_THREADS = 8


class ExportEvent(TypedDict):
    """What ended a wait.

    :param state: ``quiet``: the files are still; ``empty``: none came and none had to; ``turn``: a folder that may be
        ours appeared, or nobody else's export moves any more; ``timed_out``; ``failed``.
    :param files: files seen.
    :param bytes: their sizes together.
    :param deadline: Unix seconds, as it was given, for the next wait.
    :param short: the wait was for more than what had been found too few.
    :param error: class of the error, and what it says, where it failed.
    """

    state: Literal["quiet", "empty", "turn", "timed_out", "failed"]
    files: int
    bytes: int
    deadline: float
    short: bool
    error: tuple[str, str] | None


class ExportWait(BaseTrigger):
    """Looks every few seconds until a look ends the wait.

    :param goal_id: for the log.
    :param deadline: Unix seconds.
    :param poll_seconds: between two looks.
    """

    wall: Callable[[], float] = staticmethod(time.time)

    def __init__(self, *, goal_id: str, deadline: float, poll_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in Airflow
        self.goal_id = goal_id
        self.deadline = deadline
        self.poll_seconds = poll_seconds

    @abstractmethod
    def _arguments(self) -> dict[str, Any]:
        """Return the arguments of the constructor: plain values only, they are stored in Airflow's database."""

    @abstractmethod
    def _open(self) -> None:
        """Look up the connections and make the clients; may block."""

    @abstractmethod
    def _look(self, clock: float) -> ExportEvent | None:
        """Look once; may block.

        :param clock: monotonic seconds.
        :return: what ends the wait, or ``None``.
        """

    @abstractmethod
    def _progress(self) -> str:
        """Say how far it is."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and the arguments that make the same trigger again."""
        common = {"goal_id": self.goal_id, "deadline": self.deadline, "poll_seconds": self.poll_seconds}
        return f"{type(self).__module__}.{type(self).__qualname__}", {**common, **self._arguments()}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event."""
        from asgiref.sync import sync_to_async

        loop = asyncio.get_running_loop()
        opened, failures, told = False, 0, loop.time()
        while True:
            try:
                if not opened:
                    await sync_to_async(self._open)()
                    opened = True
                event = await loop.run_in_executor(_threads(), self._look, loop.time())
                failures, wait = 0, self.poll_seconds
            # What leaves a trigger fails its task, and everything here may go better next time.
            except Exception as error:  # noqa: BLE001
                failures += 1
                event = self._failed(error, failures)
                wait = min(max(self.poll_seconds, 1.0) * 2.0 ** (failures - 1), max(_LONGEST_WAIT, self.poll_seconds))
            if event is not None:
                yield TriggerEvent(dict(event))  # type: ignore[no-untyped-call]  # untyped in Airflow
                return
            if not failures and loop.time() - told >= _PROGRESS_SECONDS:
                told = loop.time()
                self.log.info("%s: %s", self.goal_id, self._progress())
            await asyncio.sleep(wait)

    def _failed(self, error: Exception, failures: int) -> ExportEvent | None:
        # Only our own errors were written for people; another one's text may hold anything.
        ours = isinstance(error, SyncError)
        kind, text = type(error).__name__, str(error) if ours else f"The check failed with {type(error).__name__}."
        if failures < FAILURES and self.wall() < self.deadline:
            self.log.warning("%s: check %s in a row failed, another one follows. %s", self.goal_id, failures, text)
            return None
        return self._event("failed", error=(kind if ours else "TransientError", text))

    def _event(
        self,
        state: Literal["quiet", "empty", "turn", "timed_out", "failed"],
        *,
        files: int = 0,
        size: int = 0,
        short: bool = False,
        error: tuple[str, str] | None = None,
    ) -> ExportEvent:
        return {
            "state": state,
            "files": files,
            "bytes": size,
            "deadline": self.deadline,
            "short": short,
            "error": error,
        }


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="braze-export")
