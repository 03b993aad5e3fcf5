from __future__ import annotations

import asyncio
import json
import logging
import threading
from http import HTTPStatus
from typing import Any

import aiohttp
import pytest

from airflow_provider_braze_blueconic.exceptions import AccessError, SyncError, TransientError, UnexpectedAnswer
from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook
from airflow_provider_braze_blueconic.hooks.blueconic_api.profile_replies import ProfileReplies, verdict_for
from airflow_provider_braze_blueconic.hooks.blueconic_api.profile_writes import PROFILES_IN_FLIGHT, PROFILES_LIMITS
from airflow_provider_braze_blueconic.hooks.blueconic_api.sum_words import SumWord
from airflow_provider_braze_blueconic.hooks.http.once_only import once_only
from airflow_provider_braze_blueconic.sync.sending.seam import Refusal, Reply, Sender, Verdict
from tests.support.odd_server import (
    Oddity,
    OddServer,
    answer,
    closed_port,
    cut_off,
    hang_up,
    not_http,
    redirect,
    reset,
    silence,
    web_page,
    zipped,
)
from tests.unit.hooks.conftest import CLIENT_SECRET, TOKEN

PATH = "/rest/v2/profiles"
TOKEN_PATH = "/rest/v2/oauth/token"


def entry(key: str, *rules: tuple[str, str], new_only: str | None = None) -> dict[str, Any]:
    """An entry as the core makes it."""
    properties = [{"id": name, "values": ["1"], "strategy": strategy} for name, strategy in rules or (("city", "SET"),)]
    if new_only:
        properties.append({"id": new_only, "values": ["x"], "strategy": "SET", "restriction": "NEW_PROFILES_ONLY"})
    return {"identifier": key, "strategy": "UPDATE", "matching": [[]], "properties": properties}


def body(*entries: dict[str, Any]) -> bytes:
    return json.dumps(entries, separators=(",", ":")).encode()


def result(key: object, state: object = "MODIFIED", **more: object) -> dict[str, object]:
    return {"identifier": key, "profileId": "p", "state": state, **more}


THREE = body(entry("k0"), entry("k1"), entry("k2"))
SUM = body(entry("k0", ("revenue", "INCREMENT")), entry("k1"))


def read(told: object, *, sent: bytes = THREE, status: int = 200, sums: SumWord | None = None) -> Reply:
    raw = told if isinstance(told, bytes) or told is None else json.dumps(told).encode()
    replies = ProfileReplies("BlueConic at x", sums or SumWord())
    return replies.read(status, {}, sent, raw, word=sums.choose(sent) if sums else None)


def send(hook: BlueConicHook, *bodies: bytes, **options: Any) -> list[Reply]:
    async def all_of_them() -> list[Reply]:
        async with hook.profiles_sender(**options) as sender:
            return [await sender.send(one) for one in bodies or (THREE,)]

    return asyncio.run(all_of_them())


# What an answer says


@pytest.mark.promise(3)
def test_every_entry_has_to_be_answered_for_to_be_taken() -> None:
    reply = read([result("k0", "CREATED"), result("k1", "MODIFIED"), result("k2", "UNCHANGED")])

    assert reply == Reply(Verdict.READ_ENTRIES, 200)


@pytest.mark.promise(3)
def test_results_are_found_by_their_key_in_whatever_order_they_come() -> None:
    reply = read([result("k2", "NOTFOUND"), result("k0", "UNAUTHORIZED"), result("k1")])

    assert [(refusal.position, refusal.outcome) for refusal in reply.refusals] == [(0, "rejected"), (2, "not_found")]
    assert reply.unanswered == ()


