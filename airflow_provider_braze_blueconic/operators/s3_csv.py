"""Operators of the CSV road: files in S3 that BlueConic's own Amazon S3 connection writes or reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_braze_blueconic.exceptions import GoalError, Problem
from airflow_provider_braze_blueconic.operators.base import GoalOperator, is_true

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.sync.pipeline import Workspace
    from airflow_provider_braze_blueconic.sync.references import DeltaRef, SnapshotRef, UploadRef

__all__ = ["S3CsvToS3Operator", "S3ToS3CsvOperator"]


class S3CsvToS3Operator(GoalOperator):
    """Reads CSV files that BlueConic's own Amazon S3 connection wrote into Parquet files on S3 (``extract``).

    A run reads the files of its date, and those of earlier dates that no run has finished; see
    :mod:`~airflow_provider_braze_blueconic.sync.csv_files`. The columns of all files are checked before anything is
    sent.

    :param s3_csv: the files: ``*`` for any characters but ``/``, ``%Y %m %d %H %M %S`` for the date of the data, ``%%``
        for a percent sign (templated).
    :param columns: columns to read, or column → the place in the goal that names it.
    :param delimiter: one character between two cells.
    :param multi_value_separator: text between two values in a cell; ``None`` takes each cell as one value.
    :param required: fail, to be tried again, where the run finds no file.
    :param broken_percent: share of the rows, in percent, that may be unreadable.
    :param timezone: IANA name; the date of a run is that of its logical date there.
    :param full: read finished files too (templated).
    :param source_aws_conn_id: connection of type ``aws`` for the files; ``None`` takes ``aws_conn_id``.
    :return: :class:`~airflow_provider_braze_blueconic.sync.references.SnapshotRef`.
    """

    template_fields: Sequence[str] = (*GoalOperator.template_fields, "s3_csv", "full")
    ui_color = "#dbeafe"

    def __init__(
        self,
        *,
        s3_csv: str,
        columns: Mapping[str, str] | Sequence[str],
        delimiter: str = ",",
        multi_value_separator: str | None = None,
        required: bool = False,
        broken_percent: float = 1.0,
        timezone: str = "UTC",
        full: bool | str = False,
        source_aws_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.s3_csv = s3_csv
        self.columns = columns
        self.delimiter = delimiter
        self.multi_value_separator = multi_value_separator
        self.required = required
        self.broken_percent = broken_percent
        self.timezone = timezone
        self.full = full
        self.source_aws_conn_id = source_aws_conn_id
        self._killed = False

    def on_kill(self) -> None:
        """Let the read end after the part in hand."""
        self._killed = True

    def run_step(self, workspace: Workspace, context: Context) -> SnapshotRef:
        """Choose, check, read, write."""
        from airflow_provider_braze_blueconic.hooks.staging import StagingHook
        from airflow_provider_braze_blueconic.sync.csv_files import FilePattern
        from airflow_provider_braze_blueconic.sync.csv_source import CsvReading, read_csv_files
        from airflow_provider_braze_blueconic.sync.upload import Stopped

        try:
            pattern = FilePattern.parse(self.s3_csv)
        except ValueError as error:
            raise GoalError([Problem("source.s3_csv", str(error))]) from None
        columns = self.columns
        snapshot = read_csv_files(
            workspace,
            CsvReading(
                pattern,
                delimiter=self.delimiter,
                multi_value_separator=self.multi_value_separator,
                required=self.required,
                broken_percent=self.broken_percent,
            ),
            source=StagingHook(self.source_aws_conn_id or self.aws_conn_id),
            columns=columns if isinstance(columns, Mapping) else dict.fromkeys(columns, "columns"),
            # A manual or asset-triggered run may have none; then the key is there or not, by the version of Airflow.
            logical_date=getattr(context["dag_run"], "logical_date", None),
            timezone=self.timezone,
            everything=is_true(self.full),
            should_stop=lambda: self._killed,
        )
        if self._killed:
            raise Stopped(f"{self.goal_id}: stopped while reading the files; nothing was sent.")
        self.log.info(
            "%s: %s rows read from %s files, %s could not be read",
            self.goal_id,
            f"{snapshot['profiles']:,}",
            f"{snapshot.get('files', 0):,}",
            f"{snapshot.get('broken_lines', 0):,}",
        )
        return snapshot


class S3ToS3CsvOperator(GoalOperator):
    """Delivers a delta as one CSV file for BlueConic's own Amazon S3 connection (``upload``); one task, not mapped.

    The file has the name ``<goal id>_<as of>_<delta id>.csv``, the properties of ``links`` first and then the target
    fields in the goal's order. It is written whole or not at all, and only if there is somebody to send. A retry
    writes no second file.

    What a person's row can't say is left out and reported: see
    :mod:`~airflow_provider_braze_blueconic.sync.csv_delivery`. The delta has to hold whole profiles
    (``send="whole_profile"``), since an empty cell is not "as it was".

    :param delta: what ``ComputeDeltaOperator`` returned (templated).
    :param partitions: what ``GuardOperator`` returned; none sends nothing (templated).
    :param links: ids of the properties by which BlueConic finds a person, or identifier rows as in a goal file.
    :param targets: target field → merge strategy, in the order of the columns; ``None`` takes those that the delta
        says beside its files, as an import goal's delta does.
    :param s3_csv: S3 folder of the file (templated).
    :param delimiter: one character between two cells.
    :param multi_value_separator: text between two values in a cell; ``None`` can't write a field of several values.
    :param gzip: compress the file.
    :param target_aws_conn_id: connection of type ``aws`` for the folder; ``None`` takes ``aws_conn_id``.
    :return: a list of :class:`~airflow_provider_braze_blueconic.sync.references.UploadRef`, one a partition. The file
        and what was left out of it are pushed as ``delivery``: ``{"uri": …, "rows": …, "left_out": {…}}``.
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
        """Have the next run look at the receipts again; see ``UploadOperator``."""
        from airflow_provider_braze_blueconic.sync.pipeline import mark_open

        mark_open(workspace, cast("DeltaRef", self.delta))

    def run_step(self, workspace: Workspace, context: Context) -> list[UploadRef]:
        """Deliver."""
        from airflow_provider_braze_blueconic.hooks.staging import StagingHook
        from airflow_provider_braze_blueconic.sync.csv_delivery import CsvFormat, deliver_csv
        from airflow_provider_braze_blueconic.sync.pipeline import read_fields

        partitions = [int(partition) for partition in self.partitions or ()]
        if not partitions:
            self.log.info("%s: nobody is to be sent, no file is written", self.goal_id)
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
