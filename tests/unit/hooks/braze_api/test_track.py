from __future__ import annotations

import asyncio
import json
import ssl
from http import HTTPStatus
from pathlib import Path
from unittest import mock

import aiohttp
import pytest

from airflow_provider_braze_blueconic.exceptions import AccessError
from airflow_provider_braze_blueconic.hooks.braze import BrazeHook
from airflow_provider_braze_blueconic.hooks.braze_api.track import TRACK_BULK_LIMITS, TRACK_LIMITS
from airflow_provider_braze_blueconic.hooks.braze_api.track_replies import TrackReplies, verdict_for
from airflow_provider_braze_blueconic.hooks.http.lost_attempts import exception_verdicts, verdict_for_exception
from airflow_provider_braze_blueconic.sync.sending.seam import Refusal, Reply, Verdict
from tests.support.odd_server import (
    Oddity,
    OddServer,
    answer,
    closed_port,
    cut_off,
    flood,
    hang_up,
    not_http,
    redirect,
    reset,
    silence,
    web_page,
)
from tests.unit.hooks.conftest import BRAZE_KEY

REPLIES = TrackReplies("Braze at x", "POST /users/track", "users.track")
FIVE = json.dumps({"attributes": [{"external_id": f"u{n}", "first_name": "Ada"} for n in range(5)]}).encode()
NESTED = json.dumps({"attributes": [{"user_alias": {"alias_name": f"u{n}"}, "x": "}{"} for n in range(5)]}).encode()
MIXED = json.dumps({"events": [{"name": "e"}] * 2, "attributes": [{"a": 1}] * 3, "purchases": [{"b": 1}]}).encode()


def read(body: object, *, sent: bytes = FIVE, status: int = 201) -> Reply:
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    return REPLIES.read(status, {}, sent, raw)


def error(index: object, array: object = "attributes", text: str = "bad value") -> dict[str, object]:
    return {"index": index, "input_array": array, "type": text}


def send(hook: BrazeHook, body: bytes = FIVE, *, bulk: bool = False) -> Reply:
    async def once() -> Reply:
        async with hook.track_sender(bulk=bulk) as sender:
            return await sender.send(body)

    return asyncio.run(once())


def test_success_without_errors_takes_the_whole_batch() -> None:
    reply = read({"message": "success", "attributes_processed": 5})

    assert reply == Reply(Verdict.READ_ENTRIES, 201)


def test_batch_that_braze_queued_for_later_is_taken() -> None:
    assert read({"message": "queued"}, status=202) == Reply(Verdict.READ_ENTRIES, 202)


@pytest.mark.promise(3)
def test_refused_objects_of_a_201_are_found_by_their_index() -> None:
    reply = read({"message": "success", "attributes_processed": 3, "errors": [error(4), error(1, text="no e-mail")]})

    assert reply.verdict is Verdict.READ_ENTRIES
    assert reply.refusals == (Refusal(4, "bad value"), Refusal(1, "no e-mail"))


def test_two_errors_of_one_object_are_one_refusal() -> None:
    reply = read({"message": "success", "attributes_processed": 4, "errors": [error(2), error(2, text="second")]})

    assert reply.refusals == (Refusal(2, "bad value"),)


def test_positions_count_attributes_then_events_then_purchases() -> None:
    errors = [error(0, "attributes"), error(1, "events"), error(0, "purchases")]
    counts = {"attributes_processed": 2, "events_processed": 1, "purchases_processed": 0}

    reply = read({"message": "success", "errors": errors, **counts}, sent=MIXED)

    assert [refusal.position for refusal in reply.refusals] == [0, 4, 5]
    assert reply.verdict is Verdict.READ_ENTRIES


