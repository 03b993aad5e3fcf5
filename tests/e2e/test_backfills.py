"""Backfills as Airflow itself makes them: a real scheduler, from the command line and as the UI asks for them."""

from __future__ import annotations

import copy
import datetime as dt
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from airflow_provider_braze_blueconic.operators import reprocessed
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from tests.support.airflow import GOAL, ROOT
from tests.support.sandbox import running_sandbox
from tests.support.scheduler import AirflowServer, DagRun, running_airflow

pytestmark = [pytest.mark.airflow, pytest.mark.by_hand]

NOW = dt.datetime.now(dt.UTC)
_AHEAD = 12 - NOW.hour
ZONE = f"Etc/GMT{-_AHEAD:+d}"
"""Where it is noon, so that no day ends meanwhile. The database writes signs the other way round."""
TODAY = (NOW + dt.timedelta(hours=_AHEAD)).date()
FILES, LIVE, NEW = "braze_blueconic__files", "braze_blueconic__live", "braze_blueconic__new"


def day(ago: int) -> dt.date:
    return TODAY - dt.timedelta(days=ago)


def midnight(ago: int) -> dt.datetime:
    """When the run of a day is due, UTC."""
    return dt.datetime.combine(day(ago), dt.time(), dt.UTC) - dt.timedelta(hours=_AHEAD)


def goal(goal_id: str, *days_ago: int, **changes: Any) -> dict[str, Any]:
    """A goal that is due on some days only: of these, Airflow schedules the last one by itself."""
    dates = [day(ago) for ago in days_ago]
    months = ",".join(sorted({str(date.month) for date in dates}))
    return {
        **copy.deepcopy(GOAL),
        "id": goal_id,
        "schedule": f"0 0 {','.join(str(date.day) for date in sorted(dates))} {months} *",
        "timezone": ZONE,
        "start_date": min(dates).isoformat(),
        "fields": [{"from": "property.firstname", "to": "first_name"}],
        "partitions": 1,
        **changes,
    }


def put_file(box: Sandbox, ago: int, text: str) -> None:
    box.s3_client().put_object(Bucket="sandbox-sync", Key=f"out/people_{day(ago)}.csv", Body=text.encode())


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with running_sandbox(profiles=20, record=True) as running:
        yield running


@pytest.fixture
def airflow(box: Sandbox, tmp_path: Path) -> Iterator[AirflowServer]:
    """An Airflow with a goal that reads dated files and one that reads a live segment."""
    source = {"s3_csv": "s3://sandbox-sync/out/people_%Y-%m-%d.csv"}
    goals = goal("files", 3, 2, 1, source=source), goal("live", 2, 1)
    # Also where Airflow forgets the params of a date that is run again: there are none.
    with an_airflow(box, tmp_path, *goals, AIRFLOW__BRAZE_BLUECONIC__REPROCESSED_RUNS_SEND="True") as running:
        yield running


@contextmanager
def an_airflow(box: Sandbox, home: Path, *goals: dict[str, Any], **variables: str) -> Iterator[AirflowServer]:
    """Run an Airflow that has some goals.

    :param variables: of its environment.
    """
    dags = home / "dags"
    (dags / "goals").mkdir(parents=True)
    shutil.copy(ROOT / "dags" / "braze_blueconic_goals.py", dags)
    for made in goals:
        with (dags / "goals" / f"{made['id']}.yaml").open("w") as file:
            YAML().dump(made, file)
    # A run that waits for its turn asks again after twice that. Within a few seconds the scheduler may not have heard
    # yet that the task ended, and takes its new beginning for the end of a task that it still has in its queue.
    seconds = {"AIRFLOW__BRAZE_BLUECONIC__LOCK_SECONDS": "8"}
    with running_airflow(home / "home", dags, {**box.connections(), **seconds, **variables}) as running:
        yield running


def shown(airflow: AirflowServer, dag_id: str) -> dict[int, tuple[str, str]]:
    """Days ago → run type and state."""
    return {_ago(run): (run.run_type, run.state) for run in airflow.runs(dag_id)}


def _ago(run: DagRun) -> int:
    moment = dt.datetime.fromisoformat(run.logical_date) + dt.timedelta(hours=_AHEAD)
    return (TODAY - moment.date()).days


def report(airflow: AirflowServer, dag_id: str, ago: int) -> dict[str, Any]:
    """What the report of a day's run returned."""
    (run,) = (run for run in airflow.runs(dag_id) if _ago(run) == ago)
    told: dict[str, Any] = airflow.returned(dag_id, run.run_id, "report")
    return told


def waited(airflow: AirflowServer, dag_id: str) -> int:
    """Count the runs whose log says that they waited for their turn."""
    logs = airflow.home / "logs" / f"dag_id={dag_id}"
    return sum(any("Waiting since" in log.read_text() for log in run.rglob("*.log")) for run in logs.glob("run_id=*"))


def names_sent(box: Sandbox, start: str) -> dict[str, list[str]]:
    """External id → first names that Braze was sent, in order, of ids that begin so; forgets them."""
    sent: dict[str, list[str]] = {}
    tracked = [exchange for exchange in box.exchanges if exchange.url.startswith("/users/track")]
    for each in (each for exchange in tracked for each in json.loads(exchange.request_body)["attributes"]):
        if each["external_id"].startswith(start):
            sent.setdefault(each["external_id"], []).append(each["first_name"])
    box.exchanges.clear()
    return sent


