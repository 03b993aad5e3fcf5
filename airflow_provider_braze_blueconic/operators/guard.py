"""The step that stops a run before anything is sent, if the run would break a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_braze_blueconic.operators.base import GoalOperator
from airflow_provider_braze_blueconic.operators.flags import is_true
from airflow_provider_braze_blueconic.operators.targets import TargetName, target_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.sync.store.references import DeltaRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["GuardOperator"]


class GuardOperator(GoalOperator):
    """Estimates what the run costs, and stops it if it would break a limit of the goal (``guard``).

    It also stops a run that may have been meant as a dry run: Airflow before 3.2.2 loses the params of a backfill that
    runs a date again. See ``[braze_blueconic] reprocessed_runs_send``.

    :param delta: what ``ComputeDeltaOperator`` returned (templated).
    :param limits: ``data_points``, ``leavers_percent``, ``clears_percent``, ``requests_per_second``, as in a goal file.
    :param leavers: the goal's policy; the guard checks the share of leavers only if the policy acts on them.
    :param target: the target of the upload: ``braze``, ``blueconic``, or ``s3_csv`` for one file.
    :param bulk: the upload to Braze uses ``/users/track/bulk``.
    :param plan_only: only plan; no upload follows (templated).
    :return: the partitions to upload, so that an upload can be mapped over it (Airflow maps over return values alone);
        empty in a dry run. The whole :class:`~airflow_provider_braze_blueconic.sync.store.references.PlanRef` is pushed
        as ``plan``.
    """

    template_fields: Sequence[str] = (*GoalOperator.template_fields, "delta", "plan_only")
    ui_color = "#fef3c7"

    def __init__(
        self,
        *,
        delta: Any,
        limits: Mapping[str, Any] | None = None,
        leavers: str | Mapping[str, object] = "keep",
        target: TargetName = "braze",
        bulk: bool = False,
        plan_only: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.delta = delta
        self.limits = limits
        self.leavers = leavers
        self.target = target
        self.bulk = bulk
        self.plan_only = plan_only

    def run_step(self, workspace: Workspace, context: Context) -> list[int]:
        """Estimate and check."""
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.operators.reprocessed import may_have_lost_params, refuse_to_send
        from airflow_provider_braze_blueconic.sync.steps.guard import GuardLimits, guard_delta

        limits = self.limits or {}
        target = target_of(self.target, bulk=self.bulk)
        plan = guard_delta(
            workspace,
            cast("DeltaRef", self.delta),
            limits=GuardLimits(limits.get("data_points"), limits.get("leavers_percent"), limits.get("clears_percent")),
            acts_on_leavers=self.leavers != "keep",
            dry_run=is_true(self.plan_only),
            objects=target.limits().objects,
            rate=target.rate(limits.get("requests_per_second")),
        )
        self.log.info(
            "%s: %s people, %s%s data points, %s requests, about %.1f minutes%s",
            self.goal_id,
            f"{plan['people']:,}",
            "" if plan["proven"] else "at most ",
            f"{plan['data_points']:,}",
            f"{plan['requests']:,}",
            plan["minutes"],
            f"; dry run, nothing is sent. The plan: {plan['plan_uri']}" if plan["dry_run"] else "",
        )
        context["ti"].xcom_push(key="plan", value=dict(plan))
        if plan["partitions"] and may_have_lost_params(context) and not Settings.load().reprocessed_runs_send:
            raise refuse_to_send(self.goal_id)
        return plan["partitions"]
