"""Braze's answers over HTTP: keys, sizes, entries, limits and lists."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from airflow_provider_braze_blueconic.sandbox.braze.keys import READ_ONLY_API_KEY
from airflow_provider_braze_blueconic.sandbox.braze.workspace import segment_id
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from tests.support.sandbox import braze_headers, running_sandbox

_NO_VALID_DATA = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with running_sandbox(profiles=20) as running:
        yield running


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    """For tests that only read, or are refused."""
    with running_sandbox(profiles=20) as running:
        yield running


def _post(box: Sandbox, path: str, document: Any = None, **options: Any) -> requests.Response:
    headers = {**braze_headers(), "Content-Type": "application/json", **options.pop("headers", {})}
    data = options.pop("data", None) or json.dumps(document).encode()
    return requests.post(f"{box.braze_url}{path}", data=data, headers=headers, timeout=10, **options)


def _get(box: Sandbox, path: str, **parameters: Any) -> requests.Response:
    return requests.get(f"{box.braze_url}{path}", params=parameters, headers=braze_headers(), timeout=10)


def _users(count: int) -> list[dict[str, Any]]:
    return [{"external_id": f"u{number}", "x": number} for number in range(count)]


def test_accepted_objects_are_counted_for_the_arrays_that_were_sent(box: Sandbox) -> None:
    answer = _post(box, "/users/track", {"attributes": _users(75), "partner": "somebody"})

    assert answer.status_code == 201
    assert answer.json() == {"message": "success", "attributes_processed": 75}
    assert box.braze.user("u74") is not None


def test_partly_accepted_request_is_still_201(box: Sandbox) -> None:
    users = _users(3)
    users[1]["email_subscribe"] = "maybe"

    answer = _post(box, "/users/track", {"attributes": users})

    assert answer.status_code == 201
    assert answer.json()["attributes_processed"] == 2
    assert [(each["index"], each["input_array"]) for each in answer.json()["errors"]] == [(1, "attributes")]
    assert box.braze.user("u1") is None


def test_request_of_bad_objects_is_400_with_entries(box: Sandbox) -> None:
    answer = _post(box, "/users/track", {"attributes": [{"x": 1}, {"y": 2}]})

    assert answer.status_code == 400
    assert answer.json()["message"] == _NO_VALID_DATA
    assert [each["index"] for each in answer.json()["errors"]] == [0, 1]


@pytest.mark.parametrize(
    ("path", "count", "status"),
    [
        ("/users/track", 75, 201),
        ("/users/track", 76, 400),
        ("/users/track/bulk", 1000, 201),
        ("/users/track/bulk", 1001, 400),
    ],
)
def test_number_of_objects_is_limited(box: Sandbox, path: str, count: int, status: int) -> None:
    answer = _post(box, path, {"attributes": _users(count)})

    assert answer.status_code == status
    assert answer.json()["message"] == ("success" if status == 201 else "Max Input Length Exceeded")
    assert box.braze.traffic.accepted == (count if status == 201 else 0)


def test_limit_of_objects_counts_all_arrays_together(shared: Sandbox) -> None:
    events = [{"external_id": "a", "name": "seen", "time": "2026-11-23T00:00:00Z"}] * 40

    assert _post(shared, "/users/track", {"attributes": _users(36), "events": events}).status_code == 400


def test_bulk_takes_a_hundred_objects_of_a_user(box: Sandbox) -> None:
    assert _post(box, "/users/track/bulk", {"attributes": [{"external_id": "a"}] * 100}).status_code == 201
    assert _post(box, "/users/track/bulk", {"attributes": [{"external_id": "a"}] * 101}).status_code == 400


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [("/users/track", 4_000_001, 413), ("/users/track/bulk", 2_000_001, 400)],
)
def test_body_is_limited(box: Sandbox, path: str, size: int, status: int) -> None:
    start, end = b'{"attributes": [{"external_id": "a", "x": "', b'"}]}'

    answer = _post(box, path, data=start + b"x" * (size - len(start) - len(end)) + end)

    assert answer.status_code == status
    assert box.braze.user("a") is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="cut"),
        pytest.param(b'{"attributes": [],}', id="trailing comma"),
        pytest.param(b'{"attributes": [{"external_id": "a", "x": NaN}]}', id="NaN"),
        pytest.param(b'{"attributes": [{"external_id": "\xe9"}]}', id="not UTF-8"),
        pytest.param(b"[]", id="not an object"),
        pytest.param(b"{}", id="no array"),
        pytest.param(b'{"attributes": []}', id="empty array"),
        pytest.param(b'{"attributes": {}}', id="array is an object"),
    ],
)
def test_bad_body_is_refused(shared: Sandbox, body: bytes) -> None:
    assert _post(shared, "/users/track", data=body).status_code == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_other_content_type_is_refused(shared: Sandbox, kind: str) -> None:
    answer = _post(shared, "/users/track", {"attributes": _users(1)}, headers={"Content-Type": kind})

    assert answer.status_code == 415


@pytest.mark.parametrize("header", ["Bearer wrong-key", 'Bearer "sandbox-braze-key"', "sandbox-braze-key", ""])
def test_wrong_key_is_refused_with_a_body_that_repeats_it(shared: Sandbox, header: str) -> None:
    answer = _post(shared, "/users/track", {"attributes": _users(1)}, headers={"Authorization": header})

    assert answer.status_code == 401
    assert answer.json()["message"] == f"Invalid API key: {header.partition(' ')[2]}"


def test_key_without_the_permission_is_forbidden(shared: Sandbox) -> None:
    answer = _post(shared, "/users/track", {"attributes": _users(1)}, headers=braze_headers(READ_ONLY_API_KEY))

    assert answer.status_code == 403


def test_permissions_of_a_key_can_be_set(box: Sandbox) -> None:
    box.faults.braze = replace(box.faults.braze, keys={"other": ("segments.list",)})

    answers = [
        requests.get(f"{box.braze_url}{path}", headers=braze_headers("other"), timeout=10).status_code
        for path in ("/segments/list", "/campaigns/list")
    ]

    assert answers == [200, 403]


def test_trailing_slash_is_access_denied(shared: Sandbox) -> None:
    assert _post(shared, "/users/track/", {"attributes": _users(1)}).status_code == 403


def test_unknown_path_is_not_found(shared: Sandbox) -> None:
    assert _get(shared, "/users/nothing").status_code == 404


def test_request_over_the_rate_limit_is_refused_with_the_time_of_the_reset(box: Sandbox) -> None:
    box.faults.braze = replace(box.faults.braze, track_requests=2, track_seconds=3600)

    answers = [_post(box, "/users/track", {"attributes": _users(1)}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert int(answers[2].headers["x-ratelimit-reset"]) > 1_000_000_000
    assert box.braze.traffic.requests == 2


def test_mau_contract_answers_429_with_seconds_alone(box: Sandbox) -> None:
    box.faults.braze = replace(
        box.faults.braze, track_requests=1, track_seconds=3600, reset_form="seconds", limited_form="retry_after"
    )

    good, limited = (_post(box, "/users/track", {"attributes": _users(1)}) for _ in range(2))

    assert int(good.headers["x-ratelimit-reset"]) <= 3600
    assert 1 <= int(limited.headers["x-ratelimit-retry-after"]) <= 3600
    assert "x-ratelimit-reset" not in limited.headers


def test_segments_come_in_pages_of_a_hundred(shared: Sandbox) -> None:
    pages = [_get(shared, "/segments/list", page=page).json()["segments"] for page in range(3)]

    assert [len(page) for page in pages] == [100, 6, 0]
    assert "BlueConic Test Users" in {each["name"] for each in pages[0]}


def test_segments_can_be_listed_newest_first(shared: Sandbox) -> None:
    newest = _get(shared, "/segments/list", sort_direction="desc").json()["segments"][0]

    assert newest["name"] == "Campaign audience 102"


def test_segment_is_described_by_its_id(shared: Sandbox) -> None:
    found = _get(shared, "/segments/details", segment_id=segment_id("BlueConic Test Users"))
    unknown = _get(shared, "/segments/details", segment_id="nothing")

    assert found.json()["name"] == "BlueConic Test Users"
    assert unknown.status_code == 400


@pytest.mark.parametrize(("length", "status"), [(1, 200), (100, 200), (101, 400), (0, 400)])
def test_segment_sizes_cover_up_to_a_hundred_days(shared: Sandbox, length: int, status: int) -> None:
    answer = _get(shared, "/segments/data_series", segment_id=segment_id("All users"), length=length)

    assert answer.status_code == status
    assert status == 400 or len(answer.json()["data"]) == length


@pytest.mark.parametrize(
    ("segment", "belongs"),
    [
        pytest.param("All users", lambda _user: True, id="everybody"),
        pytest.param(
            "BlueConic Test Users", lambda user: user.get("external_id", "").startswith("crm-"), id="by external id"
        ),
        pytest.param(
            "Newsletter subscribers", lambda user: user.get("email_subscribe") == "opted_in", id="by subscription"
        ),
        pytest.param("Empty segment", lambda _user: False, id="nobody"),
    ],
)
def test_size_of_a_segment_counts_its_users(
    shared: Sandbox, segment: str, belongs: Callable[[dict[str, Any]], bool]
) -> None:
    answer = _get(shared, "/segments/data_series", segment_id=segment_id(segment), length=1).json()

    assert answer["data"][0]["size"] == sum(belongs(user) for user in shared.braze.users())


def test_size_of_a_segment_can_be_an_estimate(box: Sandbox) -> None:
    box.faults.braze = replace(box.faults.braze, size_error=0.5)

    answer = _get(box, "/segments/data_series", segment_id=segment_id("All users"), length=1).json()

    assert answer["data"][0]["size"] == round(len(box.braze) * 1.5)


def test_archived_campaign_is_listed_only_when_asked_for(shared: Sandbox) -> None:
    usual = _get(shared, "/campaigns/list").json()["campaigns"]
    archived = _get(shared, "/campaigns/list", include_archived="true").json()["campaigns"]

    [only_archived] = [each for each in archived if each not in usual]
    assert len(usual) == 3
    details = _get(shared, "/campaigns/details", campaign_id=only_archived["id"]).json()
    assert (details["archived"], details["enabled"]) == (True, False)


def test_custom_attributes_are_paged_by_the_link_header(shared: Sandbox) -> None:
    names: list[str] = []
    url: str | None = f"{shared.braze_url}/custom_attributes"
    while url:
        answer = requests.get(url, headers=braze_headers(), timeout=10)
        names += [each["name"] for each in answer.json()["attributes"]]
        url = answer.links.get("next", {}).get("url")

    assert names == sorted(names)
    assert len(names) == 71


def test_users_are_exported_by_their_ids(box: Sandbox) -> None:
    _post(box, "/users/track", {"attributes": [{"external_id": "a", "first_name": "Ann", "home_city": "Ede"}]})

    answer = _post(box, "/users/export/ids", {"external_ids": ["a", "zz"], "fields_to_export": ["first_name"]}).json()

    assert answer == {"message": "success", "users": [{"first_name": "Ann"}], "invalid_user_ids": ["zz"]}


def test_export_takes_fifty_ids(shared: Sandbox) -> None:
    assert _post(shared, "/users/export/ids", {"external_ids": ["a"] * 51}).status_code == 400


def test_export_by_email_finds_everybody_who_can_be_found(box: Sandbox) -> None:
    _post(box, "/users/track", {"attributes": [{"external_id": "a", "email": "ann@example.com"}]})

    answer = _post(box, "/users/export/ids", {"email_address": "ann@example.com"}).json()

    assert [user["external_id"] for user in answer["users"]] == ["a"]