@pytest.mark.parametrize(
    ("state", "outcome", "words"),
    [
        ("NOTFOUND", "not_found", "no profile that matches"),
        ("CONSENT_MISMATCH", "no_consent", "any of the objectives"),
        ("SKIPPED", "rejected", "skipped"),
        ("RESTRICTION_MISMATCH", "rejected", "restriction"),
        ("UNAUTHORIZED", "rejected", "PII"),
    ],
)
def test_a_state_that_is_no_success_says_what_it_is(state: str, outcome: str, words: str) -> None:
    reply = read([result("k0"), result("k1", state), result("k2")])

    assert [(refusal.position, refusal.outcome) for refusal in reply.refusals] == [(1, outcome)]
    assert words in reply.refusals[0].reason


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    "told",
    [
        pytest.param([result("k0"), result("k2")], id="missing"),
        pytest.param([result("k0"), result("k1", "DELETED"), result("k2")], id="deleted"),
        pytest.param([result("k0"), result("k1", "PENDING"), result("k2")], id="unknown state"),
        pytest.param([result("k0"), result("k1", None), result("k2")], id="no state"),
        pytest.param([result("k0"), result("k1", ["MODIFIED"]), result("k2")], id="state is a list"),
        pytest.param([result("k0"), result("k1"), result("k1"), result("k2")], id="twice"),
        pytest.param([result("k0"), result("K1"), result("k2")], id="another key"),
        pytest.param([result("k0"), {"state": "MODIFIED"}, result("k2")], id="no key"),
        pytest.param([result("k0"), "k1", result("k2")], id="no object"),
        pytest.param([result("k0"), result("k1", validationErrors=["bad"]), result("k2")], id="errors of another form"),
    ],
)
def test_an_entry_of_which_the_answer_says_nothing_clear_is_unanswered(told: object) -> None:
    reply = read(told)

    assert (reply.verdict, reply.refusals, reply.unanswered) == (Verdict.READ_ENTRIES, (), (1,))
    assert "may have been applied" in reply.sentence


def test_an_entry_that_several_profiles_took_is_taken() -> None:
    both = [result("k0", profileId="p1"), result("k0", "UNCHANGED", profileId="p2", validationErrors={"age": ["bad"]})]
    sent = body(entry("k0", ("age", "SET"), ("city", "SET")))

    assert read(both, sent=sent) == Reply(Verdict.READ_ENTRIES, 200, partial={0: {"age": "bad"}})
    assert read([*both[:1], result("k0", "UNAUTHORIZED", profileId="p2")], sent=sent).verdict is Verdict.UNKNOWN


def test_a_key_that_comes_back_with_blanks_round_it_is_still_found() -> None:
    assert read([result(" k0"), result("k1 "), result("k2")]).unanswered == ()


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    "told",
    [None, b"", b"<html>", b'[{"identifier"', {}, {"message": "ok"}, [], ["k0"], [result("x")], b"[" * 100_000],
    ids=["too large", "empty", "web page", "half", "object", "message", "nobody", "texts", "strangers", "nested"],
)
def test_a_200_that_tells_of_no_entry_is_unknown(told: object) -> None:
    reply = read(told)

    assert reply.verdict is Verdict.UNKNOWN
    assert "count as success" in reply.sentence


@pytest.mark.promise(3)
def test_properties_that_were_refused_are_named_and_the_rest_of_the_entry_is_taken() -> None:
    sent = body(entry("k0", ("age", "SET"), ("city", "SET")), entry("k1"))

    reply = read([result("k0", validationErrors={"age": ["not a number", "too old"]}), result("k1")], sent=sent)

    assert reply.refusals == ()
    assert reply.partial == {0: {"age": "not a number; too old"}}


def test_an_entry_of_which_every_property_was_refused_is_rejected() -> None:
    sent = body(entry("k0", ("age", "SET"), ("city", "SET"), new_only="email"), entry("k1"))
    errors = {"age": ["not a number"], "city": "no city"}

    reply = read([result("k0", "UNCHANGED", validationErrors=errors), result("k1")], sent=sent)

    assert reply.refusals == (Refusal(0, "age: not a number; city: no city"),)


def test_a_profile_that_was_created_without_its_properties_is_not_created_again() -> None:
    reply = read([result("k0", "CREATED", validationErrors={"city": ["bad"]})], sent=body(entry("k0")))

    assert reply.refusals == ()
    assert reply.partial == {0: {"city": "bad"}}


def test_no_validation_errors_in_any_form_are_none() -> None:
    told = [result("k0", validationErrors={}), result("k1", validationErrors=None), result("k2", validationErrors=[])]

    assert read(told) == Reply(Verdict.READ_ENTRIES, 200)


