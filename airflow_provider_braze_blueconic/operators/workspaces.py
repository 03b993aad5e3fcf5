"""The workspace of one step: its goal's folder in S3, and a local folder that is removed after the step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from airflow_provider_braze_blueconic.exceptions import GoalError, Problem

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.hooks.staging import StagingHook
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["check_folder_names", "check_store", "open_workspace", "staging_by", "store_name"]


def check_folder_names(named: Mapping[str, str | None]) -> None:
    """Refuse names that boto and delta-rs would read differently.

    :param named: the operator's argument → its value.
    """
    from airflow_provider_braze_blueconic.sync.store.folder_names import folder_problem

    found = {where: folder_problem(name) for where, name in named.items() if name is not None}
    problems = [Problem(where, f'"{named[where]}" {problem}') for where, problem in found.items() if problem]
    if problems:
        raise GoalError(problems)


@contextmanager
def open_workspace(run: str, *, goal_id: str, staging: str, aws_conn_id: str) -> Iterator[Workspace]:
    """Open the workspace of a step.

    :param run: what distinguishes this run from all others of the goal.
    """
    from airflow_provider_braze_blueconic.hooks.settings import Settings
    from airflow_provider_braze_blueconic.hooks.staging import StagingHook
    from airflow_provider_braze_blueconic.sync.engine.database import Engine, keep_open
    from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder, run_key
    from airflow_provider_braze_blueconic.sync.store.work_folders import work_folder
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

    settings = Settings.load()
    hook = StagingHook(aws_conn_id)
    with work_folder(settings.work_folder) as folder:
        engine = Engine(folder, memory_limit=settings.memory_limit)
        with keep_open(engine):
            yield Workspace(hook, GoalFolder(staging, goal_id), run_key(run), engine)


def check_store(workspace: Workspace) -> None:
    """Make sure that the store supports conditional writes, without which a lock is useless.

    :raises AccessError: it doesn't.
    """
    _hook(workspace).check_conditional_writes(workspace.folder.staging, remember=True)


def store_name(workspace: Workspace) -> str:
    """Name the store that a step works with, as far as its address tells it from others."""
    return _hook(workspace).endpoint()


def staging_by(workspace: Workspace, aws_conn_id: str) -> StagingHook:
    """Return the way to S3 by a connection: the workspace's own where it is the same, since a client takes a while."""
    from airflow_provider_braze_blueconic.hooks.staging import StagingHook

    own = _hook(workspace)
    return own if own.aws_conn_id == aws_conn_id else StagingHook(aws_conn_id)


def _hook(workspace: Workspace) -> StagingHook:
    return cast("StagingHook", workspace.staging)
