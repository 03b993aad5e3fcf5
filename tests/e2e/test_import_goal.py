"""The import goal as a data engineer has it: a goal file, a real Airflow, and both vendors over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_braze_blueconic.sandbox.faults import Fault
from tests.support.airflow import GoalRunner

pytestmark = pytest.mark.airflow

EXPORT = {"segment": "BlueConic Test Users", "export": "s3://sandbox-braze-exports", "poll_seconds": 0.2}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox shows a write at once, where the real services take minutes."""
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__BRAZE_SETTLE_SECONDS", "0.001")
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__BLUECONIC_SETTLE_SECONDS", "0.001")


def both(goals: GoalRunner) -> dict[str, str]:
    """External id → profile id of people whom Braze knows and who have a single profile of their own."""
    owners: dict[str, list[str]] = {}
    for profile_id, profile in goals.box.blueconic.profiles.items():
        for crm_id in profile.values.get("crm_id", []):
            owners.setdefault(crm_id, []).append(profile_id)
    known = goals.box.braze.external_ids()
    return {crm_id: ids[0] for crm_id, ids in sorted(owners.items()) if len(ids) == 1 and crm_id in known}


def held(goals: GoalRunner, profile_id: str, name: str) -> list[str]:
    return list(goals.box.blueconic.profiles[profile_id].values.get(name, []))


def fields(entry: Mapping[str, Any]) -> dict[str, tuple[str, list[str]]]:
    return {rule["id"]: (rule["strategy"], rule["values"]) for rule in entry["properties"]}


@pytest.mark.promise(2)
def test_users_arrive_and_a_second_run_sends_exactly_what_changed_and_a_third_nothing(goals: GoalRunner) -> None:
    goals.write_import()
    one, two = list(both(goals).items())[:2]

    first = goals.run("users")
    everything = goals.written()
    goals.box.braze.change(one[0], {"custom_attributes": {"favourite_store": "Store of tomorrow"}})
    goals.box.braze.change(two[0], {"custom_attributes": {"motto": "a field that the goal does not map"}})
    second = goals.run("users")
    changed = goals.written()
    third = goals.run("users")

    assert first.state == second.state == third.state == "success"
    assert len(everything) == first.report["accepted"] + first.report["not_found"] > 100
    assert [fields(entry) for entry in changed] == [{"braze_favourite_store": ("SET", ["Store of tomorrow"])}]
    assert [entry["matching"] for entry in changed] == [[[{"id": "crm_id", "value": one[0]}]]]
    assert held(goals, one[1], "braze_favourite_store") == ["Store of tomorrow"]
    assert (third.report["to_send"], third.report["requests"], goals.written()) == (0, 0, [])
    assert sum(goals.box.counters()["exports"].values()) == 3


# merge, what the property holds before, what Braze has (None: nothing), what the property holds afterwards
MERGES: Mapping[str, tuple[str, list[str], list[str] | None, list[str]]] = {
    "m_set": ("set", ["old"], ["new"], ["new"]),
    "m_set_nothing": ("set", ["old"], None, ["old"]),
    "m_add": ("add", ["a", "b"], ["b", "c"], ["a", "b", "c"]),
    "m_remove": ("remove", ["a", "b"], ["b", "c"], ["a"]),
    "m_if_empty": ("set_if_empty", ["old"], ["new"], ["old"]),
    "m_if_empty_and_is": ("set_if_empty", [], ["new"], ["new"]),
    "m_or_clear": ("set_or_clear", ["old"], ["new"], ["new"]),
    "m_or_clear_nothing": ("set_or_clear", ["old"], None, []),
}


