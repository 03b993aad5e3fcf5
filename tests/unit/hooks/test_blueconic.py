from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_braze_blueconic.exceptions import AccessError, GoalError, TransientError, UnexpectedAnswer
from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook
from airflow_provider_braze_blueconic.hooks.blueconic_api.definitions import Objective, ProfileProperty
from airflow_provider_braze_blueconic.hooks.blueconic_api.profile_pages import modified_between
from airflow_provider_braze_blueconic.sync.blueconic.profile_columns import ProfileColumns
from tests.support.odd_server import Oddity, OddServer, answer, cut_off, half_document, reset, zipped
from tests.unit.hooks.conftest import CLIENT_SECRET, TOKEN

TOKEN_PATH = "/rest/v2/oauth/token"
SEGMENTS = "/rest/v2/segments"
PROFILES = "/rest/v2/segments/seg-7/profiles"


def page(*ids: str, following: str | None = None, total: int = 3) -> dict[str, object]:
    body: dict[str, object] = {"totalResults": total, "profiles": [{"id": name} for name in ids]}
    return body if following is None else {**body, "nextCursor": following}


def segments(*names: str) -> dict[str, object]:
    entries = [{"id": f"seg-{place}", "name": name, "profileCount": 10} for place, name in enumerate(names)]
    return {"startIndex": 0, "totalResults": len(names), "segments": entries}


Read = Callable[..., list[list[str]]]
"""Reads a segment: (hook, options) → ids of the profiles of each page."""


@pytest.fixture(params=["parsed profiles", "rows"])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Read:
    def profiles(hook: BlueConicHook, **options: object) -> list[list[str]]:
        pages = hook.iter_segment_profiles("seg-7", **{"properties": ["email"], **options})  # type: ignore[arg-type]
        return [[profile["id"] for profile in found.profiles] for found in pages]

    def rows(hook: BlueConicHook, *, properties: Sequence[str] = ("email",), **options: Any) -> list[list[str]]:
        pages = hook.iter_segment_rows("seg-7", ProfileColumns(properties), folder=tmp_path, **options)
        return [
            [name for batch in found.rows.batches() for name in batch.column("profile_id").to_pylist()]
            for found in pages
        ]

    return rows if request.param == "rows" else profiles


def test_token_is_asked_for_once_with_credentials_in_the_form(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"GET {SEGMENTS}", answer(segments("VIP")))

    blueconic.list_segments()
    blueconic.list_segments()

    (asked,) = server.asked(TOKEN_PATH)
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.body.decode() == f"grant_type=client_credentials&client_id=client-1&client_secret={CLIENT_SECRET}"
    assert "authorization" not in asked.headers
    assert [seen.headers["authorization"] for seen in server.asked(SEGMENTS)] == [f"Bearer {TOKEN}"] * 2


def test_token_is_renewed_at_nine_tenths_of_its_life(server: OddServer, blueconic: BlueConicHook) -> None:
    now = [1_000.0]
    hook = BlueConicHook(clock=lambda: now[0])
    server.on(
        f"POST {TOKEN_PATH}",
        answer({"access_token": "token-a", "expires_in": 100}),
        answer({"access_token": "token-b", "expires_in": 100}),
    )
    server.on(f"GET {SEGMENTS}", answer(segments("VIP")))

    for moment in (1_000.0, 1_089.0, 1_090.0):
        now[0] = moment
        hook.list_segments()

    bearers = [seen.headers["authorization"] for seen in server.asked(SEGMENTS)]
    assert bearers == ["Bearer token-a", "Bearer token-a", "Bearer token-b"]


def test_refused_token_is_renewed_once(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"GET {SEGMENTS}", answer({}, 401), answer(segments("VIP")))

    assert len(blueconic.list_segments()) == 1
    assert len(server.asked(TOKEN_PATH)) == 2


