"""What Braze makes of the standard fields of a user."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_braze_blueconic.sandbox.braze.field_checks import find_problem
from airflow_provider_braze_blueconic.sandbox.braze.state import BrazeState

_GROUP = "12345678-1234-1234-1234-123456789abc"


def _after(**attributes: Any) -> dict[str, Any]:
    state = BrazeState()
    state.track({"attributes": [{"external_id": "u1", **attributes}]})
    return state.user("u1") or {}


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        pytest.param("country", "NL", "NL", id="code"),
        pytest.param("country", "nl", "NL", id="lower-case code"),
        pytest.param("country", "Netherlands", "NL", id="name"),
        pytest.param("country", "australia", "AU", id="name in lower case"),
        pytest.param("country", "Atlantis", None, id="unknown country is NULL"),
        pytest.param("language", "nl", "nl", id="language"),
        pytest.param("language", "Dutch", None, id="unknown language"),
        pytest.param("language", "no", None, id="language of ISO that Braze does not list"),
        pytest.param("language", "fil", "fil", id="language of Braze's list alone"),
        pytest.param("time_zone", "Europe/Amsterdam", "Europe/Amsterdam", id="zone"),
        pytest.param("time_zone", "Mars/Olympus", None, id="unknown zone"),
        pytest.param("dob", "1980-12-21", "1980-12-21", id="day"),
        pytest.param("dob", "1980-12-21T10:00:00Z", "1980-12-21", id="time becomes a day"),
        pytest.param("dob", "21-12-1980", None, id="not a day"),
        pytest.param("gender", "F", "F", id="gender"),
        pytest.param("gender", "female", None, id="unknown gender"),
        pytest.param("phone", "(020) 7946 0018", "(020) 7946 0018", id="phone as it came"),
        pytest.param("first_name", "Ann", "Ann", id="name"),
        pytest.param("first_name", 5, None, id="name must be a text"),
        pytest.param("image_url", "x" * 1025, None, id="long image address"),
    ],
)
def test_field_is_stored_in_the_form_of_braze(name: str, given: Any, stored: Any) -> None:
    assert _after(**{name: given}).get(name) == stored


def test_unknown_country_takes_the_place_of_the_known_one() -> None:
    state = BrazeState()

    state.track({"attributes": [{"external_id": "u1", "country": "NL"}, {"external_id": "u1", "country": "Atlantis"}]})

    assert "country" not in (state.user("u1") or {})


def test_field_in_other_spelling_becomes_a_custom_attribute() -> None:
    user = _after(First_Name="Ann")

    assert "first_name" not in user
    assert user["custom_attributes"] == {"First_Name": "Ann"}


def test_null_clears_a_field() -> None:
    state = BrazeState()

    state.track({"attributes": [{"external_id": "u1", "home_city": "Ede"}, {"external_id": "u1", "home_city": None}]})

    assert "home_city" not in (state.user("u1") or {})


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"email": "ann.example.com"}, "EMAIL_BAD_FORMAT"),
        ({"email": "ann@@example.com"}, "EMAIL_BAD_FORMAT"),
        ({"email": 5}, "EMAIL_BAD_FORMAT"),
        ({"email": "ann\xa0@example.com"}, "EMAIL_BAD_FORMAT"),
        ({"email": "ann\u200b@example.com"}, "EMAIL_BAD_FORMAT"),
        ({"email": "ann@bücher.example"}, "EMAIL_BAD_FORMAT"),
        ({"email": ".ann@example.com"}, "EMAIL_BAD_FORMAT"),
        ({"email": "ann{}@example.com"}, "EMAIL_BAD_FORMAT"),
        ({"email": "ann@10.0.0.1"}, "EMAIL_BAD_FORMAT"),
        ({"email": "ann@-example.com"}, "EMAIL_BAD_FORMAT"),
        ({"email": "x" * 65 + "@example.com"}, "EMAIL_BAD_FORMAT"),
        ({"email": "a@gmail.com"}, "EMAIL_BAD_FORMAT"),
        ({"email": "o'neill@live.com"}, "EMAIL_BAD_FORMAT"),
        ({"email_subscribe": "yes"}, "'email_subscribe' must be 'subscribed', 'unsubscribed', or 'opted_in'"),
        ({"push_subscribe": "yes"}, "BAD_PUSH_SUBSCRIPTION_STATE"),
        ({"current_location": {"longitude": "5"}}, "BAD_LOCATION_UPDATE"),
        ({"subscription_groups": "x"}, "BAD_SUBSCRIPTION_GROUP_ARRAY"),
        ({"subscription_groups": ["x"]}, "BAD_SUBSCRIPTION_GROUP_HASH"),
        ({"subscription_groups": [{"subscription_group_id": "x"}]}, "BAD_SUBSCRIPTION_GROUP_ID"),
        ({"subscription_groups": [{"subscription_group_id": _GROUP}]}, "BAD_SUBSCRIPTION_GROUP_STATE"),
        ({"push_tokens": [{"app_id": "a", "token": "t", "device_id": "short"}]}, "BAD_DEVICE_ID"),
        ({"email_subscription_info": {}}, "INVALID_ATTRIBUTE_EMAIL_SUBSCRIPTION_INFO"),
    ],
)
def test_bad_field_refuses_the_object(fields: dict[str, Any], problem: str) -> None:
    assert find_problem(fields) == problem


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "ann@example.com"},
        {"email": "zoë.o'neill+1@xn--bcher-kva.example"},
        {"email": "ann+o'neill@live.com"},
        {"email": None},
        {"email_subscribe": "opted_in"},
        {"current_location": {"longitude": 5.1, "latitude": 52}},
        {"subscription_groups": [{"subscription_group_id": _GROUP, "subscription_state": "subscribed"}]},
    ],
)
def test_good_field_is_taken(fields: dict[str, Any]) -> None:
    assert find_problem(fields) is None