def test_each_merge_on_a_value_that_is_there_twice_in_a_row(goals: GoalRunner) -> None:
    goals.write_import(
        fields=[{"from": f"custom_attributes.{name}", "to": name, "merge": row[0]} for name, row in MERGES.items()]
    )
    external_id, profile_id = next(iter(both(goals).items()))
    for name in MERGES:
        goals.box.blueconic.save_property(name, {"id": name, "filterType": "SELECT"})
    goals.box.blueconic.change(profile_id, {name: row[1] for name, row in MERGES.items()})
    goals.box.braze.change(external_id, {"custom_attributes": {name: row[2] for name, row in MERGES.items()}})

    first = goals.run("users")
    once = {name: sorted(held(goals, profile_id, name)) for name in MERGES}
    goals.written()
    second = goals.run("users")

    assert first.state == second.state == "success"
    assert once == {name: row[3] for name, row in MERGES.items()}
    assert {name: sorted(held(goals, profile_id, name)) for name in MERGES} == once
    assert goals.written() == []


@pytest.mark.promise(2)
def test_sum_of_an_increase_adds_only_what_the_counter_grew_by(goals: GoalRunner) -> None:
    goals.write_import(fields=[{"from": "total_revenue", "to": "braze_revenue", "merge": "sum", "of": "increase"}])
    external_id, profile_id = next(iter(both(goals).items()))
    goals.box.blueconic.change(profile_id, {"braze_revenue": ["1000"]})
    goals.box.braze.change(external_id, {"total_revenue": 20.5})

    goals.run("users")
    once = held(goals, profile_id, "braze_revenue")
    goals.run("users")
    twice = held(goals, profile_id, "braze_revenue")
    goals.box.braze.increase_revenue(external_id, 0.3)
    goals.written()
    goals.run("users")

    assert once == twice == ["1020.5"]
    assert [fields(entry)["braze_revenue"][1] for entry in goals.written()] == [["0.3"]]
    assert held(goals, profile_id, "braze_revenue") == ["1020.8"]


@pytest.mark.promise(2)
def test_sum_of_a_value_adds_the_value_in_every_run_in_which_it_changed(goals: GoalRunner) -> None:
    goals.write_import(fields=[{"from": "total_revenue", "to": "braze_revenue", "merge": "sum", "of": "value"}])
    external_id, profile_id = next(iter(both(goals).items()))
    goals.box.blueconic.change(profile_id, {"braze_revenue": ["1000"]})
    goals.box.braze.change(external_id, {"total_revenue": 20})

    goals.run("users")
    once = held(goals, profile_id, "braze_revenue")
    goals.run("users")
    twice = held(goals, profile_id, "braze_revenue")
    goals.box.braze.change(external_id, {"total_revenue": 30})
    goals.run("users")

    assert once == twice == ["1020"]
    assert held(goals, profile_id, "braze_revenue") == ["1050"]


@pytest.mark.promise(2)
def test_sum_whose_answer_was_lost_is_held_and_reported_and_never_added_twice(goals: GoalRunner) -> None:
    goals.write_import(fields=[{"from": "total_revenue", "to": "braze_revenue", "merge": "sum", "of": "increase"}])
    external_id, profile_id = next(iter(both(goals).items()))
    goals.box.blueconic.change(profile_id, {"braze_revenue": []})
    goals.box.braze.change(external_id, {"total_revenue": 20})
    goals.box.faults.add(Fault("blueconic", "reset_after", method="PUT", path="/rest/v2/profiles", times=2))

    first = goals.run("users")
    goals.box.faults.clear()
    second = goals.run("users")
    goals.box.braze.increase_revenue(external_id, 5)
    third = goals.run("users")

    assert first.report["unknown"] > 0
    assert second.report["to_send"] == 0
    assert third.report["to_send"] == 1
    assert held(goals, profile_id, "braze_revenue") == ["25"]


def test_sum_finds_the_word_that_the_tenant_knows(goals: GoalRunner) -> None:
    goals.box.faults.blueconic = replace(goals.box.faults.blueconic, sum_strategy="SUM")
    goals.write_import(fields=[{"from": "total_revenue", "to": "braze_revenue", "merge": "sum", "of": "increase"}])

    first = goals.run("users")
    goals.box.braze.increase_revenue(next(iter(both(goals))), 7)
    goals.box.exchanges.clear()
    second = goals.run("users")

    refused = [exchange for exchange in goals.box.exchanges if exchange.method == "PUT" and exchange.status == 400]
    assert first.state == second.state == "success"
    assert first.report["rejected"] == {}
    assert second.report["accepted"] == 1
    assert refused == []


