"""The export goal as a data engineer has it: a goal file, a real Airflow, and both vendors over HTTP."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from airflow_provider_braze_blueconic.sandbox.agreement.exported import compare
from airflow_provider_braze_blueconic.sandbox.braze.keys import READ_ONLY_API_KEY
from airflow_provider_braze_blueconic.sandbox.faults import Fault
from tests.support.airflow import GoalRunner

pytestmark = pytest.mark.airflow

VIP = "seg-vip"


def people(runner: GoalRunner) -> dict[str, str]:
    """External id → profile id of members with exactly one identifier that nobody else has."""
    owners: dict[str, list[str]] = {}
    state = runner.box.blueconic
    for profile_id in sorted(next(s for s in state.segments.values() if s.name == "VIP customers").members):
        ids = state.profiles[profile_id].values.get("crm_id", [])
        if len(ids) == 1:
            owners.setdefault(ids[0], []).append(profile_id)
    return {external_id: ids[0] for external_id, ids in owners.items() if len(ids) == 1}


@pytest.mark.promise(2)
def test_second_run_sends_exactly_the_changed_fields_and_a_third_nothing(goals: GoalRunner) -> None:
    goal = goals.write()
    first = goals.run()
    everything = goals.sent()
    one, two, three = list(people(goals).items())[:3]
    goals.box.blueconic.change(one[1], {"firstname": ["Renamed"], "points": ["4711"]})
    goals.box.blueconic.change(two[1], {"interests": ["zither", "abacus", "zither"]})
    goals.box.blueconic.change(three[1], {"bio": ["a property that the goal does not map"]})

    second = goals.run()
    changed = goals.sent()
    third = goals.run()

    assert first.state == second.state == third.state == "success"
    assert len(everything) == first.report["people"] == first.report["accepted"] > 150
    assert sorted(changed, key=lambda sent: sent["external_id"]) == sorted(
        [
            {
                "external_id": one[0],
                "_update_existing_only": False,
                "first_name": "Renamed",
                "loyalty_points": 4711,
            },
            {"external_id": two[0], "_update_existing_only": False, "interests": ["abacus", "zither"]},
        ],
        key=lambda sent: sent["external_id"],
    )
    assert second.report["fields"] == second.report["data_points"] == 3
    assert second.report["requests"] == sum(1 for _ in changed) or second.report["requests"] <= goal["partitions"]
    assert goals.sent() == []
    assert (third.report["to_send"], third.report["requests"], third.report["unchanged"]) == (
        0,
        0,
        first.report["people"],
    )


def test_after_a_run_braze_agrees_with_blueconic_on_every_mapped_field(goals: GoalRunner) -> None:
    goal = goals.write()

    goals.run()
    goals.box.next_day(changed=0.1, entered=5, left=5)
    goals.run()

    state = goals.box.blueconic
    segment = next(segment for segment in state.segments.values() if segment.name == "VIP customers")
    profiles = [
        state.render(state.profiles[member], only=None, expand=frozenset({"permissions", "segments"}))
        for member in segment.members
    ]
    agreement = compare(profiles, goals.box.braze.users(), goal["fields"], identifier="crm_id")
    assert agreement.agreed, agreement
    assert agreement.people > 150


def test_report_counts_what_braze_counted(goals: GoalRunner) -> None:
    goals.write()

    run = goals.run()

    traffic = goals.box.counters()["track"]
    report = run.report
    assert (report["requests"], report["data_points"]) == (traffic["requests"], traffic["data_points"])
    assert report["profiles"] == 200
    assert report["people"] + sum(report["skipped"].values()) == 200
    assert set(report["skipped"]) == {"no_identifier", "several_identifiers", "same_person_twice"}
    assert report["warnings"]["email: bad_email"] > 0


def test_empty_segment_ends_well_with_a_report_of_zeros(goals: GoalRunner) -> None:
    goals.write(source={"segment": "Nobody yet"})

    run = goals.run()

    assert run.state == "success"
    assert run.states["upload"] == ["skipped"]
    assert (run.report["profiles"], run.report["to_send"], run.report["requests"]) == (0, 0, 0)
    assert goals.sent() == []


def test_unknown_names_are_all_reported_with_line_and_nearest_name_before_anything_is_read(goals: GoalRunner) -> None:
    goals.write(
        source={"segment": "VIP custmers"},
        fields=[{"from": "property.firstnme", "to": "first_name"}, {"from": "property.pionts", "to": "points"}],
        objectives=["newsleter"],
    )

    run = goals.run()

    assert run.state == "failed"
    for expected in (
        r'people\.yaml:\d+ source\.segment: BlueConic has no segment "VIP custmers"\. Nearest: "VIP customers"',
        r'people\.yaml:\d+ fields\[0\]\.from: BlueConic has no property "firstnme"\. Nearest: "firstname"',
        r'people\.yaml:\d+ fields\[1\]\.from: BlueConic has no property "pionts"\. Nearest: "points"',
        r'people\.yaml:\d+ objectives\[0\]: BlueConic has no objective "newsleter"\. Nearest: "newsletter"',
    ):
        assert re.search(expected, run.log.replace('\\"', '"')), expected
    assert not any("/profiles?" in exchange.url for exchange in goals.box.exchanges)
    assert goals.sent() == []


@pytest.mark.promise(3)
def test_refused_people_come_back_next_run_and_the_others_arrive(goals: GoalRunner) -> None:
    goals.write()
    unlucky = list(people(goals))[:2]
    fault = Fault("braze", "entry_errors", path="/users/track", identifiers=tuple(unlucky), text="refused by the test")
    goals.box.faults.add(fault)

    first = goals.run()
    goals.sent()
    goals.box.faults.clear()
    second = goals.run()

    assert first.state == "success"
    assert first.report["rejected"] == {"refused by the test": 2}
    assert first.report["accepted"] == first.report["people"] - 2
    assert sorted(sent["external_id"] for sent in goals.sent()) == sorted(unlucky)
    assert (second.report["accepted"], second.report["rejected"]) == (2, {})


@pytest.mark.promise(3)
def test_one_bad_record_of_a_batch_that_is_refused_whole_is_found(goals: GoalRunner) -> None:
    goals.write()
    bad = next(iter(people(goals)))
    goals.box.faults.add(Fault("braze", "poison", path="/users/track", identifiers=(bad,), text="broken object"))

    run = goals.run()

    assert run.state == "success"
    assert sum(run.report["rejected"].values()) == 1
    assert run.report["accepted"] == run.report["people"] - 1


def test_key_without_permission_ends_in_one_sentence_and_changes_nothing(
    goals: GoalRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    goals.write()
    connection = {"conn_type": "braze", "host": goals.box.braze_url, "password": READ_ONLY_API_KEY}
    with monkeypatch.context() as wrong:
        wrong.setenv("AIRFLOW_CONN_BRAZE_DEFAULT", json.dumps(connection))
        refused = goals.run()
    goals.sent()

    after = goals.run()

    assert refused.state == "failed"
    assert "users.track" in refused.log
    assert READ_ONLY_API_KEY not in refused.log
    assert refused.report["accepted"] == 0
    assert after.state == "success"
    assert after.report["accepted"] == after.report["people"]


def test_missing_bucket_is_told_before_anything_is_read(goals: GoalRunner) -> None:
    goals.write(staging="s3://no-such-bucket-here/tests")

    run = goals.run()

    assert run.state == "failed"
    assert "no-such-bucket-here" in run.log
    assert not any("/profiles?" in exchange.url for exchange in goals.box.exchanges)


@pytest.mark.promise(5)
def test_limit_stops_the_run_before_anything_is_sent_and_says_which_to_change(goals: GoalRunner) -> None:
    goals.write(limits={"data_points": 10})

    run = goals.run()

    assert run.state == "failed"
    assert run.states["guard"] == ["failed"]
    assert "limits.data_points = 10" in run.log
    assert run.report["status"] == "stopped"
    assert goals.sent() == []


@pytest.mark.promise(5)
def test_dry_run_plans_and_sends_nothing(goals: GoalRunner) -> None:
    goals.write()

    planned = goals.run(params={"dry_run": True})
    nothing = goals.sent()
    real = goals.run()

    assert planned.state == "success"
    assert planned.report["dry_run"] is True
    assert planned.report["data_points"] == real.report["data_points"] > 0
    assert nothing == []
    assert real.report["accepted"] == real.report["people"]


@pytest.mark.promise(6)
def test_leavers_are_marked_when_the_goal_asks_for_it(goals: GoalRunner) -> None:
    goals.write(leavers={"set": {"is_vip": False}}, send="changed_fields")
    goals.run()
    goals.sent()
    leaver, profile_id = next(iter(people(goals).items()))
    segment = next(segment for segment in goals.box.blueconic.segments.values() if segment.name == "VIP customers")
    goals.box.blueconic.leave(profile_id, segment.id)

    run = goals.run()
    sent = goals.sent()
    again = goals.run()

    assert sent == [{"external_id": leaver, "_update_existing_only": True, "is_vip": False}]
    assert run.report["leavers"] == 1
    assert again.report["to_send"] == again.report["leavers"] == 0


@pytest.mark.by_hand
def test_modified_read_asks_only_for_what_changed_since_the_last_good_run(goals: GoalRunner) -> None:
    goals.write(source={"segment": "VIP customers", "read": "modified"})
    first = goals.run()
    goals.sent()
    changed, profile_id = next(iter(people(goals).items()))
    goals.box.blueconic.change(profile_id, {"firstname": ["Later"]})
    goals.box.faults.blueconic = replace(goals.box.faults.blueconic, index_lag_s=0.0)

    second = goals.run()
    sent = goals.sent()
    third = goals.run(params={"full": True})

    assert (first.report["read"], first.report["profiles"]) == ("full", 200)
    assert second.report["read"] == "modified"
    assert second.report["profiles"] < 50
    assert sent == [{"external_id": changed, "_update_existing_only": False, "first_name": "Later"}]
    assert (third.report["read"], third.report["profiles"], third.report["to_send"]) == ("full", 200, 0)


@pytest.mark.promise(8)
def test_no_secret_and_no_personal_value_in_logs_or_xcoms(goals: GoalRunner) -> None:
    goals.write()
    state = goals.box.blueconic
    crm_id, profile_id = next(iter(people(goals).items()))
    state.change(profile_id, {"firstname": ["Planted-First-Name"], "email": ["planted.person@example.org"]})
    refused = Fault(
        "braze",
        "entry_errors",
        path="/users/track",
        identifiers=(crm_id,),
        text=f"bad value planted.person@example.org of {crm_id}",
    )
    goals.box.faults.add(refused)

    run = goals.run()

    assert run.state == "success"
    assert sum(run.report["rejected"].values()) == 1
    everything = "\n".join([run.log, *run.xcoms, json.dumps(run.report)])
    planted = {"Planted-First-Name", "planted.person", crm_id}
    secrets = {"sandbox-braze-key", *(json.loads(text)["password"] for text in goals.box.connections().values())}
    values = {value for profile in state.profiles.values() for value in profile.values.get("email", [])}
    ids = {value for profile in state.profiles.values() for value in profile.values.get("crm_id", [])}
    tokens = {
        json.loads(exchange.response_body)["access_token"]
        for exchange in goals.box.exchanges
        if exchange.url.endswith("/oauth/token")
    }
    assert len(values) > 100
    assert tokens
    found = [text for text in planted | (secrets - {"sandbox"}) | values | ids | tokens if text and text in everything]
    assert found == []


def test_run_without_a_logical_date_works(goals: GoalRunner) -> None:
    goals.write()

    run = goals.run(dated=False)

    assert run.state == "success"
    assert run.report["accepted"] == run.report["people"]


@pytest.mark.by_hand
@pytest.mark.promise(1)
def test_changed_number_of_partitions_sends_nothing_again(goals: GoalRunner) -> None:
    goals.write()
    goals.run()
    goals.sent()
    goals.write(partitions=5)

    run = goals.run()

    assert run.state == "success"
    assert run.report["to_send"] == 0
    assert goals.sent() == []


@pytest.mark.by_hand
def test_changed_mapping_sends_exactly_the_new_field(goals: GoalRunner) -> None:
    goal = goals.write()
    goals.run()
    goals.sent()
    goals.write(fields=[*goal["fields"], {"value": 7, "to": "mapping_version"}])

    run = goals.run()

    assert run.report["fields"] == run.report["people"]
    assert {frozenset(sent) for sent in goals.sent()} == {
        frozenset({"external_id", "_update_existing_only", "mapping_version"})
    }
