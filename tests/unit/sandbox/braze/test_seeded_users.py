"""The seeded users of Braze have something of everything that an import may meet."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_braze_blueconic.sandbox.braze.export_requests import EXPORT_FIELDS
from airflow_provider_braze_blueconic.sandbox.braze.seeded_history import HISTORY_FIELDS
from airflow_provider_braze_blueconic.sandbox.braze.seeded_users import SEEDED_ATTRIBUTES
from airflow_provider_braze_blueconic.sandbox.braze.state import BrazeState
from airflow_provider_braze_blueconic.sandbox.braze.workspace import CAMPAIGNS
from airflow_provider_braze_blueconic.sandbox.people import make_people

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "boolean": bool,
    "time": str,
    "array": list,
    "object": dict,
    "object_array": list,
}


@pytest.fixture(scope="module")
def users() -> list[dict[str, Any]]:
    return list(BrazeState(make_people(1000, seed=1), seed=1).users())


def test_every_field_that_can_be_exported_occurs(users: list[dict[str, Any]]) -> None:
    assert {name for user in users for name in user} == EXPORT_FIELDS


def test_no_field_is_there_without_a_value(users: list[dict[str, Any]]) -> None:
    assert not [name for user in users for name, value in user.items() if value in (None, "", [], {})]


def test_no_field_but_the_id_and_dates_is_there_for_everybody(users: list[dict[str, Any]]) -> None:
    everywhere = set.intersection(*(set(user) for user in users))

    assert everywhere == {"braze_id", "created_at", "created_from", "random_bucket"}


def test_values_of_custom_attributes_have_their_declared_types(users: list[dict[str, Any]]) -> None:
    types = dict(SEEDED_ATTRIBUTES)
    held = {(name, value.__class__) for user in users for name, value in user.get("custom_attributes", {}).items()}

    assert [name for name, kind in held if not issubclass(kind, _TYPES[types[name]])] == []
    assert {types[name] for name, _ in held} == set(_TYPES)
    assert {"shoe size", "region.code"} <= {name for name, _ in held}


def test_numbers_go_beyond_what_a_target_may_hold(users: list[dict[str, Any]]) -> None:
    custom = [user["custom_attributes"] for user in users if "custom_attributes" in user]

    assert max(each.get("legacy_account", 0) for each in custom) > 2_147_483_647
    assert {each.get("children") for each in custom} >= {0, 1, 2}
    assert any(
        round(each["engagement_score"], 4) != each["engagement_score"]
        for each in custom
        if "pets" in each and "engagement_score" in each
    )


def test_some_texts_hold_letters_that_careless_readers_split_at(users: list[dict[str, Any]]) -> None:
    lines = [json.dumps(user, ensure_ascii=False) for user in users]

    assert any(len(line.splitlines()) > 1 for line in lines)
    assert not any("\n" in line for line in lines)


def test_received_campaigns_are_those_of_the_workspace_archived_ones_too(users: list[dict[str, Any]]) -> None:
    received = {
        (each["api_campaign_id"], each["name"]) for user in users for each in user.get("campaigns_received", [])
    }

    assert received == {(campaign.id, campaign.name) for campaign in CAMPAIGNS}


def test_users_differ_in_how_they_can_be_named(users: list[dict[str, Any]]) -> None:
    by_alias_only = [user for user in users if "external_id" not in user]
    by_both = [user for user in users if "external_id" in user and "user_aliases" in user]

    assert len(by_alias_only) == 20
    assert by_alias_only[0]["user_aliases"] == [{"alias_name": "visitor-000000", "alias_label": "web"}]
    assert by_both[0]["user_aliases"] == [{"alias_name": "alias-0000001", "alias_label": "crm"}]
    assert len(by_both) > 80


def test_fields_made_at_each_reading_are_the_same_each_time(users: list[dict[str, Any]]) -> None:
    again = BrazeState(make_people(1000, seed=1), seed=1)

    assert list(again.users()) == users
    assert list(again.users()) == users
    assert {name for user in users for name in user} >= HISTORY_FIELDS


def test_user_that_a_write_creates_has_no_history() -> None:
    state = BrazeState(make_people(100, seed=1), seed=1)

    state.track({"attributes": [{"external_id": "a"}]})

    assert not HISTORY_FIELDS & (state.user("a") or {}).keys()
