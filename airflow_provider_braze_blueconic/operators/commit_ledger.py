"""The step that moves the ledger to what the target acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_braze_blueconic.operators.base import GoalOperator
from airflow_provider_braze_blueconic.operators.flags import is_true

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.sync.store.references import DeltaRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["CommitLedgerOperator"]


class CommitLedgerOperator(GoalOperator):
    """Puts what the target acknowledged into the receipts table and the ledger (``commit``).

    It runs even if uploads failed, so that what they achieved before is kept.

    :param delta: what ``ComputeDeltaOperator`` returned; ``None`` if there is none (templated).
    :param partitions: what ``GuardOperator`` returned; ``None`` if it stopped the run (templated).
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
        from airflow_provider_braze_blueconic.sync.steps.commit import commit_uploads

        if self.delta is None or self.partitions is None or is_true(self.plan_only):
            self.log.info("%s: this attempt of the run sent nothing, so there is nothing to commit", self.goal_id)
            return {"committed": False, "receipts": 0}
        summary = commit_uploads(workspace, cast("DeltaRef", self.delta))
        self.log.info("%s: %s receipts committed, %s", self.goal_id, f"{summary.receipts:,}", dict(summary.outcomes))
        return {"committed": True, "receipts": summary.receipts}