def test_error_without_an_array_is_located_where_only_one_was_sent() -> None:
    entry = {"index": 3, "type": "bad value"}

    assert read({"message": "success", "errors": [entry]}).refusals == (Refusal(3, "bad value"),)
    assert read({"message": "success", "errors": [entry]}, sent=MIXED).verdict is Verdict.UNKNOWN


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(None, id="too large or not read"),
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>", id="web page"),
        pytest.param(b'{"message": "success"', id="half"),
        pytest.param(b"[" * 100_000, id="nested without end"),
        pytest.param(["success"], id="a list"),
        pytest.param({}, id="no message"),
        pytest.param({"message": ""}, id="empty message"),
        pytest.param({"message": "failure"}, id="another message"),
        pytest.param({"message": "success", "errors": "one bad"}, id="errors are a text"),
        pytest.param({"message": "success", "errors": {"index": 1}}, id="errors are an object"),
        pytest.param({"message": "success", "errors": ["bad value"]}, id="an entry is a text"),
        pytest.param({"message": "success", "errors": [{"type": "bad"}]}, id="an entry has no index"),
        pytest.param({"message": "success", "errors": [error(5)]}, id="index after the end"),
        pytest.param({"message": "success", "errors": [error(-1)]}, id="index before the start"),
        pytest.param({"message": "success", "errors": [error("1")]}, id="index is a text"),
        pytest.param({"message": "success", "errors": [error(True)]}, id="index is a boolean"),
        pytest.param({"message": "success", "errors": [error(0, "events")]}, id="array that was not sent"),
        pytest.param({"message": "success", "errors": [error(0, ["attributes"])]}, id="array is a list"),
        pytest.param({"message": "success", "errors": [error(1), "x"]}, id="one of two can't be located"),
    ],
)
def test_2xx_that_does_not_tell_who_was_taken_is_unknown(body: object) -> None:
    reply = read(body)

    assert reply.verdict is Verdict.UNKNOWN
    assert reply.refusals == ()
    assert "count as success" in reply.sentence


@pytest.mark.promise(3)
@pytest.mark.parametrize("sent", [FIVE, NESTED], ids=["flat", "nested"])
@pytest.mark.parametrize(
    ("processed", "errors", "verdict"),
    [
        (5, [], Verdict.READ_ENTRIES),
        (4, [error(0)], Verdict.READ_ENTRIES),
        (4, [], Verdict.UNKNOWN),
        (3, [error(0)], Verdict.UNKNOWN),
        (3, [error(0), error(0)], Verdict.UNKNOWN),
        (0, [], Verdict.UNKNOWN),
        ("5", [], Verdict.READ_ENTRIES),
    ],
)
def test_queued_and_refused_have_to_account_for_all_that_was_sent(
    processed: object, errors: list[object], verdict: Verdict, sent: bytes
) -> None:
    reply = read({"message": "success", "attributes_processed": processed, "errors": errors}, sent=sent)

    assert reply.verdict is verdict


def test_each_array_is_counted_for_itself() -> None:
    body = {"message": "success", "attributes_processed": 4, "events_processed": 1, "purchases_processed": 1}

    assert read(body, sent=MIXED).verdict is Verdict.UNKNOWN


@pytest.mark.promise(3)
def test_400_names_the_objects_that_are_bad() -> None:
    reply = read({"message": "Valid data must be provided", "errors": [error(0), error(3), "?"]}, status=400)

    assert reply.verdict is Verdict.SPLIT
    assert [refusal.position for refusal in reply.refusals] == [0, 3]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"message": "Bad object"}, "Bad object"),
        ({"message": "Valid data must be provided", "errors": [{"type": "Bad object"}]}, "Bad object"),
        ({"message": "Valid data must be provided", "errors": [error(0)]}, error(0)["type"]),
    ],
    ids=["message", "error without index", "error"],
)
def test_400_to_a_single_object_says_why_it_was_refused(body: dict[str, object], reason: str) -> None:
    reply = read(body, status=400, sent=b'{"attributes":[{"external_id":"p0"}]}')

    assert reply.verdict is Verdict.SPLIT
    assert reply.refusals == (Refusal(0, reason),)


@pytest.mark.parametrize("body", [b"", b"<html>", {}, {"errors": ["Max Input Length Exceeded"]}, {"errors": None}])
def test_400_that_names_nobody_is_split(body: object) -> None:
    assert read(body, status=400) == Reply(
        Verdict.SPLIT, 400, (), {}, "Braze at x refused the batch (400 to POST /users/track)."
    )


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, ["401", '"users.track"', "Check the key"]),
        (403, ["403", '"users.track"', "create a new key"]),
        (404, ["404", "Check the host"]),
        (415, ["415", "no batch of this run can succeed"]),
    ],
)
def test_what_ends_the_run_says_what_to_change(status: int, words: list[str]) -> None:
    reply = read({"message": f"Invalid API key: {BRAZE_KEY}"}, status=status)

    assert reply.verdict is Verdict.STOP
    assert all(word in reply.sentence for word in words)
    assert BRAZE_KEY not in reply.sentence


