"""What a goal was told, compared with what Braze really holds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.airflow import GoalRunner, Run

pytestmark = pytest.mark.airflow

RECONCILE = {
    "schedule": "weekly",
    "segment": "BlueConic Test Users",
    "export": "s3://sandbox-braze-exports",
    "poll_seconds": 0.2,
    "quiet_seconds": 0.3,
}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox shows a write at once, where Braze takes minutes."""
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__BRAZE_SETTLE_SECONDS", "0.001")


def write(goals: GoalRunner, **changes: Any) -> None:
    fields = [{"from": "property.firstname", "to": "first_name"}, {"from": "property.city", "to": "home_city"}]
    goals.write(**{"fields": fields, "reconcile": RECONCILE, **changes})


def reconcile(goals: GoalRunner, **params: Any) -> tuple[Run, dict[str, Any]]:
    """Run the goal's second DAG; its report lies where the goal's reports lie."""
    run = goals.run("people__reconcile", params=params)
    assert run.state == "success", run.log[-3000:]
    return run, dict(goals.newest_report("people"))


@pytest.mark.promise(5)
def test_a_first_run_pays_only_for_what_braze_does_not_hold(goals: GoalRunner) -> None:
    write(goals)
    before = {name: goals.box.braze.user(name) or {} for name in goals.box.braze.external_ids()}

    _, report = reconcile(goals)

    sent = goals.sent()
    assert report["seen"] > 50
    assert 0 < report["data_points"] < report["people"]
    for body in sent:
        held = before.get(body["external_id"], {})
        assert not [name for name in ("first_name", "home_city") if name in body and body[name] == held.get(name)]
    assert goals.run().report["to_send"] == 0


@pytest.mark.by_hand
@pytest.mark.promise(5)
def test_drift_is_put_right_field_by_field_and_what_does_not_stick_twice_rests(goals: GoalRunner) -> None:
    write(goals)
    reconcile(goals)
    goals.sent()
    name, other = _held(goals)[:2]
    wanted = (goals.box.braze.user(name) or {})["first_name"]
    goals.box.braze.change(name, {"first_name": "Somebody Else"})
    goals.box.braze.change(other, {"custom_attributes": {"not_ours": "whatever"}})

    _, put_right = reconcile(goals)
    first = goals.sent()
    goals.box.braze.change(name, {"first_name": "Somebody Else"})
    _, rests = reconcile(goals)
    second = goals.sent()
    night = goals.run().report
    _, released = reconcile(goals, retry_held=True)
    third = goals.sent()

    right = {"external_id": name, "first_name": wanted}
    assert [{key: body[key] for key in body if not key.startswith("_")} for body in first] == [right]
    assert (put_right["drifted"], put_right["drift"], put_right["data_points"]) == (1, {"first_name": 1}, 1)
    assert second == []
    assert (rests["drifted"], rests["unstuck"], rests["to_send"]) == (1, 1, 0)
    assert night["to_send"] == 0
    assert len(third) == released["to_send"] == 1
    assert (goals.box.braze.user(name) or {})["first_name"] == wanted


def test_people_whom_braze_does_not_have_are_found(goals: GoalRunner) -> None:
    write(goals, allow_creation=False)
    accepted = goals.run().report["accepted"]

    _, report = reconcile(goals)

    known = goals.box.braze.external_ids()
    assert report["absent"] == sum(name not in known for name in _sent_to(goals))
    assert 0 < report["absent"] < accepted


def _held(goals: GoalRunner) -> list[str]:
    """External ids of people who are in the goal's segment and in Braze, each with one profile."""
    owners: dict[str, int] = {}
    state = goals.box.blueconic
    for profile_id in state.segments["seg-vip"].members:
        for crm_id in state.profiles[profile_id].values.get("crm_id", []):
            owners[crm_id] = owners.get(crm_id, 0) + 1
    known = goals.box.braze.external_ids()
    return [name for name, times in sorted(owners.items()) if times == 1 and name in known]


def _sent_to(goals: GoalRunner) -> set[str]:
    return {body["external_id"] for body in goals.sent()}
