"""The waits for a segment export: for our turn, and for its files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.operators.segment_export.settings import SegmentExportSettings
from airflow_provider_braze_blueconic.sync.braze.segment_export_marker import ExportMarker

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.triggers.segment_export import ExportWait

__all__ = ["SegmentExportWaits"]


class SegmentExportWaits:
    """Makes the triggers of one run.

    :param now: returns Unix seconds.
    """

    def __init__(self, goal_id: str, settings: SegmentExportSettings, *, now: Callable[[], float]) -> None:
        self._goal_id = goal_id
        self._settings = settings
        self._now = now

    def for_turn(self, marker: ExportMarker, deadline: float) -> ExportWait:
        """Wait while Braze works at another export of the segment."""
        from airflow_provider_braze_blueconic.triggers.segment_export_files import BrazeExportTrigger

        return BrazeExportTrigger(
            **self._common(deadline),
            **self._place(marker),
            object_prefix=None,
            asked_at=min([self._now(), *marker.questions]),
            questions=list(marker.questions),
        )

    def for_files(self, marker: ExportMarker, deadline: float, known: tuple[int, int] | None = None) -> ExportWait:
        """Wait until the files are still.

        :param known: files and bytes that were too few.
        """
        from airflow_provider_braze_blueconic.triggers.segment_export_files import BrazeExportTrigger

        return BrazeExportTrigger(
            **self._common(deadline),
            **self._place(marker),
            object_prefix=marker.object_prefix,
            asked_at=marker.asked_at or 0.0,
            may_stay_empty=marker.estimate == 0,
            known=known,
        )

    def _common(self, deadline: float) -> dict[str, Any]:
        return {"goal_id": self._goal_id, "deadline": deadline, "poll_seconds": self._settings.poll_seconds}

    def _place(self, marker: ExportMarker) -> dict[str, Any]:
        return {
            "export": self._settings.export,
            "aws_conn_id": self._settings.export_aws_conn_id,
            "segment_id": marker.segment_id,
            "quiet_seconds": self._settings.quiet_seconds,
        }
