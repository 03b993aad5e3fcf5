"""The upload as a file that BlueConic's own Amazon S3 connection reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_braze_blueconic.operators.base import GoalOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.sync.store.references import DeltaRef, UploadRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["S3ToS3CsvOperator"]


class S3ToS3CsvOperator(GoalOperator):
    """Delivers a delta as one CSV file for BlueConic's own Amazon S3 connection (``upload``); one task, not mapped.

    The file is named ``<goal id>_<as of>_<delta id>.csv``. Its columns are the properties of ``links``, then the target
    fields in the goal's order. The operator writes a complete file or none, and only if there is somebody to send. A
    retry doesn't write a second file.

    The operator leaves out and reports what a row can't hold: see
    :mod:`~airflow_provider_braze_blueconic.sync.csv.layout`. The delta must contain whole profiles
    (``send="whole_profile"``), because an empty cell doesn't mean "unchanged".

    :param delta: what ``ComputeDeltaOperator`` returned (templated).
    :param partitions: what ``GuardOperator`` returned; with none, nothing is sent (templated).
    :param links: ids of the properties by which BlueConic finds a person, or identifier rows as in a goal file.
    :param targets: target field → merge strategy, in the order of the columns; ``None`` reads them from the delta, as
        for an import goal.
    :param s3_csv: S3 folder of the file (templated).
    :param delimiter: one character between two cells.
    :param multi_value_separator: text between two values in a cell; ``None`` can't write a field of several values.
    :param gzip: compress the file.
    :param target_aws_conn_id: connection of type ``aws`` for the folder; ``None`` uses ``aws_conn_id``.
    :return: a list of :class:`~airflow_provider_braze_blueconic.sync.store.references.UploadRef`, one for each
        partition. The file and what was left out of it are pushed as ``delivery``: ``{"uri": …, "rows": …, "left_out":
        {…}}``.
    """

    template_fields: Sequence[str] = (*GoalOperator.template_fields, "delta", "partitions", "s3_csv")
    ui_color = "#ffedd5"

    def __init__(
        self,
        *,
        delta: Any,
        partitions: Any,
        links: Sequence[str] | Sequence[Mapping[str, Any]],
        s3_csv: str,
        targets: Mapping[str, str] | None = None,
        delimiter: str = ",",
        multi_value_separator: str | None = "|",
        gzip: bool = False,
        target_aws_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.delta = delta
        self.partitions = partitions
        self.links = links
        self.s3_csv = s3_csv
        self.targets = targets
        self.delimiter = delimiter
        self.multi_value_separator = multi_value_separator
        self.gzip = gzip
        self.target_aws_conn_id = target_aws_conn_id

    def on_lock_lost(self, workspace: Workspace) -> None:
        """Have the next run read the receipts again; see ``UploadOperator``."""
        from airflow_provider_braze_blueconic.sync.state.open_uploads import mark_open

        mark_open(workspace, cast("DeltaRef", self.delta))

    def run_step(self, workspace: Workspace, context: Context) -> list[UploadRef]:
        """Deliver."""
        from airflow_provider_braze_blueconic.hooks.staging import StagingHook
        from airflow_provider_braze_blueconic.sync.csv.format import CsvFormat
        from airflow_provider_braze_blueconic.sync.steps.delivery import deliver_csv
        from airflow_provider_braze_blueconic.sync.steps.target_fields import read_fields

        partitions = [int(partition) for partition in self.partitions or ()]
        if not partitions:
            self.log.info("%s: nothing to send, so no file is written", self.goal_id)
            return []
        delta = cast("DeltaRef", self.delta)
        targets = self.targets
        if targets is None:
            targets = {row["target"]: row["merge"] for row in read_fields(workspace, delta["uri"])}
        delivery = deliver_csv(
            workspace,
            delta,
            partitions=partitions,
            links=[link if isinstance(link, str) else str(link["blueconic"]) for link in self.links],
            targets=targets,
            folder=self.s3_csv,
            format_=CsvFormat(self.delimiter, self.multi_value_separator, gzip=self.gzip),
            target_staging=StagingHook(self.target_aws_conn_id or self.aws_conn_id),
        )
        left_out = dict(delivery.left_out)
        self.log.info("%s: %s rows in %s", self.goal_id, f"{delivery.rows:,}", delivery.uri or "no file")
        for reason, people in left_out.items():
            self.log.warning("%s: left out of the file: %s: %s people", self.goal_id, reason, f"{people:,}")
        context["ti"].xcom_push(
            key="delivery", value={"uri": delivery.uri, "rows": delivery.rows, "left_out": left_out}
        )
        return list(delivery.uploads)
