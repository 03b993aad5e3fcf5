"""Runs that a backfill runs again, on an Airflow version that loses the backfill's params."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow import __version__ as airflow_version
from packaging.version import Version

from airflow_provider_braze_blueconic.exceptions import SyncError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

__all__ = ["may_have_lost_params", "refuse_to_send"]

_KEEPS_PARAMS = Version(airflow_version).release >= (3, 2, 2)
"""A date that has a run is run again with the backfill's conf. Before, it keeps the conf that it had
(``airflow.models.backfill._handle_clear_run``, read in 3.0.6, 3.1.0 to 3.1.8, 3.2.0 to 3.2.2 and 3.3.2)."""

_OF_A_BACKFILL = "backfill__"
"""How the id of a run begins that a backfill has made, and not only run again."""


def may_have_lost_params(context: Context) -> bool:
    """Tell whether this run may have been meant as a dry run whose params were lost.

    A task knows neither the params of its backfill nor which backfill it belongs to. It sees only that the run existed
    before the backfill: its id is of another kind, or it was cleared. A backfill run that a person cleared looks the
    same.
    """
    run = context.get("dag_run")
    if _KEEPS_PARAMS or getattr(run, "run_type", "") != "backfill":
        return False
    return bool(getattr(run, "clear_number", 0)) or not context["run_id"].startswith(_OF_A_BACKFILL)


def refuse_to_send(goal_id: str) -> SyncError:
    """Build the error for a run that may have lost its params."""
    return SyncError(
        f"{goal_id}: nothing was sent. To send this date, delete its run in Airflow and create the backfill again. "
        f"Airflow {airflow_version} loses the params of a backfill that runs a date again, so this run may have "
        "been meant as a dry run; Airflow 3.2.2 and later keep them. If you never run backfills as dry runs, set "
        "[braze_blueconic] reprocessed_runs_send = True."
    )
