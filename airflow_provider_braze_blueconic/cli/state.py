"""The state of a goal in S3, opened for a command outside a run."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal
    from airflow_provider_braze_blueconic.goals.import_goal import ImportGoal
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["open_state"]

_OUTSIDE_OF_A_TASK = {
    # Airflow's own commands set it: without it, connections of the metadata database are not looked up.
    "_AIRFLOW_PROCESS_CONTEXT": "server",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
}


@contextmanager
def open_state(goal: ExportGoal | ImportGoal, *, command: str, changes: bool = False) -> Iterator[Workspace]:
    """Open the state of a goal through the Airflow connection that the goal names.

    The connection can come from the environment, a secrets backend or Airflow's metadata database.

    :param command: the command that asks, for messages to the runs that wait for it.
    :param changes: hold the goal's lock meanwhile, so that no run can start.
    :raises GoalBusy: if a run of the goal is active.
    """
    # Airflow logs to stdout, which belongs to the command's result.
    with _environment(_OUTSIDE_OF_A_TASK), redirect_stdout(sys.stderr):
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.hooks.staging import StagingHook
        from airflow_provider_braze_blueconic.sync.engine.database import Engine
        from airflow_provider_braze_blueconic.sync.store.heartbeat import hold
        from airflow_provider_braze_blueconic.sync.store.holder import Holder
        from airflow_provider_braze_blueconic.sync.store.lock import GoalLock
        from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder, fresh_id
        from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

        settings = Settings.load()
        name = f"braze-blueconic {command}"
        with tempfile.TemporaryDirectory(prefix="braze-blueconic-", dir=settings.work_folder) as local:
            staging, folder = StagingHook(goal.connections.aws), GoalFolder(goal.staging, goal.id)
            engine = Engine(Path(local), memory_limit=settings.memory_limit)
            workspace = Workspace(staging, folder, f"{command}-{fresh_id()}", engine)
            staging.check_access(goal.staging, read_only=not changes)
            if not changes:
                yield workspace
                return
            holder = Holder(workspace.run_key, "", name, name)
            with hold(GoalLock(staging, folder, holder, seconds=settings.lock_seconds), gap_seconds=lambda: None):
                yield workspace


@contextmanager
def _environment(wanted: dict[str, str]) -> Iterator[None]:
    """Set environment variables that nobody has set, for the length of a block."""
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
