"""The extract of files that BlueConic's own Amazon S3 connection wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.exceptions import GoalError, Problem
from airflow_provider_braze_blueconic.operators.base import GoalOperator
from airflow_provider_braze_blueconic.operators.flags import is_true
from airflow_provider_braze_blueconic.operators.workspaces import staging_by

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.sync.store.references import SnapshotRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["S3CsvToS3Operator"]


class S3CsvToS3Operator(GoalOperator):
    """Reads CSV files that BlueConic's own Amazon S3 connection wrote into Parquet files on S3 (``extract``).

    A run reads the files of its date, and files of earlier dates that no run has finished; see
    :mod:`~airflow_provider_braze_blueconic.sync.csv.files`. The operator checks the columns of all files before
    anything is sent.

    :param s3_csv: the files: ``*`` for any characters but ``/``, ``%Y %m %d %H %M %S`` for the date of the data, ``%%``
        for a percent sign (templated).
    :param columns: columns to read, or column → the place in the goal that names it.
    :param delimiter: one character between two cells.
    :param multi_value_separator: text between two values in a cell; ``None`` reads each cell as one value.
    :param required: fail, so that Airflow retries, if the run finds no file.
    :param broken_percent: share of the rows, in percent, that may be unreadable.
    :param timezone: IANA name of the time zone of a run's date, which is that of its logical date.
    :param full: read finished files too (templated).
    :param source_aws_conn_id: connection of type ``aws`` for the files; ``None`` uses ``aws_conn_id``.
    :return: :class:`~airflow_provider_braze_blueconic.sync.store.references.SnapshotRef`.
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
        """Stop the read after the current part."""
        self._killed = True

    def run_step(self, workspace: Workspace, context: Context) -> SnapshotRef:
        """Choose, check, read, write."""
        from airflow_provider_braze_blueconic.sync.csv.file_pattern import FilePattern
        from airflow_provider_braze_blueconic.sync.csv.reading import CsvReading
        from airflow_provider_braze_blueconic.sync.csv.source import read_csv_files
        from airflow_provider_braze_blueconic.sync.sending.upload import Stopped

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
            source=staging_by(workspace, self.source_aws_conn_id or self.aws_conn_id),
            columns=columns if isinstance(columns, Mapping) else dict.fromkeys(columns, "columns"),
            # A manual or asset-triggered run may have none; then the key is there or not, by the version of Airflow.
            logical_date=getattr(context["dag_run"], "logical_date", None),
            timezone=self.timezone,
            everything=is_true(self.full),
            should_stop=lambda: self._killed,
        )
        if self._killed:
            raise Stopped(f"{self.goal_id}: stopped during the read of the files; nothing was sent.")
        self.log.info(
            "%s: %s rows read from %s files, %s unreadable",
            self.goal_id,
            f"{snapshot['profiles']:,}",
            f"{snapshot.get('files', 0):,}",
            f"{snapshot.get('broken_lines', 0):,}",
        )
        return snapshot