@pytest.mark.promise(2)
def test_a_413_is_half_done() -> None:
    reply = read([result("k1"), result("k0", "NOTFOUND")], status=413)

    assert (reply.verdict, reply.status) == (Verdict.READ_ENTRIES, 413)
    assert [refusal.position for refusal in reply.refusals] == [0]
    assert reply.unanswered == (2,)


@pytest.mark.promise(2)
@pytest.mark.parametrize("told", [None, b"<html>", {"code": 413}])
def test_a_413_that_does_not_say_what_was_done_leaves_doubt(told: object) -> None:
    reply = read(told, status=413)

    assert (reply.verdict, reply.doubtful) == (Verdict.SPLIT, True)


def test_400_took_nothing_and_says_of_a_single_entry_what_is_wrong() -> None:
    told = {"code": 400, "message": "Bad entry", "errors": [{"field": "matching", "message": "email is not unique"}]}

    assert read(told, status=400) == Reply(
        Verdict.SPLIT, 400, (), {}, "BlueConic at x refused the batch (400 to PUT /profiles)."
    )
    alone = read(told, sent=body(entry("k0")), status=400)
    assert alone.refusals == (Refusal(0, "Bad entry; matching: email is not unique"),)
    assert read(b"<html>", sent=body(entry("k0")), status=400).refusals == (Refusal(0, "refused (400)"),)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, ["401", "allowed addresses"]),
        (403, ["403", '"write:profiles"']),
        (404, ["404", "Check the host"]),
    ],
)
def test_what_ends_the_run_says_what_to_change(status: int, words: list[str]) -> None:
    reply = read({"message": TOKEN}, status=status)

    assert reply.verdict is Verdict.STOP
    assert all(word in reply.sentence for word in words)
    assert TOKEN not in reply.sentence


def test_every_status_of_http_has_a_verdict() -> None:
    expected = {
        Verdict.READ_ENTRIES: {200},
        Verdict.SPLIT: {400, 413},
        Verdict.STOP: {401, 403, 404},
        Verdict.WAIT: {429},
    }

    for status in [*map(int, HTTPStatus), 299, 499, 520, 529, 599]:
        allowed = [verdict for verdict, statuses in expected.items() if status in statuses] or [Verdict.UNKNOWN]
        assert [verdict_for(status)] == allowed, status
        reply = read(None, status=status)
        assert reply.verdict in (*allowed, Verdict.UNKNOWN)
        assert str(status) in reply.sentence


@pytest.mark.promise(2)
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failure_after_which_entries_may_be_in_is_unknown(status: int) -> None:
    assert read(None, status=status).verdict is Verdict.UNKNOWN


# The word for adding to a number


def test_the_word_of_the_schema_is_tried_first_and_known_once_a_number_was_added_to() -> None:
    sums = SumWord()

    read([result("k0", "NOTFOUND"), result("k1")], sent=SUM, sums=sums)
    assert not sums.is_known
    read([result("k0", validationErrors={"revenue": ["no such strategy"]}), result("k1")], sent=SUM, sums=sums)
    assert not sums.is_known
    read([result("k0"), result("k1")], sent=SUM, sums=sums)

    assert (sums.word, sums.is_known) == ("INCREMENT", True)


@pytest.mark.promise(2)
def test_a_refused_word_is_tried_once_in_its_other_form_and_nothing_was_applied_meanwhile(
    server: OddServer, blueconic: BlueConicHook
) -> None:
    sums = SumWord()
    server.on(f"PUT {PATH}", answer({}, 400), answer([result("k0"), result("k1")]))

    first, second, third = send(blueconic, SUM, SUM, SUM, sums=sums)

    assert [reply.verdict for reply in (first, second, third)] == [
        Verdict.RETRY,
        Verdict.READ_ENTRIES,
        Verdict.READ_ENTRIES,
    ]
    words = [seen.json()[0]["properties"][0]["strategy"] for seen in server.asked(PATH)]
    assert words == ["INCREMENT", "SUM", "SUM"]
    assert (sums.word, sums.is_known, sums.was_learnt) == ("SUM", True, True)


