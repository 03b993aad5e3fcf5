"""Waits for Braze's segment exports in the triggerer: looks and sleeps, and writes nothing anywhere.

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
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Literal, TypedDict

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_braze_blueconic.exceptions import SyncError, UnexpectedAnswer

__all__ = ["BrazeExportTrigger", "BrazeExportUrlTrigger", "ExportEvent", "ExportWait"]

FAILURES = 20
"""Looks in a row that may fail: with the waits between them, about a quarter of an hour of a bucket out of reach."""

_LONGEST_WAIT = 60.0
_PROGRESS_SECONDS = 60.0
_FULL_LOOK = 30
"""Every so many looks the whole tree is listed, should a date folder be named otherwise than documented."""

_THREADS = 8


class ExportEvent(TypedDict):
    """What ended a wait.

    :param state: ``quiet``: the files are still; ``empty``: none came and none had to; ``turn``: a folder that may be
        ours appeared, or nobody else's export moves any more; ``ready``: Braze's own address can be fetched;
        ``timed_out``; ``failed``.
    :param files: files seen.
    :param bytes: their sizes together.
    :param deadline: Unix seconds, as it was given, for the next wait.
    :param short: the wait was for more than what had been found too few.
    :param error: class of the error, and what it says, where it failed.
    """

    state: Literal["quiet", "empty", "turn", "ready", "timed_out", "failed"]
    files: int
    bytes: int
    deadline: float
    short: bool
    error: tuple[str, str] | None


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="braze-export")


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
        kind, text = type(error).__name__, str(error) if ours else f"The look failed with {type(error).__name__}."
        if failures < FAILURES and self.wall() < self.deadline:
            self.log.warning("%s: look %s in a row failed, another follows. %s", self.goal_id, failures, text)
            return None
        return self._event("failed", error=(kind if ours else "TransientError", text))

    def _event(
        self,
        state: Literal["quiet", "empty", "turn", "ready", "timed_out", "failed"],
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


class BrazeExportTrigger(ExportWait):
    """Waits until an export's files are still, or, without a prefix, until it is our turn to ask for one.

    :param export: ``s3://bucket[/root]`` that Braze writes to.
    :param aws_conn_id: connection of type ``aws`` for it.
    :param segment_id: the segment's id.
    :param object_prefix: the export's folder; ``None`` while Braze works at somebody else's export of the segment.
    :param asked_at: Unix seconds; what lies under older dates is not listed each time.
    :param questions: Unix seconds of questions of ours whose answer we never learnt.
    :param quiet_seconds: for how long nothing may be new, grow or vanish.
    :param may_stay_empty: the segment is thought to be empty.
    :param known: ``[files, bytes]`` that were too few; the wait is for more.
    """

    def __init__(
        self,
        *,
        export: str,
        aws_conn_id: str,
        segment_id: str,
        object_prefix: str | None,
        asked_at: float,
        quiet_seconds: float,
        questions: Sequence[float] = (),
        may_stay_empty: bool = False,
        known: Sequence[int] | None = None,
        **common: Any,
    ) -> None:
        from airflow_provider_braze_blueconic.sync.export_watch import ExportTree, ExportWatch, Sight

        super().__init__(**common)
        self.export = export
        self.aws_conn_id = aws_conn_id
        self.segment_id = segment_id
        self.object_prefix = object_prefix
        self.asked_at = asked_at
        self.quiet_seconds = quiet_seconds
        self.questions = list(questions)
        self.may_stay_empty = may_stay_empty
        self.known = None if known is None else list(known)
        self._tree = ExportTree(export, segment_id)
        self._watch = ExportWatch(
            quiet_seconds=quiet_seconds,
            deadline=self.deadline,
            # A tree in which nothing moves has come to rest, whatever it holds.
            may_stay_empty=may_stay_empty or object_prefix is None,
            known=None if self.known is None else (self.known[0], self.known[1]),
        )
        self._sight = Sight("nothing", 0, 0, 0.0)
        self._looks = 0
        self._after: str | None = self._tree.since(asked_at)

    def _arguments(self) -> dict[str, Any]:
        return {
            "export": self.export,
            "aws_conn_id": self.aws_conn_id,
            "segment_id": self.segment_id,
            "object_prefix": self.object_prefix,
            "asked_at": self.asked_at,
            "quiet_seconds": self.quiet_seconds,
            "questions": self.questions,
            "may_stay_empty": self.may_stay_empty,
            "known": self.known,
        }

    def _open(self) -> None:
        from airflow_provider_braze_blueconic.hooks.staging import StagingHook

        self._bucket = StagingHook(self.aws_conn_id)
        self._bucket.get_conn()

    def _look(self, clock: float) -> ExportEvent | None:
        if self.object_prefix is None:
            return self._look_for_turn(clock)
        full = self._looks % _FULL_LOOK == 0
        self._looks += 1
        listing = self._bucket.list_objects(self._tree.uri, after=None if full else self._after)
        files = self._tree.files(listing, self.object_prefix)
        if self._after is not None and any(file.uri <= self._after for file in files):
            self._after = None
        self._sight = sight = self._watch.look(files, clock=clock, wall=self.wall())
        if sight.state == "nothing" or sight.state == "growing":  # noqa: PLR1714  narrows the type
            return None
        return self._event(sight.state, files=sight.files, size=sight.bytes, short=self.known is not None)

    def _look_for_turn(self, clock: float) -> ExportEvent | None:
        listing = self._bucket.list_objects(self._tree.uri, after=self._after)
        if self._tree.candidates(listing, self.questions):
            return self._event("turn")
        self._sight = sight = self._watch.look(listing, clock=clock, wall=self.wall())
        if sight.state in ("nothing", "growing"):
            return None
        return self._event("timed_out" if sight.state == "timed_out" else "turn")

    def _progress(self) -> str:
        seen = f"{self._sight.files:,} files, {self._sight.bytes:,} bytes, unchanged for {self._sight.still:.0f} s"
        if self.object_prefix is None:
            return f"Braze works at another export of the segment; in the bucket are {seen}"
        return f"waiting for Braze's export {self.object_prefix}: {seen}"


class BrazeExportUrlTrigger(ExportWait):
    """Waits until an export can be fetched from the address that Braze gave.

    The address is not an argument: it holds a signature. It is read from the run's marker.

    :param marker: URI of the marker.
    :param aws_conn_id: connection of type ``aws`` for it.
    :param braze_conn_id: connection of type ``braze``.
    """

    def __init__(self, *, marker: str, aws_conn_id: str, braze_conn_id: str, **common: Any) -> None:
        super().__init__(**common)
        self.marker = marker
        self.aws_conn_id = aws_conn_id
        self.braze_conn_id = braze_conn_id

    def _arguments(self) -> dict[str, Any]:
        return {"marker": self.marker, "aws_conn_id": self.aws_conn_id, "braze_conn_id": self.braze_conn_id}

    def _open(self) -> None:
        from airflow_provider_braze_blueconic.hooks.braze import BrazeHook, mask_address
        from airflow_provider_braze_blueconic.hooks.staging import StagingHook
        from airflow_provider_braze_blueconic.sync.export_marker import read_marker

        marker = read_marker(StagingHook(self.aws_conn_id), self.marker)
        if marker is None or marker.url is None:
            raise UnexpectedAnswer(f"{self.marker}: the export's marker is gone. Clear the task to begin anew.")
        mask_address(marker.url)
        self._url = marker.url
        self._braze = BrazeHook(self.braze_conn_id)
        self._braze.get_conn()

    def _look(self, clock: float) -> ExportEvent | None:  # noqa: ARG002
        if self._braze.export_is_ready(self._url):
            return self._event("ready")
        return self._event("timed_out") if self.wall() >= self.deadline else None

    def _progress(self) -> str:
        return "waiting for Braze's export: its address answers that it is not there yet"
