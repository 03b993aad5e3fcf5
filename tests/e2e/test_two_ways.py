"""An export and an import goal on the same fields come to rest."""

from __future__ import annotations

import pytest

from tests.support.airflow import GoalRunner

pytestmark = pytest.mark.airflow


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox shows a write at once, where the real services take minutes."""
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__BRAZE_SETTLE_SECONDS", "0.001")
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__BLUECONIC_SETTLE_SECONDS", "0.001")


def write_both(goals: GoalRunner) -> None:
    goals.write(
        fields=[{"from": "property.firstname", "to": "first_name"}, {"from": "property.city", "to": "home_city"}]
    )
    goals.write_import(
        fields=[{"from": "first_name", "to": "firstname"}, {"from": "home_city", "to": "city"}],
    )


def pair(goals: GoalRunner) -> list[tuple[str, str]]:
    """(External id, profile id) of people of both segments with a single profile."""
    state = goals.box.blueconic
    owners: dict[str, list[str]] = {}
    for profile_id in state.segments["seg-vip"].members:
        for crm_id in state.profiles[profile_id].values.get("crm_id", []):
            owners.setdefault(crm_id, []).append(profile_id)
    known = goals.box.braze.external_ids()
    return [(x, ids[0]) for x, ids in sorted(owners.items()) if len(ids) == 1 and x in known]


@pytest.mark.by_hand
@pytest.mark.promise(7)
def test_after_one_change_on_either_side_and_one_run_of_each_goal_nothing_is_sent_any_more(goals: GoalRunner) -> None:
    write_both(goals)
    for _ in range(2):
        goals.run()
        goals.run("users")
    goals.sent()
    one, two = pair(goals)[:2]
    goals.box.blueconic.change(one[1], {"firstname": ["Changed in BlueConic"]})
    goals.box.braze.change(two[0], {"first_name": "Changed in Braze"})

    goals.run()
    to_braze = goals.sent()
    goals.run("users")
    to_blueconic = goals.written()
    rest = [goals.run(goal_id).report["to_send"] for goal_id in ("people", "users", "people", "users")]

    assert [(sent["external_id"], sent["first_name"]) for sent in to_braze] == [(one[0], "Changed in BlueConic")]
    assert [(e["matching"][0][0]["value"], e["properties"][0]["values"]) for e in to_blueconic] == [
        (two[0], ["Changed in Braze"])
    ]
    assert rest == [0, 0, 0, 0]
    assert goals.box.blueconic.profiles[two[1]].values["firstname"] == ["Changed in Braze"]
    assert (goals.box.braze.user(one[0]) or {})["first_name"] == "Changed in BlueConic"


@pytest.mark.by_hand
@pytest.mark.promise(7)
def test_a_value_set_back_where_it_came_from_goes_out_again(goals: GoalRunner) -> None:
    write_both(goals)
    for _ in range(2):
        goals.run()
        goals.run("users")
    external_id, profile_id = pair(goals)[0]
    original = goals.box.blueconic.profiles[profile_id].values["firstname"]
    goals.box.braze.change(external_id, {"first_name": "From Braze"})
    goals.run("users")
    goals.box.blueconic.change(profile_id, {"firstname": original})

    goals.run()

    assert (goals.box.braze.user(external_id) or {})["first_name"] == original[0]
    assert goals.run("users").report["to_send"] == 0


@pytest.mark.promise(7)
def test_what_an_export_goal_wrote_is_no_remaining_field_of_an_import(goals: GoalRunner) -> None:
    goals.write(fields=[{"from": "profile_id", "to": "blueconic_id"}, {"from": "property.city", "to": "home_city"}])
    goals.write_import(
        remaining_fields={
            "merge": "set",
            "prefix": "b_",
            "create_properties": True,
            "exclude": ["apps", "custom_events", "devices", "purchases"],
        }
    )
    goals.run()

    run = goals.run("users")

    known = {each["id"] for each in goals.box.blueconic.describe_properties()}
    assert run.state == "success"
    assert "b_loyalty_tier" in known
    assert not {"b_blueconic_id", "b_home_city"} & known
    assert 'the goal "people" writes it' in run.report["left_out"]["custom_attributes.blueconic_id"]


@pytest.mark.promise(5)
def test_a_first_export_after_an_import_pays_only_for_what_differs(goals: GoalRunner) -> None:
    write_both(goals)
    goals.run("users")

    run = goals.run()

    assert run.report["seen"] > 100
    assert run.report["data_points"] < run.report["people"]
