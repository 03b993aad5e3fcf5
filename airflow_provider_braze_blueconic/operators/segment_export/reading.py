"""The files of a segment export, read into a snapshot."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.exceptions import TransientError
from airflow_provider_braze_blueconic.operators.segment_export.settings import SegmentExportSettings
from airflow_provider_braze_blueconic.operators.task_log import TaskLog
from airflow_provider_braze_blueconic.sync.braze.segment_export import ExportCounts, write_export_snapshot
from airflow_provider_braze_blueconic.sync.braze.segment_export_marker import ExportMarker
from airflow_provider_braze_blueconic.sync.sending.upload import Stopped

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.store.references import SnapshotRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["PLAUSIBLE_SHARE", "SegmentExportReading", "fetched"]


PLAUSIBLE_SHARE = 0.9
"""Share of Braze's estimate that counts as all of a segment. Braze calls its sizes estimates and names no margin (docs
"GET /segments/data_series", read 2026-11), so the share is ours; an export that breaks off lacks whole files."""

_FILES_AHEAD = 4
"""Files that are downloaded at the same time, and lie on the disk before their turn."""


class SegmentExportReading:
    """Reads the files of an export.

    :param campaign_names: returns campaign id → name; called before the read.
    :param property_types: returns BlueConic's property id → type; called before the read.
    :param should_stop: asked while reading.
    :param log: of the task.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: SegmentExportSettings,
        *,
        campaign_names: Callable[[], Mapping[str, str] | None],
        property_types: Callable[[], dict[str, str]],
        should_stop: Callable[[], bool],
        log: TaskLog,
    ) -> None:
        self._workspace = workspace
        self._settings = settings
        self._campaign_names = campaign_names
        self._property_types = property_types
        self._should_stop = should_stop
        self._log = log
        self._goal_id = workspace.folder.goal_id

    def read(
        self, marker: ExportMarker, files: Generator[tuple[str, Path], None, None], *, processes: int = 1
    ) -> SnapshotRef:
        """Read the files of an export into the snapshot, and remove each once it was read.

        :param files: (name for messages, file on this machine).
        :param processes: see :func:`~.segment_export.write_export_snapshot`.
        :raises Stopped: as ``should_stop`` asks for.
        """
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
                processes=processes,
                discard=lambda path: path.unlink(missing_ok=True),
            )
        if counts.stopped:
            raise Stopped(f"{self._goal_id}: stopped during the read of the segment export; nothing was sent.")
        return _reference(marker, counts, uri=uri, as_of=as_of, property_types=property_types)

    def tell(self, reference: SnapshotRef) -> SnapshotRef:
        """Log what was read."""
        self._log.info(
            "%s: %s people read from %s files of %s",
            self._goal_id,
            f"{reference['profiles']:,}",
            f"{reference.get('files', 0):,}",
            reference["segment_name"],
        )
        if not reference["complete"]:
            self._log.warning(
                "%s: the segment export has %s people, Braze estimates %s, so it isn't complete: people missing "
                "from it don't count as leavers. Compare the segment's size in Braze",
                self._goal_id,
                f"{reference['profiles']:,}",
                f"{reference['segment_size']:,}",
            )
        return reference


def fetched(
    download: Callable[[str, Path], int], files: Iterable[tuple[str, str]], folder: Path
) -> Generator[tuple[str, Path], None, None]:
    """Fetch files in their order, a few ahead of the one that is asked for. Whoever gets one removes it.

    :param download: called from other threads.
    :param files: (name for messages, URI).
    """

    def fetch(uri: str, local: Path) -> None:
        try:
            download(uri, local)
        except FileNotFoundError:
            raise TransientError(f"{uri}: the file disappeared during the read of the segment export.") from None

    coming = deque[tuple[str, Path, Future[None]]]()
    with ThreadPoolExecutor(_FILES_AHEAD, thread_name_prefix="segment-export-download") as threads:
        try:
            for number, (name, uri) in enumerate(files):
                local = folder / f"{number:05d}"
                coming.append((name, local, threads.submit(fetch, uri, local)))
                if len(coming) > _FILES_AHEAD:
                    yield _arrived(coming)
            while coming:
                yield _arrived(coming)
        finally:
            threads.shutdown(cancel_futures=True)


def _arrived(coming: deque[tuple[str, Path, Future[None]]]) -> tuple[str, Path]:
    name, local, fetching = coming.popleft()
    fetching.result()
    return name, local


def _reference(
    marker: ExportMarker, counts: ExportCounts, *, uri: str, as_of: dt.datetime, property_types: dict[str, str]
) -> SnapshotRef:
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