def test_remaining_fields_land_in_properties_of_their_own_and_new_ones_are_named(goals: GoalRunner) -> None:
    goals.write_import(
        fields=[{"from": "custom_attributes.favourite_store", "to": "braze_favourite_store"}],
        remaining_fields={
            "merge": "set",
            "prefix": "in_braze_",
            "create_properties": True,
            "exclude": ["apps", "custom_events", "devices", "purchases"],
        },
    )
    external_id, profile_id = next(iter(both(goals).items()))
    goals.box.braze.change(
        external_id,
        {"custom_attributes": {"favourite_store": "S", "shoe size": "43", "children": 2, "club_member": True}},
    )

    first = goals.run("users")
    goals.box.braze.change(external_id, {"custom_attributes": {"Neu heute": 1.5}})
    second = goals.run("users")

    types = {each["id"]: each["filterType"] for each in goals.box.blueconic.describe_properties()}
    assert first.state == second.state == "success"
    assert held(goals, profile_id, "braze_favourite_store") == ["S"]
    assert held(goals, profile_id, "in_braze_favourite_store") == []
    assert held(goals, profile_id, "in_braze_shoe_size") == ["43"]
    assert held(goals, profile_id, "in_braze_children") == ["2"]
    assert held(goals, profile_id, "in_braze_club_member") == ["true"]
    assert (types["in_braze_children"], types["in_braze_average_rating"], types["in_braze_shoe_size"]) == (
        "RANGE",
        "DECIMAL",
        "SELECT",
    )
    assert "in_braze_children" in first.report["new_properties"]
    assert second.report["new_properties"] == second.report["new_fields"] == ["in_braze_Neu_heute"]
    assert held(goals, profile_id, "in_braze_Neu_heute") == ["1.5"]


def test_two_fields_for_one_property_are_refused_with_both_names(goals: GoalRunner) -> None:
    goals.write_import(remaining_fields={"merge": "set", "prefix": "x_", "create_properties": True})
    external_id = next(iter(both(goals)))
    goals.box.braze.change(external_id, {"custom_attributes": {"a b": "1", "a.b": "2"}})

    run = goals.run("users")

    assert run.state == "failed"
    assert "custom_attributes.a b" in run.log
    assert "x_a_b" in run.log
    assert goals.written() == []


def test_campaigns_arrive_by_their_names(goals: GoalRunner) -> None:
    goals.write_import(fields=[{"from": "campaigns_received", "to": "braze_campaigns"}])

    goals.run("users")

    users = {external_id: goals.box.braze.export({"external_id": external_id}) for external_id in both(goals)}
    received = {
        external_id: sorted({campaign["name"] for campaign in user["campaigns_received"]})
        for external_id, user in users.items()
        if user and user.get("campaigns_received")
    }
    assert len(received) > 50
    assert {x: sorted(held(goals, both(goals)[x], "braze_campaigns")) for x in received} == received


@pytest.mark.by_hand
def test_profiles_that_are_not_there_are_counted_and_rest_until_something_changes(goals: GoalRunner) -> None:
    goals.write_import(source={**EXPORT, "segment": "All users", "quiet_seconds": 0.3})
    for number in range(3):
        goals.box.braze.add({"custom_attributes": {"favourite_store": "Far"}}, external_id=f"stranger-{number}")

    first = goals.run("users")
    goals.written()
    second = goals.run("users")
    asked_again = goals.written()
    retried = goals.run("users", params={"retry_held": True})
    goals.write_import(source={**EXPORT, "segment": "All users", "quiet_seconds": 0.3}, allow_creation=True)
    created = goals.run("users")

    assert first.state == second.state == retried.state == created.state == "success"
    assert first.report["not_found"] == 3
    assert first.report["rejected"] == {}
    assert (second.report["held"], asked_again) == (3, [])
    assert retried.report["not_found"] == 3
    assert created.report["accepted"] == 3


