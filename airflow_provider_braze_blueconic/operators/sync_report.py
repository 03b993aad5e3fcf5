"""The last step of a run, which sets the run's state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_braze_blueconic.exceptions import SyncError
from airflow_provider_braze_blueconic.operators.base import GoalOperator
from airflow_provider_braze_blueconic.operators.flags import is_true
from airflow_provider_braze_blueconic.operators.workspaces import staging_by

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.sync.steps.counters import Report
    from airflow_provider_braze_blueconic.sync.store.references import DeltaRef, MappedRef, SnapshotRef, UploadRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["SyncReportOperator"]


class SyncReportOperator(GoalOperator):
    """Writes the run's report, and fails if the run didn't do all it should (``report``).

    It runs whatever the state of the other tasks, and it is the DAG's last task: its state is the run's state. It ends
    the run, so that another run of the goal can start.

    An argument is ``None`` if its task didn't run.

    :param snapshot: what the extract returned (templated).
    :param mapped: what ``MapFieldsOperator`` returned (templated).
    :param delta: what ``ComputeDeltaOperator`` returned (templated).
    :param partitions: what ``GuardOperator`` returned (templated).
    :param plan_only: the run only planned (templated).
    :param uploads: what the uploads returned (templated).
    :param commit: what ``CommitLedgerOperator`` returned (templated).
    :param skipped: why the extract was skipped, its XCom ``skipped``; empty if it wasn't (templated). A skipped run
        counts as a success.
    :param limits: ``rejected_percent``, as in a goal file.
    :param done_aws_conn_id: connection for the files that were read, to add ``.done`` to their names once everything in
        them is acknowledged; ``None`` leaves the names alone.
    :return: :class:`~airflow_provider_braze_blueconic.sync.steps.report.Report`.
    """

    template_fields: Sequence[str] = (
        *GoalOperator.template_fields,
        "snapshot",
        "mapped",
        "delta",
        "partitions",
        "plan_only",
        "uploads",
        "commit",
        "skipped",
    )
    ui_color = "#f1f5f9"
    ends_run = True

    def __init__(
        self,
        *,
        snapshot: Any,
        mapped: Any,
        delta: Any,
        partitions: Any,
        uploads: Any,
        commit: Any,
        plan_only: bool | str = False,
        skipped: str | None = "",
        limits: Mapping[str, Any] | None = None,
        done_aws_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.snapshot = snapshot
        self.mapped = mapped
        self.delta = delta
        self.partitions = partitions
        self.plan_only = plan_only
        self.uploads = uploads
        self.commit = commit
        self.skipped = skipped
        self.limits = limits
        self.done_aws_conn_id = done_aws_conn_id

    def run_step(self, workspace: Workspace, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """Report."""
        from airflow_provider_braze_blueconic.sync.steps.report import report_run

        uploads = [cast("UploadRef", upload) for upload in self.uploads or () if upload]
        report = report_run(
            workspace,
            snapshot=cast("SnapshotRef | None", self.snapshot),
            mapped=cast("MappedRef | None", self.mapped),
            delta=cast("DeltaRef | None", self.delta),
            passed=self.partitions is not None,
            dry_run=is_true(self.plan_only),
            uploads=uploads,
            committed=bool(self.commit and self.commit["committed"]),
            skipped_because=self.skipped or "",
        )
        self._tell(report)
        self._refuse_incomplete(report)
        if report["status"] == "success" and not report["dry_run"] and report["not_accepted"] == 0:
            self._finish_files(workspace)
        self._refuse_rejected(report)
        return dict(report)

    def _tell(self, report: Report) -> None:
        from airflow_provider_braze_blueconic.sync.steps.report_text import describe_warnings, render

        lines = "\n".join(f"  {label:<24} {value}" for label, value in render(report))
        self.log.info("%s: report of the run\n%s", self.goal_id, lines)
        for warning in describe_warnings(report):
            self.log.warning("%s: values left out: %s", self.goal_id, warning)

    def _refuse_incomplete(self, report: Report) -> None:
        """Fail where the run was stopped, or did not get to the end."""
        from airflow_provider_braze_blueconic.sync.steps.report_text import describe_stop

        if report["status"] == "stopped":
            raise SyncError(f"{self.goal_id}: {describe_stop(report)}")
        if report["status"] == "incomplete":
            raise SyncError(
                f"{self.goal_id}: {report['accepted']:,} of {report['to_send']:,} people were sent. The next run "
                "sends the rest; to send it with this run, clear it from compute_delta on."
            )

    def _refuse_rejected(self, report: Report) -> None:
        """Fail where the target refused more people than the goal allows."""
        from airflow_provider_braze_blueconic.sync.sending.rejections import too_many_rejected

        resting = report["not_found"] + report["no_consent"]
        problem = too_many_rejected(
            self.goal_id,
            rejected=report["not_accepted"] - report["unsent"] - report["unknown"] - resting,
            unknown=report["unknown"],
            sent=report["to_send"],
            percent=(self.limits or {}).get("rejected_percent"),
        )
        if problem is not None:
            raise problem

    def _finish_files(self, workspace: Workspace) -> None:
        from airflow_provider_braze_blueconic.sync.csv.finished_files import mark_files_finished

        source = staging_by(workspace, self.done_aws_conn_id) if self.done_aws_conn_id is not None else None
        finished = mark_files_finished(
            workspace, cast("SnapshotRef", self.snapshot), source=source, done=source is not None
        )
        if finished:
            self.log.info("%s: everything in %s files was acknowledged", self.goal_id, finished)
