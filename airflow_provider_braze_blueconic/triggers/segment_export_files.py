"""The wait for the files of a segment export in the bucket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_braze_blueconic.triggers.segment_export import ExportEvent, ExportWait

__all__ = ["BrazeExportTrigger"]

_FULL_LOOK = 30
"""Every so many looks the whole tree is listed, should a date folder be named otherwise than documented."""


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
        from airflow_provider_braze_blueconic.sync.braze.segment_export_watch import ExportTree, ExportWatch, Sight

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
            return f"Braze is busy with another segment export of this segment; in the bucket: {seen}"
        return f"waiting for segment export {self.object_prefix}: {seen}"