def test_a_remembered_word_is_tried_first_and_not_remembered_anew(server: OddServer, blueconic: BlueConicHook) -> None:
    sums = SumWord("SUM")
    server.on(f"PUT {PATH}", answer([result("k0"), result("k1")]))

    send(blueconic, SUM, sums=sums)

    assert server.asked(PATH)[0].json()[0]["properties"][0]["strategy"] == "SUM"
    assert (sums.is_known, sums.was_learnt) == (True, False)


def test_a_batch_that_both_words_do_not_help_is_split_and_its_halves_find_the_word() -> None:
    sums = SumWord()
    half = body(entry("k0", ("revenue", "INCREMENT")))

    verdicts = [read({}, sent=SUM, status=400, sums=sums).verdict for _ in range(2)]
    halves = [read({}, sent=half, status=400, sums=sums).verdict]
    word = sums.choose(half)
    halves.append(read([result("k0")], sent=half, sums=sums).verdict)

    assert verdicts == [Verdict.RETRY, Verdict.SPLIT]
    assert halves == [Verdict.RETRY, Verdict.READ_ENTRIES]
    assert (sums.word, sums.is_known) == (word, True)


def test_once_the_word_is_known_a_refusal_is_the_entries_fault() -> None:
    sums = SumWord()
    read([result("k0"), result("k1")], sent=SUM, sums=sums)

    assert read({}, sent=SUM, status=400, sums=sums).verdict is Verdict.SPLIT


def test_a_batch_under_way_with_the_other_word_when_it_was_found_out_goes_again() -> None:
    sums = SumWord()
    replies = ProfileReplies("BlueConic at x", sums)
    replies.read(200, {}, SUM, json.dumps([result("k0"), result("k1")]).encode(), word="SUM")

    late = replies.read(400, {}, SUM, b"{}", word="INCREMENT")

    assert (sums.word, late.verdict) == ("SUM", Verdict.RETRY)


MIXED = body(entry("k0", ("revenue", "INCREMENT")), entry("k1", ("revenue", "INCREMENT"), ("city", "SET")), entry("k2"))


@pytest.mark.promise(3)
def test_a_profile_that_is_unchanged_although_something_was_added_goes_again_under_the_other_word() -> None:
    sums = SumWord()

    reply = read([result("k0", "UNCHANGED"), result("k1")], sent=SUM, sums=sums)

    assert (reply.verdict, reply.again, reply.refusals, reply.unanswered) == (Verdict.READ_ENTRIES, (0,), (), ())
    alone = body(entry("k0", ("revenue", "INCREMENT")))
    assert sums.choose(alone) == "SUM"
    assert read([result("k0")], sent=alone, sums=sums) == Reply(Verdict.READ_ENTRIES, 200)
    assert (sums.word, sums.is_known, sums.was_learnt) == ("SUM", True, True)


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    ("second", "status"), [([result("k0", "UNCHANGED")], 200), ({"code": 400}, 400)], ids=["unchanged", "refused"]
)
def test_a_number_that_neither_word_adds_to_is_reported_after_one_try_of_each(second: object, status: int) -> None:
    sums = SumWord()
    alone = body(entry("k0", ("revenue", "INCREMENT")))
    unchanged = [result("k0", "UNCHANGED")]

    replies = [read(unchanged, sent=alone, sums=sums), read(second, sent=alone, status=status, sums=sums)]
    if status == 400:
        assert replies[-1].verdict is Verdict.RETRY
        replies.append(read(unchanged, sent=alone, sums=sums))

    assert replies[0].again == (0,)
    assert replies[-1].again == ()
    assert [(refusal.position, refusal.outcome) for refusal in replies[-1].refusals] == [(0, "rejected")]
    assert "nothing was added" in replies[-1].refusals[0].reason


@pytest.mark.promise(3)
def test_once_the_word_was_seen_to_add_an_unchanged_profile_is_reported_at_once() -> None:
    sums = SumWord()
    sent = body(entry("k0", ("revenue", "INCREMENT")), entry("k1", ("revenue", "INCREMENT")))

    reply = read([result("k0", "UNCHANGED"), result("k1")], sent=sent, sums=sums)

    assert reply.again == ()
    assert [refusal.position for refusal in reply.refusals] == [0]
    assert sums.word == "INCREMENT"