def test_every_status_of_http_has_a_verdict() -> None:
    expected = {
        Verdict.READ_ENTRIES: {200, 201, 202},
        Verdict.SPLIT: {400, 413},
        Verdict.STOP: {401, 403, 404, 415},
        Verdict.WAIT: {429},
        Verdict.RETRY: {500, 502, 503},
    }

    for status in [*map(int, HTTPStatus), 299, 499, 520, 529, 599]:
        allowed = [verdict for verdict, statuses in expected.items() if status in statuses] or [Verdict.UNKNOWN]
        assert [verdict_for(status)] == allowed, status
        reply = REPLIES.read(status, {}, FIVE, None)
        assert reply.verdict in (*allowed, Verdict.UNKNOWN)
        assert str(status) in reply.sentence


def every_aiohttp_error() -> list[type[Exception]]:
    found: list[type[Exception]] = []
    pending: list[type[Exception]] = [aiohttp.ClientError]
    while pending:
        kind = pending.pop()
        found.append(kind)
        pending += kind.__subclasses__()
    return sorted(set(found), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", every_aiohttp_error(), ids=lambda kind: kind.__name__)
def test_every_exception_of_aiohttp_has_a_verdict_of_its_own(kind: type[Exception]) -> None:
    stop = {
        "ClientConnectorCertificateError",
        "InvalidURL",
        "InvalidUrlClientError",
        "InvalidUrlRedirectClientError",
        "NonHttpUrlClientError",
        "NonHttpUrlRedirectClientError",
        "ServerFingerprintMismatch",
    }
    nothing_sent = {
        "ClientConnectorDNSError",
        "ClientConnectorError",
        "ClientConnectorSSLError",
        "ClientHttpProxyError",
        "ClientProxyConnectionError",
        "ClientSSLError",
        "ConnectionTimeoutError",
        "UnixClientConnectorError",
    }
    maybe_sent = {
        "ClientConnectionError",
        "ClientConnectionResetError",
        "ClientError",
        "ClientOSError",
        "ClientPayloadError",
        "ClientResponseError",
        "ContentTypeError",
        "RedirectClientError",
        "ServerConnectionError",
        "ServerDisconnectedError",
        "ServerTimeoutError",
        "SocketTimeoutError",
        "TooManyRedirects",
        "UploadAbortedError",
        "WSServerHandshakeError",
    }
    expected = {
        **dict.fromkeys(stop, Verdict.STOP),
        **dict.fromkeys(nothing_sent, Verdict.RETRY),
        **dict.fromkeys(maybe_sent, Verdict.UNKNOWN),
    }

    verdict = next(verdict for row, verdict in exception_verdicts() if issubclass(kind, row))

    assert verdict is expected[kind.__name__]


@pytest.mark.parametrize("kind", [TimeoutError, OSError, ConnectionResetError, ssl.SSLError, RuntimeError, ValueError])
def test_exception_of_another_library_is_unknown(kind: type[Exception]) -> None:
    assert verdict_for_exception(kind("x")) is Verdict.UNKNOWN


def test_body_arrives_as_it_is_with_the_documented_headers(server: OddServer, braze: BrazeHook) -> None:
    server.on("POST /users/track", answer({"message": "success", "attributes_processed": 5}, 201))

    reply = send(braze)

    assert reply.verdict is Verdict.READ_ENTRIES
    (seen,) = server.seen
    assert seen.body == FIVE
    assert seen.headers["authorization"] == f"Bearer {BRAZE_KEY}"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["user-agent"].startswith("airflow-provider-braze-blueconic/")


def test_bulk_goes_to_its_own_endpoint_and_names_its_own_permission(server: OddServer, braze: BrazeHook) -> None:
    server.on("POST /users/track/bulk", answer({}, 403))

    reply = send(braze, bulk=True)

    assert '"users.track.bulk"' in reply.sentence
    assert (TRACK_LIMITS.objects, TRACK_BULK_LIMITS.objects) == (75, 1_000)


def test_pacing_headers_are_handed_on_with_lower_case_names(server: OddServer, braze: BrazeHook) -> None:
    headers = {"X-RateLimit-Remaining": "7", "X-Ratelimit-Retry-After": "3", "X-Other": "x"}
    server.on("POST /users/track", answer({}, 429, headers))

    reply = send(braze)

    assert reply.verdict is Verdict.WAIT
    assert reply.headers == {"x-ratelimit-remaining": "7", "x-ratelimit-retry-after": "3"}


@pytest.mark.parametrize(
    ("oddity", "verdict", "status"),
    [
        pytest.param(reset, Verdict.UNKNOWN, None, id="reset"),
        pytest.param(hang_up, Verdict.UNKNOWN, None, id="hang up"),
        pytest.param(not_http, Verdict.UNKNOWN, None, id="not HTTP"),
        pytest.param(cut_off({"message": "success"}), Verdict.UNKNOWN, 200, id="broken stream"),
        pytest.param(web_page(), Verdict.UNKNOWN, 200, id="web page"),
        pytest.param(web_page(503), Verdict.RETRY, 503, id="web page of a proxy"),
        pytest.param(flood, Verdict.UNKNOWN, 200, id="flood"),
        pytest.param(redirect("http://127.0.0.1:9/"), Verdict.UNKNOWN, 302, id="redirect"),
        pytest.param(answer(b"", 204), Verdict.UNKNOWN, 204, id="no content"),
    ],
)
@pytest.mark.promise(3)
def test_one_attempt_gives_one_verdict(
    oddity: Oddity, verdict: Verdict, status: int | None, server: OddServer, braze: BrazeHook
) -> None:
    server.on("POST /users/track", oddity)

    reply = send(braze)

    assert (reply.verdict, reply.status) == (verdict, status)
    assert reply.sentence
    assert len(server.seen) == 1


def test_400_whose_body_breaks_off_still_took_nothing() -> None:
    reply = REPLIES.lost(aiohttp.ClientPayloadError(), 400, {})

    assert (reply.verdict, reply.refusals) == (Verdict.SPLIT, ())


def test_silence_after_sending_is_unknown(server: OddServer, braze: BrazeHook) -> None:
    server.on("POST /users/track", silence)

    reply = send(BrazeHook(timeout=0.1))

    assert reply.verdict is Verdict.UNKNOWN
    assert "may have been applied" in reply.sentence


def test_refused_connection_can_be_repeated_since_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    host = f"http://127.0.0.1:{closed_port()}"
    monkeypatch.setenv("AIRFLOW_CONN_X", json.dumps({"conn_type": "braze", "host": host, "password": "k-123456"}))

    reply = send(BrazeHook("x"))

    assert reply.verdict is Verdict.RETRY
    assert "nothing was sent" in reply.sentence


def test_exception_that_nobody_thought_of_still_gives_a_verdict(server: OddServer, braze: BrazeHook) -> None:
    with mock.patch.object(aiohttp.ClientSession, "_request", side_effect=KeyError("secret")):
        reply = send(braze)

    assert reply.verdict is Verdict.UNKNOWN
    assert "KeyError" in reply.sentence
    assert "secret" not in reply.sentence


def test_cancelling_is_not_swallowed(server: OddServer, braze: BrazeHook) -> None:
    server.on("POST /users/track", silence)

    async def cancelled() -> None:
        async with braze.track_sender() as sender:
            task = asyncio.create_task(sender.send(FIVE))
            await asyncio.to_thread(server.arrived.wait, 10)
            task.cancel()
            await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())


@pytest.mark.promise(8)
def test_sender_does_not_show_the_key(server: OddServer, braze: BrazeHook) -> None:
    async def shown() -> str:
        async with braze.track_sender() as sender:
            return repr(sender)

    assert asyncio.run(shown()).startswith("<sender: POST /users/track to Braze at 127.0.0.1")


def test_connection_is_read_before_the_event_loop_runs(braze: BrazeHook, monkeypatch: pytest.MonkeyPatch) -> None:
    context = braze.track_sender()
    monkeypatch.delenv("AIRFLOW_CONN_BRAZE_DEFAULT")

    async def enter() -> None:
        async with context:
            pass

    asyncio.run(enter())


def test_ca_file_that_is_not_there_is_an_access_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {
        "conn_type": "braze",
        "host": "https://127.0.0.1",
        "password": "k-123456",
        "extra": {"ca_file": str(tmp_path / "none.pem")},
    }
    monkeypatch.setenv("AIRFLOW_CONN_X", json.dumps(connection))

    with pytest.raises(AccessError, match='CA file of connection "x"'):
        send(BrazeHook("x"))
