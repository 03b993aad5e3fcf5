"""From goals to DAGs: one DAG a goal, and a placeholder that carries the message of a broken one."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import logging
import re
from collections.abc import Container, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowFailException,
    BaseOperator,
    Context,
    Param,
    get_parsing_context,
)

from airflow_provider_braze_blueconic.exceptions import Problem
from airflow_provider_braze_blueconic.goals.checks import export_hints
from airflow_provider_braze_blueconic.goals.literals import literal
from airflow_provider_braze_blueconic.goals.loading import (
    RECONCILE_SUFFIX,
    BrokenGoal,
    LoadedGoal,
    Origin,
    broken_goal,
    load_folder,
)
from airflow_provider_braze_blueconic.goals.models import CsvSource, ExportGoal, ImportGoal
from airflow_provider_braze_blueconic.goals.tasks import goal_tasks

__all__ = ["BrokenGoalOperator", "build_dag", "build_reconcile_dag", "dag_id", "load_goals"]

log = logging.getLogger(__name__)

_TAG = "braze-blueconic"
_BROKEN_TAG = "broken goal"
_LONGEST_STEM = 200
"""Letters of a file's name that go into a DAG id, of which Airflow takes 250."""
_RETRIES = 2
_RETRY_DELAY = dt.timedelta(minutes=5)


def dag_id(goal_id: str) -> str:
    """Name the DAG of a goal."""
    return f"braze_blueconic__{goal_id}"


def load_goals(folder: str | Path) -> dict[str, DAG]:
    """Make a DAG of each goal file in a folder.

    A goal file with mistakes becomes a placeholder DAG that shows them in the Airflow UI and fails when it is
    run, on the schedule that the file gives if that could be read. The other goals are not touched by it, whatever it
    holds::

        globals().update(load_goals(Path(__file__).parent / "goals"))  # in a dag file

    A task parses its DAG file again. There only its own goal's file is read, and only its own DAG is returned.

    :param folder: folder with ``*.yaml`` files.
    :return: DAG id → DAG. Put it into the DAG file's globals, where Airflow looks.
    :raises GoalError: if the folder can't be listed.
    """
    folder = Path(folder)
    asked = get_parsing_context()
    if asked.dag_id is None:
        made = _make_dags(load_folder(folder))
        for _, broken in made.values():
            if broken is not None:
                log.error("%s has %s:\n%s", broken.file, _mistakes(broken), _listed(broken))
        return {name: dag for name, (dag, _) in made.items()}
    return _one_dag(folder, asked.dag_id, asked.task_id)


def _one_dag(folder: Path, wanted: str, task_id: str | None) -> dict[str, DAG]:
    """Make the one DAG that a task belongs to, of its own file if that is enough.

    The set of all files may say otherwise of it than its own file alone: then the DAG of that name is another, without
    the task.
    """
    own, id_ = _prefix(wanted)
    if not own:
        return {}
    ids = [name.encode() for name in {id_, id_.removesuffix(RECONCILE_SUFFIX)}]

    def may_hold(file: str, content: bytes) -> bool:
        # Only an escape could write an id otherwise than letter by letter.
        return any(name in content for name in ids) or b"\\" in content or _file_id(file) == wanted

    for entries in (partial(load_folder, folder, wanted=may_hold), partial(load_folder, folder)):
        dag, broken = _make_dags(entries()).get(wanted, (None, None))
        if dag is not None and (task_id is None or dag.has_task(task_id)):
            break
    if broken is not None:
        log.error("%s has %s:\n%s", broken.file, _mistakes(broken), _listed(broken))
    return {} if dag is None else {wanted: dag}


def _prefix(wanted: str) -> tuple[bool, str]:
    """Tell whether an id is one that goals can have, and what follows the part that all of them share."""
    shared = dag_id("")
    return wanted.startswith(shared), wanted.removeprefix(shared)


_Made = dict[str, tuple[DAG, BrokenGoal | None]]


