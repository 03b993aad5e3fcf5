"""The middle of the pipeline, the same for both directions: map, delta, guard, commit, report."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow_provider_braze_blueconic.exceptions import LimitExceeded, SyncError
from airflow_provider_braze_blueconic.operators.base import GoalOperator, is_true

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.goals.models import ExportField, ExportIdentifier
    from airflow_provider_braze_blueconic.sync.pipeline import Workspace
    from airflow_provider_braze_blueconic.sync.references import DeltaRef, MappedRef, SnapshotRef, UploadRef

__all__ = [
    "CommitLedgerOperator",
    "ComputeDeltaOperator",
    "GuardOperator",
    "MapFieldsOperator",
    "SyncReportOperator",
]


def _fields(rows: Sequence[Mapping[str, Any]]) -> list[ExportField]:
    from airflow_provider_braze_blueconic.goals.models import ExportField

    return [ExportField.model_validate(row) for row in rows]


def _identifiers(rows: Sequence[Mapping[str, Any]]) -> list[ExportIdentifier]:
    from airflow_provider_braze_blueconic.goals.models import ExportIdentifier

    return [ExportIdentifier.model_validate(row) for row in rows]


class MapFieldsOperator(GoalOperator):
    """Turns a snapshot into the mapped snapshot: a row a person, values as the target will get them (``map_fields``).

    :param snapshot: what ``BlueConicSegmentToS3Operator`` returned (templated).
    :param identifiers: identifier links, as in a goal file.
    :param fields: field rows, as in a goal file.
    :param when_missing: ``keep`` or ``clear`` a field whose source is empty.
    :param objectives: only people who consented to one of these.
    :param partitions: partitions of the ledger.
    :return: :class:`~airflow_provider_braze_blueconic.sync.references.MappedRef`.
    """

    template_fields: Sequence[str] = (*GoalOperator.template_fields, "snapshot")
    ui_color = "#ede9fe"

    def __init__(
        self,
        *,
        snapshot: Any,
        identifiers: Sequence[Mapping[str, Any]],
        fields: Sequence[Mapping[str, Any]],
        when_missing: Literal["keep", "clear"] = "keep",
        objectives: Sequence[str] = (),
        partitions: int = 4,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.snapshot = snapshot
        self.identifiers = identifiers
        self.fields = fields
        self.when_missing = when_missing
        self.objectives = objectives
        self.partitions = partitions

    def run_step(self, workspace: Workspace, context: Context) -> MappedRef:  # noqa: ARG002
        """Map."""
        from airflow_provider_braze_blueconic.sync.export_plan import mapping_plan, warning_sources
        from airflow_provider_braze_blueconic.sync.pipeline import map_staged_snapshot

        snapshot = cast("SnapshotRef", self.snapshot)
        plan = mapping_plan(
            _identifiers(self.identifiers),
            _fields(self.fields),
            property_types=snapshot["property_types"],
            clear_missing=self.when_missing == "clear",
            objectives=self.objectives,
            partitions=self.partitions,
        )
        mapped = map_staged_snapshot(workspace, snapshot, plan, warning_sources(plan))
        self.log.info(
            "%s: %s people mapped, skipped %s", self.goal_id, f"{mapped['people']:,}", mapped["skipped"] or "none"
        )
        return mapped


class ComputeDeltaOperator(GoalOperator):
    """Compares the mapped snapshot with the ledger, field by field (``compute_delta``).

    :param mapped: what ``MapFieldsOperator`` returned (templated).
    :param fields: field rows, as in a goal file.
    :param send: ``changed_fields`` or ``whole_profile``.
    :param leavers: ``keep``, ``clear_fields`` or target → value.
    :param allow_stale: send rows that are older than what the ledger knows (templated).
    :return: :class:`~airflow_provider_braze_blueconic.sync.references.DeltaRef`.
    """

    template_fields: Sequence[str] = (*GoalOperator.template_fields, "mapped", "allow_stale")
    ui_color = "#ede9fe"

    def __init__(
        self,
        *,
        mapped: Any,
        fields: Sequence[Mapping[str, Any]],
        send: Literal["changed_fields", "whole_profile"] = "changed_fields",
        leavers: str | Mapping[str, object] = "keep",
        allow_stale: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mapped = mapped
        self.fields = fields
        self.send = send
        self.leavers = leavers
        self.allow_stale = allow_stale

    def run_step(self, workspace: Workspace, context: Context) -> DeltaRef:  # noqa: ARG002
        """Compare."""
        from airflow_provider_braze_blueconic.sync.export_plan import delta_plan
        from airflow_provider_braze_blueconic.sync.pipeline import compute_staged_delta

        mapped = cast("MappedRef", self.mapped)
        plan = delta_plan(
            _fields(self.fields),
            partitions=mapped["partitions"],
            as_of=dt.datetime.fromisoformat(mapped["as_of"]),
            send=self.send,
            leavers=self.leavers,
            complete=mapped["complete"],
            allow_stale=is_true(self.allow_stale),
        )
        delta = compute_staged_delta(workspace, mapped, plan)
        self.log.info(
            "%s: %s people to send (%s new, %s changed, %s left), %s fields, %s unchanged, %s stale",
            self.goal_id,
            *(
                f"{delta[name]:,}"
                for name in ("to_send", "inserts", "changes", "leavers", "fields", "unchanged", "stale")
            ),
        )
        return delta


class GuardOperator(GoalOperator):
    """Says what the run will take, and stops it where a limit of the goal would be broken (``guard``).

    :param delta: what ``ComputeDeltaOperator`` returned (templated).
    :param limits: ``data_points``, ``leavers_percent``, ``requests_per_second``, as in a goal file.
    :param leavers: the goal's policy; the leavers' share is only checked when they are acted upon.
    :param bulk: the upload uses ``/users/track/bulk``.
    :param plan_only: plan only: no upload follows (templated).
    :return: the partitions to upload, so that an upload can be mapped over it (Airflow maps over return values alone);
        empty in a dry run. The whole :class:`~airflow_provider_braze_blueconic.sync.references.PlanRef` is pushed as
        ``plan``.
    """

    template_fields: Sequence[str] = (*GoalOperator.template_fields, "delta", "plan_only")
    ui_color = "#fef3c7"

    def __init__(
        self,
        *,
        delta: Any,
        limits: Mapping[str, Any] | None = None,
        leavers: str | Mapping[str, object] = "keep",
        bulk: bool = False,
        plan_only: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.delta = delta
        self.limits = limits
        self.leavers = leavers
        self.bulk = bulk
        self.plan_only = plan_only

    def run_step(self, workspace: Workspace, context: Context) -> list[int]:
        """Estimate and check."""
        from airflow_provider_braze_blueconic.operators.braze import track_limits, track_rate
        from airflow_provider_braze_blueconic.sync.guard import GuardLimits
        from airflow_provider_braze_blueconic.sync.pipeline import guard_delta

        limits = self.limits or {}
        plan = guard_delta(
            workspace,
            cast("DeltaRef", self.delta),
            limits=GuardLimits(limits.get("data_points"), limits.get("leavers_percent")),
            acts_on_leavers=self.leavers != "keep",
            dry_run=is_true(self.plan_only),
            objects=track_limits(bulk=self.bulk).objects,
            rate=track_rate(bulk=self.bulk, requests_per_second=limits.get("requests_per_second")),
        )
        self.log.info(
            "%s: %s people, %s data points, %s requests, about %.1f minutes%s",
            self.goal_id,
            f"{plan['people']:,}",
            f"{plan['data_points']:,}",
            f"{plan['requests']:,}",
            plan["minutes"],
            f"; dry run, nothing is sent. The plan: {plan['plan_uri']}" if plan["dry_run"] else "",
        )
        context["ti"].xcom_push(key="plan", value=dict(plan))
        return plan["partitions"]


class CommitLedgerOperator(GoalOperator):
    """Puts what the target acknowledged into the receipts table and the ledger (``commit``).

    Runs whatever became of the uploads: what they achieved before they failed is kept.

    :param delta: what ``ComputeDeltaOperator`` returned; ``None`` if there is none (templated).
    :param partitions: what ``GuardOperator`` returned; ``None`` if it did not let the run pass (templated).
    :param plan_only: nothing was sent, so there is nothing to commit (templated).
    :return: ``{"committed": bool, "receipts": int}``.
    """

    template_fields: Sequence[str] = (*GoalOperator.template_fields, "delta", "partitions", "plan_only")
    ui_color = "#dcfce7"

    def __init__(self, *, delta: Any, partitions: Any, plan_only: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delta = delta
        self.partitions = partitions
        self.plan_only = plan_only

    def run_step(self, workspace: Workspace, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """Commit."""
        from airflow_provider_braze_blueconic.sync.pipeline import commit_uploads

        if self.delta is None or self.partitions is None or is_true(self.plan_only):
            self.log.info("%s: nothing was sent, the ledger stays as it is", self.goal_id)
            return {"committed": False, "receipts": 0}
        summary = commit_uploads(workspace, cast("DeltaRef", self.delta))
        self.log.info("%s: %s receipts committed, %s", self.goal_id, f"{summary.receipts:,}", dict(summary.outcomes))
        return {"committed": True, "receipts": summary.receipts}


class SyncReportOperator(GoalOperator):
    """Writes the run's report, and fails where the run did not do all it should (``report``).

    It runs whatever became of the other tasks, and is the DAG's last one: its state is the run's state.

    What a task returned is ``None`` here if the task did not happen.

    :param snapshot: what the extract returned (templated).
    :param mapped: what ``MapFieldsOperator`` returned (templated).
    :param delta: what ``ComputeDeltaOperator`` returned (templated).
    :param partitions: what ``GuardOperator`` returned (templated).
    :param plan_only: the run only planned (templated).
    :param uploads: what the uploads returned (templated).
    :param commit: what ``CommitLedgerOperator`` returned (templated).
    :param limits: ``rejected_percent``, as in a goal file.
    :param mapping_hash: fingerprint of the mapping, for modified reads.
    :return: :class:`~airflow_provider_braze_blueconic.sync.report.Report`.
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
    )
    ui_color = "#f1f5f9"

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
        limits: Mapping[str, Any] | None = None,
        mapping_hash: str = "",
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
        self.limits = limits
        self.mapping_hash = mapping_hash

    def run_step(self, workspace: Workspace, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """Report."""
        from airflow_provider_braze_blueconic.sync.pipeline import report_run
        from airflow_provider_braze_blueconic.sync.report import describe_warnings, render

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
            mapping_hash=self.mapping_hash,
        )
        lines = "\n".join(f"  {label:<24} {value}" for label, value in render(report))
        self.log.info("%s: report of the run\n%s", self.goal_id, lines)
        for warning in describe_warnings(report):
            self.log.warning("%s: values left out: %s", self.goal_id, warning)
        if report["status"] == "stopped":
            raise SyncError(
                f"{self.goal_id}: the run ended before the upload; see the task that failed. Nothing was sent."
            )
        if report["status"] == "incomplete":
            raise SyncError(
                f"{self.goal_id}: {report['accepted']:,} of {report['to_send']:,} people were sent. "
                "The rest stays in the delta and goes with the next run, or when the failed tasks are cleared."
            )
        self._check_rejections(report["accepted"], sum(report["rejected"].values()))
        return dict(report)

    def _check_rejections(self, accepted: int, refused: int) -> None:
        limit = (self.limits or {}).get("rejected_percent")
        if limit is not None and refused and 100 * refused / (accepted + refused) > limit:
            share = 100 * refused / (accepted + refused)
            raise LimitExceeded(
                f"{self.goal_id}: {refused:,} of {accepted + refused:,} people were not accepted ({share:.1f} %), more "
                f"than limits.rejected_percent = {limit:g}. Those accepted are in the ledger, the others come back "
                "next run; the receipts table says why."
            )