def test_dates_are_backfilled_by_a_real_scheduler(airflow: AirflowServer, box: Sandbox) -> None:
    # One test, since it takes half a minute to start an Airflow.
    put_file(box, 3, "crm_id,firstname\nx-1,Oldest\nx-2,Only then\n")
    put_file(box, 2, "crm_id,firstname\nx-1,Older\n")
    put_file(box, 1, "crm_id,frist_name\nx-1,Newest\n")
    first, last = midnight(3).isoformat(), midnight(1).isoformat()

    # Forwards, by the command line, as many at once as Airflow starts by itself: dates that have no run get one.
    # Meanwhile the live goal has its scheduled run of yesterday, late by hours.
    airflow.command("backfill", "create", "--dag-id", FILES, "--from-date", first, "--to-date", last)
    with airflow.scheduling():
        airflow.finish({FILES: 3, LIVE: 1})
        airflow.close_backfills(FILES)

    assert shown(airflow, FILES) == {3: ("backfill", "success"), 2: ("backfill", "success"), 1: ("backfill", "failed")}
    assert shown(airflow, LIVE) == {1: ("scheduled", "success")}
    sent = names_sent(box, "x-")
    assert sent["x-2"] == ["Only then"]
    assert sent["x-1"][-1] == "Older"

    # As the UI asks for it. What has a run is left alone unless somebody says otherwise.
    # Of the files, once more what failed: the run of that date, and no other.
    # Of the live goal, backwards and what was completed too: yesterday's run gets what it read before, in spite of the
    # changes since; of the day before nothing is kept.
    put_file(box, 1, "crm_id,firstname\nx-1,Newest\n")
    for profile in box.blueconic.profiles.values():
        profile.values["firstname"] = ["Changed since"]
    assert airflow.would_backfill(FILES, first, last, reprocess_behavior="none") == []
    airflow.backfill(FILES, first, last, reprocess_behavior="failed")
    airflow.backfill(LIVE, first, last, reprocess_behavior="completed", run_backwards=True, max_active_runs=1)
    with airflow.scheduling():
        airflow.finish({FILES: 3, LIVE: 2})

    assert shown(airflow, FILES) == dict.fromkeys((3, 2, 1), ("backfill", "success"))
    assert names_sent(box, "") == {"x-1": ["Newest"]}
    assert shown(airflow, LIVE) == dict.fromkeys((2, 1), ("backfill", "success"))
    replayed, skipped = report(airflow, LIVE, 1), report(airflow, LIVE, 2)
    assert (replayed["status"], replayed["replayed"], replayed["unchanged"]) == ("success", True, replayed["people"])
    assert replayed["people"] > 0
    assert (skipped["status"], skipped["people"]) == ("skipped", 0)
    assert f"the run did nothing for {day(2)}" in skipped["skipped_because"]
    before, yesterday = airflow.runs(LIVE)
    assert yesterday.began < before.began


def test_the_first_backfill_of_a_new_goal_and_todays_run_that_airflow_makes_of_it_wait_for_each_other(
    box: Sandbox, tmp_path: Path
) -> None:
    with an_airflow(box, tmp_path, goal("new", 3, 2, 1, 0)) as airflow:
        airflow.command(
            "backfill", "create", "--dag-id", NEW, "--from-date", midnight(3).isoformat(),
            "--to-date", midnight(1).isoformat(),
        )  # fmt: skip
        with airflow.scheduling():
            airflow.finish({NEW: 4})

        assert shown(airflow, NEW) == {
            **dict.fromkeys((3, 2, 1), ("backfill", "success")),
            0: ("scheduled", "success"),
        }
        assert report(airflow, NEW, 0)["accepted"] > 0
        assert {report(airflow, NEW, ago)["status"] for ago in (3, 2, 1)} == {"skipped"}
        # Three dates and today's at once, and one at a time works.
        assert waited(airflow, NEW) > 0
    listed = box.s3_client().list_objects_v2(Bucket="sandbox-sync", Prefix="tests/new/lock/waiting/")
    assert listed.get("Contents", []) == []


def test_a_backfill_that_is_a_dry_run_sends_nothing_whatever_airflow_makes_of_its_params(
    box: Sandbox, tmp_path: Path
) -> None:
    source = {"s3_csv": "s3://sandbox-sync/out/people_%Y-%m-%d.csv"}
    put_file(box, 1, "crm_id,firstname\nx-1,First\n")
    with an_airflow(box, tmp_path, goal("files", 2, 1, source=source)) as airflow:
        with airflow.scheduling():
            airflow.finish({FILES: 1})
        sent = names_sent(box, "x-")
        put_file(box, 1, "crm_id,firstname\nx-1,Changed\nx-2,New\n")
        date = midnight(1).isoformat()
        airflow.backfill(FILES, date, date, reprocess_behavior="completed", dag_run_conf={"dry_run": True})
        with airflow.scheduling():
            airflow.finish({FILES: 1})

        (run,) = airflow.runs(FILES)
        knew = run.state == "success"
        assert sent == {"x-1": ["First"]}
        assert names_sent(box, "x-") == {}
        assert run.run_type == "backfill"
        assert knew is reprocessed._KEEPS_PARAMS
        if knew:
            told = report(airflow, FILES, 1)
            assert (told["dry_run"], told["to_send"]) == (True, 2)
