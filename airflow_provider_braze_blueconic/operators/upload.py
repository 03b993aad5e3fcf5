"""What the operators that send a delta share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_braze_blueconic.operators.base import GoalOperator

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.sending.delta_records import ObjectsSql
    from airflow_provider_braze_blueconic.sync.sending.pacing import Rate
    from airflow_provider_braze_blueconic.sync.sending.seam import Sender
    from airflow_provider_braze_blueconic.sync.sending.settings import UploadSettings
    from airflow_provider_braze_blueconic.sync.sending.upload import Upload
    from airflow_provider_braze_blueconic.sync.store.references import DeltaRef, UploadRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["UploadOperator"]


class UploadOperator(GoalOperator):
    """Sends one partition of a delta (``upload``), to be mapped over partitions.

    A retry reads the receipts of earlier attempts and sends only the rest.

    :param delta: what ``ComputeDeltaOperator`` returned (templated).
    :param partition: number of the partition (templated).
    :param workers: number of tasks that run in parallel; each uses its share of the cap.
    :param limits: ``requests_per_second``, ``rejected_percent``, as in a goal file.
    """

    template_fields: Sequence[str] = (*GoalOperator.template_fields, "delta", "partition")
    ui_color = "#ffedd5"

    def __init__(
        self,
        *,
        delta: Any,
        partition: Any,
        workers: int = 1,
        limits: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.delta = delta
        self.partition = partition
        self.workers = workers
        self.limits = limits
        self._upload: Upload | None = None
        self._killed = False

    def on_kill(self) -> None:
        """Stop starting requests; answers on their way still get their receipts."""
        self._killed = True
        if self._upload is not None:
            self._upload.stop()

    def on_lock_lost(self, workspace: Workspace) -> None:
        """Have the next run read the receipts again.

        The run that took over has committed the receipts that it found and removed the mark, perhaps before the last
        answers arrived.
        """
        from airflow_provider_braze_blueconic.sync.state.open_uploads import mark_open

        mark_open(workspace, cast("DeltaRef", self.delta))

    def send_partition(
        self,
        workspace: Workspace,
        *,
        objects_sql: ObjectsSql,
        sender: AbstractAsyncContextManager[Sender],
        rate: Rate,
        settings: UploadSettings,
    ) -> UploadRef:
        """Send the partition.

        :param rate: cap of all workers together.
        """
        from airflow_provider_braze_blueconic.sync.steps.upload import upload_partition

        result = upload_partition(
            workspace,
            cast("DeltaRef", self.delta),
            int(self.partition),
            objects_sql=objects_sql,
            sender=sender,
            rate=rate.share(self.workers),
            settings=settings,
            on_start=self._started,
        )
        not_taken = {name: result.get(name, 0) for name in ("not_found", "no_consent")}
        self.log.info(
            "%s partition %s: %s accepted, %s rejected, %s unknown, %s%s requests, %.1f s",
            self.goal_id,
            result["partition"],
            f"{result['accepted']:,}",
            f"{result['rejected']:,}",
            f"{result['unknown']:,}",
            "".join(f"{count:,} {name.replace('_', ' ')}, " for name, count in not_taken.items() if count),
            f"{result['requests']:,}",
            result["seconds"],
        )
        return result

    def _started(self, upload: Upload) -> None:
        self._upload = upload
        if self._killed:
            upload.stop()
