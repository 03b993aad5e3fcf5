from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_braze_blueconic.exceptions import AccessError, GoalError, TransientError, UnexpectedAnswer
from airflow_provider_braze_blueconic.hooks.braze import BrazeHook
from airflow_provider_braze_blueconic.hooks.braze_api.definitions import BrazeCampaign, BrazeSegment, CustomAttribute
from airflow_provider_braze_blueconic.hooks.braze_api.segment_exports import ExportRunning
from tests.support.odd_server import Oddity, OddServer, answer, reset

EXPORT = "/users/export/segment"


def short(body: bytes) -> Oddity:
    """An answer that breaks off before the length that it announced."""

    def reply(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) + 100))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    return reply


def named(prefix: str, first: int, count: int) -> list[dict[str, object]]:
    return [{"id": f"{prefix}-{number}", "name": f"Name {number}"} for number in range(first, first + count)]


def test_segments_are_paged_until_a_page_is_short(server: OddServer, braze: BrazeHook) -> None:
    server.on(
        "GET /segments/list",
        answer({"message": "success", "segments": named("s", 0, 100)}),
        answer({"message": "success", "segments": named("s", 100, 100)}),
        answer({"message": "success", "segments": []}),
    )

    segments = braze.list_segments()

    assert len(segments) == 200
    assert segments[150] == BrazeSegment("s-150", "Name 150")
    assert [seen.query["page"] for seen in server.seen] == [["0"], ["1"], ["2"]]


def test_list_that_repeats_a_page_does_not_run_for_ever(server: OddServer, braze: BrazeHook) -> None:
    server.on("GET /segments/list", answer({"message": "success", "segments": named("s", 0, 100)}))

    with pytest.raises(TransientError, match="same page"):
        braze.list_segments()

    assert len(server.seen) == 1 + 6


def test_list_that_repeats_a_page_once_is_read_to_its_end(server: OddServer, braze: BrazeHook) -> None:
    first, second = (answer({"message": "success", "segments": named("s", *span)}) for span in ((0, 100), (100, 10)))
    server.on("GET /segments/list", first, first, second)

    assert len(braze.list_segments()) == 110
    assert [seen.query["page"] for seen in server.seen] == [["0"], ["1"], ["1"]]


def test_campaigns_are_listed_with_archived_ones_on_request(server: OddServer, braze: BrazeHook) -> None:
    server.on("GET /campaigns/list", answer({"message": "success", "campaigns": named("c", 0, 1)}))

    assert braze.list_campaigns(include_archived=True) == [BrazeCampaign("c-0", "Name 0")]
    assert server.seen[0].query["include_archived"] == ["true"]


def test_details_are_asked_for_by_id(server: OddServer, braze: BrazeHook) -> None:
    server.on("GET /segments/details", answer({"message": "success", "name": "VIP"}))
    server.on("GET /campaigns/details", answer({"message": "success", "name": "Hello"}))

    assert braze.segment_details("s-1")["name"] == "VIP"
    assert braze.campaign_details("c-1")["name"] == "Hello"
    assert [seen.query for seen in server.seen] == [{"segment_id": ["s-1"]}, {"campaign_id": ["c-1"]}]


def test_unknown_segment_is_answered_with_near_names(server: OddServer, braze: BrazeHook) -> None:
    server.on(
        "GET /segments/list",
        answer({"message": "success", "segments": [{"id": "s-1", "name": "BlueConic Test Users"}]}),
    )

    with pytest.raises(GoalError) as raised:
        braze.resolve_segment("BlueConic Test User")

    message = 'source.segment: Braze has no segment "BlueConic Test User". Nearest: "BlueConic Test Users".'
    assert str(raised.value) == message
    assert braze.resolve_segment("BlueConic Test Users").id == "s-1"
    assert braze.resolve_segment("s-1").name == "BlueConic Test Users"


