"""Exports as whole runs: what stands in the objects that Braze gets, night by night."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_braze_blueconic.exceptions import LimitExceeded, SyncError
from airflow_provider_braze_blueconic.sync.sending.seam import Refusal, Reply, Verdict
from tests.support.clock import in_clock_time
from tests.support.core import day
from tests.support.import_nights import BlueConic, Braze, ExportGoalOf, ImportGoalOf, Run

BY_CRM = {"blueconic": "crm_id", "braze": "external_id"}
BY_EMAIL = {"blueconic": "mail", "braze": "email"}
BY_PHONE = {"blueconic": "mobile", "braze": "phone"}
MAIL = ("mail", "email")
MOBILE = ("mobile", "phone")
TIER = ("level", "tier")
ANN, BOB = "ann@example.org", "bob@example.org"
ANN_S, BOB_S = "+31611111111", "+31622222222"


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads run in a time of their own."""
    monkeypatch.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))


class Keeping(Braze):
    """Takes everything and keeps each object as its keys and values came, doubles included."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: list[list[tuple[str, Any]]] = []
        self.refuses = False

    async def send(self, body: bytes) -> Reply:
        document = json.loads(body, object_pairs_hook=list)
        objects = [[pair for pair in one if pair[0] != "_update_existing_only"] for one in document[0][1]]
        if self.refuses:
            return Reply(Verdict.READ_ENTRIES, 201, tuple(Refusal(n, "is not valid") for n in range(len(objects))))
        self.objects += objects
        return Reply(Verdict.READ_ENTRIES, 201, ())

    def told(self) -> list[dict[str, Any]]:
        """The objects since the last time it was asked."""
        objects, self.objects = self.objects, []
        assert all(len(dict(one)) == len(one) for one in objects), "a key is in one object twice"
        return sorted((dict(one) for one in objects), key=str)


def night(home: Path, number: int, goal: ExportGoalOf) -> list[dict[str, Any]]:
    braze = goal.braze
    assert isinstance(braze, Keeping)
    Run(home, goal, day(number) + dt.timedelta(hours=2)).run()
    return braze.told()


# A field that is an identifier too


@pytest.mark.parametrize("send", ["changed_fields", "whole_profile"])
def test_an_email_goes_to_those_only_who_are_not_identified_by_it(tmp_path: Path, send: str) -> None:
    blueconic = BlueConic({"crm_id": ["1"], "mail": [ANN], "level": ["gold"]}, {"mail": [BOB], "level": ["gold"]})
    goal = ExportGoalOf("g", Keeping(), blueconic, [MAIL, TIER], (BY_CRM, BY_EMAIL), delta={"send": send})

    first = night(tmp_path, 1, goal)
    again = night(tmp_path, 2, goal)
    blueconic.profiles[0]["mail"] = ["ann@example.com"]
    blueconic.profiles[1]["level"] = ["silver"]
    changed = night(tmp_path, 3, goal)

    assert first == [{"email": BOB, "tier": "gold"}, {"external_id": "1", "email": ANN, "tier": "gold"}]
    assert again == []
    rest = {"tier": "gold"} if send == "whole_profile" else {}
    assert changed == [{"email": BOB, "tier": "silver"}, {"external_id": "1", "email": "ann@example.com", **rest}]


def test_nobody_who_is_identified_by_a_phone_number_is_sent_an_email_that_braze_would_go_by(tmp_path: Path) -> None:
    blueconic = BlueConic(
        {"crm_id": ["1"], "mail": [ANN], "mobile": [ANN_S]}, {"mail": [BOB], "mobile": [BOB_S], "level": ["gold"]}
    )
    goal = ExportGoalOf("g", Keeping(), blueconic, [MAIL, MOBILE, TIER], (BY_CRM, BY_PHONE))

    sent = night(tmp_path, 1, goal)

    assert sent == [{"external_id": "1", "email": ANN, "phone": ANN_S}, {"phone": BOB_S, "tier": "gold"}]


def test_a_phone_number_can_be_a_field_of_those_who_are_identified_by_an_email(tmp_path: Path) -> None:
    goal = ExportGoalOf("g", Keeping(), BlueConic({"mail": [ANN], "mobile": [ANN_S]}), [MOBILE], (BY_EMAIL,))

    assert night(tmp_path, 1, goal) == [{"email": ANN, "phone": ANN_S}]


def test_a_missing_email_is_cleared_only_where_it_can_be_sent(tmp_path: Path) -> None:
    blueconic = BlueConic({"crm_id": ["1"], "mail": [ANN], "level": ["gold"]}, {"mobile": [BOB_S], "level": ["gold"]})
    goal = ExportGoalOf("g", Keeping(), blueconic, [MAIL, TIER], (BY_CRM, BY_PHONE), mapping={"when_missing": "clear"})

    night(tmp_path, 1, goal)
    del blueconic.profiles[0]["mail"]
    del blueconic.profiles[1]["level"]
    cleared = night(tmp_path, 2, goal)

    assert cleared == [{"external_id": "1", "email": None}, {"phone": BOB_S, "tier": None}]


def test_a_fixed_value_of_an_identifier_is_kept_from_those_who_are_identified_by_it(tmp_path: Path) -> None:
    class Fixed(ExportGoalOf):
        @property
        def rows(self) -> list[dict[str, Any]]:
            return [{"value": "all@example.org", "to": "email"}, {"from": "property.level", "to": "tier"}]

    goal = Fixed("g", Keeping(), BlueConic({"crm_id": ["1"]}, {"mail": [BOB]}), [], (BY_CRM, BY_EMAIL))

    assert night(tmp_path, 1, goal) == [{"external_id": "1", "email": "all@example.org"}]


@pytest.mark.parametrize("link", [BY_EMAIL, BY_PHONE], ids=["email", "phone"])
def test_leavers_keep_the_email_that_would_decide_who_is_cleared(tmp_path: Path, link: dict[str, str]) -> None:
    leavers = [{"crm_id": ["1"], "mail": [ANN], "level": ["gold"]}, {"mail": [BOB], "mobile": [BOB_S], "level": ["x"]}]
    blueconic = BlueConic(*leavers, {"crm_id": ["3"], "level": ["gold"]})
    goal = ExportGoalOf("g", Keeping(), blueconic, [MAIL, TIER], (BY_CRM, link), delta={"leavers": "clear_fields"})
    night(tmp_path, 1, goal)
    del blueconic.profiles[:2]

    left = night(tmp_path, 2, goal)

    who = {"email": BOB} if link is BY_EMAIL else {"phone": BOB_S}
    assert left == sorted([{**who, "tier": None}, {"external_id": "1", "email": None, "tier": None}], key=str)


# Who leaves, comes back and leaves again

GONE = {"external_id": "1"}


@pytest.mark.promise(6)
@pytest.mark.parametrize("value", [False, None, "left"], ids=str)
def test_each_departure_is_told_in_an_attribute_that_is_no_field(tmp_path: Path, value: object) -> None:
    person, other = {"crm_id": ["1"], "level": ["gold"]}, {"crm_id": ["2"], "level": ["gold"]}
    blueconic = BlueConic(person, other)
    goal = ExportGoalOf("g", Keeping(), blueconic, [TIER], (BY_CRM,), delta={"leavers": {"vip": value}})
    told = []
    for number, is_in in enumerate([True, False, False, True, False, False], start=1):
        blueconic.profiles = [person, other] if is_in else [other]
        told.append(night(tmp_path, number, goal))

    assert told[0] == [{**GONE, "tier": "gold"}, {"external_id": "2", "tier": "gold"}]
    assert told[1:] == [[{**GONE, "vip": value}], [], [], [{**GONE, "vip": value}], []]


def test_a_departure_that_braze_refused_is_told_the_next_night(tmp_path: Path) -> None:
    braze, blueconic = Keeping(), BlueConic({"crm_id": ["1"], "level": ["gold"]}, {"crm_id": ["2"]})
    goal = ExportGoalOf("g", braze, blueconic, [TIER], (BY_CRM,), delta={"leavers": {"vip": False, "promo": None}})
    night(tmp_path, 1, goal)
    del blueconic.profiles[0]
    braze.refuses = True
    night(tmp_path, 2, goal)
    braze.refuses = False

    assert night(tmp_path, 3, goal) == [{**GONE, "vip": False, "promo": None}]
    assert night(tmp_path, 4, goal) == []


def test_who_was_never_taken_is_not_told_to_have_left(tmp_path: Path) -> None:
    braze, blueconic = Keeping(), BlueConic({"crm_id": ["1"], "level": ["gold"]}, {"crm_id": ["2"]})
    goal = ExportGoalOf("g", braze, blueconic, [TIER], (BY_CRM,), delta={"leavers": {"vip": False, "promo": None}})
    braze.refuses = True
    night(tmp_path, 1, goal)
    braze.refuses = False
    del blueconic.profiles[0]

    assert night(tmp_path, 2, goal) == []


def test_a_field_of_the_goal_that_leavers_are_set_to_is_told_again_after_it_was_something_else(tmp_path: Path) -> None:
    person, other = {"crm_id": ["1"], "level": ["gold"]}, {"crm_id": ["2"], "level": ["gold"]}
    blueconic = BlueConic(person, other)
    goal = ExportGoalOf("g", Keeping(), blueconic, [TIER], (BY_CRM,), delta={"leavers": {"tier": "none"}})
    told = []
    for number, is_in in enumerate([True, False, True, False, False], start=1):
        blueconic.profiles = [person, other] if is_in else [other]
        told.append(night(tmp_path, number, goal))

    assert told[1:] == [[{**GONE, "tier": "none"}], [{**GONE, "tier": "gold"}], [{**GONE, "tier": "none"}], []]


# A field that vanishes for everybody


def people(count: int, **values: str) -> list[dict[str, list[str]]]:
    return [{"crm_id": [str(number)], **{name: [value] for name, value in values.items()}} for number in range(count)]


@pytest.mark.promise(6)
@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize("complete", [True, False], ids=["whole read", "partial read"])
def test_a_right_that_was_withdrawn_overnight_does_not_empty_a_field_for_everybody(
    tmp_path: Path, partitions: int, complete: bool
) -> None:
    blueconic = BlueConic(*people(12, level="gold", mobile=ANN_S))
    goal = ExportGoalOf("g", Keeping(), blueconic, [TIER, MOBILE], (BY_CRM,), mapping={"when_missing": "clear"})
    Run(tmp_path, goal, day(1), partitions=partitions).run()
    for profile in blueconic.profiles:
        del profile["mobile"]

    second = Run(tmp_path, goal, day(2), partitions=partitions, complete=complete)
    with pytest.raises(
        LimitExceeded, match=r'nothing was sent\. "phone" would be cleared for 12 of 12 people'
    ) as stopped:
        second.run()
    meant = Run(
        tmp_path, goal, day(3), partitions=partitions, complete=complete, limits={"clears_percent": 100}
    ).run()  # fmt: skip

    assert "tier" not in str(stopped.value)
    assert meant.report["clears"] == 12


def test_people_who_have_a_value_still_count_in_partitions_in_which_nobody_loses_one(tmp_path: Path) -> None:
    blueconic = BlueConic(*people(16, level="gold"))
    goal = ExportGoalOf("g", Keeping(), blueconic, [TIER], (BY_CRM,), mapping={"when_missing": "clear"})
    Run(tmp_path, goal, day(1), partitions=8).run()
    for profile in blueconic.profiles[:7]:
        del profile["level"]

    assert Run(tmp_path, goal, day(2), partitions=8).run().report["clears"] == 7


def test_people_who_left_do_not_count_as_losing_a_value(tmp_path: Path) -> None:
    blueconic = BlueConic(*people(12, level="gold"))
    goal = ExportGoalOf("g", Keeping(), blueconic, [TIER], (BY_CRM,), delta={"leavers": "clear_fields"})
    Run(tmp_path, goal, day(1)).run()
    del blueconic.profiles[:10]

    assert Run(tmp_path, goal, day(2)).run().report["clears"] == 10


def test_what_was_emptied_before_does_not_count_again(tmp_path: Path) -> None:
    blueconic = BlueConic(*people(12, level="gold", mobile=ANN_S))
    goal = ExportGoalOf(
        "g", Keeping(), blueconic, [TIER, MOBILE], (BY_CRM,),
        mapping={"when_missing": "clear"}, delta={"send": "whole_profile"},
    )  # fmt: skip
    Run(tmp_path, goal, day(1)).run()
    for profile in blueconic.profiles:
        del profile["mobile"]
    Run(tmp_path, goal, day(2), limits={"clears_percent": 100}).run()
    for profile in blueconic.profiles:
        profile["level"] = ["silver"]

    assert Run(tmp_path, goal, day(3)).run().report["clears"] == 12


def test_an_import_does_not_empty_a_property_for_everybody_either(tmp_path: Path) -> None:
    names = [f"u{number}" for number in range(12)]
    braze = Braze(**{name: {"city": "Ede", "tier": "gold"} for name in names})
    blueconic = BlueConic(*({"crm_id": [name]} for name in names))
    rows: Any = [("custom_attributes.city", "city", {"merge": "set_or_clear"}), ("custom_attributes.tier", "tier")]
    goal = ImportGoalOf("g", braze, blueconic, rows)
    Run(tmp_path, goal, day(1)).run()
    for user in braze.users.values():
        user.clear()

    with pytest.raises(LimitExceeded, match=r'"city" would be cleared for 12 of 12 people'):
        Run(tmp_path, goal, day(2)).run()


# Another connection


@pytest.mark.promise(1)
def test_who_rests_in_one_workspace_is_tried_in_another(tmp_path: Path) -> None:
    one, other = Braze(u0={}, u1={}), Braze(u0={}, u1={})
    one.rejected = {"u0"}
    blueconic = BlueConic(*({"crm_id": [name], "level": ["gold"]} for name in ("u0", "u1")))
    goal = ExportGoalOf("g", one, blueconic, [TIER], (BY_CRM,))
    for night in range(1, 8):
        resting = Run(tmp_path, goal, day(night)).run()

    moved = dataclasses.replace(goal, braze=other, target_conn_id="braze_crm")
    there = Run(tmp_path, moved, day(8)).run()

    assert (resting.report["to_send"], resting.report["quarantined"]) == (0, 1)
    assert there.report["accepted"] == 2
    assert {name: user["tier"] for name, user in other.users.items()} == {"u0": "gold", "u1": "gold"}


# A run that was overtaken


@pytest.mark.promise(4)
def test_an_upload_that_was_overtaken_sends_nothing_however_often_it_is_cleared(tmp_path: Path) -> None:
    braze = Braze(u0={})
    blueconic = BlueConic({"crm_id": ["u0"], "level": ["gold"]})
    goal = ExportGoalOf("g", braze, blueconic, [TIER], (BY_CRM,))
    Run(tmp_path, goal, day(1)).run()
    blueconic.profiles[0]["level"] = ["silver"]
    broken_off = Run(tmp_path, goal, day(2)).run(last="guard")
    blueconic.profiles[0]["level"] = ["gold"]
    Run(tmp_path, goal, day(3)).run()

    for _ in range(3):
        broken_off.again("upload", "commit", "report")
        with pytest.raises(SyncError, match="0 of 1 people were sent"):
            broken_off.run()

    assert braze.users["u0"]["tier"] == "gold"