def test_token_that_is_refused_twice_ends_the_call(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"GET {SEGMENTS}", answer({}, 401))

    with pytest.raises(AccessError, match="read:segments"):
        blueconic.list_segments()

    assert len(server.asked(SEGMENTS)) == 2


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.promise(8)
def test_wrong_secret_is_one_sentence_without_the_secret(
    status: int, server: OddServer, blueconic: BlueConicHook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.on(f"POST {TOKEN_PATH}", answer({"error": "invalid_client", "error_description": CLIENT_SECRET}, status))

    with pytest.raises(AccessError, match="refused the client id and secret") as raised:
        blueconic.list_segments()

    assert CLIENT_SECRET not in str(raised.value) + caplog.text
    assert len(server.seen) == 1


def test_missing_scope_is_named(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on("GET /rest/v2/profileProperties", answer({}, 403))

    with pytest.raises(AccessError, match='lacks "read:profile-properties"'):
        blueconic.list_profile_properties()


@pytest.mark.parametrize("body", [{}, {"access_token": ""}, {"access_token": "a\nb"}, {"access_token": 5}])
def test_token_that_can_not_be_used_is_no_success(body: object, server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"POST {TOKEN_PATH}", answer(body))

    with pytest.raises(UnexpectedAnswer, match="no usable token"):
        blueconic.list_segments()


@pytest.mark.promise(8)
def test_neither_secret_nor_token_is_in_a_repr(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"GET {SEGMENTS}", answer(segments("VIP")))
    server.on(f"GET {PROFILES}", answer({"profiles": [{"id": "ada@example.org"}]}))

    blueconic.list_segments()
    pages = list(blueconic.iter_segment_profiles("seg-7", properties=["email"]))

    caller = blueconic.get_conn()
    shown = "".join(map(repr, [blueconic, caller, caller.site, *vars(caller).values(), *pages]))
    assert CLIENT_SECRET not in shown
    assert TOKEN not in shown
    assert "ada@" not in shown


def test_rest_path_in_the_host_is_not_added_twice(
    server: OddServer, blueconic: BlueConicHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {
        "conn_type": "blueconic",
        "host": f"{server.url}/rest/v2/",
        "login": "client-1",
        "password": "secret-1",
    }
    monkeypatch.setenv("AIRFLOW_CONN_BLUECONIC_DEFAULT", json.dumps(connection))
    server.on(f"GET {SEGMENTS}", answer(segments("VIP")))

    assert len(BlueConicHook().list_segments()) == 1


def test_connection_without_client_id_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BLUECONIC_DEFAULT", '{"conn_type": "blueconic", "host": "x.example"}')

    assert BlueConicHook().test_connection() == (
        False,
        'Connection "blueconic_default" needs the client id as login and the client secret as password.',
    )


def test_test_connection_counts_segments_in_one_page(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"GET {SEGMENTS}", answer({"totalResults": 1234, "segments": [{"id": "seg-1"}]}))

    ok, message = blueconic.test_connection()

    assert ok
    assert message.endswith("sees 1,234 segments.")
    assert len(server.asked(SEGMENTS)) == 1


def test_test_connection_says_what_is_wrong_after_one_try(
    server: OddServer, blueconic: BlueConicHook, waits: list[float]
) -> None:
    server.on(f"GET {SEGMENTS}", answer({}, 503))

    ok, message = blueconic.test_connection()

    assert not ok
    assert "is busy" in message
    assert waits == []


def test_list_follows_pages_that_are_shorter_than_asked_for(server: OddServer, blueconic: BlueConicHook) -> None:
    def part(*ids: str) -> dict[str, object]:
        return {"totalResults": 3, "objectives": [{"id": name, "name": name.upper()} for name in ids]}

    server.on("GET /rest/v2/objectives", answer(part("a", "b")), answer(part("c")))

    assert blueconic.list_objectives() == [Objective("a", "A"), Objective("b", "B"), Objective("c", "C")]
    assert [seen.query["startIndex"] for seen in server.asked("/rest/v2/objectives")] == [["0"], ["2"]]


def test_list_without_a_total_ends_at_an_empty_page(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on("GET /rest/v2/objectives", answer({"objectives": [{"id": "a", "name": "A"}]}), answer({"objectives": []}))

    assert blueconic.list_objectives() == [Objective("a", "A")]


def test_list_that_repeats_a_page_does_not_run_for_ever(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on("GET /rest/v2/objectives", answer({"totalResults": 9, "objectives": [{"id": "a", "name": "A"}]}))

    with pytest.raises(TransientError, match="same page"):
        blueconic.list_objectives()

    assert len(server.asked("/rest/v2/objectives")) == 1 + 6


@pytest.mark.parametrize(
    ("path", "name", "read_list"),
    [
        ("segments", "segments", BlueConicHook.list_segments),
        ("profileProperties", "profileProperties", BlueConicHook.list_profile_properties),
        ("objectives", "objectives", BlueConicHook.list_objectives),
        ("dialogues", "dialogues", BlueConicHook.interaction_names),
    ],
)
def test_list_that_repeats_a_page_once_is_read_to_its_end(
    path: str,
    name: str,
    read_list: Callable[[BlueConicHook], Collection[object]],
    server: OddServer,
    blueconic: BlueConicHook,
) -> None:
    first, second = ({"totalResults": 2, name: [{"id": each, "name": each}]} for each in "ab")
    server.on(f"GET /rest/v2/{path}", answer(first), answer(first), answer(second))

    assert len(read_list(blueconic)) == 2
    assert [seen.query["startIndex"] for seen in server.asked(f"/rest/v2/{path}")] == [["0"], ["1"], ["1"]]


def test_list_that_ends_before_its_total_is_not_taken_for_whole(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(
        "GET /rest/v2/objectives",
        answer({"totalResults": 9, "objectives": [{"id": "a", "name": "A"}]}),
        answer({"totalResults": 9, "objectives": []}),
    )

    with pytest.raises(TransientError, match="1 of 9"):
        blueconic.list_objectives()


def test_profile_properties_tell_type_and_index(server: OddServer, blueconic: BlueConicHook) -> None:
    entries = [
        {"id": "email", "name": "Email", "filterType": "EMAIL", "indexed": True},
        {"id": "points", "filterType": "RANGE"},
    ]
    server.on("GET /rest/v2/profileProperties", answer({"totalResults": 2, "profileProperties": entries}))

    assert blueconic.list_profile_properties() == [
        ProfileProperty("email", "Email", "EMAIL", True),
        ProfileProperty("points", "points", "RANGE", False),
    ]


def test_interaction_names_hold_dialogues_and_their_variants(server: OddServer, blueconic: BlueConicHook) -> None:
    entries = [
        {"id": "d-1", "name": "Welcome", "variants": [{"id": "v-1", "name": "Blue"}, {"id": "v-2", "name": "Red"}]},
        {"id": "d-2", "name": "Goodbye", "variants": {"id": "v-3", "name": "Plain"}},
    ]
    server.on("GET /rest/v2/dialogues", answer({"totalResults": 2, "dialogues": entries}))

    assert blueconic.interaction_names() == {
        "d-1": "Welcome",
        "v-1": "Blue",
        "v-2": "Red",
        "d-2": "Goodbye",
        "v-3": "Plain",
    }


@pytest.mark.parametrize("wanted", ["seg-1", "Newsletter"])
def test_segment_is_found_by_id_or_exact_name(wanted: str, server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"GET {SEGMENTS}", answer(segments("VIP customers", "Newsletter")))

    segment = blueconic.resolve_segment(wanted)

    assert (segment.id, segment.name, segment.profile_count) == ("seg-1", "Newsletter", 10)


def test_unknown_segment_is_answered_with_near_names(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"GET {SEGMENTS}", answer(segments("VIP customers", "Newsletter")))

    with pytest.raises(GoalError) as raised:
        blueconic.resolve_segment("VIP custmers")

    (problem,) = raised.value.problems
    assert problem.where == "source.segment"
    assert problem.message == 'BlueConic has no segment "VIP custmers". Nearest: "VIP customers".'


def test_name_of_two_segments_is_answered_with_their_ids(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"GET {SEGMENTS}", answer(segments("VIP", "VIP")))

    with pytest.raises(GoalError, match=r"2 segments .* ids: seg-0, seg-1"):
        blueconic.resolve_segment("VIP")


def test_profiles_are_read_cursor_by_cursor_until_none_follows(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"GET {PROFILES}", answer(page("a", "b", following="c+/=1")), answer(page("c")))

    pages = list(blueconic.iter_segment_profiles("seg-7", properties=["email", "crm_id", "email"], page_size=2))

    assert [(found.cursor, found.next_cursor, found.total_results) for found in pages] == [
        ("*", "c+/=1", 3),
        ("c+/=1", None, 3),
    ]
    assert [profile["id"] for found in pages for profile in found.profiles] == ["a", "b", "c"]
    first, second = server.asked(PROFILES)
    assert first.query == {"cursor": ["*"], "count": ["2"], "profileProperty": ["email", "crm_id"]}
    assert second.query["cursor"] == ["c+/=1"]


def test_expansions_and_refinement_are_sent_as_documented(
    read: Read, server: OddServer, blueconic: BlueConicHook
) -> None:
    server.on(f"GET {PROFILES}", answer(page("a")))
    since, until = datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, 1, 2, 3, 4_000, tzinfo=UTC)

    read(blueconic, expand=["permissions", "segments"], refinement=modified_between(since, until))

    (asked,) = server.asked(PROFILES)
    assert asked.query["expand"] == ["profiles.profile.permissions", "profiles.profile.segments"]
    assert json.loads(asked.query["refinement"][0]) == {
        "property": "lastmodifieddate",
        "operator": "IN_RANGE",
        "fromDate": "2026-11-22T00:00:00.000Z",
        "toDate": "2026-11-23T01:02:03.004Z",
    }


def test_wanting_no_property_does_not_return_all_of_them(
    read: Read, server: OddServer, blueconic: BlueConicHook
) -> None:
    server.on(f"GET {PROFILES}", answer(page("a")))

    read(blueconic, properties=[])

    assert server.asked(PROFILES)[0].query["profileProperty"] == ["lastmodifieddate"]


def test_times_without_a_zone_are_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        modified_between(datetime(2026, 11, 22), datetime(2026, 11, 23))  # noqa: DTZ001


@pytest.mark.promise(6)
@pytest.mark.parametrize(
    "oddity",
    [
        pytest.param(cut_off(page("b", "x", following="c-3")), id="broken stream"),
        pytest.param(half_document(page("b", "x", following="c-3"), keep=60), id="half a document"),
        pytest.param(answer({"nextCursor": "c-3"}), id="no list of profiles"),
        pytest.param(answer({"profiles": None, "nextCursor": "c-3"}), id="profiles are null"),
        pytest.param(answer([]), id="no object"),
        pytest.param(answer({}, 408), id="timed out"),
        pytest.param(answer({}, 503), id="busy"),
        pytest.param(reset, id="reset"),
    ],
)
def test_page_that_is_not_whole_is_read_again_from_its_own_cursor(
    read: Read, oddity: Oddity, server: OddServer, blueconic: BlueConicHook
) -> None:
    server.on(f"GET {PROFILES}", answer(page("a", following="c-2")), oddity, answer(page("b")))

    assert read(blueconic) == [["a"], ["b"]]
    assert [seen.query["cursor"][0] for seen in server.asked(PROFILES)] == ["*", "c-2", "c-2"]


@pytest.mark.promise(6)
def test_page_that_never_comes_whole_ends_the_read(read: Read, server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"GET {PROFILES}", answer(page("a", following="c-2")), cut_off(page("b")))

    with pytest.raises(TransientError, match=r"connection broke during GET /segments/\{segment\}/profiles"):
        read(blueconic)


def test_zipped_pages_are_read(read: Read, server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"GET {PROFILES}", zipped(page("a")))

    assert read(blueconic) == [["a"]]
    assert server.asked(PROFILES)[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    "cursors", [["*"], ["c-2", "c-2"], ["c-2", "c-3", "c-2"]], ids=["the first", "its own", "an older one"]
)
def test_cursor_that_was_seen_before_is_never_followed(
    read: Read, cursors: list[str], server: OddServer, blueconic: BlueConicHook
) -> None:
    server.on(
        f"GET {PROFILES}", *[answer(page(f"p{number}", following=cursor)) for number, cursor in enumerate(cursors)]
    )

    with pytest.raises(TransientError, match="a page that was already read"):
        read(blueconic)

    assert len(server.asked(PROFILES)) == len(cursors) - 1 + 6
    assert blueconic.repeated_pages == 6


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(page("b", following="c-2"), id="with the cursor that was asked for"),
        pytest.param(page("b", following="*"), id="with the first cursor"),
        pytest.param(page("a", following="c-2"), id="the page before"),
        pytest.param(page("a", following="c-3"), id="the page before, with a new cursor"),
    ],
)
def test_page_that_leads_back_once_is_asked_for_again_and_counted(
    read: Read, odd: dict[str, object], server: OddServer, blueconic: BlueConicHook
) -> None:
    server.on(
        f"GET {PROFILES}",
        answer(page("a", following="c-2")), answer(odd), answer(page("b", following="c-3")), answer(page("c")),
    )  # fmt: skip

    assert read(blueconic) == [["a"], ["b"], ["c"]]
    assert [seen.query["cursor"][0] for seen in server.asked(PROFILES)] == ["*", "c-2", "c-2", "c-3"]
    assert blueconic.repeated_pages == 1


def test_empty_pages_with_ever_new_cursors_come_to_an_end(
    read: Read, server: OddServer, blueconic: BlueConicHook
) -> None:
    server.on(f"GET {PROFILES}", *[answer(page(following=f"c-{number}")) for number in range(200)])

    with pytest.raises(UnexpectedAnswer, match="100 empty pages in a row"):
        read(blueconic)


def test_cursor_that_is_no_text_is_not_taken_for_the_end(
    read: Read, server: OddServer, blueconic: BlueConicHook
) -> None:
    server.on(f"GET {PROFILES}", answer({"profiles": [], "nextCursor": 7}))

    with pytest.raises(UnexpectedAnswer, match="isn't text"):
        read(blueconic)


def test_refused_refinement_tells_to_read_in_full(read: Read, server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"GET {PROFILES}", answer({"code": 400}, 400))
    refinement = modified_between(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))

    with pytest.raises(GoalError, match=r"source\.read: .* Set read: full\."):
        read(blueconic, refinement=refinement)


def test_full_read_that_is_refused_does_not_blame_the_goal(
    read: Read, server: OddServer, blueconic: BlueConicHook
) -> None:
    server.on(f"GET {PROFILES}", answer({"code": 400}, 400))

    with pytest.raises(UnexpectedAnswer, match="400"):
        read(blueconic)


def test_segment_that_is_gone_is_the_goals_matter(read: Read, server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"GET {PROFILES}", answer({}, 404))

    with pytest.raises(GoalError, match=r"source\.segment"):
        read(blueconic)


def test_long_read_renews_its_token_between_pages(read: Read, server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"GET {PROFILES}", answer(page("a", following="c-2")), answer({}, 401), answer(page("b")))

    assert read(blueconic) == [["a"], ["b"]]
    assert len(server.asked(TOKEN_PATH)) == 2


@pytest.mark.parametrize("size", [0, -1, 1_000_001])
def test_page_size_outside_the_vendors_limits_is_refused(read: Read, size: int, blueconic: BlueConicHook) -> None:
    with pytest.raises(ValueError, match="page_size"):
        read(blueconic, page_size=size)


def by_cursor(pages: Mapping[str, Sequence[Oddity]]) -> Oddity:
    """Answer each cursor with its replies in order; the last one stays."""
    left = {cursor: list(replies) for cursor, replies in pages.items()}

    def reply(handler: Any) -> None:
        replies = left[parse_qs(urlsplit(handler.path).query)["cursor"][0]]
        (replies.pop(0) if len(replies) > 1 else replies[0])(handler)

    return reply


def told_first(*ids: str, following: str | None = None) -> dict[str, object]:
    """A page that says first where the next one starts, as in the vendor's example."""
    return {**({} if following is None else {"nextCursor": following}), **page(*ids)}


def read_rows(hook: BlueConicHook, folder: Path) -> list[str]:
    pages = hook.iter_segment_rows("seg-7", ProfileColumns(["email"]), folder=folder)
    return [name for page in pages for batch in page.rows.batches() for name in batch.column("profile_id").to_pylist()]


def test_next_page_is_on_its_way_before_a_page_has_come_to_its_end(
    server: OddServer, blueconic: BlueConicHook, tmp_path: Path
) -> None:
    next_is_asked_for = threading.Event()
    head, end = json.dumps(told_first("a", following="c-2")).encode().split(b'"a"')

    def half_a_page(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(head), head))
        handler.wfile.flush()
        assert next_is_asked_for.wait(5)
        handler.wfile.write(b'3\r\n"a"\r\n%x\r\n%s\r\n0\r\n\r\n' % (len(end), end))

    def next_page(handler: Any) -> None:
        next_is_asked_for.set()
        answer(told_first("b"))(handler)

    server.on(f"GET {PROFILES}", by_cursor({"*": [half_a_page], "c-2": [next_page]}))

    assert read_rows(blueconic, tmp_path) == ["a", "b"]
    assert len(server.asked(PROFILES)) == 2


@pytest.mark.promise(6)
@pytest.mark.parametrize(
    "oddity",
    [
        pytest.param(cut_off(told_first("b", "x", following="c-3"), keep=70), id="broken stream"),
        pytest.param(half_document(told_first("b", "x", following="c-3"), keep=70), id="half a document"),
    ],
)
def test_page_that_breaks_off_after_it_told_its_cursor_is_read_again_and_the_next_one_after_it(
    oddity: Oddity, server: OddServer, blueconic: BlueConicHook, tmp_path: Path
) -> None:
    pages = {
        "*": [answer(told_first("a", following="c-2"))],
        "c-2": [oddity, answer(told_first("b", "y", following="c-3"))],
        "c-3": [answer(told_first("c"))],
    }
    server.on(f"GET {PROFILES}", by_cursor(pages))

    assert read_rows(blueconic, tmp_path) == ["a", "b", "y", "c"]


@pytest.mark.promise(6)
@pytest.mark.parametrize("oddity", [reset, answer({}, 503), answer({}, 401), half_document(told_first("b"), keep=30)])
def test_page_that_fails_on_its_way_ahead_is_asked_for_again(
    oddity: Oddity, server: OddServer, blueconic: BlueConicHook, tmp_path: Path
) -> None:
    pages = {"*": [answer(told_first("a", following="c-2"))], "c-2": [oddity, answer(told_first("b"))]}
    server.on(f"GET {PROFILES}", by_cursor(pages))

    assert read_rows(blueconic, tmp_path) == ["a", "b"]


def test_segment_that_goes_while_the_next_page_is_on_its_way_is_the_goals_matter(
    server: OddServer, blueconic: BlueConicHook, tmp_path: Path
) -> None:
    pages = {"*": [answer(told_first("a", following="c-2"))], "c-2": [answer({}, 404)]}
    server.on(f"GET {PROFILES}", by_cursor(pages))

    with pytest.raises(GoalError, match=r"source\.segment"):
        read_rows(blueconic, tmp_path)


def test_profile_of_another_form_is_told_once_its_page_is_whole(
    server: OddServer, blueconic: BlueConicHook, tmp_path: Path
) -> None:
    odd = {"profiles": [{"mail": "ada@example.org"}]}
    server.on(f"GET {PROFILES}", half_document(odd, keep=41), answer(odd))

    with pytest.raises(UnexpectedAnswer, match="doesn't have the form") as raised:
        read_rows(blueconic, tmp_path)

    assert len(server.asked(PROFILES)) == 2
    assert "ada@" not in str(raised.value)


def properties(*ids: str) -> dict[str, object]:
    entries = [{"id": name, "name": name, "filterType": "SELECT"} for name in ids]
    return {"totalResults": len(ids), "profileProperties": entries}


def test_only_properties_that_are_missing_are_created(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on("GET /rest/v2/profileProperties", answer(properties("email")))
    server.on("PUT /rest/v2/profileProperties/braze_points", answer({"id": "braze_points"}))

    created = blueconic.create_missing_properties(
        {
            "email": {"name": "Another name", "filter_type": "SELECT"},
            "braze_points": {"name": "Braze points", "filter_type": "RANGE"},
        }
    )

    assert created == ["braze_points"]
    (asked,) = [seen for seen in server.seen if seen.method == "PUT"]
    assert asked.json() == {
        "id": "braze_points",
        "name": "Braze points",
        "filterType": "RANGE",
        "tags": ["braze"],
        "permissionLevel": "PERSONAL",
        "mergeStrategy": "LATEST",
        "showInUI": True,
    }


def test_nothing_to_create_costs_no_request(server: OddServer, blueconic: BlueConicHook) -> None:
    assert blueconic.create_missing_properties({}) == []
    assert server.seen == []


def test_refused_property_is_named(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on("PUT /rest/v2/profileProperties/braze_x", answer({"code": 400}, 400))

    with pytest.raises(GoalError, match=r'remaining_fields: .*"braze_x" of the type SELECT'):
        blueconic.save_property("braze_x", "X", "SELECT")


def test_missing_right_to_create_properties_is_named(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on("PUT /rest/v2/profileProperties/braze_x", answer({}, 403))

    with pytest.raises(AccessError, match='lacks "write:profile-properties"'):
        blueconic.save_property("braze_x", "X", "SELECT")


def test_creating_a_property_is_tried_again_since_twice_is_harmless(
    server: OddServer, blueconic: BlueConicHook
) -> None:
    server.on("PUT /rest/v2/profileProperties/braze_x", answer({}, 503), reset, answer({"id": "braze_x"}))

    blueconic.save_property("braze_x", "X", "SELECT")

    assert len(server.asked("/rest/v2/profileProperties/braze_x")) == 3


def test_half_a_character_in_a_name_stops_nobody(server: OddServer, blueconic: BlueConicHook) -> None:
    halved = {"id": "seg-1", "name": "VIP \ud83d", "odd \ude00": "\ud83d\ude00"}
    server.on(f"GET {SEGMENTS}", answer({"totalResults": 2, "segments": [{"id": "seg-0", "name": "A"}, halved]}))

    found = blueconic.list_segments()

    assert [segment.name for segment in found] == ["A", "VIP \ufffd"]
    assert blueconic.resolve_segment("seg-1").name == "VIP \ufffd"


def test_halves_in_profiles_are_left_to_who_counts_them(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"GET {PROFILES}", answer({"totalResults": 1, "profiles": [{"id": "p \ud83d"}]}))

    (found,) = blueconic.iter_segment_profiles("seg-7", properties=["email"])

    assert [profile["id"] for profile in found.profiles] == ["p \ud83d"]


def test_an_answer_that_is_nested_without_end_is_no_json(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"GET {SEGMENTS}", answer(b'{"segments":' + b"[" * 200_000))

    with pytest.raises(UnexpectedAnswer, match="something other than complete JSON"):
        blueconic.list_segments()