@pytest.mark.promise(3)
def test_the_other_fields_of_an_unchanged_profile_are_taken_and_its_number_is_reported() -> None:
    sums = SumWord()
    sent = body(entry("k0", ("revenue", "INCREMENT"), ("city", "SET")), entry("k1", ("revenue", "INCREMENT")))

    reply = read([result("k0", "UNCHANGED"), result("k1")], sent=sent, sums=sums)

    assert (reply.refusals, list(reply.partial)) == ((), [0])
    assert list(reply.partial[0]) == ["revenue"]


@pytest.mark.promise(2)
def test_a_number_in_a_profile_that_changed_for_another_reason_is_held_while_the_word_seems_not_to_add() -> None:
    sums = SumWord()

    reply = read([result("k0", "UNCHANGED"), result("k1"), result("k2")], sent=MIXED, sums=sums)

    assert (reply.again, reply.unanswered, reply.refusals) == ((0,), (1,), ())
    assert not sums.is_known


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param([{"id": "revenue", "values": ["0"], "strategy": "INCREMENT"}], id="nothing was to be added"),
        pytest.param([{"id": "revenue", "values": ["0.00"], "strategy": "INCREMENT"}], id="nothing, with decimals"),
        pytest.param([{"id": "city", "values": ["1"], "strategy": "SET"}], id="no number"),
    ],
)
def test_a_profile_may_be_unchanged_where_nothing_was_to_be_added(rules: list[dict[str, object]]) -> None:
    sent = body({**entry("k0"), "properties": rules})

    assert read([result("k0", "UNCHANGED")], sent=sent, sums=SumWord()) == Reply(Verdict.READ_ENTRIES, 200)


def test_a_negative_number_that_was_not_added_is_noticed_too() -> None:
    sent = body({**entry("k0"), "properties": [{"id": "revenue", "values": ["-2.50"], "strategy": "INCREMENT"}]})

    assert read([result("k0", "UNCHANGED")], sent=sent, sums=SumWord()).again == (0,)


# An entry that several profiles match


def both(first: dict[str, object], second: dict[str, object]) -> list[dict[str, object]]:
    """Results of one entry in two profiles."""
    return [result("k0", **{"profileId": f"p{number}", **one}) for number, one in enumerate((first, second))]


TWO_FIELDS = body(entry("k0", ("revenue", "INCREMENT"), ("city", "SET")))


@pytest.mark.promise(2)
@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(both({}, {"validationErrors": {"revenue": ["too high"]}}), id="refused by the second"),
        pytest.param(both({"validationErrors": {"revenue": ["too high"]}}, {}), id="refused by the first"),
        pytest.param(both({}, {"state": "UNCHANGED"}), id="unchanged in the second"),
        pytest.param(both({}, {"state": "UNAUTHORIZED"}), id="forbidden in the second"),
        pytest.param(
            both({}, {"state": "UNCHANGED", "validationErrors": {"revenue": ["x"], "city": ["x"]}}), id="all refused"
        ),
    ],
)
def test_a_number_that_one_of_several_profiles_took_is_held_and_not_repeated(answers: list[object]) -> None:
    sent = body(json.loads(TWO_FIELDS)[0], entry("k1"))

    reply = read([*answers, result("k1")], sent=sent, sums=SumWord())

    assert (reply.unanswered, reply.refusals, reply.again) == ((0,), (), ())
    assert reply.partial == {}


@pytest.mark.promise(3)
def test_what_all_of_several_profiles_refused_is_refused() -> None:
    errors = {"validationErrors": {"revenue": ["too high"]}}

    reply = read(both(errors, errors), sent=TWO_FIELDS, sums=SumWord())

    assert (reply.partial, reply.unanswered) == ({0: {"revenue": "too high"}}, ())


@pytest.mark.promise(3)
def test_what_no_profile_took_is_not_held() -> None:
    reply = read(both({"state": "UNAUTHORIZED"}, {"state": "UNAUTHORIZED"}), sent=TWO_FIELDS, sums=SumWord())

    assert [(refusal.position, refusal.outcome) for refusal in reply.refusals] == [(0, "rejected")]
    assert reply.unanswered == ()