def test_custom_attributes_follow_the_link_header(server: OddServer, braze: BrazeHook) -> None:
    first = {"name": "points", "data_type": "Number", "status": "Active"}
    second = {"name": "tags", "data_type": "Array", "array_length": 25, "status": "Blocklisted"}
    # Braze links to its own address, with a slash that other endpoints don't like: only the cursor is of use.
    link = {"Link": '<https://rest.iad-01.braze.com/custom_attributes/?cursor=bmV4dA%3D%3D>; rel="next"'}
    server.on(
        "GET /custom_attributes",
        answer({"message": "success", "attributes": [first]}, headers=link),
        answer({"message": "success", "attributes": [second]}),
    )

    assert braze.list_custom_attributes() == [
        CustomAttribute("points", "Number", None, "Active"),
        CustomAttribute("tags", "Array", 25, "Blocklisted"),
    ]
    assert [seen.query for seen in server.seen] == [{}, {"cursor": ["bmV4dA=="]}]


@pytest.mark.parametrize(
    ("query", "error", "says"),
    [
        pytest.param("cursor=again", TransientError, "already read", id="a cursor seen before"),
        pytest.param("page=2", UnexpectedAnswer, "can't be followed", id="no cursor"),
    ],
)
def test_link_that_leads_nowhere_does_not_run_for_ever(
    query: str, error: type[Exception], says: str, server: OddServer, braze: BrazeHook
) -> None:
    link = {"Link": f'<https://rest.example/custom_attributes?{query}>; rel="next"'}
    server.on("GET /custom_attributes", answer({"message": "success", "attributes": []}, headers=link))

    with pytest.raises(error, match=says):
        braze.list_custom_attributes()


def test_export_is_asked_for_with_fields_and_attributes(server: OddServer, braze: BrazeHook) -> None:
    server.on(f"POST {EXPORT}", answer({"message": "success", "object_prefix": "uuid-1556044807", "url": None}, 201))

    export = braze.export_segment("s-1", fields=["external_id", "email"], custom_attributes=["points"])

    assert export == "uuid-1556044807"
    assert server.seen[0].json() == {
        "segment_id": "s-1",
        "fields_to_export": ["external_id", "email"],
        "custom_attributes_to_export": ["points"],
        "output_format": "gzip",
    }


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(answer({"message": "busy"}, 429), id="429"),
        pytest.param(answer({}, 503), id="503"),
        pytest.param(answer({}, 500), id="500"),
        pytest.param(reset, id="reset"),
    ],
)
def test_export_is_never_asked_for_twice(
    reply: Oddity, server: OddServer, braze: BrazeHook, waits: list[float]
) -> None:
    server.on(f"POST {EXPORT}", reply)

    with pytest.raises(TransientError):
        braze.export_segment("s-1", fields=["email"])

    assert len(server.seen) == 1
    assert waits == []


def test_running_export_is_said_to_be_running(server: OddServer, braze: BrazeHook) -> None:
    server.on(f"POST {EXPORT}", answer({"message": "busy"}, 429))

    with pytest.raises(TransientError, match="already running"):
        braze.export_segment("s-1", fields=["email"])


def test_export_without_a_prefix_is_no_success(server: OddServer, braze: BrazeHook) -> None:
    server.on(f"POST {EXPORT}", answer({"message": "success"}))

    with pytest.raises(UnexpectedAnswer, match="object_prefix"):
        braze.export_segment("s-1", fields=["email"])


@pytest.mark.parametrize(
    ("fields", "attributes"),
    [([], []), (["custom_attributes"], ["points"]), (["email"], [f"a{n}" for n in range(501)])],
    ids=["no field", "all and some attributes", "501 attributes"],
)
def test_export_that_braze_would_misread_is_refused_here(
    fields: list[str], attributes: list[str], server: OddServer, braze: BrazeHook
) -> None:
    with pytest.raises(ValueError, match="export"):
        braze.export_segment("s-1", fields=fields, custom_attributes=attributes)

    assert server.seen == []


