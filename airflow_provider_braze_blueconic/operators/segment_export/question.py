"""The request to Braze for a segment export, sent once per run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.exceptions import SyncError, UnexpectedAnswer
from airflow_provider_braze_blueconic.operators.segment_export.marker import RunMarker
from airflow_provider_braze_blueconic.operators.segment_export.settings import SegmentExportSettings
from airflow_provider_braze_blueconic.sync.braze.segment_export_lines import read_lines
from airflow_provider_braze_blueconic.sync.braze.segment_export_marker import ExportMarker, ask_once
from airflow_provider_braze_blueconic.sync.braze.segment_export_watch import Candidate, ExportTree
from airflow_provider_braze_blueconic.sync.store.fence import Fence

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.hooks.braze import BrazeHook
    from airflow_provider_braze_blueconic.hooks.staging import StagingHook
    from airflow_provider_braze_blueconic.sync.store.staging import StagedFile
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["SegmentExportQuestion"]

_SAMPLE_LINES = 200
"""Lines that are looked at before a folder found in the bucket is taken for ours."""


class SegmentExportQuestion:
    """Asks Braze, and finds out by the bucket what became of a question whose answer was lost.

    :param now: returns Unix seconds.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: SegmentExportSettings,
        *,
        bucket: StagingHook,
        braze: BrazeHook,
        marker: RunMarker,
        now: Callable[[], float],
    ) -> None:
        self._workspace = workspace
        self._settings = settings
        self._bucket = bucket
        self._braze = braze
        self._marker = marker
        self._now = now

    def ask(self, marker: ExportMarker) -> ExportMarker:
        """Ask for an export, unless this run has one.

        :return: the marker, with the folder of the export; without one while Braze works at another export.
        """
        with self._only_copy() as fence:
            known = self._marker.known
            left = self._marker.read()
            if left is not None and left != known and left.request == marker.request:
                # What another copy of this task did while this one waited for it.
                marker = left
            if marker.object_prefix is not None:
                return marker
            return ask_once(
                marker,
                save=self._marker.save,
                candidates=lambda: self._candidates(marker),
                ask=lambda: self._asked(marker.segment_id),
                now=self._now(),
                check=fence.check,
            )

    def _asked(self, segment_id: str) -> str | None:
        from airflow_provider_braze_blueconic.hooks.braze_api.segment_exports import ExportRunning

        request = self._settings.request
        try:
            return self._braze.export_segment(
                segment_id, fields=request.fields, custom_attributes=request.custom_attributes
            )
        except ExportRunning:
            return None

    @contextmanager
    def _only_copy(self) -> Iterator[Fence]:
        """Let an older copy of this task ask nothing more, and wait for it."""
        folder = self._workspace.folder.export_attempts(self._workspace.run_key)
        fence = Fence(self._workspace.staging, folder, ["question"], label=f"{self._workspace.folder.goal_id} export")
        fence.begin()
        try:
            fence.wait_for_older()
            yield fence
        except Exception:
            with suppress(SyncError, OSError):  # the next attempt waits some seconds then
                fence.end({})
            raise
        fence.end({})

    def _candidates(self, marker: ExportMarker) -> list[Candidate]:
        tree = ExportTree(self._settings.export, marker.segment_id)
        listing = self._bucket.list_objects(tree.uri)
        return [
            candidate
            for candidate in tree.candidates(listing, marker.questions)
            if self._is_ours(tree.files(listing, candidate.object_prefix)[0])
        ]

    def _is_ours(self, file: StagedFile) -> bool:
        """Read a little of a folder found in the bucket: what does not fit our request is somebody else's."""
        with self._workspace.local("sample") as folder:
            local = folder / "sample"
            self._bucket.download_file(file.uri, local)
            try:
                return all(self._fits(line) for line in islice(read_lines(local, name=file.uri), _SAMPLE_LINES))
            except UnexpectedAnswer:  # damaged: if it was ours, it is of no use
                return False

    def _fits(self, line: bytes) -> bool:
        try:
            user = json.loads(line)
        except ValueError:  # broken lines are counted when the export is read
            return True
        return not isinstance(user, dict) or self._settings.request.explains(user)
