"""Who a write reaches, who is created, and what it costs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_braze_blueconic.sandbox.braze.settings import BrazeSettings
from airflow_provider_braze_blueconic.sandbox.braze.state import BrazeState
from airflow_provider_braze_blueconic.sandbox.in_force import Faults
from airflow_provider_braze_blueconic.sandbox.people import make_people

_GROUP = "12345678-1234-1234-1234-123456789abc"
_NOW = "2026-11-23T00:00:00Z"


def _problem(**attributes: Any) -> str | None:
    outcome = BrazeState().track({"attributes": [attributes]})
    return outcome.errors[0]["type"] if outcome.errors else None


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        pytest.param({"first_name": "Ann"}, "is required", id="no identifier"),
        pytest.param({"external_id": "a", "braze_id": "b"}, "only one of", id="two primary identifiers"),
        pytest.param({"external_id": ""}, "non-empty", id="empty id"),
        pytest.param({"external_id": 5}, "non-empty", id="id is a number"),
        pytest.param({"external_id": "é" * 494}, "EXTERNAL_USER_ID_TOO_LARGE", id="988 bytes"),
        pytest.param({"external_id": "sandbox-dummy-user"}, "blacklisted", id="dummy user"),
        pytest.param({"user_alias": {"alias_name": "x"}}, "alias_label", id="alias without label"),
        pytest.param({"email": "nobody"}, "EMAIL_BAD_FORMAT", id="bad e-mail as identifier"),
    ],
)
def test_object_without_a_usable_identifier_is_refused(attributes: dict[str, Any], problem: str) -> None:
    assert problem in str(_problem(**attributes))


@pytest.mark.parametrize("external_id", ["a", "é" * 493 + "x"], ids=["short", "987 bytes"])
def test_unknown_external_id_creates_a_user(external_id: str) -> None:
    state = BrazeState()

    state.track({"attributes": [{"external_id": external_id}]})

    assert state.external_ids() == {external_id}
    assert state.traffic.created == 1


@pytest.mark.parametrize(
    ("attributes", "users"),
    [
        pytest.param({"external_id": "a", "_update_existing_only": True}, 0, id="update only"),
        pytest.param({"user_alias": {"alias_name": "n", "alias_label": "l"}}, 0, id="alias: update only by default"),
        pytest.param(
            {"user_alias": {"alias_name": "n", "alias_label": "l"}, "_update_existing_only": False},
            1,
            id="alias: created when asked",
        ),
        pytest.param({"email": "ann@example.com"}, 1, id="e-mail-only profile"),
        pytest.param({"email": "ann@example.com", "_update_existing_only": True}, 0, id="e-mail, update only"),
        pytest.param({"phone": "+31612345678"}, 1, id="phone-only profile"),
        pytest.param({"braze_id": "00000000000000000000ffff"}, 0, id="braze id never creates"),
    ],
)
def test_unknown_person_is_created_or_silently_left(attributes: dict[str, Any], users: int) -> None:
    state = BrazeState()

    outcome = state.track({"attributes": [attributes]})

    assert outcome.errors == []
    assert outcome.accepted == {"attributes": 1}
    assert len(state) == users
    assert state.traffic.unmatched == 1 - users


def test_external_id_with_the_email_of_another_user_makes_a_second_profile() -> None:
    state = BrazeState()
    state.track({"attributes": [{"email": "ann@example.com"}]})

    state.track({"attributes": [{"external_id": "a", "email": "ann@example.com"}]})

    assert len(state) == 2


def test_email_finds_the_identified_user_that_changed_last() -> None:
    state = BrazeState()
    state.track({"attributes": [{"external_id": name, "email": "ann@example.com"} for name in ("a", "b")]})
    state.track({"attributes": [{"external_id": "a", "home_city": "Ede"}]})

    state.track({"attributes": [{"email": "Ann@example.com", "found": True}]})

    assert (state.user("a") or {})["custom_attributes"] == {"found": True}


def test_email_that_a_user_no_longer_has_finds_nobody() -> None:
    state = BrazeState()
    state.track({"attributes": [{"external_id": "a", "email": "old@example.com"}]})
    state.track({"attributes": [{"external_id": "a", "email": "new@example.com"}]})

    assert state.export({"email": "old@example.com"}) is None
    assert state.export({"email": "new@example.com"}) is not None


def test_subscription_spreads_to_everybody_with_the_same_email() -> None:
    state = BrazeState()
    state.track({"attributes": [{"external_id": name, "email": "ann@example.com"} for name in ("a", "b")]})
    groups = [{"subscription_group_id": _GROUP, "subscription_state": "unsubscribed"}]

    state.track({"attributes": [{"external_id": "a", "subscription_groups": groups}]})

    assert [user["subscription_groups"] for user in state.users()] == [{_GROUP: "unsubscribed"}] * 2


def test_entry_names_array_and_place_inside_it() -> None:
    state = BrazeState()

    outcome = state.track(
        {
            "attributes": [{"external_id": "a"}, {"external_id": "b", "email": "bad"}],
            "events": [{"external_id": "a", "name": "seen", "time": _NOW}, {"external_id": "a", "time": _NOW}],
        }
    )

    assert [(error["input_array"], error["index"]) for error in outcome.errors] == [("attributes", 1), ("events", 1)]
    assert outcome.accepted == {"attributes": 1, "events": 1}
    assert set(outcome.errors[0]) == {"type", "input_array", "index"}


def test_refused_object_changes_nothing_and_costs_nothing() -> None:
    state = BrazeState()
    state.track({"attributes": [{"external_id": "a", "home_city": "Ede"}]})
    before = state.traffic.data_points

    state.track({"attributes": [{"external_id": "a", "home_city": "Zwolle", "email": "bad"}]})

    assert (state.user("a") or {})["home_city"] == "Ede"
    assert state.traffic.data_points == before


@pytest.mark.parametrize(
    ("attributes", "points"),
    [
        pytest.param({"first_name": "Ann", "country": "NL", "x": 1}, 3, id="standard and custom fields"),
        pytest.param({"email_subscribe": "opted_in", "push_subscribe": "subscribed"}, 0, id="subscriptions are free"),
        pytest.param({"_update_existing_only": False, "_merge_objects": True}, 0, id="control flags are free"),
        pytest.param({"country": "Atlantis"}, 1, id="what does not stick costs as well"),
        pytest.param({"email": "ann@example.com"}, 1, id="e-mail beside an id is a write"),
    ],
)
def test_attributes_cost_what_braze_bills(attributes: dict[str, Any], points: int) -> None:
    state = BrazeState()

    state.track({"attributes": [{"external_id": "a", **attributes}]})

    assert state.traffic.data_points == points


def test_email_that_only_finds_the_user_is_free() -> None:
    state = BrazeState()
    state.track({"attributes": [{"external_id": "a", "email": "ann@example.com"}]})
    before = state.traffic.data_points

    state.track({"attributes": [{"email": "ann@example.com", "x": 1}]})

    assert state.traffic.data_points - before == 1


@pytest.mark.parametrize(("is_billed", "points"), [(False, 0), (True, 2)])
def test_billing_of_an_unmatched_update_can_be_chosen(is_billed: bool, points: int) -> None:
    """The docs do not say whether it costs."""
    faults = Faults()
    faults.braze = BrazeSettings(bill_unmatched=is_billed)
    state = BrazeState(faults=faults)

    state.track({"attributes": [{"external_id": "a", "x": 1, "y": 2, "_update_existing_only": True}]})

    assert state.traffic.data_points == points


def test_events_and_purchases_are_counted_each_time() -> None:
    state = BrazeState(clock=lambda: datetime(2026, 3, 1, tzinfo=UTC))
    event = {"external_id": "a", "name": "seen", "time": "2026-02-01T00:00:00Z"}
    later = {**event, "time": "2026-02-02T03:04:05.678Z"}
    purchase = {"external_id": "a", "product_id": "p", "currency": "EUR", "price": 9.5, "quantity": 2}
    purchase["time"] = "2999-01-01T00:00:00Z"

    state.track({"events": [later, event], "purchases": [purchase]})

    user = state.user("a") or {}
    assert user["custom_events"] == [
        {"name": "seen", "first": "2026-02-01T00:00:00.000Z", "last": "2026-02-02T03:04:05.678Z", "count": 2}
    ]
    now = "2026-03-01T00:00:00.000Z"  # a time to come counts as now
    assert user["purchases"] == [{"name": "p", "first": now, "last": now, "count": 1}]
    assert user["total_revenue"] == 19.0
    assert state.traffic.data_points == 3


@pytest.mark.parametrize("change", [{"price": "9"}, {"currency": "euro"}, {"quantity": 101}, {"time": "soon"}])
def test_bad_purchase_is_refused(change: dict[str, Any]) -> None:
    purchase = {"external_id": "a", "product_id": "p", "currency": "EUR", "price": 9.5, "time": _NOW, **change}

    assert len(BrazeState().track({"purchases": [purchase]}).errors) == 1


def test_most_people_with_a_key_are_users_already() -> None:
    people = make_people(2000, seed=1)

    state = BrazeState(people)

    keys = {person.crm_ids[0] for person in people if person.crm_ids}
    assert 0.95 < len(keys & state.external_ids()) / len(keys) < 0.99
    assert state.traffic.created == 0
    assert state.traffic.data_points == 0


def test_export_leaves_out_what_is_empty() -> None:
    state = BrazeState()
    state.track({"attributes": [{"external_id": "a", "first_name": "Ann"}]})

    user = state.user("a") or {}

    assert set(user) == {"created_at", "created_from", "braze_id", "random_bucket", "external_id", "first_name"}


def test_deleted_user_is_found_by_nothing() -> None:
    state = BrazeState()
    state.track({"attributes": [{"external_id": "a", "email": "ann@example.com"}]})

    state.delete("a")

    assert len(state) == 0
    assert state.export({"email": "ann@example.com"}) is None


def test_user_is_added_and_changed_without_traffic() -> None:
    state = BrazeState()
    purchase = {"name": "sku1", "first": "2026-01-01T00:00:00.000Z", "last": "2026-01-02T00:00:00.000Z", "count": 2}

    state.add({"first_name": "Ann", "custom_attributes": {"x": 1, "y": 2}}, external_id="a", aliases=[("n", "l")])
    state.change("a", {"first_name": None, "custom_attributes": {"x": [1], "y": None}, "purchases": [purchase]})
    state.increase_revenue("a", 1.25)
    state.increase_revenue("a", 2.5)

    user = state.user("a") or {}
    assert "first_name" not in user
    assert user["custom_attributes"] == {"x": [1]}
    assert user["purchases"] == [purchase]
    assert user["total_revenue"] == 3.75
    assert user["user_aliases"] == [{"alias_name": "n", "alias_label": "l"}]
    assert state.attributes.known()["x"] == "number"
    assert state.traffic.as_dict() == dict.fromkeys(state.traffic.as_dict(), 0)


def test_direct_change_of_an_address_is_found_by_the_new_one() -> None:
    state = BrazeState()
    state.add({"email": "old@example.com"}, external_id="a")

    state.change("a", {"email": "new@example.com"})

    assert state.export({"email": "old@example.com"}) is None
    assert state.export({"email": "new@example.com"}) is not None


def test_direct_change_of_an_unknown_field_is_refused() -> None:
    state = BrazeState()
    state.add({}, external_id="a")

    with pytest.raises(ValueError, match="no shoe_size"):
        state.change("a", {"shoe_size": 5, "first_name": "Ann"})

    assert "first_name" not in (state.user("a") or {})


def test_day_in_braze_changes_the_same_users_for_the_same_seed() -> None:
    people = make_people(300, seed=1)
    one, other = BrazeState(people, seed=1), BrazeState(people, seed=1)
    before = {user["braze_id"]: user for user in one.users()}

    days = [(one.next_day(changed=0.1), other.next_day(changed=0.1)) for _ in range(2)]

    assert [first == second for first, second in days] == [True, True]
    assert list(one.users()) == list(other.users())
    changed = {user["external_id"] for user in one.users() if user != before[user["braze_id"]]}
    assert changed == {*days[0][0].changed, *days[1][0].changed}
    assert all(external_id.startswith("crm-") for external_id in changed)


def test_nothing_happens_to_users_who_are_left_out_of_a_day() -> None:
    state = BrazeState(make_people(300, seed=1))
    everybody = {user["external_id"] for user in state.users() if "external_id" in user}
    spared = sorted(everybody)[:-10]

    assert set(state.next_day(changed=10_000, apart_from=spared).changed) <= everybody - set(spared)


@pytest.mark.parametrize(("wanted", "changed"), [(0, 0), (0.0, 0), (3, 3), (0.001, 1), (10_000, 282)])
def test_day_in_braze_changes_as_many_as_wanted(wanted: float, changed: int) -> None:
    state = BrazeState(make_people(300, seed=1))

    assert state.next_day(changed=wanted).counts() == {"day": 1, "changed": changed}


def test_export_shows_only_what_was_asked_for() -> None:
    state = BrazeState()
    state.add({"first_name": "Ann", "last_name": "Lee", "custom_attributes": {"x": 1, "y": 2}}, external_id="a")
    user = state.find({"external_id": "a"})
    assert user is not None

    some = user.export(fields=["first_name", "gender"], attributes=["y", "z"])
    every = user.export(fields=["custom_attributes"], attributes=["y"])

    assert some == {"first_name": "Ann", "custom_attributes": {"y": 2}}
    assert every == {"custom_attributes": {"x": 1, "y": 2}}
