"""The DAGs of a folder of goal files, for the DAG file that shows them to Airflow."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Container, Sequence
from functools import partial
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, get_parsing_context

from airflow_provider_braze_blueconic.collector import paused_collector
from airflow_provider_braze_blueconic.dag_factory.dag import build_dag, build_reconcile_dag, dag_id
from airflow_provider_braze_blueconic.dag_factory.placeholder import file_id, listed, mistakes_of, placeholder
from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal
from airflow_provider_braze_blueconic.goals.goal_sets import RECONCILE_SUFFIX
from airflow_provider_braze_blueconic.goals.loaded import BrokenGoal, LoadedGoal, broken_goal
from airflow_provider_braze_blueconic.goals.loading import load_folder

__all__ = ["load_goals"]

log = logging.getLogger(__name__)


def load_goals(folder: str | Path) -> dict[str, DAG]:
    """Make a DAG of each goal file in a folder.

    A goal file with mistakes becomes a placeholder DAG that shows them in the Airflow UI and fails when it is
    run, on the schedule that the file gives if that could be read. The other goals are not touched by it, whatever it
    holds::

        globals().update(load_goals(Path(__file__).parent / "goals"))  # in a dag file

    A task parses its DAG file again. There only the files that may hold its goal's id are read, as a rule its own, and
    only its own DAG is returned. Of two goals with one id, a task gets the one that the DAG processor has. Whether
    goals would use each other's folders, only the DAG processor checks.

    :param folder: folder with ``*.yaml`` files.
    :return: DAG id → DAG. Put it into the DAG file's globals, where Airflow looks.
    :raises GoalError: if the folder can't be listed.
    """
    folder = Path(folder)
    asked = get_parsing_context()
    if asked.dag_id is None:
        # With a thousand goals it takes a fourth of the time.
        with paused_collector():
            made = _make_dags(load_folder(folder))
        for _, broken in made.values():
            if broken is not None:
                _tell(broken)
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
    mentions = _mentions(id_, id_.removesuffix(RECONCILE_SUFFIX))

    def may_hold(file: str, content: bytes) -> bool:
        # Only an escape could write an id otherwise than letter by letter.
        return mentions(content) or b"\\" in content or file_id(file) == wanted

    for entries in (partial(load_folder, folder, wanted=may_hold), partial(load_folder, folder)):
        dag, broken = _make_dags(entries()).get(wanted, (None, None))
        if dag is not None and (task_id is None or dag.has_task(task_id)):
            break
    if broken is not None:
        _tell(broken)
    return {} if dag is None else {wanted: dag}


def _mentions(*ids: str) -> Callable[[bytes], bool]:
    """Make a test of whether a file may hold one of some ids as a value.

    In whichever way YAML writes it, a value that is an id has no more letters before or behind it, and no more words.
    """
    names = [name.encode() for name in ids]
    value = re.compile(rb"(?<![\w-])(?:%s)(?![\w-]|[ \t]+\w)" % b"|".join(map(re.escape, names)))

    def mentions(content: bytes) -> bool:
        # First without a look at what is around it, which takes a tenth of the time.
        return any(name in content for name in names) and value.search(content) is not None

    return mentions


def _prefix(wanted: str) -> tuple[bool, str]:
    """Tell whether an id is one that goals can have, and what follows the part that all of them share."""
    shared = dag_id("")
    return wanted.startswith(shared), wanted.removeprefix(shared)


def _tell(broken: BrokenGoal) -> None:
    log.error("%s has %s:\n%s", broken.file, mistakes_of(broken), listed(broken))


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
        dag = placeholder(entry, made)
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
        message = f"Airflow can't build a DAG from it ({kind}). Please report this as a bug, with the file."
        return broken_goal(entry, origin.problem("", message))
    twice = next((dag.dag_id for dag in dags if dag.dag_id in taken), None)
    if twice is not None:
        return broken_goal(
            entry, origin.problem("id", f'another goal already has the DAG "{twice}"; choose another id.')
        )
    return dags
