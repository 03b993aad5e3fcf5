"""Runs that a backfill runs again, where Airflow forgot that it was to be a dry run."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_braze_blueconic.exceptions import SyncError
from airflow_provider_braze_blueconic.operators import reprocessed
from airflow_provider_braze_blueconic.operators.guard import GuardOperator
from tests.support.import_nights import BlueConic, Braze, ExportGoalOf, Run

DAY = dt.datetime(2026, 11, 5, 2, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """An Airflow before 3.2.2."""
    monkeypatch.setattr(reprocessed, "_KEEPS_PARAMS", False)


def guard(home: Path, *, run_id: str, kind: str = "backfill", cleared: int = 0, dry: bool = False) -> list[int]:
    """Run the guard of a goal that has one person to send."""
    goal = ExportGoalOf("export", Braze(), BlueConic({"crm_id": ["u1"], "level": ["gold"]}), [("level", "tier")])
    run = Run(home, goal, DAY).run(last="delta")
    operator = GuardOperator(
        task_id="guard", goal_id="export", staging=str(home / "staging"), delta=run.done["delta"], plan_only=dry
    )
    dag_run = SimpleNamespace(run_type=kind, clear_number=cleared)
    context: Any = {"run_id": run_id, "dag_run": dag_run, "ti": run.pushed}
    return operator.run_step(run.workspace(), context)


SCHEDULED = "scheduled__2026-11-05T02:00:00+00:00"
BACKFILLED = "backfill__2026-11-05T02:00:00+00:00"


@pytest.mark.parametrize(
    ("run_id", "cleared"),
    [
        pytest.param(SCHEDULED, 1, id="a scheduled date"),
        pytest.param("manual__2026-11-05T02:00:00+00:00", 1, id="a manual run"),
        pytest.param(BACKFILLED, 1, id="a date that was backfilled before"),
        pytest.param(SCHEDULED, 0, id="an Airflow that does not count"),
    ],
)
def test_a_date_that_a_backfill_runs_again_sends_nothing_since_it_may_have_been_meant_as_a_dry_run(
    run_id: str, cleared: int, tmp_path: Path
) -> None:
    with pytest.raises(SyncError) as refused:
        guard(tmp_path, run_id=run_id, cleared=cleared)

    said = str(refused.value)
    assert said.startswith("export: nothing was sent. To send this date, delete its run in Airflow and create")
    assert "[braze_blueconic] reprocessed_runs_send = True" in said


@pytest.mark.parametrize(
    ("run_id", "kind", "cleared"),
    [
        pytest.param(BACKFILLED, "backfill", 0, id="a date without a run before"),
        pytest.param(SCHEDULED, "scheduled", 1, id="a scheduled run that was cleared"),
        pytest.param("manual__1", "manual", 3, id="a manual run that was cleared"),
    ],
)
def test_a_run_whose_params_are_known_sends(run_id: str, kind: str, cleared: int, tmp_path: Path) -> None:
    assert guard(tmp_path, run_id=run_id, kind=kind, cleared=cleared) == [0]


def test_a_dry_run_that_is_known_to_be_one_plans(tmp_path: Path) -> None:
    assert guard(tmp_path, run_id=SCHEDULED, cleared=1, dry=True) == []


def test_who_never_backfills_with_a_dry_run_may_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__REPROCESSED_RUNS_SEND", "True")

    assert guard(tmp_path, run_id=SCHEDULED, cleared=1) == [0]


def test_an_airflow_that_keeps_the_params_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reprocessed, "_KEEPS_PARAMS", True)

    assert guard(tmp_path, run_id=SCHEDULED, cleared=1) == [0]
