"""The tasks of a goal: one pipeline, whose two ends the direction decides.

::

    extract → map_fields → compute_delta → guard → upload (a task a partition) → commit → clean_up → report

A reconcile is the same after a look at what Braze holds::

    look → extract → map_fields → …
"""

from __future__ import annotations

from typing import Any

from airflow_provider_braze_blueconic.dag_factory.ends import Ends, Settings
from airflow_provider_braze_blueconic.dag_factory.export_ends import export_ends
from airflow_provider_braze_blueconic.dag_factory.import_ends import import_ends
from airflow_provider_braze_blueconic.dag_factory.literals import Template, literal_task
from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal
from airflow_provider_braze_blueconic.goals.import_goal import ImportGoal
from airflow_provider_braze_blueconic.goals.origin import Origin
from airflow_provider_braze_blueconic.goals.segment_export import Reconcile
from airflow_provider_braze_blueconic.operators.clean_up import CleanUpOperator
from airflow_provider_braze_blueconic.operators.commit_ledger import CommitLedgerOperator
from airflow_provider_braze_blueconic.operators.compute_delta import ComputeDeltaOperator
from airflow_provider_braze_blueconic.operators.guard import GuardOperator
from airflow_provider_braze_blueconic.operators.map_fields import MapFieldsOperator
from airflow_provider_braze_blueconic.operators.sync_report import SyncReportOperator

__all__ = ["goal_tasks"]

_DRY_RUN = Template("{{ params.dry_run }}")


def goal_tasks(goal: ExportGoal | ImportGoal, origin: Origin, *, reconcile: Reconcile | None = None) -> None:
    """Make the tasks of a goal in the DAG at hand.

    :param reconcile: look at what Braze holds first, and put right what differs.
    """
    ends = import_ends(goal) if isinstance(goal, ImportGoal) else export_ends(goal, reconcile)
    common = _common_settings(goal, origin, ends.places, "reconcile-" if reconcile else "")
    middle = _Middle(goal, ends, common)
    look = ends.look(common) if ends.look else None
    extract = ends.extract(common)
    if look is not None:
        look >> extract
    mapped = middle.map_fields(extract)
    delta = middle.compute_delta(mapped, look)
    guard = middle.guard(delta)
    upload = ends.upload({"limits": middle.limits, **common}, delta, guard, mapped)
    commit = middle.commit(delta, guard)
    clean_up = middle.clean_up()
    report = middle.report(extract, mapped, delta, guard, upload, commit)
    upload >> commit >> clean_up >> report


def _common_settings(
    goal: ExportGoal | ImportGoal, origin: Origin, places: tuple[str, ...], run_prefix: str
) -> Settings:
    """Give the settings that every task has."""
    named = ("id", "renamed_from", *places)
    return {
        "goal_id": goal.id,
        "staging": goal.staging,
        "aws_conn_id": goal.connections.aws,
        "run_prefix": run_prefix,
        "renamed_from": goal.renamed_from,
        "origin": {"file": origin.file, "lines": {place: origin.line(place) for place in named if place}},
    }


class _Middle:
    """Makes the tasks that both directions have.

    :param common: settings that every task has.
    """

    def __init__(self, goal: ExportGoal | ImportGoal, ends: Ends, common: Settings) -> None:
        self._goal = goal
        self._ends = ends
        self._common = common
        self._last = {**common, "retries": 0}
        # Only what is written: the guard is more careful with a limit of the goal's own than with the default.
        self.limits = goal.limits.model_dump(exclude_none=True, exclude_unset=True)
        self._rows: Settings = {
            "identifiers": [
                link.model_dump(mode="json", by_alias=True, exclude_none=True) for link in goal.identifiers
            ],
            "fields": [row.model_dump(mode="json", by_alias=True, exclude_unset=True) for row in goal.fields],
            "direction": goal.goal,
        }

    def map_fields(self, extract: Any) -> Any:
        return literal_task(
            MapFieldsOperator,
            task_id="map_fields",
            snapshot=extract.output,
            partitions=self._goal.partitions,
            **self._rows,
            **self._ends.mapping,
            **self._common,
        )

    def compute_delta(self, mapped: Any, look: Any) -> Any:
        return literal_task(
            ComputeDeltaOperator,
            task_id="compute_delta",
            mapped=mapped.output,
            allow_stale=Template("{{ params.allow_stale }}"),
            max_attempts=self._goal.max_attempts,
            retry_held=Template("{{ params.retry_held }}"),
            looked=look.output if look is not None else None,
            **self._rows,
            **self._ends.delta,
            **self._common,
        )

    def guard(self, delta: Any) -> Any:
        return literal_task(
            GuardOperator,
            task_id="guard",
            delta=delta.output,
            limits=self.limits,
            plan_only=_DRY_RUN,
            **self._ends.guard,
            **self._common,
        )

    def commit(self, delta: Any, guard: Any) -> Any:
        return literal_task(
            CommitLedgerOperator,
            task_id="commit",
            delta=delta.output,
            partitions=guard.output,
            plan_only=_DRY_RUN,
            # What was acknowledged is kept whatever became of the rest.
            trigger_rule="all_done",
            **self._common,
        )

    def clean_up(self) -> Any:
        return literal_task(
            CleanUpOperator,
            task_id="clean_up",
            retention=self._goal.retention.model_dump(),
            # Personal data go in time also where the goal fails for long. What this leaves, the next run removes: no
            # retry.
            trigger_rule="all_done",
            **self._last,
        )

    def report(self, extract: Any, mapped: Any, delta: Any, guard: Any, upload: Any, commit: Any) -> Any:
        return literal_task(
            SyncReportOperator,
            task_id="report",
            snapshot=extract.output,
            mapped=mapped.output,
            delta=delta.output,
            partitions=guard.output,
            plan_only=_DRY_RUN,
            uploads=upload.output,
            commit=commit.output,
            # Not extract.output["skipped"]: where nothing was pushed, Airflow can't resolve that.
            skipped=Template("{{ ti.xcom_pull(task_ids='extract', key='skipped') or '' }}"),
            limits=self.limits,
            trigger_rule="all_done",
            **self._ends.report,
            **self._last,
        )
