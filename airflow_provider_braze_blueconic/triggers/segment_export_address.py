"""The wait for a segment export that Braze stores at its own address."""

from __future__ import annotations

from typing import Any

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer
from airflow_provider_braze_blueconic.triggers.segment_export import ExportEvent, ExportWait

__all__ = ["BrazeExportUrlTrigger"]


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
        from airflow_provider_braze_blueconic.hooks.braze import BrazeHook
        from airflow_provider_braze_blueconic.hooks.braze_api.downloads import mask_address
        from airflow_provider_braze_blueconic.hooks.staging import StagingHook
        from airflow_provider_braze_blueconic.sync.braze.segment_export_marker import read_marker

        marker = read_marker(StagingHook(self.aws_conn_id), self.marker)
        if marker is None or marker.url is None:
            raise UnexpectedAnswer(
                f"{self.marker}: the marker of the segment export is gone. Clear the task to start over."
            )
        mask_address(marker.url)
        self._url = marker.url
        self._braze = BrazeHook(self.braze_conn_id)
        self._braze.get_conn()

    def _look(self, clock: float) -> ExportEvent | None:  # noqa: ARG002
        if self._braze.export_is_ready(self._url):
            return self._event("ready")
        return self._event("timed_out") if self.wall() >= self.deadline else None

    def _progress(self) -> str:
        return "waiting for the segment export: Braze's address says that it isn't ready yet"
