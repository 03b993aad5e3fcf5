"""Operators whose other end is Braze."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_braze_blueconic.operators.base import GoalOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.sync.pacing import Rate
    from airflow_provider_braze_blueconic.sync.pipeline import Workspace
    from airflow_provider_braze_blueconic.sync.references import DeltaRef, UploadRef
    from airflow_provider_braze_blueconic.sync.sending import BatchLimits
    from airflow_provider_braze_blueconic.sync.upload import Upload

__all__ = ["S3ToBrazeUsersOperator", "track_limits", "track_rate"]


def track_limits(*, bulk: bool) -> BatchLimits:
    """Return what fits into one request of ``/users/track`` or ``/users/track/bulk``."""
    from airflow_provider_braze_blueconic.hooks.braze import TRACK_BULK_LIMITS, TRACK_LIMITS

    return TRACK_BULK_LIMITS if bulk else TRACK_LIMITS


def track_rate(*, bulk: bool, requests_per_second: float | None) -> Rate:
    """Return the cap of all workers together: Braze's, or the goal's or the installation's if that is lower."""
    from airflow_provider_braze_blueconic.hooks.braze import TRACK_BULK_RATE, TRACK_RATE
    from airflow_provider_braze_blueconic.hooks.settings import Settings

    rate = TRACK_BULK_RATE if bulk else TRACK_RATE
    return rate.lower(requests_per_second or Settings.load().requests_per_second)


class S3ToBrazeUsersOperator(GoalOperator):
    """Sends one partition of a delta to Braze's ``/users/track`` (``upload``), to be mapped over partitions.

    A retry reads the receipts of the attempts before it and sends only the rest.

    :param delta: what ``ComputeDeltaOperator`` returned (templated).
    :param partition: number of the partition (templated).
    :param allow_creation: create people whom Braze does not know.
    :param workers: tasks that run side by side; each keeps to its share of the cap.
    :param limits: ``requests_per_second``, ``rejected_percent``, as in a goal file.
    :param bulk: use ``/users/track/bulk``, which Braze must have opened for the account.
    :param braze_conn_id: connection of type ``braze``.
    :return: :class:`~airflow_provider_braze_blueconic.sync.references.UploadRef`.
    """

    template_fields: Sequence[str] = (*GoalOperator.template_fields, "delta", "partition")
    ui_color = "#ffedd5"

    def __init__(
        self,
        *,
        delta: Any,
        partition: Any,
        allow_creation: bool = False,
        workers: int = 1,
        limits: Mapping[str, Any] | None = None,
        bulk: bool = False,
        braze_conn_id: str = "braze_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.delta = delta
        self.partition = partition
        self.allow_creation = allow_creation
        self.workers = workers
        self.limits = limits
        self.bulk = bulk
        self.braze_conn_id = braze_conn_id
        self._upload: Upload | None = None
        self._killed = False

    def on_kill(self) -> None:
        """Start no further request; answers on their way still get their receipts."""
        self._killed = True
        if self._upload is not None:
            self._upload.stop()

    def run_step(self, workspace: Workspace, context: Context) -> UploadRef:  # noqa: ARG002
        """Send."""
        from airflow_provider_braze_blueconic.hooks.braze import BrazeHook
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.sync.braze_objects import BODY_AFTER, BODY_BEFORE, attributes_sql
        from airflow_provider_braze_blueconic.sync.pipeline import upload_partition
        from airflow_provider_braze_blueconic.sync.upload import UploadSettings

        limits = self.limits or {}
        in_flight = Settings.load().max_in_flight
        rate = track_rate(bulk=self.bulk, requests_per_second=limits.get("requests_per_second"))
        result = upload_partition(
            workspace,
            cast("DeltaRef", self.delta),
            int(self.partition),
            objects_sql=lambda source, columns: attributes_sql(source, columns, allow_creation=self.allow_creation),
            sender=BrazeHook(self.braze_conn_id).track_sender(bulk=self.bulk, max_in_flight=in_flight),
            rate=rate.share(self.workers),
            settings=UploadSettings(
                limits=track_limits(bulk=self.bulk),
                before=BODY_BEFORE,
                after=BODY_AFTER,
                max_in_flight=in_flight,
                rejected_percent=limits.get("rejected_percent"),
            ),
            on_start=self._started,
        )
        self.log.info(
            "%s partition %s: %s accepted, %s rejected, %s unknown, %s requests, %.1f s",
            self.goal_id,
            result["partition"],
            f"{result['accepted']:,}",
            f"{result['rejected']:,}",
            f"{result['unknown']:,}",
            f"{result['requests']:,}",
            result["seconds"],
        )
        return result

    def _started(self, upload: Upload) -> None:
        self._upload = upload
        if self._killed:
            upload.stop()
