"""The upload to Braze's users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.operators.targets import BrazeUsers
from airflow_provider_braze_blueconic.operators.upload import UploadOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.sync.store.references import UploadRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["S3ToBrazeUsersOperator"]


class S3ToBrazeUsersOperator(UploadOperator):
    """Sends one partition of a delta to Braze's ``/users/track`` (``upload``), to be mapped over partitions.

    A retry reads the receipts of earlier attempts and sends only the rest.

    :param delta: what ``ComputeDeltaOperator`` returned (templated).
    :param partition: number of the partition (templated).
    :param allow_creation: create people whom Braze doesn't know.
    :param workers: number of tasks that run in parallel; each uses its share of the cap.
    :param limits: ``requests_per_second``, ``rejected_percent``, as in a goal file.
    :param bulk: use ``/users/track/bulk``, which Braze must have enabled for the account.
    :param braze_conn_id: connection of type ``braze``.
    :return: :class:`~airflow_provider_braze_blueconic.sync.store.references.UploadRef`.
    """

    def __init__(
        self,
        *,
        allow_creation: bool = False,
        bulk: bool = False,
        braze_conn_id: str = "braze_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.allow_creation = allow_creation
        self.bulk = bulk
        self.braze_conn_id = braze_conn_id

    def run_step(self, workspace: Workspace, context: Context) -> UploadRef:  # noqa: ARG002
        """Send."""
        from airflow_provider_braze_blueconic.hooks.braze import BrazeHook
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.sync.braze.objects import BODY_AFTER, BODY_BEFORE, attributes_sql
        from airflow_provider_braze_blueconic.sync.sending.settings import UploadSettings

        target, limits = BrazeUsers(bulk=self.bulk), self.limits or {}
        in_flight = Settings.load().max_in_flight
        return self.send_partition(
            workspace,
            objects_sql=lambda source, columns: attributes_sql(source, columns, allow_creation=self.allow_creation),
            sender=BrazeHook(self.braze_conn_id).track_sender(bulk=self.bulk, max_in_flight=in_flight),
            rate=target.rate(limits.get("requests_per_second")),
            settings=UploadSettings(
                limits=target.limits(),
                before=BODY_BEFORE,
                after=BODY_AFTER,
                max_in_flight=in_flight,
                rejected_percent=limits.get("rejected_percent"),
            ),
        )
