"""The marker of a run in S3, which records the request to Braze."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.braze.segment_export_marker import (
    ExportMarker,
    read_marker,
    write_marker,
)

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["RunMarker"]


class RunMarker:
    """Reads and writes the marker of one run.

    :param known: what was read last.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._staging = workspace.staging
        self.uri = workspace.folder.export_marker(workspace.run_key)
        self.known: ExportMarker | None = None

    def read(self) -> ExportMarker | None:
        """Read the marker; ``None`` if there is none."""
        self.known = read_marker(self._staging, self.uri)
        return self.known

    def save(self, marker: ExportMarker) -> None:
        """Write the marker."""
        write_marker(self._staging, self.uri, marker)
