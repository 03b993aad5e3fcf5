"""The work of one run on its segment export, part by part between waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.exceptions import (
    AccessError,
    LimitExceeded,
    SyncError,
    TransientError,
    UnexpectedAnswer,
)
from airflow_provider_braze_blueconic.operators.segment_export.marker import RunMarker
from airflow_provider_braze_blueconic.operators.segment_export.question import SegmentExportQuestion
from airflow_provider_braze_blueconic.operators.segment_export.reading import SegmentExportReading, fetched
from airflow_provider_braze_blueconic.operators.segment_export.settings import SegmentExportSettings
from airflow_provider_braze_blueconic.operators.segment_export.waits import SegmentExportWaits
from airflow_provider_braze_blueconic.operators.task_log import TaskLog
from airflow_provider_braze_blueconic.sync.braze.segment_export_machine import reading_processes
from airflow_provider_braze_blueconic.sync.braze.segment_export_marker import ExportMarker
from airflow_provider_braze_blueconic.sync.braze.segment_export_watch import ExportTree, still_for_long

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.hooks.braze import BrazeHook
    from airflow_provider_braze_blueconic.hooks.braze_api.definitions import BrazeSegment
    from airflow_provider_braze_blueconic.hooks.staging import StagedObject, StagingHook
    from airflow_provider_braze_blueconic.sync.store.references import SnapshotRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
    from airflow_provider_braze_blueconic.triggers.segment_export import ExportEvent, ExportWait

__all__ = ["SegmentExportRun"]


_ERRORS: Mapping[str, type[SyncError]] = {
    "AccessError": AccessError,
    "TransientError": TransientError,
    "UnexpectedAnswer": UnexpectedAnswer,
}


class SegmentExportRun:
    """Works in stretches: each ends with the snapshot, or with a trigger that waits for the next.

    What one stretch has to know of the one before is in the run's marker in S3, and in the event of the trigger.

    :param reading: reads the files once they are there.
    :param now: returns Unix seconds.
    :param log: of the task.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: SegmentExportSettings,
        *,
        bucket: StagingHook,
        braze: BrazeHook,
        reading: SegmentExportReading,
        now: Callable[[], float],
        log: TaskLog,
    ) -> None:
        self._workspace = workspace
        self._settings = settings
        self._bucket = bucket
        self._now = now
        self._goal_id = workspace.folder.goal_id
        self._log = log
        self._marker = RunMarker(workspace)
        self._waits = SegmentExportWaits(self._goal_id, settings, now=now)
        self._question = SegmentExportQuestion(
            workspace, settings, bucket=bucket, braze=braze, marker=self._marker, now=now
        )
        self._reading = reading

    def begin(self, segment: BrazeSegment, estimate: int | None) -> SnapshotRef | ExportWait:
        """Begin an attempt: take up the export that an earlier one of this run asked for, or ask for one.

        :param estimate: people in the segment, as Braze estimates.
        """
        request = self._settings.request.fingerprint(self._tree(segment.id).uri)
        marker = self._marker.read()
        if marker is not None and marker.request != request:
            self._log.info(
                "%s: the goal's segment or fields changed, so a new segment export is requested", self._goal_id
            )
            marker = None
        elif marker is not None and self._is_gone(marker):
            self._log.info(
                "%s: the files of segment export %s are gone, so a new one is requested",
                self._goal_id,
                marker.object_prefix,
            )
            marker = None
        elif marker is not None and marker.object_prefix is not None:
            self._log.info("%s: continuing with segment export %s of this run", self._goal_id, marker.object_prefix)
        marker = marker or ExportMarker(segment.id, segment.name, request, estimate)
        return self._step(marker, self._now() + self._settings.wait_seconds, None)

    def go_on(self, event: ExportEvent) -> SnapshotRef | ExportWait:
        """Go on after a wait.

        :raises SyncError: what ended the wait is an error.
        """
        if event["state"] == "failed":
            kind, text = event["error"] or ("TransientError", "The wait for the segment export failed.")
            raise _ERRORS.get(kind, TransientError)(text)
        marker = self._marker.read()
        if marker is None:
            raise TransientError(
                f"{self._marker.uri}: the marker of the segment export disappeared during the wait for Braze."
            )
        return self._step(marker, event["deadline"], event)

    def _tree(self, segment_id: str) -> ExportTree:
        return ExportTree(self._settings.export, segment_id)

    def _is_gone(self, marker: ExportMarker) -> bool:
        """Tell whether nothing of an export is there, and nothing is to be hoped for."""
        if marker.object_prefix is None or self._now() - (marker.asked_at or 0.0) < self._settings.wait_seconds:
            return False
        return not self._files(marker)

    def _files(self, marker: ExportMarker) -> list[StagedObject]:
        tree = self._tree(marker.segment_id)
        return tree.files(self._bucket.list_objects(tree.uri), marker.object_prefix or "")

    def _step(self, marker: ExportMarker, deadline: float, event: ExportEvent | None) -> SnapshotRef | ExportWait:
        if marker.object_prefix is None:
            if event is not None and event["state"] == "timed_out":
                raise TransientError(
                    f"{self._goal_id}: Braze was busy with other segment exports of {marker.segment_name} for "
                    f"{self._settings.wait_seconds:,.0f} s (429), so this one didn't start."
                )
            marker, event = self._question.ask(marker), None
            if marker.object_prefix is None:
                self._log.info(
                    "%s: Braze is busy with another segment export of this segment; waiting until it ends",
                    self._goal_id,
                )
                return self._waits.for_turn(marker, deadline)
            self._log.info("%s: Braze exports %s as %s", self._goal_id, marker.segment_name, marker.object_prefix)
        return self._collect_files(marker, deadline, event)

    def _collect_files(
        self, marker: ExportMarker, deadline: float, event: ExportEvent | None
    ) -> SnapshotRef | ExportWait:
        files = self._files(marker)
        size = sum(file.size for file in files)
        timed_out = event is not None and event["state"] == "timed_out"
        if timed_out and not (event and event["short"]) and (files or marker.estimate != 0):
            raise self._too_late(marker, files)
        if not self._are_still(files, size, event):
            return self._waits.for_files(marker, deadline)
        tree = self._tree(marker.segment_id).uri
        with self._workspace.local("export") as folder:
            named = ((file.uri.removeprefix(tree), file.uri) for file in files)
            reference = self._reading.read(
                marker,
                fetched(self._bucket.download_file, named, folder),
                processes=reading_processes(len(files), size),
            )
        if not reference["complete"] and not timed_out and not self._is_overdue(marker):
            self._log.info("%s: fewer people than Braze estimates; waiting for more files", self._goal_id)
            return self._waits.for_files(marker, deadline, known=(len(files), size))
        return self._reading.tell(reference)

    def _is_overdue(self, marker: ExportMarker) -> bool:
        """Tell whether the export was asked for as long ago as it may take."""
        return self._now() >= (marker.asked_at or 0.0) + self._settings.wait_seconds

    def _are_still(self, files: Sequence[StagedObject], size: int, event: ExportEvent | None) -> bool:
        """Tell whether the files were still for long enough, or can't be waited for any longer."""
        if event is None:
            return still_for_long(files, quiet_seconds=self._settings.quiet_seconds, wall=self._now())
        # What came after the trigger's last look has not been still yet.
        return event["state"] == "timed_out" or (event["files"], event["bytes"]) == (len(files), size)

    def _too_late(self, marker: ExportMarker, files: Sequence[object]) -> SyncError:
        place = f"{self._tree(marker.segment_id).uri}<date>/{marker.object_prefix}/"
        if files:
            return LimitExceeded(
                f"{self._goal_id}: after {self._settings.wait_seconds:,.0f} s Braze still writes to {place} "
                f"({len(files):,} files so far). Raise wait_seconds (source.wait_minutes in a goal file) and clear "
                "the task: it continues with the same segment export."
            )
        empty = (
            " If the segment is empty, give the key the permission segments.data_series: then the task expects no file."
            if marker.estimate is None
            else ""
        )
        # Not worth a retry: it would find nothing either, and the one after it would start a second export.
        return AccessError(
            f"{self._goal_id}: Braze took the export {marker.object_prefix} of the segment {marker.segment_name}, "
            f"and no file came for {self._settings.wait_seconds:,.0f} s: nothing is below {place}. Check in Braze, "
            "under Partner Integrations > Amazon S3, that it is this bucket and root path, that the credentials "
            'are valid ("Test credentials") and allow s3:PutObject, s3:GetObject and s3:DeleteObject, and that it '
            f"is the default data export destination. Check that the bucket isn't encrypted with SSE-KMS.{empty} "
            "Then clear the task: it requests a new segment export."
        )