def test_a_field_that_can_be_repeated_goes_again_if_one_of_several_profiles_refused_it() -> None:
    answers = both({}, {"validationErrors": {"city": ["unknown"]}})

    assert read(answers, sent=TWO_FIELDS, sums=SumWord()).partial == {0: {"city": "unknown"}}


def test_a_value_that_reads_like_a_strategy_is_not_touched(server: OddServer, blueconic: BlueConicHook) -> None:
    odd = body({**entry("k0", ("revenue", "INCREMENT")), "domainGroup": 'x","strategy":"INCREMENT'})
    server.on(f"PUT {PATH}", answer([result("k0")]))

    send(blueconic, odd, sums=SumWord("SUM"))

    (seen,) = server.asked(PATH)
    assert seen.json()[0]["domainGroup"] == 'x","strategy":"INCREMENT'
    assert seen.json()[0]["properties"][0]["strategy"] == "SUM"


def test_a_batch_that_adds_to_nothing_has_no_word(server: OddServer, blueconic: BlueConicHook) -> None:
    sums = SumWord()
    server.on(f"PUT {PATH}", answer({}, 400))

    (reply,) = send(blueconic, THREE, sums=sums)

    assert reply.verdict is Verdict.SPLIT


# One attempt


def test_body_arrives_as_it_is_with_the_documented_headers(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"PUT {PATH}", answer([result("k0"), result("k1"), result("k2")]))

    (reply,) = send(blueconic, objectives=["newsletter", "ads & more"])

    assert reply == Reply(Verdict.READ_ENTRIES, 200)
    (seen,) = server.asked(PATH)
    assert seen.body == THREE
    assert seen.query == {"objectiveIds": ["newsletter,ads & more"]}
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["accept-encoding"] == "gzip"
    assert seen.headers["user-agent"].startswith("airflow-provider-braze-blueconic/")


def test_without_objectives_none_are_asked_for(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"PUT {PATH}", zipped([result("k0"), result("k1"), result("k2")]))

    (reply,) = send(blueconic)

    assert reply.verdict is Verdict.READ_ENTRIES
    assert server.asked(PATH)[0].query == {}


def test_requests_are_few_and_batches_as_large_as_the_api_allows() -> None:
    assert PROFILES_LIMITS.objects == 1_000
    assert PROFILES_IN_FLIGHT == 4


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    ("oddity", "verdict", "status"),
    [
        pytest.param(reset, Verdict.UNKNOWN, None, id="reset"),
        pytest.param(hang_up, Verdict.UNKNOWN, None, id="hang up"),
        pytest.param(not_http, Verdict.UNKNOWN, None, id="not HTTP"),
        pytest.param(cut_off([result("k0"), result("k1")]), Verdict.UNKNOWN, 200, id="broken stream"),
        pytest.param(web_page(), Verdict.UNKNOWN, 200, id="web page"),
        pytest.param(web_page(503), Verdict.UNKNOWN, 503, id="web page of a proxy"),
        pytest.param(redirect("http://127.0.0.1:9/"), Verdict.UNKNOWN, 302, id="redirect"),
        pytest.param(answer(b"", 204), Verdict.UNKNOWN, 204, id="no content"),
        pytest.param(answer({}, 429), Verdict.WAIT, 429, id="too many"),
        pytest.param(answer({}, 403), Verdict.STOP, 403, id="no right"),
    ],
)
def test_one_attempt_gives_one_verdict(
    oddity: Oddity, verdict: Verdict, status: int | None, server: OddServer, blueconic: BlueConicHook
) -> None:
    server.on(f"PUT {PATH}", oddity)

    (reply,) = send(blueconic)

    assert (reply.verdict, reply.status) == (verdict, status)
    assert reply.sentence
    assert len([seen for seen in server.asked(PATH) if seen.body]) == 1


@pytest.mark.promise(2)
@pytest.mark.parametrize("oddity", [reset, hang_up], ids=["reset", "hang up"])
def test_a_request_that_is_lost_on_a_used_connection_is_not_sent_again_behind_our_back(
    oddity: Oddity, server: OddServer, blueconic: BlueConicHook
) -> None:
    server.on(f"PUT {PATH}", answer([result("k0"), result("k1")]), oddity)

    first, second = send(blueconic, SUM, SUM, max_in_flight=1)

    assert [first.verdict, second.verdict] == [Verdict.READ_ENTRIES, Verdict.UNKNOWN]
    assert len([seen for seen in server.asked(PATH) if seen.body]) == 2


