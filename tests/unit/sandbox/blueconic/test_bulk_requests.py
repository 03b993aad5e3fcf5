"""Bulk writes and searches over HTTP: limits, refusals and the faults of the transport."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from airflow_provider_braze_blueconic.sandbox.faults import Fault, FaultKind
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from tests.support.sandbox import blueconic_headers, running_sandbox

_PATH = "/rest/v2/profiles"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with running_sandbox(profiles=20) as running:
        yield running


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    """For tests that only read, or are refused."""
    with running_sandbox(profiles=60) as running:
        yield running


def _entry(number: int, *, city: str = "Ede", strategy: str = "UPDATE") -> dict[str, Any]:
    return {
        "identifier": f"row-{number}",
        "strategy": strategy,
        "matching": [[{"id": "crm_id", "value": f"crm-{number:07d}"}]],
        "properties": [{"id": "braze_city", "values": [city], "strategy": "SET"}],
    }


def _put(box: Sandbox, body: Any, *, headers: dict[str, str] | None = None, **query: str) -> requests.Response:
    return requests.put(
        f"{box.blueconic_url}{_PATH}", json=body, params=query, headers=headers or blueconic_headers(box), timeout=10
    )


def _search(box: Sandbox, *pairs: tuple[str, str]) -> requests.Response:
    query = [each for name, value in pairs for each in (("property", name), ("value", value))]
    return requests.get(f"{box.blueconic_url}{_PATH}", params=query, headers=blueconic_headers(box), timeout=10)


def _written(box: Sandbox) -> int:
    return sum("braze_city" in profile.values for profile in box.blueconic.profiles.values())


def test_written_profile_is_read_back(box: Sandbox) -> None:
    (result,) = _put(box, [_entry(1)]).json()

    profile = requests.get(
        f"{box.blueconic_url}{_PATH}/{result['profileId']}", headers=blueconic_headers(box), timeout=10
    ).json()
    assert (result["state"], result["identifier"]) == ("MODIFIED", "row-1")
    assert {"id": "braze_city", "values": ["Ede"]} in profile["properties"]


def test_consent_is_asked_for_the_objectives_of_the_query(box: Sandbox) -> None:
    profile_id = _put(box, [_entry(1)]).json()[0]["profileId"]
    box.blueconic.change(profile_id, {}, legislation="GDPR", consented=[], refused=[])

    (result,) = _put(box, [_entry(1, city="Utrecht")], objectiveIds="newsletter,personalisation").json()

    assert result["state"] == "CONSENT_MISMATCH"


def test_thousand_entries_are_taken(box: Sandbox) -> None:
    answer = _put(box, [_entry(1)] * 1000)

    assert (answer.status_code, len(answer.json())) == (200, 1000)


def test_of_too_many_entries_the_first_thousand_are_applied_and_answered(box: Sandbox) -> None:
    answer = _put(box, [*[_entry(1)] * 999, _entry(2), _entry(3)])

    results = answer.json()
    assert answer.status_code == 413
    assert (len(results), results[-1]["identifier"]) == (1000, "row-2")
    assert _written(box) == 2


def test_limit_of_entries_can_be_lowered(box: Sandbox) -> None:
    box.faults.blueconic = replace(box.faults.blueconic, bulk_entries=2)

    answer = _put(box, [_entry(number) for number in range(5)])

    assert (answer.status_code, [each["identifier"] for each in answer.json()]) == (413, ["row-0", "row-1"])


def test_bad_entry_refuses_the_request_and_is_named(box: Sandbox) -> None:
    answer = _put(box, [_entry(1), _entry(2, strategy="INSERT")])

    assert answer.status_code == 400
    assert answer.json() == {
        "code": 400,
        "message": "the entries are not what PUT /profiles takes",
        "errors": [{"field": "[1].strategy", "message": "must be one of DELETE, UPDATE, UPSERT"}],
    }
    assert _written(box) == 0


def test_body_that_is_no_json_is_refused(shared: Sandbox) -> None:
    answer = requests.put(f"{shared.blueconic_url}{_PATH}", data=b"[{", headers=blueconic_headers(shared), timeout=10)

    assert (answer.status_code, answer.json()["code"]) == (400, 400)


def test_writing_wants_its_scope(box: Sandbox) -> None:
    box.faults.blueconic = replace(box.faults.blueconic, scopes=("read:profiles",))

    assert _put(box, [_entry(1)]).status_code == 403
    assert _written(box) == 0


def test_sandbox_counts_bulk_writes(box: Sandbox) -> None:
    _put(box, [_entry(1), {**_entry(2), "triggerOnPropertyChange": False}, _entry(9999)])

    counted = requests.get(f"{box.blueconic_url}/sandbox/requests", timeout=10).json()["bulk"]
    assert counted == {
        "requests": 1,
        "entries": 3,
        "states": {"MODIFIED": 2, "NOTFOUND": 1},
        "triggers": 1,
        "invalid_properties": 0,
    }


def test_more_writes_at_once_than_allowed_are_turned_away(box: Sandbox) -> None:
    box.faults.blueconic = replace(box.faults.blueconic, concurrent_bulks=2)
    box.faults.add(Fault("blueconic", "latency", path=_PATH, delay_s=1))
    headers = blueconic_headers(box)
    statuses: list[int] = []

    def put(number: int) -> None:
        statuses.append(_put(box, [_entry(number)], headers=headers).status_code)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert sorted(statuses) == [200, 200, 429, 429, 429]
    assert _written(box) == 2


def test_writes_one_after_another_are_never_too_many(box: Sandbox) -> None:
    box.faults.blueconic = replace(box.faults.blueconic, concurrent_bulks=1)
    headers = blueconic_headers(box)

    assert [_put(box, [_entry(number)], headers=headers).status_code for number in range(1, 5)] == [200] * 4


@pytest.mark.parametrize(
    ("fault", "status", "applied"),
    [
        pytest.param({"kind": "status", "status": 503}, 503, False, id="503"),
        pytest.param({"kind": "status", "status": 429}, 429, False, id="429"),
        pytest.param({"kind": "status_after", "status": 503}, 503, True, id="503 after"),
        pytest.param({"kind": "html", "status": 502}, 502, False, id="page of a proxy"),
        pytest.param({"kind": "timeout_before", "delay_s": 0.05}, 504, False, id="timeout before"),
        pytest.param({"kind": "timeout_after", "delay_s": 0.05}, 504, True, id="timeout after"),
        pytest.param({"kind": "token_expired"}, 401, False, id="token expired"),
    ],
)
def test_fault_is_answered_and_applied_as_it_says(
    box: Sandbox, fault: dict[str, Any], status: int, applied: bool
) -> None:
    box.faults.add(Fault("blueconic", path=_PATH, method="PUT", times=1, **fault))

    answer = _put(box, [_entry(1)])

    assert answer.status_code == status
    assert _written(box) == applied


@pytest.mark.parametrize(
    ("kind", "written"),
    [("reset_before", 0), ("reset_during", 2), ("reset_after", 4)],
)
def test_reset_connection_leaves_as_much_applied_as_it_says(box: Sandbox, kind: FaultKind, written: int) -> None:
    box.faults.add(Fault("blueconic", kind, path=_PATH, method="PUT"))
    headers = blueconic_headers(box)

    with pytest.raises(requests.ConnectionError):
        _put(box, [_entry(number) for number in (1, 2, 3, 4)], headers=headers)

    assert _written(box) == written


def test_cut_body_is_applied_and_cannot_be_read(box: Sandbox) -> None:
    box.faults.add(Fault("blueconic", "cut_body", path=_PATH, method="PUT"))

    answer = _put(box, [_entry(1)])

    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert _written(box) == 1


def test_search_finds_by_a_unique_identifier(shared: Sandbox) -> None:
    page = _search(shared, ("crm_id", "crm-0000001")).json()

    (found,) = page["profiles"]
    assert shared.blueconic.profiles[found["id"]].values["crm_id"] == ["crm-0000001"]
    assert (page["totalResults"], page["totalPages"], page["startIndex"]) == (1, 1, 0)


def test_every_pair_of_a_search_must_hold(shared: Sandbox) -> None:
    page = _search(shared, ("crm_id", "crm-0000001"), ("email", "nobody@example.com")).json()

    assert (page["profiles"], page["totalResults"]) == ([], 0)


@pytest.mark.parametrize(
    ("pairs", "status"),
    [
        pytest.param([("city", "Ede")], 501, id="not indexed"),
        pytest.param([("nothing", "x")], 400, id="unknown property"),
        pytest.param([], 400, id="no property"),
    ],
)
def test_search_is_refused(shared: Sandbox, pairs: list[tuple[str, str]], status: int) -> None:
    assert _search(shared, *pairs).status_code == status


def test_property_made_unique_can_be_searched_and_matched(box: Sandbox) -> None:
    property_url = f"{box.blueconic_url}/rest/v2/profileProperties/customer_number"
    requests.put(property_url, json={"indexed": True}, headers=blueconic_headers(box), timeout=10)

    (result,) = _put(box, [{"matching": [[{"id": "customer_number", "value": "0000001"}]], "properties": []}]).json()

    assert _search(box, ("customer_number", "0000001")).json()["profiles"] == [{"id": result["profileId"]}]


def test_most_customers_are_linked_to_braze_already_and_none_twice(shared: Sandbox) -> None:
    linked = [profile.values for profile in shared.blueconic.profiles.values() if "braze_external_id" in profile.values]

    assert 0.6 < len(linked) / len(shared.blueconic.profiles) < 0.75
    assert all(values["braze_external_id"] == values["crm_id"][:1] for values in linked)
    assert len({values["braze_external_id"][0] for values in linked}) == len(linked)


@pytest.mark.parametrize("state", ["SKIPPED", "UNAUTHORIZED", "a word of tomorrow"])
def test_entry_state_answers_those_it_means_and_applies_nothing_of_them(box: Sandbox, state: str) -> None:
    box.faults.add(Fault("blueconic", "entry_state", method="PUT", identifiers=("crm-0000002",), state=state))

    results = _put(box, [_entry(1), _entry(2)]).json()

    assert [(each["identifier"], each["state"]) for each in results] == [("row-1", "MODIFIED"), ("row-2", state)]
    assert _written(box) == 1
    assert box.counters()["bulk"]["states"] == {"MODIFIED": 1, state: 1}


def test_entry_state_answers_its_share_of_the_entries(box: Sandbox) -> None:
    box.faults.add(Fault("blueconic", "entry_state", method="PUT", entry_share=0.25))

    results = _put(box, [_entry(number) for number in range(1, 5)]).json()

    assert sorted(each["state"] for each in results) == ["MODIFIED", "MODIFIED", "MODIFIED", "SKIPPED"]
