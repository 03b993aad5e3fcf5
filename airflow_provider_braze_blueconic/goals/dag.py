"""From goals to DAGs: one DAG a goal, and a placeholder that carries the message of a broken one."""

from __future__ import annotations

import datetime as dt
import itertools
import logging
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, BaseOperator, Context, Param

from airflow_provider_braze_blueconic.exceptions import Problem
from airflow_provider_braze_blueconic.goals.checks import export_hints
from airflow_provider_braze_blueconic.goals.loading import (
    RECONCILE_SUFFIX,
    BrokenGoal,
    LoadedGoal,
    Origin,
    load_folder,
)
from airflow_provider_braze_blueconic.goals.models import CsvSource, ExportGoal, ImportGoal
from airflow_provider_braze_blueconic.goals.tasks import goal_tasks

__all__ = ["BrokenGoalOperator", "build_dag", "build_reconcile_dag", "dag_id", "load_goals"]

log = logging.getLogger(__name__)

_TAG = "braze-blueconic"
_BROKEN_TAG = "broken goal"
_RETRIES = 2
_RETRY_DELAY = dt.timedelta(minutes=5)


def dag_id(goal_id: str) -> str:
    """Name the DAG of a goal."""
    return f"braze_blueconic__{goal_id}"


def load_goals(folder: str | Path) -> dict[str, DAG]:
    """Make a DAG of each goal file in a folder.

    A goal file with mistakes becomes a placeholder DAG that shows them in the Airflow UI and fails when it is
    run, on the schedule that the file gives if that could be read. The other goals are not touched by it::

        globals().update(load_goals(Path(__file__).parent / "goals"))  # in a dag file

    :param folder: folder with ``*.yaml`` files.
    :return: DAG id → DAG. Put it into the DAG file's globals, where Airflow looks.
    :raises GoalError: if the folder can't be listed.
    """
    entries = load_folder(Path(folder))
    dags = {dag.dag_id: dag for entry in entries if isinstance(entry, LoadedGoal) for dag in _dags_of(entry)}
    # Last, so that a placeholder never takes the DAG of a goal that works.
    for entry in entries:
        if isinstance(entry, BrokenGoal):
            dag = _placeholder(entry, dags)
            dags[dag.dag_id] = dag
    return dags


def _dags_of(entry: LoadedGoal) -> Iterator[DAG]:
    yield build_dag(entry.goal, origin=entry.origin)
    if isinstance(entry.goal, ExportGoal) and entry.goal.reconcile is not None:
        yield build_reconcile_dag(entry.goal, origin=entry.origin)


def build_dag(goal: ExportGoal | ImportGoal, *, origin: Origin | None = None) -> DAG:
    """Make the DAG of a goal.

    :param origin: where the goal was written, for error messages.
    """
    origin = origin or Origin("", {})
    dag = DAG(
        dag_id=dag_id(goal.id),
        dag_display_name=goal.name or goal.id,
        description=goal.description.splitlines()[0] if goal.description else None,
        doc_md=_documentation(goal, origin),
        schedule=_schedule(goal),
        start_date=_start(goal),
        catchup=False,
        # Two deltas of one goal at once would each miss what the other sends.
        max_active_runs=1,
        tags=sorted({_TAG, goal.goal, *goal.labels}),
        params=_params(goal),
        default_args={"retries": _RETRIES, "retry_delay": _RETRY_DELAY},
        **_callbacks(goal),
    )
    with dag:
        goal_tasks(goal, origin)
    return dag


def build_reconcile_dag(goal: ExportGoal, *, origin: Origin | None = None) -> DAG:
    """Make the DAG that compares what Braze holds with what a goal was told, and puts right what differs.

    :param origin: where the goal was written, for error messages.
    :raises ValueError: if the goal has no ``reconcile``.
    """
    reconcile = goal.reconcile
    if reconcile is None:
        raise ValueError(f"{goal.id} has no section reconcile.")
    origin = origin or Origin("", {})
    dag = DAG(
        dag_id=f"{dag_id(goal.id)}{RECONCILE_SUFFIX}",
        dag_display_name=f"{goal.name or goal.id}: reconcile",
        description=f"Compares what Braze holds of {goal.name or goal.id} with what it acknowledged.",
        doc_md=_documentation(goal, origin),
        schedule=_cron(reconcile.schedule, goal),
        start_date=_start(goal),
        catchup=False,
        max_active_runs=1,
        tags=sorted({_TAG, goal.goal, "reconcile", *goal.labels}),
        params={name: param for name, param in _params(goal).items() if name != "full"},
        default_args={"retries": _RETRIES, "retry_delay": _RETRY_DELAY},
        **_callbacks(goal),
    )
    with dag:
        goal_tasks(goal, origin, reconcile=reconcile)
    return dag


