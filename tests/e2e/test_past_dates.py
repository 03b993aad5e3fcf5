"""Past dates of a goal whose source has only today, and what is kept for them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.support.airflow import GoalRunner

pytestmark = pytest.mark.airflow

NOW = dt.datetime.now(dt.UTC)
LONG_AGO = (NOW - dt.timedelta(days=5)).replace(hour=2, minute=0, second=0, microsecond=0)
FIELDS = [{"from": "property.firstname", "to": "first_name"}]
KEPT = "tests/people/snapshots/"


def names(goals: GoalRunner, prefix: str) -> list[str]:
    listed = goals.box.s3_client().list_objects_v2(Bucket="sandbox-sync", Prefix=prefix).get("Contents", [])
    return [item["Key"].removeprefix(prefix) for item in listed]


def set_back(goals: GoalRunner) -> None:
    """Let what the last run kept be of a run of long ago."""
    client = goals.box.s3_client()
    (name,) = names(goals, KEPT)
    as_of, _, rest = name.partition("~")
    moved = f"{KEPT}{as_of}~{LONG_AGO:%Y%m%dT%H%M%S.%fZ}~{rest.partition('~')[2]}"
    client.copy_object(Bucket="sandbox-sync", Key=moved, CopySource={"Bucket": "sandbox-sync", "Key": KEPT + name})
    client.delete_object(Bucket="sandbox-sync", Key=KEPT + name)


def first_names(goals: GoalRunner) -> dict[str, Any]:
    """What Braze was sent since the last time."""
    return {each["external_id"]: each["first_name"] for each in goals.sent()}


@pytest.mark.promise(4)
def test_a_replayed_date_puts_no_older_value_over_a_newer_one_unless_somebody_allows_it(goals: GoalRunner) -> None:
    goals.write(fields=FIELDS)
    profile = next(x for x in goals.box.blueconic.profiles.values() if x.values.get("crm_id"))
    crm_id = profile.values["crm_id"][0]
    profile.values["firstname"] = ["Old"]
    goals.run()
    set_back(goals)
    profile.values["firstname"] = ["New"]
    goals.run()
    newest = first_names(goals)

    replayed = goals.run(date=LONG_AGO, run_after=NOW)
    sent_by_replay = first_names(goals)
    allowed = goals.run(date=LONG_AGO, run_after=NOW, params={"allow_stale": True})

    assert newest[crm_id] == "New"
    assert replayed.state == "success"
    assert (replayed.report["replayed"], replayed.report["stale"], replayed.report["to_send"]) == (True, 1, 0)
    assert sent_by_replay == {}
    assert allowed.state == "success"
    assert first_names(goals) == {crm_id: "Old"}


@pytest.mark.parametrize("goal_id", ["people", "users"])
def test_a_date_of_which_nothing_is_kept_ends_well_and_says_that_nothing_was_done(
    goals: GoalRunner, goal_id: str
) -> None:
    goals.write(fields=FIELDS)
    goals.write_import()

    run = goals.run(goal_id, date=LONG_AGO, run_after=NOW)

    reason = f"the run did nothing for {LONG_AGO.date()}"
    assert run.state == "success"
    assert {task for task, states in run.states.items() if states == ["success"]} == {"commit", "clean_up", "report"}
    assert run.report["status"] == "skipped"
    assert reason in run.report["skipped_because"]
    assert [xcom for xcom in run.xcoms if '"skipped"' in xcom and reason in xcom]
    assert "can only be read as it is now" in run.log
    assert {exchange.service for exchange in goals.box.exchanges} <= {"s3"}


@pytest.mark.by_hand
def test_the_clean_up_keeps_what_retention_says_and_the_run_at_work(goals: GoalRunner) -> None:
    goals.write(fields=FIELDS)
    goals.run()
    kept = len(names(goals, KEPT))
    snapshots = {name for name in names(goals, "tests/people/work/") if "/snapshot-" in name}
    goals.write(fields=FIELDS, retention={"snapshot_days": 0})

    second = goals.run()

    after = {name for name in names(goals, "tests/people/work/") if "/snapshot-" in name}
    assert kept == 1
    assert names(goals, KEPT) == []
    assert len(after) == len(snapshots) == 1
    assert after.isdisjoint(snapshots)
    assert "removed 2 kept snapshots, 1 work files" in second.log


def test_a_clean_up_that_fails_is_a_failed_task_and_not_a_failed_run(goals: GoalRunner) -> None:
    goals.write(fields=FIELDS)
    stamp = f"{NOW - dt.timedelta(days=40):%Y%m%dT%H%M%S.%fZ}"
    goals.box.s3_client().put_object(Bucket="sandbox-sync", Key=f"{KEPT}{stamp}~none~run.json", Body=b"not JSON")

    run = goals.run()

    assert run.states["clean_up"] == ["failed"]
    assert "isn't an entry of a kept snapshot: something else wrote it. Remove it." in run.log
    assert run.states["report"] == ["success"]
    assert run.state == "success"
    assert run.report["accepted"] > 0