@pytest.mark.by_hand
def test_created_profiles_have_their_link_and_their_legislation_and_are_found_again(goals: GoalRunner) -> None:
    goals.write_import(
        identifiers=[{"braze": "external_id", "blueconic": "braze_external_id"}],
        source={**EXPORT, "segment": "All users", "quiet_seconds": 0.3},
        allow_creation=True,
        legislation="CCPA",
    )
    goals.box.braze.add({"custom_attributes": {"favourite_store": "New"}}, external_id="brand-new")

    goals.run("users")
    goals.box.braze.change("brand-new", {"custom_attributes": {"favourite_store": "Newer"}})
    goals.run("users")

    found = [p for p in goals.box.blueconic.profiles.values() if p.values.get("braze_external_id") == ["brand-new"]]
    assert [(p.values["braze_favourite_store"], p.legislation) for p in found] == [(["Newer"], "CCPA")]


def test_people_without_consent_are_counted_and_not_written(goals: GoalRunner) -> None:
    goals.write_import(objectives=["newsletter"])
    state = goals.box.blueconic
    refusing = {
        profile_id: held(goals, profile_id, "braze_favourite_store")
        for profile_id in both(goals).values()
        if "newsletter" in state.profiles[profile_id].refused
    }

    run = goals.run("users")

    assert run.state == "success"
    assert run.report["no_consent"] >= len(refusing) > 0
    assert run.report["rejected"] == {}
    assert {x: held(goals, x, "braze_favourite_store") for x in refusing} == refusing


@pytest.mark.by_hand
def test_webhooks_stay_silent_unless_the_goal_asks_for_them(goals: GoalRunner) -> None:
    goals.write_import()
    goals.run("users")
    silent = goals.box.counters()["bulk"]["triggers"]
    goals.box.braze.change(next(iter(both(goals))), {"custom_attributes": {"favourite_store": "Loud"}})
    goals.write_import(trigger_on_change=True)

    goals.run("users")

    assert (silent, goals.box.counters()["bulk"]["triggers"]) == (0, 1)


def test_values_that_do_not_fit_are_left_out_and_named_and_the_rest_arrives(goals: GoalRunner) -> None:
    goals.write_import(
        fields=[
            {"from": "custom_attributes.legacy_account", "to": "points"},
            {"from": "custom_attributes.favourite_store", "to": "visits"},
            {"from": "home_city", "to": "city"},
        ]
    )
    external_id, profile_id = next(iter(both(goals).items()))
    goals.box.braze.change(
        external_id, {"home_city": "Arrives", "custom_attributes": {"legacy_account": 3_000_000_000}}
    )
    before = held(goals, profile_id, "points")

    run = goals.run("users")

    assert run.state == "success"
    assert run.report["warnings"]["points: over_2147483647"] > 0
    assert run.report["warnings"]["visits: not_an_integer"] > 0
    assert (held(goals, profile_id, "points"), held(goals, profile_id, "city")) == (before, ["Arrives"])


def test_unknown_names_are_all_reported_before_braze_is_asked_to_export(goals: GoalRunner) -> None:
    goals.write_import(
        source={**EXPORT, "segment": "BlueConic Tset Users"},
        identifiers=[{"braze": "external_id", "blueconic": "city"}],
        fields=[{"from": "home_city", "to": "citty"}],
        objectives=["newsleter"],
    )

    run = goals.run("users")

    assert run.state == "failed"
    for expected in (
        r'users\.yaml:\d+ source\.segment: Braze has no segment "BlueConic Tset Users"\. Nearest: "BlueConic Test Users"',
        r'users\.yaml:\d+ identifiers\[0\]\.blueconic: .*"city".*unique identifier',
        r'users\.yaml:\d+ fields\[0\]\.to: BlueConic has no property "citty"\. Nearest: "city"',
        r'users\.yaml:\d+ objectives\[0\]: BlueConic has no objective "newsleter"\. Nearest: "newsletter"',
    ):
        assert re.search(expected, run.log.replace('\\"', '"')), expected
    assert sum(goals.box.counters()["exports"].values()) == 0