@pytest.mark.parametrize(
    ("path", "call", "permission"),
    [
        ("GET /segments/list", lambda hook: hook.list_segments(), "segments.list"),
        ("GET /segments/details", lambda hook: hook.segment_details("s"), "segments.details"),
        ("GET /campaigns/list", lambda hook: hook.list_campaigns(), "campaigns.list"),
        ("GET /campaigns/details", lambda hook: hook.campaign_details("c"), "campaigns.details"),
        ("GET /custom_attributes", lambda hook: hook.list_custom_attributes(), "custom_attributes.get"),
        (f"POST {EXPORT}", lambda hook: hook.export_segment("s", fields=["email"]), "users.export.segment"),
    ],
)
@pytest.mark.parametrize("status", [401, 403])
def test_refusal_names_the_permission_of_the_endpoint(
    path: str, call: Callable[[BrazeHook], object], permission: str, status: int, server: OddServer, braze: BrazeHook
) -> None:
    server.on(path, answer({}, status))

    with pytest.raises(AccessError) as raised:
        call(braze)

    assert f'"{permission}"' in str(raised.value)
    assert path in str(raised.value)


def test_test_connection_makes_one_call_and_counts(server: OddServer, braze: BrazeHook) -> None:
    server.on("GET /segments/list", answer({"message": "success", "segments": named("s", 0, 7)}))

    ok, message = braze.test_connection()

    assert ok
    assert message.endswith('(connection "braze_default") sees 7 segments.')
    assert len(server.seen) == 1


def test_test_connection_does_not_pretend_to_know_more_than_a_page(server: OddServer, braze: BrazeHook) -> None:
    server.on("GET /segments/list", answer({"message": "success", "segments": named("s", 0, 100)}))

    assert braze.test_connection()[1].endswith("sees 100 or more segments.")


def test_test_connection_says_what_is_wrong(server: OddServer, braze: BrazeHook) -> None:
    server.on("GET /segments/list", answer({}, 401))

    ok, message = braze.test_connection()

    assert not ok
    assert "refused the key (401 to GET /segments/list)" in message


SIZES = "GET /segments/data_series"


def test_running_export_and_lost_answer_are_told_apart(server: OddServer, braze: BrazeHook) -> None:
    server.on(f"POST {EXPORT}", answer({"message": "busy"}, 429), answer({}, 500))

    with pytest.raises(ExportRunning):
        braze.export_segment("s-1", fields=["email"])
    with pytest.raises(TransientError) as lost:
        braze.export_segment("s-1", fields=["email"])

    assert not isinstance(lost.value, ExportRunning)


@pytest.mark.parametrize("url", [{}, {"url": None}, {"url": ""}], ids=["absent", "null", "empty"])
def test_export_to_a_bucket_has_no_address(url: dict[str, object], server: OddServer, braze: BrazeHook) -> None:
    server.on(f"POST {EXPORT}", answer({"message": "success", "object_prefix": "uuid-1", **url}, 201))

    assert braze.export_segment("s-1", fields=["email"]) == "uuid-1"


def test_export_that_braze_keeps_names_what_to_connect_and_not_its_address(server: OddServer, braze: BrazeHook) -> None:
    url = f"{server.url}/x?signature=planted-signature"
    server.on(f"POST {EXPORT}", answer({"message": "success", "object_prefix": "uuid-1", "url": url}, 201))

    with pytest.raises(AccessError, match=r"Partner Integrations > Amazon S3") as raised:
        braze.export_segment("s-1", fields=["email"])

    assert "planted-signature" not in str(raised.value)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        ([{"time": "2026-11-23", "size": 9}], 9),
        ([{"time": "2026-11-24", "size": 8}, {"time": "2026-11-23", "size": None}], 8),
        ([{"time": "2026-11-24", "size": None}], None),
        ([], None),
    ],
    ids=["a day", "the newest day", "not counted", "no day"],
)
def test_size_of_a_segment_is_the_newest_estimate(
    data: list[dict[str, object]], size: int | None, server: OddServer, braze: BrazeHook
) -> None:
    server.on(SIZES, answer({"message": "success", "data": data}))

    assert braze.segment_size("s-1") == size
    assert server.seen[0].query == {"segment_id": ["s-1"], "length": ["1"]}


def test_size_that_the_key_may_not_read_names_its_permission(server: OddServer, braze: BrazeHook) -> None:
    server.on(SIZES, answer({}, 403))

    with pytest.raises(AccessError, match=r'"segments\.data_series"'):
        braze.segment_size("s-1")
