"""The demo's comparisons of both sides see what differs, in either direction."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_braze_blueconic.sandbox.agreement.exported import compare
from airflow_provider_braze_blueconic.sandbox.agreement.imported import compare_import
from airflow_provider_braze_blueconic.sandbox.agreement.outcome import Agreement

TYPES = {"points": "RANGE", "revenue": "DECIMAL", "joined": "DATETIME"}


def profile(name: str, **properties: list[str]) -> dict[str, Any]:
    values = {"lastmodifieddate": ["1"], **properties}
    return {
        "id": name,
        "permissions": {"level": "PERSONAL"},
        "segments": [],
        "properties": [{"id": key, "values": held} for key, held in values.items()],
    }


def user(external_id: str, **attributes: Any) -> dict[str, Any]:
    return {"external_id": external_id, "custom_attributes": attributes}


def imported(users: list[dict[str, Any]], profiles: list[dict[str, Any]], *rows: dict[str, str]) -> Agreement:
    return compare_import(users, profiles, rows, TYPES, identifier="crm_id")


def exported(profiles: list[dict[str, Any]], users: list[dict[str, Any]], *rows: dict[str, str]) -> Agreement:
    return compare(profiles, users, rows, identifier="crm_id")


@pytest.mark.parametrize(
    ("merge", "holds", "not_so"),
    [
        pytest.param("set", ["a", "b"], ["a"], id="set"),
        pytest.param("set_or_clear", ["b", "a"], ["a", "b", "c"], id="set_or_clear"),
        pytest.param("set_if_empty", ["z"], [], id="set_if_empty"),
        pytest.param("add", ["a", "b", "z"], ["a", "z"], id="add"),
        pytest.param("remove", ["z"], ["a", "z"], id="remove"),
    ],
)
def test_an_import_agrees_only_where_the_merge_is_done(merge: str, holds: list[str], not_so: list[str]) -> None:
    row = {"from": "custom_attributes.tags", "to": "tags", "merge": merge}

    agreement = imported([user("1", tags=["a", "b"])], [profile("p", crm_id=["1"], tags=holds)], row)
    difference = imported([user("1", tags=["a", "b"])], [profile("p", crm_id=["1"], tags=not_so)], row)

    assert (agreement.agreed, agreement.values) == (True, 1)
    assert (difference.agreed, difference.differences) == (False, {"tags": 1})


@pytest.mark.parametrize(
    ("held", "agreed"),
    [
        pytest.param("12.5", True, id="equal"),
        pytest.param("12.50", True, id="written otherwise"),
        pytest.param("12.51", False, id="another number"),
        pytest.param("much", False, id="no number"),
    ],
)
def test_numbers_are_compared_as_numbers(held: str, agreed: bool) -> None:
    row = {"from": "custom_attributes.revenue", "to": "revenue", "merge": "sum"}

    assert imported([user("1", revenue=12.5)], [profile("p", crm_id=["1"], revenue=[held])], row).agreed is agreed


@pytest.mark.parametrize(("held", "agreed"), [("carpe diem", True), ("carpe diem\u00a0", False)])
def test_space_at_an_edge_that_nobody_sees_belongs_to_no_value(held: str, agreed: bool) -> None:
    row = {"from": "custom_attributes.motto", "to": "motto"}
    people = [user("1", motto="\u200bcarpe diem\u00a0")]

    assert imported(people, [profile("p", crm_id=["1"], motto=[held])], row).agreed is agreed


def test_what_is_cleared_in_braze_is_cleared_in_blueconic() -> None:
    row = {"from": "custom_attributes.tier", "to": "tier", "merge": "set_or_clear"}

    assert imported([user("1")], [profile("p", crm_id=["1"], tier=[])], row).agreed
    assert not imported([user("1")], [profile("p", crm_id=["1"], tier=["gold"])], row).agreed


def test_a_value_that_blueconic_can_not_hold_is_counted_and_not_compared() -> None:
    row = {"from": "custom_attributes.points", "to": "points"}

    agreement = imported([user("1", points=2_147_483_648)], [profile("p", crm_id=["1"], points=["7"])], row)

    assert (agreement.left_out, agreement.values, agreement.agreed) == (1, 0, False)


def test_who_is_missing_on_the_other_side_is_no_agreement() -> None:
    row = {"from": "custom_attributes.tier", "to": "tier"}
    both = ([user("1", tier="gold"), user("2", tier="gold")], [profile("p", crm_id=["1"], tier=["gold"])])
    back = {"from": "property.tier", "to": "tier"}
    two = [profile("p", crm_id=["1"], tier=["gold"]), profile("q", crm_id=["2"], tier=["gold"])]

    assert (imported(*both, row).absent, imported(*both, row).agreed) == (1, False)
    assert (exported(two, [user("1", tier="gold")], back).absent, exported(two, [], back).agreed) == (1, False)


def test_whose_profile_is_of_several_people_is_not_compared() -> None:
    row = {"from": "custom_attributes.tier", "to": "tier"}

    agreement = imported([user("1", tier="gold")], [profile("p", crm_id=["1", "2"], tier=["silver"])], row)

    assert (agreement.people, agreement.values) == (1, 0)


@pytest.mark.parametrize(("held", "agreed"), [("gold", True), ("silver", False), (None, False)])
def test_an_export_agrees_only_where_braze_holds_the_same(held: str | None, agreed: bool) -> None:
    people = [user("1", **({} if held is None else {"tier": held}))]

    agreement = exported([profile("p", crm_id=["1"], tier=["gold"])], people, {"from": "property.tier", "to": "tier"})

    assert agreement.agreed is agreed


def test_of_two_profiles_of_a_person_the_latest_counts() -> None:
    profiles = [
        profile("p", crm_id=["1"], tier=["gold"], lastmodifieddate=["2"]),
        profile("q", crm_id=["1"], tier=["silver"], lastmodifieddate=["3"]),
    ]

    assert exported(profiles, [user("1", tier="silver")], {"from": "property.tier", "to": "tier"}).agreed