@pytest.mark.promise(2)
def test_a_body_can_be_written_only_once_whatever_the_http_library_thinks() -> None:
    class Writer:
        written = b""

        async def write(self, chunk: bytes) -> None:
            self.written += chunk

    payload, writer = once_only(b"x" * 200_000), Writer()

    asyncio.run(payload.write(writer))  # type: ignore[arg-type]

    assert (len(writer.written), payload.size, payload.consumed) == (200_000, 200_000, True)
    with pytest.raises(RuntimeError):
        asyncio.run(payload.write(writer))  # type: ignore[arg-type]
    assert len(writer.written) == 200_000


def test_a_status_whose_body_breaks_off_tells_enough() -> None:
    replies = ProfileReplies("BlueConic at x", SumWord())

    assert replies.lost(aiohttp.ClientPayloadError(), 400, {}, THREE).verdict is Verdict.SPLIT
    assert replies.lost(aiohttp.ClientPayloadError(), 413, {}, THREE).doubtful is True
    assert replies.lost(aiohttp.ClientPayloadError(), 400, {}, SUM, word="INCREMENT").verdict is Verdict.RETRY


def test_silence_after_sending_is_unknown(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"PUT {PATH}", silence)

    (reply,) = send(BlueConicHook(timeout=0.1))

    assert reply.verdict is Verdict.UNKNOWN
    assert "may have been applied" in reply.sentence


def test_cancelling_is_not_swallowed(server: OddServer, blueconic: BlueConicHook) -> None:
    arrived = threading.Event()

    def say_nothing(handler: Any) -> None:
        arrived.set()
        silence(handler)

    server.on(f"PUT {PATH}", say_nothing)

    async def cancelled() -> None:
        async with blueconic.profiles_sender() as sender:
            task = asyncio.create_task(sender.send(THREE))
            await asyncio.to_thread(arrived.wait, 10)
            task.cancel()
            await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(asyncio.wait_for(cancelled(), 10))


# Tokens


def test_a_token_is_renewed_at_nine_tenths_of_its_life_inside_of_a_run(
    server: OddServer, blueconic: BlueConicHook
) -> None:
    now = [1_000.0]
    hook = BlueConicHook(clock=lambda: now[0])
    server.on(
        f"POST {TOKEN_PATH}",
        answer({"access_token": "token-a", "expires_in": 100}),
        answer({"access_token": "token-b", "expires_in": 100}),
    )
    server.on(f"PUT {PATH}", answer([result("k0"), result("k1"), result("k2")]))

    async def over_time() -> None:
        async with hook.profiles_sender() as sender:
            for moment in (1_000.0, 1_089.0, 1_090.0):
                now[0] = moment
                await sender.send(THREE)

    asyncio.run(over_time())

    bearers = [seen.headers["authorization"] for seen in server.asked(PATH)]
    assert bearers == ["Bearer token-a", "Bearer token-a", "Bearer token-b"]


