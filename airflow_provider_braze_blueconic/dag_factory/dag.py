"""The DAG of a goal, and the DAG that reconciles it."""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_braze_blueconic.dag_factory.documentation import goal_documentation
from airflow_provider_braze_blueconic.dag_factory.literals import literal
from airflow_provider_braze_blueconic.dag_factory.params import add_params, goal_params
from airflow_provider_braze_blueconic.dag_factory.tasks import goal_tasks
from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal
from airflow_provider_braze_blueconic.goals.goal_sets import RECONCILE_SUFFIX
from airflow_provider_braze_blueconic.goals.import_goal import ImportGoal
from airflow_provider_braze_blueconic.goals.origin import Origin

__all__ = ["TAG", "build_dag", "build_reconcile_dag", "dag_id", "set_timetable"]

TAG = "braze-blueconic"
"""On every DAG of a goal."""

_RETRIES = 2
_RETRY_DELAY = dt.timedelta(minutes=5)


def dag_id(goal_id: str) -> str:
    """Name the DAG of a goal."""
    return f"braze_blueconic__{goal_id}"


def build_dag(goal: ExportGoal | ImportGoal, *, origin: Origin | None = None) -> DAG:
    """Make the DAG of a goal.

    :param origin: where the goal was written, for error messages.
    """
    origin = origin or Origin("", {})
    dag = DAG(
        dag_id=dag_id(goal.id),
        dag_display_name=goal.name or goal.id,
        description=goal.description.splitlines()[0] if goal.description else None,
        doc_md=goal_documentation(goal, origin),
        schedule=_text_of(goal.schedule, goal),
        start_date=_start(goal),
        catchup=False,
        # Two deltas of one goal at once would each miss what the other sends.
        max_active_runs=1,
        tags=sorted({TAG, goal.goal, *goal.labels}),
        default_args={"retries": _RETRIES, "retry_delay": _RETRY_DELAY},
        **_callbacks(goal),
    )
    with dag:
        goal_tasks(goal, origin)
    set_timetable(dag, goal.timezone)
    add_params(dag, goal_params(goal))
    return dag


def build_reconcile_dag(goal: ExportGoal, *, origin: Origin | None = None) -> DAG:
    """Make the DAG that compares what Braze holds with what a goal was told, and puts right what differs.

    :param origin: where the goal was written, for error messages.
    :raises ValueError: if the goal has no ``reconcile``.
    """
    reconcile = goal.reconcile
    if reconcile is None:
        raise ValueError(f"{goal.id} has no reconcile section.")
    origin = origin or Origin("", {})
    dag = DAG(
        dag_id=f"{dag_id(goal.id)}{RECONCILE_SUFFIX}",
        dag_display_name=f"{goal.name or goal.id}: reconcile",
        description=f"Compares what Braze holds for {goal.name or goal.id} with the ledger.",
        doc_md=goal_documentation(goal, origin),
        schedule=_text_of(reconcile.schedule, goal),
        start_date=_start(goal),
        catchup=False,
        max_active_runs=1,
        tags=sorted({TAG, goal.goal, "reconcile", *goal.labels}),
        default_args={"retries": _RETRIES, "retry_delay": _RETRY_DELAY},
        **_callbacks(goal),
    )
    with dag:
        goal_tasks(goal, origin, reconcile=reconcile)
    set_timetable(dag, goal.timezone)
    add_params(dag, {name: param for name, param in goal_params(goal).items() if name != "full"})
    return dag


def _text_of(schedule: str | None, goal: ExportGoal | ImportGoal) -> str | None:
    return schedule if goal.enabled else None


def set_timetable(dag: DAG, timezone: str) -> None:
    """Let a DAG's schedule, a cron text, be read in a time zone: Airflow would read it in UTC.

    After the tasks: with each arrow between two of them Airflow hashes the DAG, by its schedule too, which is quick for
    a text only.
    """
    if isinstance(dag.schedule, str):
        dag.timetable = _cron_timetable()(dag.schedule, timezone=timezone)


@cache
def _cron_timetable() -> Any:
    try:
        from airflow.sdk import CronTriggerTimetable
    except ImportError:  # an older Airflow has the scheduler's alone, whose import takes as long as a dozen goals
        return importlib.import_module("airflow.timetables.trigger").CronTriggerTimetable
    return CronTriggerTimetable


def _start(goal: ExportGoal | ImportGoal) -> dt.datetime | None:
    if goal.start_date is None:
        return None
    import pendulum

    start = goal.start_date
    return pendulum.datetime(start.year, start.month, start.day, tz=goal.timezone)


def _callbacks(goal: ExportGoal | ImportGoal) -> Mapping[str, Any]:
    if not goal.notify.email:
        return {}
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    def notifier(outcome: str) -> SmtpNotifier:
        return SmtpNotifier(
            to=literal(list(goal.notify.email)),
            subject=literal(f"{goal.name or goal.id}: {outcome}"),
            html_content=f"{dag_id(goal.id)}, run {{{{ run_id }}}}: {outcome}. Its task report has the numbers.",
        )

    callbacks: dict[str, Any] = {"on_failure_callback": notifier("failed")}
    if goal.notify.when == "every_run":
        callbacks["on_success_callback"] = notifier("finished")
    return callbacks
