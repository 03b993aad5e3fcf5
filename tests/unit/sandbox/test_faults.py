"""Faults hit exactly the requests that they should, and do to them what they say."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from airflow_provider_braze_blueconic.sandbox.exchanges import Exchange
from airflow_provider_braze_blueconic.sandbox.faults import Fault, FaultKind
from airflow_provider_braze_blueconic.sandbox.in_force import Faults
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from tests.support.sandbox import blueconic_headers, braze_headers, running_sandbox

_VIPS = "/rest/v2/segments/seg-vip/profiles"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with running_sandbox(profiles=60, record=True) as running:
        yield running


def _hits(fault: Fault, requests_made: int, *, seed: int = 1, path: str = "/users/track") -> list[int]:
    faults = Faults(seed=seed)
    faults.add(fault)
    return [number for number in range(requests_made) if faults.draw("braze", method="POST", path=path)]


@pytest.mark.parametrize(
    ("fault", "hits"),
    [
        pytest.param(Fault("braze", "status", times=3), [0, 1, 2], id="the next three"),
        pytest.param(Fault("braze", "status", every=7), [0, 7, 14], id="every seventh"),
        pytest.param(Fault("braze", "status", skip=2, every=5, times=2), [2, 7], id="two, after two"),
        pytest.param(Fault("braze", "status", path="/users/*", times=1), [0], id="path pattern"),
        pytest.param(Fault("braze", "status", path="/segments/*"), [], id="other path"),
        pytest.param(Fault("braze", "status", method="GET"), [], id="other method"),
        pytest.param(Fault("blueconic", "status"), [], id="other service"),
        pytest.param(Fault("braze", "status", share=0.0), [], id="no share"),
    ],
)
def test_fault_hits_the_requests_of_its_schedule(fault: Fault, hits: list[int]) -> None:
    assert _hits(fault, 20) == hits


def test_share_is_drawn_from_the_seed() -> None:
    fault = Fault("braze", "status", share=0.2)

    hits = _hits(fault, 1000)

    assert hits == _hits(fault, 1000)
    assert hits != _hits(fault, 1000, seed=2)
    assert 150 < len(hits) < 250


def test_latency_goes_with_another_fault_and_the_first_of_the_others_wins() -> None:
    faults = Faults()
    faults.add(Fault("braze", "latency"), Fault("braze", "status", times=1), Fault("braze", "html"))

    drawn = [[fault.kind for fault in faults.draw("braze", method="GET", path="/x")] for _ in range(2)]

    assert drawn == [["latency", "status"], ["latency", "html"]]


@pytest.mark.parametrize(
    "document",
    [
        {"fault": []},
        {"faults": [{"service": "braze", "kind": "explode"}]},
        {"faults": [{"service": "mars", "kind": "status"}]},
        {"faults": [{"service": "braze", "kind": "status", "speed": 1}]},
        {"braze": {"speed": 1}},
        {"faults": [{"service": "braze", "kind": "status", "every": 0}]},
    ],
)
def test_unknown_setting_is_refused_and_changes_nothing(document: dict[str, Any]) -> None:
    faults = Faults()
    faults.add(Fault("braze", "status"))

    with pytest.raises(ValueError, match=r"\w+"):
        faults.configure({"clear": True, **document})

    assert len(faults.describe()) == 1


def _track(box: Sandbox, *external_ids: str) -> requests.Response:
    attributes = [{"external_id": each, "x": 1} for each in external_ids or ("a", "b", "c", "d")]
    return requests.post(
        f"{box.braze_url}/users/track", json={"attributes": attributes}, headers=braze_headers(), timeout=5
    )


def _applied(box: Sandbox) -> set[str]:
    return {"a", "b", "c", "d"} & box.braze.external_ids()


def test_faults_can_be_set_over_http(box: Sandbox) -> None:
    answer = requests.post(
        f"{box.blueconic_url}/sandbox/faults",
        json={
            "faults": [{"service": "braze", "kind": "status", "path": "/users/track", "status": 503, "times": 1}],
            "braze": {"objects": 3},
        },
        timeout=5,
    )

    assert answer.status_code == 200
    assert [_track(box).status_code, _track(box).status_code] == [503, 400]
    assert requests.post(f"{box.braze_url}/sandbox/faults", json={"x": 1}, timeout=5).status_code == 400


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_status_applies_nothing_and_status_after_applies_all(box: Sandbox, status: int) -> None:
    box.faults.add(Fault("braze", "status", status=status, times=1), Fault("braze", "status_after", status=status))

    before = _track(box).status_code, _applied(box)
    after = _track(box).status_code, _applied(box)

    assert before == (status, set())
    assert after == (status, {"a", "b", "c", "d"})


def test_429_carries_the_headers_of_the_contract(box: Sandbox) -> None:
    box.faults.configure(
        {
            "faults": [{"service": "braze", "kind": "status", "status": 429, "retry_after_s": 7}],
            "braze": {"limited_form": "retry_after"},
        }
    )

    assert _track(box).headers["x-ratelimit-retry-after"] == "7"


def test_html_page_takes_the_place_of_json(box: Sandbox) -> None:
    box.faults.add(Fault("braze", "html", status=200))

    answer = _track(box)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html")
    assert _applied(box) == set()


def test_cut_body_is_no_json_though_all_was_applied(box: Sandbox) -> None:
    box.faults.add(Fault("braze", "cut_body"))

    answer = _track(box)

    assert answer.status_code == 201
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert _applied(box) == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    ("kind", "applied"),
    [("reset_before", set()), ("reset_during", {"a", "b"}), ("reset_after", {"a", "b", "c", "d"})],
)
def test_reset_connection_leaves_nothing_half_or_all_applied(box: Sandbox, kind: Any, applied: set[str]) -> None:
    box.faults.add(Fault("braze", kind, times=1))

    with pytest.raises(requests.ConnectionError):
        _track(box)

    assert _applied(box) == applied
    assert _track(box).status_code == 201
    assert box.counters()["braze"]["statuses"] == {"0": 1, "201": 1}


@pytest.mark.parametrize(("kind", "applied"), [("timeout_before", set()), ("timeout_after", {"a", "b", "c", "d"})])
def test_time_out_ends_in_504(box: Sandbox, kind: Any, applied: set[str]) -> None:
    box.faults.add(Fault("braze", kind, delay_s=0.05))

    assert _track(box).status_code == 504
    assert _applied(box) == applied


def test_client_that_gives_up_first_gets_no_answer(box: Sandbox) -> None:
    box.faults.add(Fault("braze", "timeout_after", delay_s=60))

    with pytest.raises(requests.ReadTimeout):
        requests.post(
            f"{box.braze_url}/users/track",
            json={"attributes": [{"external_id": "a"}]},
            headers=braze_headers(),
            timeout=0.3,
        )

    assert _applied(box) == {"a"}


def test_entries_are_refused_by_share_and_by_name(box: Sandbox) -> None:
    box.faults.add(Fault("braze", "entry_errors", entry_share=0.25, identifiers=("a",), text="sorry"))

    answer = _track(box)

    assert answer.status_code == 201
    assert [(each["index"], each["type"]) for each in answer.json()["errors"]] == [(0, "sorry"), (3, "sorry")]
    assert _applied(box) == {"b", "c"}


def test_poison_refuses_the_whole_request_without_naming_the_object(box: Sandbox) -> None:
    box.faults.add(Fault("braze", "poison", identifiers=("c",), text="no"))

    answer = _track(box)

    assert (answer.status_code, answer.json()) == (400, {"message": "no"})
    assert _applied(box) == set()
    assert _track(box, "a", "b").status_code == 201


def test_latency_delays_the_answer(box: Sandbox) -> None:
    box.faults.add(Fault("braze", "latency", delay_s=0.1))

    assert _track(box).elapsed.total_seconds() >= 0.1


def _page(box: Sandbox, **parameters: Any) -> requests.Response:
    return requests.get(
        f"{box.blueconic_url}{_VIPS}",
        params={"count": 30, **parameters},
        headers=blueconic_headers(box),
        timeout=5,
    )


def test_expired_token_is_refused_until_a_new_one_is_asked_for(box: Sandbox) -> None:
    box.faults.add(Fault("blueconic", "token_expired", path=_VIPS, times=1))
    headers = blueconic_headers(box)

    statuses = [
        requests.get(f"{box.blueconic_url}{_VIPS}", headers=each, timeout=5).status_code
        for each in (headers, headers, blueconic_headers(box))
    ]

    assert statuses == [401, 401, 200]


def test_broken_stream_is_a_lost_connection(box: Sandbox) -> None:
    box.faults.add(Fault("blueconic", "broken_stream", path=_VIPS, at_bytes=3000, times=1))

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        _page(box)

    assert len(_page(box).json()["profiles"]) == 30


@pytest.mark.parametrize("at_bytes", [3000, 10_000_000], ids=["in the middle", "at the very end"])
def test_truncated_stream_looks_complete_but_is_no_json(box: Sandbox, at_bytes: int) -> None:
    box.faults.add(Fault("blueconic", "truncated_stream", path=_VIPS, at_bytes=at_bytes))

    answer = _page(box)

    assert answer.status_code == 200
    assert b'"nextCursor"' in answer.content
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.content)


def test_repeated_page_leads_to_itself(box: Sandbox) -> None:
    box.faults.add(Fault("blueconic", "repeated_page", path=_VIPS, times=1))

    first = _page(box).json()
    again = _page(box, cursor=first["nextCursor"]).json()

    assert first["nextCursor"] == first["cursor"]
    assert [each["id"] for each in again["profiles"]] == [each["id"] for each in first["profiles"]]
    assert again["nextCursor"] != again["cursor"]


def test_exchanges_hold_what_was_on_the_wire_and_show_no_secret(box: Sandbox) -> None:
    _track(box, "a")

    exchange = box.exchanges[-1]

    assert (exchange.method, exchange.url, exchange.status) == ("POST", "/users/track", 201)
    assert json.loads(exchange.request_body) == {"attributes": [{"external_id": "a", "x": 1}]}
    assert json.loads(exchange.response_body)["message"] == "success"
    assert "sandbox-braze-key" not in repr(exchange)


@pytest.mark.parametrize("kind", ["status_after", "reset_after", "timeout_after", "cut_body"])
def test_exchange_keeps_what_the_service_answered_where_a_fault_kept_it_from_the_client(
    box: Sandbox, kind: FaultKind
) -> None:
    box.faults.add(Fault("braze", kind, path="/users/track", status=503))

    with contextlib.suppress(requests.exceptions.ConnectionError):
        _track(box)

    hidden = _newest_exchange(box).hidden
    assert hidden is not None
    assert (hidden.status, json.loads(hidden.body)["attributes_processed"]) == (201, 4)


def test_exchange_keeps_how_much_was_applied_before_the_connection_broke(box: Sandbox) -> None:
    box.faults.add(Fault("braze", "reset_during", path="/users/track"))

    with pytest.raises(requests.exceptions.ConnectionError):
        _track(box)

    hidden = _newest_exchange(box).hidden
    assert hidden is not None
    assert json.loads(hidden.body)["attributes_processed"] == len(_applied(box)) == 2


def test_nothing_is_hidden_where_the_client_got_the_answer_or_the_service_was_not_asked(box: Sandbox) -> None:
    _track(box)
    answered = _newest_exchange(box)
    box.faults.add(Fault("braze", "status", path="/users/track", status=503))
    _track(box)
    refused = _newest_exchange(box)

    assert (answered.status, answered.hidden, refused.status, refused.hidden) == (201, None, 503, None)


def test_an_answer_for_which_nobody_waited_any_more_is_hidden(box: Sandbox) -> None:
    box.faults.add(Fault("braze", "latency", path="/users/track", delay_s=0.6))

    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(
            f"{box.braze_url}/users/track",
            json={"attributes": [{"external_id": "a", "x": 1}]},
            headers=braze_headers(),
            timeout=0.2,
        )

    exchange = _newest_exchange(box)
    assert exchange.status is None
    assert exchange.hidden is not None
    assert exchange.hidden.status == 201
    assert exchange.ended - exchange.began >= 0.6


def _newest_exchange(box: Sandbox) -> Exchange:
    """The last one, as soon as the sandbox is through with it."""
    ends = time.monotonic() + 10
    while box.braze_gate.in_flight and time.monotonic() < ends:
        time.sleep(0.01)
    return box.exchanges[-1]


def test_revoked_key_is_refused_from_then_on_until_the_settings_are_restored(box: Sandbox) -> None:
    box.faults.add(Fault("braze", "key_revoked", path="/users/track", skip=1, times=1))

    statuses = [_track(box, name).status_code for name in ("a", "b", "c")]
    box.faults.restore()

    assert statuses == [201, 401, 401]
    assert _applied(box) == {"a"}
    assert _track(box, "d").status_code == 201


def test_errors_without_index_do_not_say_whom_they_mean(box: Sandbox) -> None:
    box.faults.add(Fault("braze", "entry_errors", identifiers=("b",), indexed=False))

    answer = _track(box)

    assert answer.status_code == 201
    assert answer.json()["errors"] == [{"type": "The sandbox refuses this object", "input_array": "attributes"}]
    assert _applied(box) == {"a", "c", "d"}
