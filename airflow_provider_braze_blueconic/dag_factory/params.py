"""The params of a goal's DAG: what a run can be asked to do."""

from __future__ import annotations

from collections.abc import Mapping

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal
from airflow_provider_braze_blueconic.goals.import_goal import ImportGoal

__all__ = ["add_params", "goal_params"]


def goal_params(goal: ExportGoal | ImportGoal) -> dict[str, Param]:
    """Make the params of a goal's DAG; an import always reads everything."""
    full = {
        "full": Param(
            False,
            type="boolean",
            title="Full read",
            description="Read the whole segment, even if the goal reads only changes.",
        )
    }
    return {
        **(full if isinstance(goal, ExportGoal) else {}),
        "retry_held": Param(
            False,
            type="boolean",
            title="Retry held people",
            description=(
                "Also retry quarantined and waiting people: refused too often with the same values, unknown to the "
                "target, without consent, with a refused field, or with a value that didn't stick."
            ),
        ),
        "dry_run": Param(
            False, type="boolean", title="Dry run", description="Plan and check the limits; send nothing."
        ),
        "allow_stale": Param(
            False,
            type="boolean",
            title="Allow stale",
            description="Send rows that are older than the ledger. This overwrites newer values with older ones.",
        ),
    }


def add_params(dag: DAG, params: Mapping[str, Param]) -> None:
    """Give a DAG its params, after its tasks.

    Airflow copies the params that a DAG has into each task that is made in it, deeply and several times, and checks
    their defaults by JSON Schema: a fourth of the time that a goal takes to parse. A run takes the DAG's params whether
    its tasks have copies or not, and a test checks the defaults.
    """
    dag.params.update(params)
