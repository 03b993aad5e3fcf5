"""BlueConic's answers over HTTP: tokens, pages, cursors, filters and refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from airflow_provider_braze_blueconic.sandbox.blueconic.keys import CLIENT_ID, CLIENT_SECRET
from airflow_provider_braze_blueconic.sandbox.blueconic.segments import EMPTY_SEGMENT, VIP_SEGMENT
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from tests.support.sandbox import blueconic_headers, read_segment, running_sandbox

_CREDENTIALS = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


class _Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def box(clock: _Clock) -> Iterator[Sandbox]:
    with running_sandbox(profiles=60, clock=clock) as running:
        yield running


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    """For tests that only read, or are refused."""
    with running_sandbox(profiles=60) as running:
        yield running


def _get(box: Sandbox, path: str, *, headers: dict[str, str] | None = None, **parameters: Any) -> requests.Response:
    return requests.get(
        f"{box.blueconic_url}/rest/v2{path}", params=parameters, headers=headers or blueconic_headers(box), timeout=10
    )


def _modified_since(text: str) -> str:
    return json.dumps({"property": "lastmodifieddate", "operator": "IN_RANGE", "fromDate": text})


def _ask_token(box: Sandbox, **options: Any) -> requests.Response:
    return requests.post(f"{box.blueconic_url}/rest/v2/oauth/token", timeout=10, **options)


def test_token_is_given_for_the_right_secret(shared: Sandbox) -> None:
    answer = _ask_token(shared, data=_CREDENTIALS).json()

    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 3600
    assert "refresh_token" not in answer


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        pytest.param({**_CREDENTIALS, "client_secret": "wrong"}, 401, "invalid_client", id="wrong secret"),
        pytest.param({**_CREDENTIALS, "grant_type": "password"}, 400, "unsupported_grant_type", id="other grant"),
        pytest.param({"grant_type": "client_credentials"}, 400, "invalid_request", id="no credentials"),
        pytest.param({**_CREDENTIALS, "scope": "write:users"}, 400, "invalid_scope", id="scope not granted"),
    ],
)
def test_token_is_refused(shared: Sandbox, form: dict[str, str], status: int, error: str) -> None:
    answer = _ask_token(shared, data=form)

    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_token_wants_a_form(shared: Sandbox) -> None:
    assert _ask_token(shared, json=_CREDENTIALS).status_code == 400


def test_credentials_may_come_as_http_basic(shared: Sandbox) -> None:
    answer = _ask_token(shared, data={"grant_type": "client_credentials"}, auth=(CLIENT_ID, CLIENT_SECRET))

    assert answer.status_code == 200


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer made-up"}, {"Authorization": "Basic eDp5"}, {"X": "y"}])
def test_call_without_a_good_token_is_refused(shared: Sandbox, headers: dict[str, str]) -> None:
    assert _get(shared, "/segments", headers=headers).status_code == 401


def test_token_dies_after_its_time(box: Sandbox) -> None:
    box.faults.blueconic = replace(box.faults.blueconic, token_seconds=0)

    headers = blueconic_headers(box)

    assert _get(box, "/segments", headers=headers).status_code == 401


def test_revoked_tokens_are_refused(box: Sandbox) -> None:
    headers = blueconic_headers(box)

    box.tokens.revoke_all()

    assert _get(box, "/segments", headers=headers).status_code == 401


def test_missing_scope_is_forbidden(box: Sandbox) -> None:
    box.faults.blueconic = replace(box.faults.blueconic, scopes=("read:profiles",))

    assert _get(box, "/segments").status_code == 403


def test_lists_come_in_pages_of_their_defaults(shared: Sandbox) -> None:
    segments = _get(shared, "/segments").json()
    properties = _get(shared, "/profileProperties").json()

    assert (len(segments["segments"]), segments["totalResults"], segments["totalPages"]) == (10, 12, 2)
    assert (len(properties["profileProperties"]), properties["totalResults"]) == (20, 31)


def test_last_page_of_a_list_is_short(shared: Sandbox) -> None:
    page = _get(shared, "/segments", startIndex=10, count=5).json()

    assert (page["startIndex"], page["itemsPerPage"], len(page["segments"])) == (10, 5, 2)


def test_profile_count_may_be_absent(shared: Sandbox) -> None:
    segments = {each["id"]: each for each in _get(shared, "/segments", count=50).json()["segments"]}

    assert segments[VIP_SEGMENT]["profileCount"] == 60
    assert "profileCount" not in segments["seg-hour-2"]


@pytest.mark.parametrize("count", [7, 60, 1000])
def test_cursor_leads_through_all_profiles_once(shared: Sandbox, count: int) -> None:
    profiles = read_segment(shared, VIP_SEGMENT, count=count)

    ids = [profile["id"] for profile in profiles]
    assert len(ids) == len(set(ids)) == 60
    assert set(ids) == shared.blueconic.segments[VIP_SEGMENT].members


def test_capped_read_ends_early_and_looks_complete(shared: Sandbox) -> None:
    profiles = read_segment(shared, VIP_SEGMENT, count=10, maxHitsAllowed=25)

    assert len(profiles) == 25


def test_last_page_has_no_next_cursor(shared: Sandbox) -> None:
    page = _get(shared, f"/segments/{VIP_SEGMENT}/profiles", count=60).json()

    assert "nextCursor" not in page
    assert (page["totalResults"], page["totalPages"], page["cursor"]) == (60, 1, "*")


def test_page_holds_twenty_profiles_when_no_count_is_given(shared: Sandbox) -> None:
    assert len(_get(shared, f"/segments/{VIP_SEGMENT}/profiles").json()["profiles"]) == 20


def test_empty_segment_is_one_empty_page(shared: Sandbox) -> None:
    page = _get(shared, f"/segments/{EMPTY_SEGMENT}/profiles").json()

    assert (page["profiles"], page["totalResults"], page.get("nextCursor")) == ([], 0, None)


def test_page_is_streamed(shared: Sandbox) -> None:
    answer = _get(shared, f"/segments/{VIP_SEGMENT}/profiles", count=60)

    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.headers["content-encoding"] == "gzip"


def test_page_is_plain_for_who_takes_no_gzip(shared: Sandbox) -> None:
    headers = {**blueconic_headers(shared), "Accept-Encoding": "identity"}

    answer = _get(shared, f"/segments/{VIP_SEGMENT}/profiles", headers=headers)

    assert "content-encoding" not in answer.headers
    assert len(answer.json()["profiles"]) == 20


def test_every_value_is_a_text_in_a_list(shared: Sandbox) -> None:
    profiles = read_segment(shared, VIP_SEGMENT)

    values = [each["values"] for profile in profiles for each in profile["properties"]]
    assert all(texts and all(isinstance(text, str) and text for text in texts) for texts in values)


def test_only_asked_properties_come_and_unknown_ones_are_ignored(shared: Sandbox) -> None:
    profiles = read_segment(shared, VIP_SEGMENT, profileProperty=["firstname", "lastmodifieddate", "nothing"])

    assert {each["id"] for profile in profiles for each in profile["properties"]} == {"firstname", "lastmodifieddate"}


def test_segments_and_permissions_come_only_when_expanded(shared: Sandbox) -> None:
    plain = _get(shared, f"/segments/{VIP_SEGMENT}/profiles", count=1).json()["profiles"][0]
    expanded = _get(
        shared,
        f"/segments/{VIP_SEGMENT}/profiles",
        count=1,
        expand=["profiles.profile.segments", "profiles.profile.permissions"],
    ).json()["profiles"][0]

    assert {"segments", "permissions"}.isdisjoint(plain)
    assert {"id": VIP_SEGMENT, "name": "VIP customers"} in expanded["segments"]
    assert expanded["permissions"]["level"] in {"PERSONAL", "ANONYMOUS", "DO_NOT_TRACK"}


def test_refinement_finds_what_changed(box: Sandbox) -> None:
    summary = box.next_day(changed=5, entered=2, left=3)

    found = read_segment(box, VIP_SEGMENT, count=2, refinement=_modified_since("2026-11-23T12:00:00.000Z"))

    assert {profile["id"] for profile in found} == {*summary.changed, *summary.entered}


def test_refinement_counts_its_own_hits(box: Sandbox) -> None:
    box.next_day(changed=5, entered=0, left=0)

    page = _get(
        box, f"/segments/{VIP_SEGMENT}/profiles", count=2, refinement=_modified_since("2026-11-23T12:00:00Z")
    ).json()

    assert (page["totalResults"], page["totalPages"]) == (5, 3)


def test_change_is_found_only_after_the_lag_of_the_index(box: Sandbox, clock: _Clock) -> None:
    box.faults.blueconic = replace(box.faults.blueconic, index_lag_s=600)
    box.next_day(changed=5, entered=0, left=0)
    refinement = _modified_since("2026-11-23T00:00:00Z")

    at_once = read_segment(box, VIP_SEGMENT, refinement=refinement)
    clock.now = datetime(2026, 11, 23, 12, 10, tzinfo=UTC)
    later = read_segment(box, VIP_SEGMENT, refinement=refinement)

    assert (len(at_once), len(later)) == (0, 5)


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"count": 1_000_001}, id="page too large"),
        pytest.param({"count": 0}, id="page of nothing"),
        pytest.param({"count": "many"}, id="count is a word"),
        pytest.param({"cursor": "no cursor!"}, id="broken cursor"),
        pytest.param({"refinement": "{"}, id="broken refinement"),
        pytest.param({"audienceId": "a"}, id="audiences are not there"),
    ],
)
def test_wrong_parameter_is_refused(shared: Sandbox, parameters: dict[str, Any]) -> None:
    assert _get(shared, f"/segments/{VIP_SEGMENT}/profiles", **parameters).status_code == 400


def test_refinement_on_a_property_can_be_switched_off(box: Sandbox) -> None:
    box.faults.blueconic = replace(box.faults.blueconic, refused_refinements=("lastmodifieddate",))

    answer = _get(box, f"/segments/{VIP_SEGMENT}/profiles", refinement=_modified_since("2026-11-23T12:00:00Z"))

    assert answer.status_code == 400


@pytest.mark.parametrize(
    "path", ["/segments/nothing/profiles", "/profileProperties/nothing", "/profiles/x", "/nothing"]
)
def test_unknown_thing_is_not_found(shared: Sandbox, path: str) -> None:
    assert _get(shared, path).status_code == 404


def test_saved_property_is_listed(box: Sandbox) -> None:
    saved = requests.put(
        f"{box.blueconic_url}/rest/v2/profileProperties/braze_tags",
        json={"id": "braze_tags", "name": "Braze tags", "filterType": "SELECT"},
        headers=blueconic_headers(box),
        timeout=10,
    )

    assert saved.status_code == 200
    assert saved.json()["indexed"] is False
    assert _get(box, "/profileProperties/braze_tags").json()["name"] == "Braze tags"


def test_unique_identifier_becomes_personal_data(box: Sandbox) -> None:
    saved = requests.put(
        f"{box.blueconic_url}/rest/v2/profileProperties/customer_number",
        json={"id": "customer_number", "name": "Customer number", "filterType": "SELECT", "indexed": True},
        headers=blueconic_headers(box),
        timeout=10,
    ).json()

    assert (saved["dataSensitivity"], saved["permissionLevel"]) == ("PII", "PERSONAL")


@pytest.mark.parametrize(
    ("property_id", "document"),
    [
        pytest.param("a b", {"name": "x"}, id="space in the id"),
        pytest.param("ab", {"id": "cd"}, id="other id in the body"),
        pytest.param("ab", {"filterType": "BOOLEAN"}, id="unknown type"),
        pytest.param("ab", {"mergeStrategy": "ADD"}, id="unknown merge strategy"),
        pytest.param("lastmodifieddate", {"name": "x"}, id="owned by a plug-in"),
        pytest.param("ab", [], id="not an object"),
    ],
)
def test_bad_property_is_refused(shared: Sandbox, property_id: str, document: Any) -> None:
    answer = requests.put(
        f"{shared.blueconic_url}/rest/v2/profileProperties/{property_id}",
        json=document,
        headers=blueconic_headers(shared),
        timeout=10,
    )

    assert answer.status_code == 400


def test_objectives_and_dialogues_have_names(shared: Sandbox) -> None:
    objectives = _get(shared, "/objectives").json()["objectives"]
    dialogues = _get(shared, "/dialogues").json()["dialogues"]

    assert [each["id"] for each in objectives] == ["newsletter", "personalisation"]
    variants = {variant["id"] for dialogue in dialogues for variant in dialogue["variants"]}
    viewed = {
        text for profile in shared.blueconic.profiles.values() for text in profile.values.get("interactions_viewed", [])
    }
    assert viewed <= variants
    assert viewed
