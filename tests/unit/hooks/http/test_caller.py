from __future__ import annotations

import json
import logging
from http import HTTPStatus
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic import __version__
from airflow_provider_braze_blueconic.exceptions import AccessError, TransientError, UnexpectedAnswer
from airflow_provider_braze_blueconic.hooks.braze import BrazeHook
from airflow_provider_braze_blueconic.hooks.http.actions import CALL_ACTIONS, Action, action_for
from airflow_provider_braze_blueconic.hooks.http.patience import requested_wait
from airflow_provider_braze_blueconic.hooks.http.sites import Site
from tests.support.odd_server import (
    Oddity,
    OddServer,
    answer,
    closed_port,
    cut_off,
    half_document,
    hang_up,
    not_http,
    redirect,
    reset,
    silence,
    web_page,
)
from tests.unit.hooks.conftest import BRAZE_KEY

SEGMENTS = answer({"message": "success", "segments": [{"id": "s-1", "name": "VIP"}]})
LIST = "GET /segments/list"


@pytest.mark.parametrize(
    ("connection", "base_url"),
    [
        ('{"conn_type": "braze", "host": "rest.iad-01.braze.com"}', "https://rest.iad-01.braze.com"),
        ('{"conn_type": "braze", "host": " https://rest.iad-01.braze.com/ "}', "https://rest.iad-01.braze.com"),
        ('{"conn_type": "braze", "host": "http://127.0.0.1:8081/x/"}', "http://127.0.0.1:8081/x"),
        ('{"conn_type": "braze", "host": "127.0.0.1", "port": 8081, "schema": "http"}', "http://127.0.0.1:8081"),
        ('{"conn_type": "braze", "host": "http://[::1]:8081"}', "http://[::1]:8081"),
        ("braze://:pw123@http%3A%2F%2F127.0.0.1%3A8081/", "http://127.0.0.1:8081"),
        ("braze://http://:pw123@127.0.0.1:8081/path", "http://127.0.0.1:8081/path"),
        ("braze://:pw123@rest.iad-01.braze.com:8443/http", "http://rest.iad-01.braze.com:8443"),
        ("braze://:pw123@rest.iad-01.braze.com", "https://rest.iad-01.braze.com"),
    ],
)
def test_any_way_to_write_a_host_gives_its_address(
    connection: str, base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_X", connection)

    site, _ = Site.load("Braze", "x")

    assert site.base_url == base_url


@pytest.mark.parametrize(
    "host",
    ["", "ftp://x.example", "https://", "https://u:p@x.example", "https://x.example?a=1", "a b", "https://x:port"],
)
def test_what_is_no_address_is_named_with_its_connection(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_X", json.dumps({"conn_type": "braze", "host": host}))

    with pytest.raises(AccessError, match='host of connection "x" isn\'t a valid address'):
        Site.load("Braze", "x")


def test_missing_connection_is_an_access_error() -> None:
    with pytest.raises(AccessError, match='no connection "nowhere"'):
        Site.load("Braze", "nowhere")


@pytest.mark.parametrize("key", ["", "   ", "two words", "line\nbreak", '"quoted"', "schlüssel"])
def test_key_that_no_header_can_carry_is_refused_without_showing_it(
    key: str, server: OddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_X", json.dumps({"conn_type": "braze", "host": server.url, "password": key}))

    with pytest.raises(AccessError) as raised:
        BrazeHook("x").list_segments()

    assert not key.strip() or key not in str(raised.value)
    assert server.seen == []


def test_key_with_blanks_round_it_is_used_without_them(server: OddServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.on(LIST, SEGMENTS)
    monkeypatch.setenv(
        "AIRFLOW_CONN_X", json.dumps({"conn_type": "braze", "host": server.url, "password": "k-123456\n"})
    )

    BrazeHook("x").list_segments()

    assert server.seen[0].headers["authorization"] == "Bearer k-123456"


def test_calls_name_the_package_and_its_version(server: OddServer, braze: BrazeHook) -> None:
    server.on(LIST, SEGMENTS)

    braze.list_segments()

    assert server.seen[0].headers["user-agent"] == f"airflow-provider-braze-blueconic/{__version__}"


def test_netrc_does_not_replace_the_key(
    server: OddServer, braze: BrazeHook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.on(LIST, SEGMENTS)

    braze.list_segments()

    assert server.seen[0].headers["authorization"] == f"Bearer {BRAZE_KEY}"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_busy_server_is_asked_again(status: int, server: OddServer, braze: BrazeHook, waits: list[float]) -> None:
    server.on(LIST, answer(b"busy", status), answer(b"busy", status), SEGMENTS)

    segments = braze.list_segments()

    assert [segment.name for segment in segments] == ["VIP"]
    assert waits == [1.0, 2.0]


@pytest.mark.parametrize(
    "oddity",
    [
        pytest.param(reset, id="reset"),
        pytest.param(hang_up, id="hang up"),
        pytest.param(not_http, id="not HTTP"),
        pytest.param(cut_off({"segments": [{"id": "s-1", "name": "VIP"}]}), id="broken stream"),
        pytest.param(half_document({"segments": [{"id": "s-1", "name": "VIP"}]}), id="half a document"),
        pytest.param(web_page(), id="web page"),
        pytest.param(answer(b""), id="empty body"),
        pytest.param(answer([1, 2]), id="list instead of object"),
        pytest.param(answer({"message": "success"}), id="list missing"),
        pytest.param(answer({"segments": ["VIP"]}), id="texts instead of objects"),
        pytest.param(answer(b"\xff\xfe{}"), id="not UTF-8"),
        pytest.param(answer(b"not gzip", headers={"Content-Encoding": "gzip"}), id="not gzip"),
    ],
)
def test_answer_that_is_not_whole_is_fetched_again(oddity: Oddity, server: OddServer, braze: BrazeHook) -> None:
    server.on(LIST, oddity, SEGMENTS)

    assert [segment.name for segment in braze.list_segments()] == ["VIP"]


def test_repeating_ends_after_the_set_number_of_tries(
    server: OddServer, braze: BrazeHook, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__RETRY_ATTEMPTS", "3")
    server.on(LIST, answer(b"", 503))

    with pytest.raises(TransientError, match="503"):
        braze.list_segments()

    assert len(server.seen) == 3
    assert waits == [1.0, 2.0]


def test_repeating_ends_when_the_set_time_would_be_exceeded(
    server: OddServer, braze: BrazeHook, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__RETRY_SECONDS", "100")
    server.on(LIST, answer(b"", 429, {"Retry-After": "40"}))

    with pytest.raises(TransientError, match="429"):
        braze.list_segments()

    assert waits == [40.0, 40.0]


def test_timeout_is_told_in_seconds(server: OddServer, braze: BrazeHook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__REQUEST_TIMEOUT", "0.1")
    monkeypatch.setenv("AIRFLOW__BRAZE_BLUECONIC__RETRY_ATTEMPTS", "1")
    server.on(LIST, silence)

    with pytest.raises(TransientError, match=r"didn't answer GET /segments/list within 0\.1 s"):
        braze.list_segments()


def test_unreachable_host_is_named(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    host = f"http://127.0.0.1:{closed_port()}"
    monkeypatch.setenv("AIRFLOW_CONN_X", json.dumps({"conn_type": "braze", "host": host, "password": "k-123456"}))

    with pytest.raises(TransientError, match=r'Braze at 127\.0\.0\.1:\d+ \(connection "x"\) can\'t be reached'):
        BrazeHook("x", sleep=waits.append).list_segments()

    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_redirect_is_not_followed_with_the_key(server: OddServer, braze: BrazeHook) -> None:
    server.on(LIST, redirect(f"{server.url}/elsewhere"))

    with pytest.raises(AccessError, match="redirects GET"):
        braze.list_segments()

    assert server.asked("/elsewhere") == []


def test_web_page_instead_of_json_points_at_the_host(server: OddServer, braze: BrazeHook) -> None:
    server.on(LIST, web_page())

    with pytest.raises(UnexpectedAnswer, match="looks like a web page: check the host"):
        braze.list_segments()


@pytest.mark.parametrize("status", [203, 204, 400, 402, 405, 410, 418, 422, 501, 505])
def test_status_that_no_rule_covers_is_no_success(status: int, server: OddServer, braze: BrazeHook) -> None:
    server.on(LIST, answer({"segments": []}, status))

    with pytest.raises(UnexpectedAnswer, match=str(status)):
        braze.list_segments()

    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 500])
@pytest.mark.promise(8)
def test_refusals_show_neither_the_key_nor_the_body(
    status: int, server: OddServer, braze: BrazeHook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.on(LIST, answer({"message": f"Invalid API key: {BRAZE_KEY}", "person": "ada@example.org"}, status))

    with pytest.raises(Exception) as raised:  # noqa: PT011
        braze.list_segments()

    shown = str(raised.value) + repr(raised.value) + caplog.text + repr(braze) + repr(braze.get_conn())
    assert BRAZE_KEY not in shown
    assert "ada@" not in shown
    assert raised.value.__cause__ is None


def test_every_status_of_http_has_an_action() -> None:
    expected = {
        "read": {200, 201, 202},
        "moved": {301, 302, 303, 307, 308},
        "renew": {401},
        "denied": {403},
        "missing": {404},
        "wait": {408, 429, 503},
        "again": {500, 502, 504},
    }

    found = {status: action_for(status) for status in [*map(int, HTTPStatus), 299, 499, 520, 599]}

    for status, action in found.items():
        names = [name for name, statuses in expected.items() if status in statuses] or ["odd"]
        assert [action.value] == names, status
    assert set(CALL_ACTIONS) <= set(found)
    assert {action.value for action in Action} == {*expected, "odd"}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Thu, 01 Jan 1970 00:16:50 GMT"}, 10.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"X-Ratelimit-Retry-After": "3", "Retry-After": "9"}, 3.0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "12"}, 12.0),
        ({"X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "12"}, None),
    ],
)
def test_wait_is_taken_from_the_header_that_names_it(headers: dict[str, str], seconds: float | None) -> None:
    assert requested_wait(headers, 1_000.0) == seconds


def test_reset_as_an_epoch_is_turned_into_seconds() -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1795348830"}

    assert requested_wait(headers, 1_795_348_800.0) == 30.0