def test_export_that_never_comes_ends_in_a_message_that_says_what_to_check(goals: GoalRunner) -> None:
    goals.box.faults.braze = replace(goals.box.faults.braze, export_never=True)
    goals.write_import(source={**EXPORT, "quiet_seconds": 0.3, "wait_minutes": 0.05})

    run = goals.run("users")

    assert run.state == "failed"
    for word in ("sandbox-braze-exports", "segment-export/", "SSE-KMS", "default"):
        assert word in run.log, word
    assert goals.written() == []


@pytest.mark.promise(1)
def test_whatever_way_the_export_comes_everybody_arrives(goals: GoalRunner) -> None:
    goals.box.faults.braze = replace(
        goals.box.faults.braze,
        export_users_per_part=20,
        export_shuffled=True,
        export_across_midnight=True,
        export_late_s=0.5,
        export_duplicates=10,
        export_broken_lines=1,
    )
    goals.write_import(source={**EXPORT, "quiet_seconds": 2, "broken_percent": 5})

    run = goals.run("users")

    stores = {
        x: (goals.box.braze.export({"external_id": x}) or {})["custom_attributes"]["favourite_store"]
        for x in both(goals)
    }
    assert run.state == "success"
    assert {x: held(goals, both(goals)[x], "braze_favourite_store") for x in stores} == {
        x: [s] for x, s in stores.items()
    }
    assert run.report["broken_lines"] == 1


@pytest.mark.promise(8)
def test_no_secret_and_no_personal_value_in_logs_or_xcoms(goals: GoalRunner) -> None:
    goals.box.faults.braze = replace(goals.box.faults.braze, export_broken_lines=1)
    goals.write_import(
        source={**EXPORT, "quiet_seconds": 0.3, "broken_percent": 5},
        fields=[{"from": "email", "to": "email"}, {"from": "first_name", "to": "firstname"}],
    )
    external_id, _ = next(iter(both(goals).items()))
    goals.box.braze.change(external_id, {"first_name": "Planted-First-Name", "email": "planted.person@example.org"})

    run = goals.run("users")

    assert run.state == "success"
    everything = "\n".join([run.log, *run.xcoms, json.dumps(run.report)])
    users = [goals.box.braze.export({"external_id": each}) or {} for each in goals.box.braze.external_ids()]
    values = {user[name] for user in users for name in ("external_id", "email", "braze_id") if name in user}
    secrets = {"sandbox-braze-key", "sandbox-secret", "Planted-First-Name"}
    tokens = {
        json.loads(exchange.response_body)["access_token"]
        for exchange in goals.box.exchanges
        if exchange.url.endswith("/oauth/token")
    }
    assert len(values) > 300
    assert tokens
    assert [text for text in values | secrets | tokens if text in everything] == []


def test_dry_run_plans_creates_nothing_and_sends_nothing(goals: GoalRunner) -> None:
    goals.write_import(remaining_fields={"merge": "set", "prefix": "dry_", "create_properties": True})
    before = {each["id"] for each in goals.box.blueconic.describe_properties()}

    run = goals.run("users", params={"dry_run": True})

    assert run.state == "success"
    assert run.report["to_send"] > 100
    assert {each["id"] for each in goals.box.blueconic.describe_properties()} == before
    assert goals.written() == []


def test_empty_segment_ends_well_with_a_report_of_zeros(goals: GoalRunner) -> None:
    goals.write_import(source={**EXPORT, "segment": "Empty segment", "quiet_seconds": 0.3})

    run = goals.run("users")

    assert run.state == "success"
    assert (run.report["profiles"], run.report["to_send"], run.report["requests"]) == (0, 0, 0)
