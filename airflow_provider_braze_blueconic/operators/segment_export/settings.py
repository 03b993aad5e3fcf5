"""What stays the same through all parts of the work on a segment export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.braze.segment_export_request import ExportRequest

__all__ = ["SegmentExportSettings"]


@dataclass(frozen=True)
class SegmentExportSettings:
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