def _make_dags(entries: Sequence[LoadedGoal | BrokenGoal]) -> _Made:
    """Make the DAGs of goals, each with the broken goal that it stands for, if it is a placeholder.

    Placeholders come last, and take another name where theirs is taken: they must not take a good goal's DAG.
    """
    made: _Made = {}
    broken = [entry for entry in entries if isinstance(entry, BrokenGoal)]
    for entry in entries:
        if isinstance(entry, LoadedGoal):
            outcome = _dags_of(entry, made)
            if isinstance(outcome, BrokenGoal):
                broken.append(outcome)
            else:
                made |= {dag.dag_id: (dag, None) for dag in outcome}
    for entry in sorted(broken, key=lambda entry: entry.id is None):
        dag = _placeholder(entry, made)
        made[dag.dag_id] = (dag, entry)
    return made


def _dags_of(entry: LoadedGoal, taken: Container[str]) -> list[DAG] | BrokenGoal:
    goal, origin = entry.goal, entry.origin
    try:
        dags = [build_dag(goal, origin=origin)]
        if isinstance(goal, ExportGoal) and goal.reconcile is not None:
            dags.append(build_reconcile_dag(goal, origin=origin))
    except Exception as error:  # noqa: BLE001  whatever a file holds, the goals beside it go on
        kind = type(error).__name__
        message = f"Airflow can't make a DAG of it ({kind}). Please report this as a bug, with the file."
        return broken_goal(entry, origin.problem("", message))
    twice = next((dag.dag_id for dag in dags if dag.dag_id in taken), None)
    if twice is not None:
        return broken_goal(entry, origin.problem("id", f'another goal has the DAG "{twice}"; choose another id.'))
    return dags


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
    return _timetable(schedule, goal.timezone) if goal.enabled and schedule is not None else None


def _timetable(schedule: str, timezone: str) -> Any:
    from airflow.timetables.trigger import CronTriggerTimetable

    return CronTriggerTimetable(schedule, timezone=timezone)


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
    mistakes, message = _mistakes(broken), _listed(broken)
    fence = "`" * (1 + max(2, *map(len, re.findall("`+", message)), 0))
    name = dag_id(broken.id) if broken.id and dag_id(broken.id) not in taken else _file_id(broken.file)
    others = (f"{name}_{number}" for number in itertools.count(2))
    dag = DAG(
        dag_id=name if name not in taken else next(other for other in others if other not in taken),
        dag_display_name=f"⚠ {broken.file}: {mistakes}",
        description=_short(broken.problems),
        doc_md=f"**{broken.file} has {mistakes} and can't be run.**\n\n{fence}\n{message}\n{fence}",
        schedule=broken.schedule,
        catchup=False,
        max_active_runs=1,
        tags=sorted({_TAG, _BROKEN_TAG, *broken.labels}),
        default_args={"retries": 0},
    )
    if broken.schedule is not None:
        dag.timetable = _timetable(broken.schedule, broken.timezone)  # a cron text alone would be read in UTC
    with dag:
        BrokenGoalOperator(task_id="goal_file", message=f"{broken.file} has {mistakes}:\n{message}")
    return dag


def _file_id(file: str) -> str:
    """Name the DAG of a file that has no id of its own: it must not take the DAG of a goal that has that id."""
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "_" for c in Path(file).stem)
    if len(stem) > _LONGEST_STEM:
        digest = hashlib.md5(file.encode(), usedforsecurity=False).hexdigest()
        stem = f"{stem[: _LONGEST_STEM - 9]}-{digest[:8]}"
    return f"{dag_id(stem)}__broken"


def _mistakes(broken: BrokenGoal) -> str:
    return "1 mistake" if len(broken.problems) == 1 else f"{len(broken.problems)} mistakes"


def _listed(broken: BrokenGoal) -> str:
    return "\n".join(str(problem) for problem in broken.problems)


def _short(problems: tuple[Problem, ...]) -> str:
    text = str(problems[0]) if problems else "unknown mistake"
    return text if len(text) <= 200 else text[:199] + "…"