def _params(goal: ExportGoal | ImportGoal) -> dict[str, Param]:
    full = {
        "full": Param(
            False,
            type="boolean",
            title="Full read",
            description="Read the whole segment, also if the goal reads changes.",
        )
    }
    return {
        **(full if isinstance(goal, ExportGoal) else {}),
        "retry_held": Param(
            False,
            type="boolean",
            title="Retry held people",
            description=(
                "Also try the people who rest: refused too often with the same values, unknown to the target, without "
                "consent, with a refused field, or with a value that did not stick."
            ),
        ),
        "dry_run": Param(
            False, type="boolean", title="Dry run", description="Plan and check the limits; send nothing."
        ),
        "allow_stale": Param(
            False,
            type="boolean",
            title="Allow stale",
            description="Send rows that are older than what the ledger knows. Overwrites newer values with older ones.",
        ),
    }


def _schedule(goal: ExportGoal | ImportGoal) -> Any:
    return _cron(goal.schedule, goal)


def _cron(schedule: str | None, goal: ExportGoal | ImportGoal) -> Any:
    if not goal.enabled or schedule is None:
        return None
    from airflow.timetables.trigger import CronTriggerTimetable

    return CronTriggerTimetable(schedule, timezone=goal.timezone)


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
            to=list(goal.notify.email),
            subject=f"{goal.name or goal.id}: {outcome}",
            html_content=f"{dag_id(goal.id)}, run {{{{ run_id }}}}: {outcome}. Its task report has the numbers.",
        )

    callbacks: dict[str, Any] = {"on_failure_callback": notifier("failed")}
    if goal.notify.when == "every_run":
        callbacks["on_success_callback"] = notifier("finished")
    return callbacks


def _documentation(goal: ExportGoal | ImportGoal, origin: Origin) -> str:
    lines = [goal.description or "", ""]
    if isinstance(goal, ImportGoal):
        road = f"CSV files in `{goal.deliver.s3_csv}`" if goal.deliver else "BlueConic"
        lines += [f"Brings the Braze segment **{goal.source.segment}** to {road}.", ""]
        lines += ["| from | to | merge |", "|---|---|---|"]
        lines += [f"| {_cell(row.from_)} | {row.to} | {row.merge} |" for row in goal.fields]
        if goal.remaining_fields is not None:
            lines.append(f"| all other fields | {goal.remaining_fields.prefix}… | {goal.remaining_fields.merge} |")
    else:
        files = isinstance(goal.source, CsvSource)
        source = f"files `{goal.source.s3_csv}`" if files else f"BlueConic segment **{goal.source.segment}**"  # type: ignore[union-attr]  # the other kind
        lines += [f"Sends the {source} to Braze.", "", "| from | to | type |", "|---|---|---|"]
        for field in goal.fields:
            origin_of = _cell(field.from_) if field.from_ is not None else f"`{field.value}`"
            lines.append(f"| {origin_of} | {field.to} | {field.type or ''} |")
        hints = export_hints(goal.model_dump(by_alias=True))
        lines += ["", *(f"- Hint: `{hint.where}`: {hint.message}" for hint in hints)]
    if origin.file:
        lines += ["", f"Goal file: `{origin.file}`"]
    return "\n".join(lines).strip()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


class BrokenGoalOperator(BaseOperator):
    """Fails with the mistakes of a goal file.

    :param message: all mistakes, one a line.
    """

    ui_color = "#fecaca"

    def __init__(self, *, message: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.message = message

    def execute(self, context: Context) -> None:  # noqa: ARG002
        """Fail, without a retry."""
        raise AirflowFailException(self.message)


def _placeholder(broken: BrokenGoal, taken: Container[str]) -> DAG:
    """Make the DAG that stands for a goal that can't be run.

    A module that raises would lose all its DAGs. A schedule that can be read is kept, so that a nightly sync which
    stopped being one fails every night instead of falling silent.

    :param taken: ids of DAGs that are there already.
    """
    mistakes = "1 mistake" if len(broken.problems) == 1 else f"{len(broken.problems)} mistakes"
    message = "\n".join(str(problem) for problem in broken.problems)
    log.error("%s has %s:\n%s", broken.file, mistakes, message)
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "_" for c in Path(broken.file).stem)
    # Without an id of its own, the file's name must not take the DAG of a goal that has that id.
    name = dag_id(broken.id) if broken.id else f"{dag_id(stem)}__broken"
    others = (f"{name}_{number}" for number in itertools.count(2))
    dag = DAG(
        dag_id=name if name not in taken else next(other for other in others if other not in taken),
        dag_display_name=f"⚠ {broken.file}: {mistakes}",
        description=_short(broken.problems),
        doc_md=f"**{broken.file} has {mistakes} and can't be run.**\n\n```\n{message}\n```",
        schedule=broken.schedule,
        catchup=False,
        max_active_runs=1,
        tags=sorted({_TAG, _BROKEN_TAG, *broken.labels}),
        default_args={"retries": 0},
    )
    with dag:
        BrokenGoalOperator(task_id="goal_file", message=f"{broken.file} has {mistakes}:\n{message}")
    return dag


def _short(problems: tuple[Problem, ...]) -> str:
    text = str(problems[0]) if problems else "unknown mistake"
    return text if len(text) <= 200 else text[:199] + "…"