def test_a_refused_token_is_renewed_and_the_request_goes_once_more(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(
        f"POST {TOKEN_PATH}",
        answer({"access_token": "token-a", "expires_in": 3600}),
        answer({"access_token": "token-b", "expires_in": 3600}),
    )
    server.on(f"PUT {PATH}", answer({}, 401), answer([result("k0"), result("k1"), result("k2")]))

    (reply,) = send(blueconic)

    assert reply.verdict is Verdict.READ_ENTRIES
    bearers = [seen.headers["authorization"] for seen in server.asked(PATH)]
    assert bearers == ["Bearer token-a", "Bearer token-b"]
    assert reply.requests == 2


def test_a_fresh_token_that_is_refused_too_ends_the_run(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"PUT {PATH}", answer({}, 401))

    (reply,) = send(blueconic)

    assert (reply.verdict, reply.status) == (Verdict.STOP, 401)
    assert len(server.asked(PATH)) == reply.requests == 2
    assert len(server.asked(TOKEN_PATH)) == 2


def test_many_requests_whose_token_is_refused_renew_it_once(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(
        f"POST {TOKEN_PATH}",
        answer({"access_token": "token-a", "expires_in": 3600}),
        answer({"access_token": "token-b", "expires_in": 3600}),
    )
    good = answer([result("k0"), result("k1"), result("k2")])
    together = threading.Barrier(4)

    def refuse(handler: Any) -> None:
        together.wait(10)
        answer({}, 401)(handler)

    server.on(f"PUT {PATH}", refuse, refuse, refuse, refuse, good)

    async def at_once(sender: Sender) -> list[Reply]:
        return await asyncio.gather(*(sender.send(THREE) for _ in range(4)))

    async def main() -> list[Reply]:
        async with blueconic.profiles_sender() as sender:
            return await at_once(sender)

    replies = asyncio.run(main())

    assert [reply.verdict for reply in replies] == [Verdict.READ_ENTRIES] * 4
    assert len(server.asked(TOKEN_PATH)) == 2


def test_the_loop_goes_on_while_a_token_is_fetched(server: OddServer, blueconic: BlueConicHook) -> None:
    asked, turned = threading.Event(), threading.Event()

    def slow(handler: Any) -> None:
        asked.set()
        assert turned.wait(10)
        answer({"access_token": "token-a", "expires_in": 3600})(handler)

    server.on(f"POST {TOKEN_PATH}", slow)
    server.on(f"PUT {PATH}", answer([result("k0"), result("k1"), result("k2")]))

    async def main() -> Reply:
        async with blueconic.profiles_sender() as sender:
            task = asyncio.create_task(sender.send(THREE))
            await asyncio.to_thread(asked.wait, 10)
            turned.set()
            return await task

    assert asyncio.run(asyncio.wait_for(main(), 10)).verdict is Verdict.READ_ENTRIES


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (AccessError("wrong secret"), Verdict.STOP),
        (UnexpectedAnswer("no token"), Verdict.STOP),
        (TransientError("busy"), Verdict.RETRY),
        (RuntimeError("planted"), Verdict.RETRY),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_without_a_token_nothing_is_sent(error: Exception, verdict: Verdict) -> None:
    reply = ProfileReplies("BlueConic at x", SumWord()).no_token(error)

    assert (reply.verdict, reply.status, reply.requests) == (verdict, None, 0)
    assert (str(error) in reply.sentence) is isinstance(error, SyncError)


@pytest.mark.promise(8)
def test_a_wrong_secret_ends_the_run_without_being_shown(
    server: OddServer, blueconic: BlueConicHook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.on(f"POST {TOKEN_PATH}", answer({"error_description": CLIENT_SECRET}, 401))

    (reply,) = send(blueconic)

    assert reply.verdict is Verdict.STOP
    assert "refused the client id and secret" in reply.sentence
    assert CLIENT_SECRET not in repr(reply) + caplog.text
    assert server.asked(PATH) == []


def test_a_host_that_is_not_there_can_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    host = f"http://127.0.0.1:{closed_port()}"
    connection = {"conn_type": "blueconic", "host": host, "login": "a", "password": "b"}
    monkeypatch.setenv("AIRFLOW_CONN_X", json.dumps(connection))

    (reply,) = send(BlueConicHook("x", sleep=lambda _: None))

    assert reply.verdict is Verdict.RETRY


@pytest.mark.promise(8)
def test_sender_shows_neither_token_nor_secret(server: OddServer, blueconic: BlueConicHook) -> None:
    server.on(f"PUT {PATH}", answer([result("k0"), result("k1"), result("k2")]))

    async def shown() -> str:
        async with blueconic.profiles_sender() as sender:
            await sender.send(THREE)
            return "".join(map(repr, [sender, *vars(sender).values()]))

    text = asyncio.run(shown())

    assert "<sender: PUT /profiles to BlueConic at 127.0.0.1" in text
    assert TOKEN not in text
    assert CLIENT_SECRET not in text


def test_connection_is_read_before_the_event_loop_runs(
    blueconic: BlueConicHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = blueconic.profiles_sender()
    monkeypatch.delenv("AIRFLOW_CONN_BLUECONIC_DEFAULT")

    async def enter() -> None:
        async with context:
            pass

    asyncio.run(enter())
