"""One run's export of a Braze segment: asked for once, waited for, read."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.exceptions import (
    AccessError,
    LimitExceeded,
    SyncError,
    TransientError,
    UnexpectedAnswer,
)
from airflow_provider_braze_blueconic.sync.braze_export import read_lines, write_export_snapshot
from airflow_provider_braze_blueconic.sync.export_marker import (
    ExportMarker,
    ask_once,
    marker_uri,
    read_marker,
    write_marker,
)
from airflow_provider_braze_blueconic.sync.export_watch import Candidate, ExportTree, still_for_long
from airflow_provider_braze_blueconic.sync.fence import Fence
from airflow_provider_braze_blueconic.sync.upload import Stopped

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.hooks.braze import BrazeHook, BrazeSegment, SegmentExport
    from airflow_provider_braze_blueconic.hooks.staging import StagedObject, StagingHook
    from airflow_provider_braze_blueconic.sync.export_request import ExportRequest
    from airflow_provider_braze_blueconic.sync.pipeline import Workspace
    from airflow_provider_braze_blueconic.sync.references import SnapshotRef
    from airflow_provider_braze_blueconic.sync.staging import StagedFile
    from airflow_provider_braze_blueconic.triggers.braze_export import ExportEvent, ExportWait

__all__ = ["ExportRun", "ExportSettings"]

log = logging.getLogger(__name__)

PLAUSIBLE_SHARE = 0.9
"""Share of Braze's estimate that counts as all of a segment. Braze calls its sizes estimates and names no margin (docs
"GET /segments/data_series", read 2026-11), so the share is ours; an export that breaks off lacks whole files."""

_SAMPLE_LINES = 200
"""Lines that are looked at before a folder found in the bucket is taken for ours."""

_ERRORS: Mapping[str, type[SyncError]] = {
    "AccessError": AccessError,
    "TransientError": TransientError,
    "UnexpectedAnswer": UnexpectedAnswer,
}


@dataclass(frozen=True)
class ExportSettings:
    """What does not change from one stretch of the work to the next.

    :param export: ``s3://bucket[/root]`` that Braze writes to.
    :param request: what Braze is asked for.
    :param paths: what is read of each user.
    :param remaining: also read all the rest, without ``excluded``.
    :param aws_conn_id: connection of the staging area.
    :param export_aws_conn_id: connection of the bucket that Braze writes to.
    :param braze_conn_id: connection of Braze.
    """

    export: str
    request: ExportRequest
    paths: Sequence[str]
    remaining: bool
    excluded: Sequence[str]
    aws_conn_id: str
    export_aws_conn_id: str
    braze_conn_id: str
    poll_seconds: float
    wait_seconds: float
    quiet_seconds: float
    broken_percent: float


class ExportRun:
    """Works in stretches: each ends with the snapshot, or with a trigger that waits for the next.

    What one stretch has to know of the one before is in the run's marker in S3, and in the event of the trigger.

    :param now: returns Unix seconds.
    :param campaign_names: returns campaign id → name; called before the read.
    :param property_types: returns BlueConic's property id → type; called before the read.
    :param should_stop: asked while reading.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: ExportSettings,
        *,
        bucket: StagingHook,
        braze: BrazeHook,
        campaign_names: Callable[[], Mapping[str, str] | None],
        property_types: Callable[[], dict[str, str]],
        should_stop: Callable[[], bool],
        now: Callable[[], float],
    ) -> None:
        self._workspace = workspace
        self._settings = settings
        self._bucket = bucket
        self._braze = braze
        self._campaign_names = campaign_names
        self._property_types = property_types
        self._should_stop = should_stop
        self._now = now
        self._goal_id = workspace.folder.goal_id
        self._marker_uri = marker_uri(workspace.folder.root, workspace.run_key)
        self._known: ExportMarker | None = None

    def begin(self, segment: BrazeSegment, estimate: int | None) -> SnapshotRef | ExportWait:
        """Begin an attempt: take up the export that an earlier one of this run asked for, or ask for one.

        :param estimate: people in the segment, as Braze estimates.
        """
        request = self._settings.request.fingerprint(self._tree(segment.id).uri)
        marker = self._read_marker()
        if marker is not None and marker.request != request:
            log.info("%s: the goal asks for something else than before, so for a new export", self._goal_id)
            marker = None
        elif marker is not None and self._is_gone(marker):
            log.info("%s: nothing is left of export %s, so a new one is asked for", self._goal_id, marker.object_prefix)
            marker = None
        elif marker is not None and marker.object_prefix is not None:
            log.info("%s: going on with export %s of this run", self._goal_id, marker.object_prefix)
        marker = marker or ExportMarker(segment.id, segment.name, request, estimate)
        return self._step(marker, self._now() + self._settings.wait_seconds, None)

    def go_on(self, event: ExportEvent) -> SnapshotRef | ExportWait:
        """Go on after a wait.

        :raises SyncError: what ended the wait is an error.
        """
        if event["state"] == "failed":
            kind, text = event["error"] or ("TransientError", "The wait for Braze's export failed.")
            raise _ERRORS.get(kind, TransientError)(text)
        marker = self._read_marker()
        if marker is None:
            raise TransientError(f"{self._marker_uri}: the export's marker vanished while Braze was waited for.")
        return self._step(marker, event["deadline"], event)

    def _tree(self, segment_id: str) -> ExportTree:
        return ExportTree(self._settings.export, segment_id)

    def _read_marker(self) -> ExportMarker | None:
        self._known = read_marker(self._workspace.staging, self._marker_uri)
        return self._known

    def _save(self, marker: ExportMarker) -> None:
        write_marker(self._workspace.staging, self._marker_uri, marker)

    def _is_gone(self, marker: ExportMarker) -> bool:
        """Tell whether nothing of an export is there, and nothing is to be hoped for."""
        if marker.object_prefix is None or self._now() - (marker.asked_at or 0.0) < self._settings.wait_seconds:
            return False
        if marker.archive is not None:
            return not self._workspace.staging.list_objects(marker.archive)
        if marker.url is not None:
            return not self._braze.export_is_ready(marker.url)
        return not self._files(marker)

    def _files(self, marker: ExportMarker) -> list[StagedObject]:
        tree = self._tree(marker.segment_id)
        return tree.files(self._bucket.list_objects(tree.uri), marker.object_prefix or "")

    def _step(self, marker: ExportMarker, deadline: float, event: ExportEvent | None) -> SnapshotRef | ExportWait:
        if marker.object_prefix is None:
            if event is not None and event["state"] == "timed_out":
                raise TransientError(
                    f"{self._goal_id}: Braze worked at other exports of the segment {marker.segment_name} for "
                    f"{self._settings.wait_seconds:,.0f} s (429), so ours was not begun. Nothing was asked for."
                )
            marker, event = self._ask(marker), None
            if marker.object_prefix is None:
                log.info("%s: Braze works at another export of the segment; waiting for our turn", self._goal_id)
                return self._wait_for_turn(marker, deadline)
            log.info("%s: Braze exports %s as %s", self._goal_id, marker.segment_name, marker.object_prefix)
        if marker.url is not None:
            return self._collect_archive(marker, deadline, event)
        return self._collect_files(marker, deadline, event)

    def _ask(self, marker: ExportMarker) -> ExportMarker:
        from airflow_provider_braze_blueconic.hooks.braze import ExportRunning

        request = self._settings.request

        def ask() -> SegmentExport | None:
            try:
                return self._braze.export_segment(
                    marker.segment_id, fields=request.fields, custom_attributes=request.custom_attributes
                )
            except ExportRunning:
                return None

        with self._only_copy() as fence:
            known = self._known
            left = self._read_marker()
            if left is not None and left != known and left.request == marker.request:
                # What another copy of this task did while this one waited for it.
                marker = left
            if marker.object_prefix is not None:
                return marker
            return ask_once(
                marker,
                save=self._save,
                candidates=lambda: self._candidates(marker),
                ask=ask,
                now=self._now(),
                check=fence.check,
            )

    @contextmanager
    def _only_copy(self) -> Iterator[Fence]:
        """Let an older copy of this task ask nothing more, and wait for it."""
        folder = f"{self._workspace.folder.root}/work/{self._workspace.run_key}/export"
        fence = Fence(self._workspace.staging, folder, ["question"], label=f"{self._goal_id} export")
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
        tree = self._tree(marker.segment_id)
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

    def _collect_files(
        self, marker: ExportMarker, deadline: float, event: ExportEvent | None
    ) -> SnapshotRef | ExportWait:
        files = self._files(marker)
        size = sum(file.size for file in files)
        timed_out = event is not None and event["state"] == "timed_out"
        if timed_out and not (event and event["short"]) and (files or marker.estimate != 0):
            raise self._too_late(marker, files)
        if event is None:
            settled = still_for_long(files, quiet_seconds=self._settings.quiet_seconds, wall=self._now())
        else:
            # What came after the trigger's last look has not been still yet.
            settled = timed_out or (event["files"], event["bytes"]) == (len(files), size)
        if not settled:
            return self._wait_for_files(marker, deadline)
        tree = self._tree(marker.segment_id).uri
        with self._workspace.local("export") as folder:
            named = ((file.uri.removeprefix(tree), file.uri) for file in files)
            reference = self._read(marker, self._fetched(self._bucket.download_file, named, folder))
        is_late = timed_out or self._now() >= (marker.asked_at or 0.0) + self._settings.wait_seconds
        if not reference["complete"] and not is_late:
            log.info("%s: fewer people than the segment should have; waiting for more files", self._goal_id)
            return self._wait_for_files(marker, deadline, known=(len(files), size))
        return self._told(reference)

    def _collect_archive(
        self, marker: ExportMarker, deadline: float, event: ExportEvent | None
    ) -> SnapshotRef | ExportWait:
        if marker.archive is None:
            if event is not None and event["state"] == "timed_out":
                raise AccessError(
                    f"{self._goal_id}: export {marker.object_prefix} of the segment {marker.segment_name} could not be "
                    f"fetched for {self._settings.wait_seconds:,.0f} s. Braze keeps exports only where no storage of "
                    "your own is connected, and large ones fail there: connect Amazon S3 in Braze, or ask for fewer "
                    "fields. The task, cleared, looks again, and asks for a new export if it is not there."
                )
            if event is None:
                return self._wait_for_address(deadline)
            marker = self._keep_archive(marker)
        archive = marker.archive or ""
        with self._workspace.local("export") as folder:
            named = [(archive.rpartition("/")[2], archive)]
            return self._told(self._read(marker, self._fetched(self._workspace.staging.download_file, named, folder)))

    def _keep_archive(self, marker: ExportMarker) -> ExportMarker:
        """Copy the archive to staging, since Braze's address dies after hours and a retry may come later."""
        uri = f"{self._workspace.folder.step(self._workspace.run_key, 'export')}/{marker.object_prefix}"
        with self._workspace.local("archive") as folder:
            size = self._braze.download_export(marker.url or "", folder / "archive")
            self._workspace.staging.upload_file(folder / "archive", uri)
        log.info("%s: %s bytes fetched from Braze", self._goal_id, f"{size:,}")
        kept = replace(marker, archive=uri)
        self._save(kept)
        return kept

    def _fetched(
        self, download: Callable[[str, Path], int], files: Iterable[tuple[str, str]], folder: Path
    ) -> Generator[tuple[str, Path], None, None]:
        """Fetch files one by one; each is gone from the disk when the next comes.

        :param files: (name for messages, URI).
        """
        for number, (name, uri) in enumerate(files):
            local = folder / f"{number:05d}"
            try:
                download(uri, local)
            except FileNotFoundError:
                raise TransientError(f"{uri}: the file vanished while the export was read.") from None
            try:
                yield name, local
            finally:
                local.unlink(missing_ok=True)

    def _read(self, marker: ExportMarker, files: Generator[tuple[str, Path], None, None]) -> SnapshotRef:
        as_of = dt.datetime.fromtimestamp(marker.asked_at or 0.0, dt.UTC)
        property_types, campaign_names = self._property_types(), self._campaign_names()
        uri = self._workspace.folder.step(self._workspace.run_key, "snapshot")
        with self._workspace.local("snapshot") as folder, closing(files):
            counts = write_export_snapshot(
                files,
                paths=self._settings.paths,
                remaining=self._settings.remaining,
                excluded=self._settings.excluded,
                campaign_names=campaign_names,
                as_of=as_of,
                folder=folder,
                publish=lambda path: self._workspace.staging.upload_file(path, f"{uri}/{path.name}"),
                label=self._goal_id,
                broken_percent=self._settings.broken_percent,
                should_stop=self._should_stop,
                uri=uri,
            )
        if counts.stopped:
            raise Stopped(f"{self._goal_id}: stopped while reading the export; nothing was sent.")
        reference: SnapshotRef = {
            "uri": uri,
            "profiles": counts.profiles,
            "segment_id": marker.segment_id,
            "segment_name": marker.segment_name,
            "segment_size": marker.estimate,
            "read": "full",
            # Without an estimate stillness is all there is to know.
            "complete": marker.estimate is None or counts.profiles >= marker.estimate * PLAUSIBLE_SHARE,
            "as_of": as_of.isoformat(),
            "bytes": counts.bytes,
            "property_types": property_types,
            "files": counts.files,
            "broken_lines": counts.broken_lines,
        }
        if counts.repaired:
            reference["repaired"] = counts.repaired
        if counts.rejects is not None:
            reference["rejects_uri"] = f"{uri}/{counts.rejects}"
        return reference

    def _told(self, reference: SnapshotRef) -> SnapshotRef:
        log.info(
            "%s: %s people read from %s files of %s",
            self._goal_id,
            f"{reference['profiles']:,}",
            f"{reference.get('files', 0):,}",
            reference["segment_name"],
        )
        if not reference["complete"]:
            log.warning(
                "%s: the export holds %s people where Braze estimates %s in the segment, so it does not count as "
                "complete: who is missing does not count as gone. Compare the segment's size in Braze",
                self._goal_id,
                f"{reference['profiles']:,}",
                f"{reference['segment_size']:,}",
            )
        return reference

    def _too_late(self, marker: ExportMarker, files: Sequence[object]) -> SyncError:
        place = f"{self._tree(marker.segment_id).uri}<date>/{marker.object_prefix}/"
        if files:
            return LimitExceeded(
                f"{self._goal_id}: after {self._settings.wait_seconds:,.0f} s Braze still writes to {place} "
                f"({len(files):,} files so far). Raise wait_seconds, in a goal file "
                "source.wait_minutes; the task, cleared, goes on with the same export."
            )
        empty = (
            " Should nobody be in the segment, give the key segments.data_series: then no file is expected."
            if marker.estimate is None
            else ""
        )
        # Not worth a retry: it would find nothing either, and the one after it would start a second export.
        return AccessError(
            f"{self._goal_id}: Braze took the export {marker.object_prefix} of the segment {marker.segment_name}, and "
            f"no file came for {self._settings.wait_seconds:,.0f} s: nothing is below {place}. Check in Braze, under "
            "Partner Integrations > Amazon S3, that it is this bucket and root path, that the credentials are valid "
            '("Test credentials") and may s3:PutObject, s3:GetObject and s3:DeleteObject, and that it is the default '
            f"data export destination; and on the bucket, that it is not encrypted with SSE-KMS.{empty} "
            "Then clear the task: it asks for a new export."
        )

    def _wait_for_turn(self, marker: ExportMarker, deadline: float) -> ExportWait:
        from airflow_provider_braze_blueconic.triggers.braze_export import BrazeExportTrigger

        return BrazeExportTrigger(
            **self._common(deadline),
            **self._place(marker),
            object_prefix=None,
            asked_at=min([self._now(), *marker.questions]),
            questions=list(marker.questions),
        )

    def _wait_for_files(
        self, marker: ExportMarker, deadline: float, known: tuple[int, int] | None = None
    ) -> ExportWait:
        from airflow_provider_braze_blueconic.triggers.braze_export import BrazeExportTrigger

        return BrazeExportTrigger(
            **self._common(deadline),
            **self._place(marker),
            object_prefix=marker.object_prefix,
            asked_at=marker.asked_at or 0.0,
            may_stay_empty=marker.estimate == 0,
            known=known,
        )

    def _wait_for_address(self, deadline: float) -> ExportWait:
        from airflow_provider_braze_blueconic.triggers.braze_export import BrazeExportUrlTrigger

        return BrazeExportUrlTrigger(
            **self._common(deadline),
            marker=self._marker_uri,
            aws_conn_id=self._settings.aws_conn_id,
            braze_conn_id=self._settings.braze_conn_id,
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
