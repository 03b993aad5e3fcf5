"""The send loop, in a time of its own, against targets that answer by hand."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.exceptions import AccessError, LimitExceeded, SyncError, TransientError
from airflow_provider_braze_blueconic.sync.sending.masking import mask_values
from airflow_provider_braze_blueconic.sync.sending.pacing import Rate
from airflow_provider_braze_blueconic.sync.sending.rows import Outgoing
from airflow_provider_braze_blueconic.sync.sending.seam import BatchLimits, Refusal, Reply, Verdict
from airflow_provider_braze_blueconic.sync.sending.upload import Stopped, Upload
from airflow_provider_braze_blueconic.sync.store.attempts import Superseded
from tests.support.targets import ACCEPTED, ReceiptFiles, Scripted, Target, external_ids, people, refusal, upload

BUSY = Reply(Verdict.RETRY, 503, sentence="Braze is busy (503).")
LOST = Reply(Verdict.UNKNOWN, None, sentence="Braze gave no answer.")
FAST = Rate(100_000, 1.0, counted=False)
LIMIT_OF_ONE = BatchLimits(objects=1, body_bytes=4_000_000)


def limited(**headers: str) -> Reply:
    return Reply(Verdict.WAIT, 429, headers={name.replace("_", "-"): value for name, value in headers.items()})


def refusing(*bad: str, verdict: Verdict, named: bool) -> Callable[[bytes, int], Reply]:
    """A server that refuses a whole request, or only its bad objects, and names them or not."""

    def answer(body: bytes, _: int) -> Reply:
        found = refusal(body, *bad)
        if not found:
            return ACCEPTED
        return Reply(verdict, 400 if verdict is Verdict.SPLIT else 201, found if named else (), {}, "refused")

    return answer


def test_everybody_accepted_has_a_receipt(tmp_path: Path) -> None:
    target = Scripted()

    outcome = upload(tmp_path, people(160), target)

    assert outcome.error is None
    assert outcome.receipts.outcomes() == {"accepted": 160}
    assert target.requests == 3
    assert outcome.tally is not None
    assert (outcome.tally.requests, outcome.tally.accepted, outcome.tally.records) == (3, 160, 160)
    assert {row["status"] for row in outcome.receipts.rows()} == {201}


def test_nobody_to_send_is_no_request(tmp_path: Path) -> None:
    target = Scripted()

    outcome = upload(tmp_path, [], target)

    assert outcome.error is None
    assert target.requests == 0
    assert outcome.receipts.rows() == []


# What a reply means for the people in it


@pytest.mark.promise(3)
def test_a_success_that_names_a_refused_person_is_no_success_for_them(tmp_path: Path) -> None:
    target = Target(refusing("p7", verdict=Verdict.READ_ENTRIES, named=True))

    outcome = upload(tmp_path, people(75), target)

    assert outcome.receipts.outcomes() == {"accepted": 74, "rejected": 1}
    assert outcome.who("rejected") == ["p7"]
    assert target.requests == 1


@pytest.mark.promise(3)
def test_one_bad_person_that_is_named_leaves_the_other_74_accepted(tmp_path: Path) -> None:
    target = Target(refusing("p7", verdict=Verdict.SPLIT, named=True))

    outcome = upload(tmp_path, people(75), target)

    assert outcome.who("rejected") == ["p7"]
    assert outcome.receipts.outcomes() == {"accepted": 74, "rejected": 1}
    assert target.requests == 2


@pytest.mark.promise(3)
def test_one_bad_person_that_is_not_named_is_found_by_halving(tmp_path: Path) -> None:
    target = Target(refusing("p7", verdict=Verdict.SPLIT, named=False))

    outcome = upload(tmp_path, people(75), target)

    assert outcome.who("rejected") == ["p7"]
    assert outcome.receipts.outcomes() == {"accepted": 74, "rejected": 1}
    assert target.requests <= 1 + 2 * 7


@pytest.mark.promise(3)
@pytest.mark.parametrize("named", [True, False], ids=["named", "not-named"])
def test_when_all_are_bad_all_are_rejected_and_it_ends(tmp_path: Path, named: bool) -> None:
    target = Target(refusing(*(f"p{number}" for number in range(75)), verdict=Verdict.SPLIT, named=named))

    outcome = upload(tmp_path, people(75), target)

    assert outcome.error is None
    assert outcome.receipts.outcomes() == {"rejected": 75}
    assert target.requests <= 149


@pytest.mark.promise(3)
def test_a_body_that_is_too_large_goes_in_halves_and_a_person_too_large_is_rejected(tmp_path: Path) -> None:
    records = [*people(10), Outgoing('{"external_id":"p10"}', b'{"external_id":"p10","x":"%s"}' % (b"y" * 900))]

    def answer(body: bytes, _: int) -> Reply:
        return Reply(Verdict.SPLIT, 413, sentence="too large (413)") if len(body) > 300 else ACCEPTED

    outcome = upload(tmp_path, records, Target(answer))

    assert outcome.who("rejected") == ["p10"]
    assert outcome.receipts.outcomes() == {"accepted": 10, "rejected": 1}
    assert [row["reason"] for row in outcome.receipts.rows() if row["outcome"] == "rejected"] == ["too large (413)"]


def test_a_person_who_is_refused_for_two_reasons_has_one_receipt(tmp_path: Path) -> None:
    reply = Reply(Verdict.READ_ENTRIES, 201, (Refusal(0, "first"), Refusal(0, "second")))

    outcome = upload(tmp_path, people(2), Scripted(reply))

    assert outcome.receipts.outcomes() == {"accepted": 1, "rejected": 1}
    assert outcome.tally is not None
    assert outcome.tally.rejected == 1


@pytest.mark.promise(3)
@pytest.mark.parametrize("position", [-1, 75], ids=["before", "behind"])
def test_a_reply_about_people_who_were_not_sent_is_not_believed(tmp_path: Path, position: int) -> None:
    odd = Reply(Verdict.READ_ENTRIES, 201, (Refusal(position, "is bad"),))

    target = Scripted(odd)

    outcome = upload(tmp_path, people(75), target)

    assert outcome.error is None
    assert outcome.receipts.outcomes() == {"unknown": 75}
    assert target.requests == 1


# Again, later


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (limited(x_ratelimit_retry_after="7"), 7),
        (limited(retry_after="7"), 7),
        (limited(), 5),
    ],
    ids=["own-header", "standard-header", "no-hint"],
)
def test_a_429_is_waited_for_and_then_the_batch_goes_again(tmp_path: Path, reply: Reply, seconds: int) -> None:
    target = Scripted(reply, latency=0.0)

    outcome = upload(tmp_path, people(150), target, max_in_flight=1)

    assert outcome.receipts.outcomes() == {"accepted": 150}
    assert target.starts[1] - target.starts[0] == pytest.approx(seconds, abs=0.01)
    assert outcome.tally is not None
    assert (outcome.tally.rate_limited, outcome.tally.repeated, outcome.tally.requests) == (1, 1, 3)


def test_nothing_starts_while_the_server_says_that_nothing_remains(tmp_path: Path) -> None:
    used_up = Reply(Verdict.READ_ENTRIES, 201, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "40"})
    target = Scripted(used_up, latency=0.0)

    outcome = upload(tmp_path, people(150), target, max_in_flight=1)

    assert outcome.receipts.outcomes() == {"accepted": 150}
    assert target.starts[1] - target.starts[0] == pytest.approx(40, abs=0.01)


def test_many_refusals_of_one_rate_limit_are_one_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = Scripted(*[limited(retry_after="60")] * 20)

    upload(tmp_path, people(75 * 20), target)

    assert len([record for record in caplog.records if "over the rate limit" in record.message]) == 1


@pytest.mark.parametrize("reply", [BUSY, LOST], ids=["busy", "lost"])
def test_a_failure_that_passes_costs_a_repeat_and_a_pause(tmp_path: Path, reply: Reply) -> None:
    target = Scripted(reply, latency=0.0)

    outcome = upload(tmp_path, people(75), target)

    assert outcome.receipts.outcomes() == {"accepted": 75}
    assert target.requests == 2
    assert 0.7 < target.starts[1] - target.starts[0] < 1.3


def test_requests_are_those_that_reached_the_server(tmp_path: Path) -> None:
    target = Scripted(
        Reply(Verdict.RETRY, None, sentence="no token; nothing was sent", requests=0),
        Reply(Verdict.READ_ENTRIES, 200, requests=2),
        latency=0.0,
    )

    outcome = upload(tmp_path, people(75), target)

    assert outcome.tally is not None
    assert (outcome.tally.requests, outcome.tally.accepted) == (2, 75)


def test_pauses_of_a_batch_grow(tmp_path: Path) -> None:
    target = Scripted(*[BUSY] * 4, latency=0.0)

    upload(tmp_path, people(1), target)

    pauses = [after - before for before, after in zip(target.starts, target.starts[1:], strict=False)]
    assert pauses == sorted(pauses)
    assert pauses[-1] > 5


@pytest.mark.parametrize("reply", [BUSY, LOST], ids=["busy", "lost"])
def test_a_batch_that_never_gets_an_answer_is_unknown_after_its_tries(tmp_path: Path, reply: Reply) -> None:
    target = Target(lambda body, _: reply if "p0" in external_ids(body) else ACCEPTED)

    outcome = upload(tmp_path, people(150), target, max_tries=4)

    assert outcome.error is None
    assert outcome.receipts.outcomes() == {"accepted": 75, "unknown": 75}
    assert "p0" in outcome.who("unknown")
    assert target.sent()["p0"] == 4


@pytest.mark.promise(2)
def test_what_cannot_be_repeated_is_not_sent_again_when_its_outcome_is_unknown(tmp_path: Path) -> None:
    target = Scripted(LOST)

    outcome = upload(tmp_path, people(75, repeatable=False), target)

    assert outcome.receipts.outcomes() == {"unknown": 75}
    assert target.requests == 1


def test_what_cannot_be_repeated_goes_again_when_the_server_did_nothing(tmp_path: Path) -> None:
    target = Scripted(BUSY, limited(retry_after="1"))

    outcome = upload(tmp_path, people(75, repeatable=False), target)

    assert outcome.receipts.outcomes() == {"accepted": 75}
    assert target.requests == 3


# Records that are worth another form


@pytest.mark.promise(2)
def test_who_is_worth_another_form_goes_again_and_only_they(tmp_path: Path) -> None:
    target = Scripted(Reply(Verdict.READ_ENTRIES, 200, again=(1, 3)))

    outcome = upload(tmp_path, people(5, repeatable=False), target)

    assert outcome.receipts.outcomes() == {"accepted": 5}
    assert [external_ids(each) for each in target.bodies[1:]] == [["p1", "p3"]]
    assert outcome.receipts.steps("p1") == ["intended", "withdrawn", "intended", "accepted"]
    assert outcome.receipts.steps("p0") == ["intended", "accepted"]


@pytest.mark.promise(2)
def test_who_is_worth_another_form_again_and_again_stays_unsent(tmp_path: Path) -> None:
    outcome = upload(
        tmp_path, people(1, repeatable=False), Target(lambda *_: Reply(Verdict.READ_ENTRIES, 200, again=(0,)))
    )

    assert outcome.receipts.outcomes() == {}
    assert outcome.receipts.steps("p0")[-1] == "withdrawn"


# A newer attempt at the same upload


@pytest.mark.promise(2)
def test_an_upload_that_is_superseded_starts_nothing_more_and_keeps_what_it_was_told(tmp_path: Path) -> None:
    target = Target(lambda *_: ACCEPTED, latency=2.0)

    outcome = upload(
        tmp_path, people(7_500), target, rate=Rate(10, 1.0, counted=False), is_newest=lambda now: now < 2.0
    )

    assert isinstance(outcome.error, Superseded)
    assert max(target.starts) - min(target.starts) <= 2.5
    assert outcome.receipts.outcomes() == {"accepted": 75 * target.requests}
    assert 15 <= target.requests <= 26


@pytest.mark.promise(2)
@pytest.mark.parametrize("repeatable", [True, False], ids=["values", "sums"])
def test_nothing_is_sent_while_it_is_not_known_whether_a_newer_attempt_has_begun(
    tmp_path: Path, repeatable: bool
) -> None:
    target = Scripted()

    def answer(now: float) -> bool:
        if now < 8.0:
            raise TransientError("S3 is busy")
        return True

    outcome = upload(tmp_path, people(150, repeatable=repeatable), target, is_newest=answer)

    assert outcome.error is None
    assert outcome.seconds >= 8.0
    assert outcome.receipts.outcomes() == {"accepted": 150}
    assert target.requests == 2


@pytest.mark.promise(2)
def test_nobody_is_added_to_of_whom_a_newer_attempt_may_not_have_seen_the_intent(tmp_path: Path) -> None:
    receipts = ReceiptFiles(tmp_path)
    target = Scripted()

    # The newer one begins, and reads the intents, while this one writes its own.
    outcome = upload(tmp_path, SUMS, target, receipts=receipts, is_newest=lambda _: receipts.tries == 0)

    assert isinstance(outcome.error, Superseded)
    assert target.requests == 0
    assert receipts.steps("p0") == ["intended", "withdrawn"]


# What cannot be repeated: its intent is durable before it is sent


SUMS = people(75, repeatable=False)


def mixed(count: int) -> list[Outgoing]:
    """People of whom every third one can't be repeated: p0, p3 and so on."""
    plain, sums = people(count), people(count, repeatable=False)
    return [sums[number] if number % 3 == 0 else plain[number] for number in range(count)]


@pytest.mark.promise(2)
def test_an_intent_is_durable_before_the_record_is_sent(tmp_path: Path) -> None:
    receipts = ReceiptFiles(tmp_path)
    durable: list[dict[str, int]] = []

    def answer(_: bytes, __: int) -> Reply:
        durable.append(dict(Counter(row["outcome"] for row in receipts.rows())))
        return ACCEPTED

    outcome = upload(tmp_path, mixed(30), Target(answer, latency=0.0), receipts=receipts)

    assert durable == [{"intended": 10}]
    assert outcome.receipts.outcomes() == {"accepted": 30}
    assert outcome.receipts.steps("p0") == ["intended", "accepted"]
    assert outcome.receipts.steps("p1") == ["accepted"]


def test_what_can_be_repeated_costs_no_durable_write_before_it_is_sent(tmp_path: Path) -> None:
    receipts = ReceiptFiles(tmp_path)
    tries: list[int] = []

    def answer(_: bytes, __: int) -> Reply:
        tries.append(receipts.tries)
        return ACCEPTED

    upload(tmp_path, people(150), Target(answer, latency=0.0), receipts=receipts)

    assert tries == [0, 0]


@pytest.mark.promise(2)
def test_nobody_is_sent_whose_intent_could_not_be_written(tmp_path: Path) -> None:
    receipts = ReceiptFiles(tmp_path, fail=lambda _: True)
    target = Scripted()

    outcome = upload(tmp_path, SUMS, target, receipts=receipts, flush_patience=10.0)

    assert isinstance(outcome.error, TransientError)
    assert target.requests == 0


def test_an_intent_that_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    receipts = ReceiptFiles(tmp_path, fail=lambda number: number < 3)
    target = Scripted()

    outcome = upload(tmp_path, SUMS, target, receipts=receipts)

    assert outcome.error is None
    assert outcome.receipts.outcomes() == {"accepted": 75}
    assert target.requests == 1
    assert outcome.receipts.steps("p0")[-2:] == ["intended", "accepted"]


@pytest.mark.promise(2)
def test_only_what_cannot_be_repeated_is_held_when_the_answer_is_lost(tmp_path: Path) -> None:
    target = Scripted(LOST)

    outcome = upload(tmp_path, mixed(30), target)

    assert outcome.receipts.outcomes() == {"accepted": 20, "unknown": 10}
    assert outcome.who("unknown") == [f"p{number}" for number in range(0, 30, 3)]
    assert target.sent()["p0"] == 1
    assert target.sent()["p1"] == 2
    assert outcome.receipts.steps("p0") == ["intended", "unknown"]


@pytest.mark.parametrize(
    "reply", [BUSY, limited(retry_after="1"), Reply(Verdict.SPLIT, 400)], ids=["busy", "429", "refused-whole"]
)
def test_an_intent_is_withdrawn_when_the_server_did_nothing_and_written_anew_before_the_next_attempt(
    tmp_path: Path, reply: Reply
) -> None:
    outcome = upload(tmp_path, SUMS, Scripted(reply))

    assert outcome.receipts.outcomes() == {"accepted": 75}
    assert outcome.receipts.steps("p0") == ["intended", "withdrawn", "intended", "accepted"]


def test_an_attempt_that_may_not_be_made_withdraws_the_intent(tmp_path: Path) -> None:
    outcome = upload(tmp_path, SUMS, Scripted(Reply(Verdict.STOP, 403, sentence="no right")))

    assert isinstance(outcome.error, AccessError)
    assert outcome.receipts.steps("p0") == ["intended", "withdrawn"]


def test_what_cannot_be_repeated_stays_unsent_and_not_unknown_when_the_server_never_did_anything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = Target(lambda body, _: BUSY if "p0" in external_ids(body) else ACCEPTED)

    outcome = upload(tmp_path, [*mixed(75), *people(75, first=75)], target, max_tries=3)

    assert outcome.error is None
    assert outcome.receipts.outcomes() == {"accepted": 75, "unknown": 50}
    assert outcome.receipts.steps("p0")[-1] == "withdrawn"
    assert "25 people were not sent; the next run sends them" in caplog.text


@pytest.mark.promise(2)
def test_told_to_end_before_their_turn_people_are_unsent_and_not_unknown(tmp_path: Path) -> None:
    target = Scripted(latency=0.0)

    outcome = upload(
        tmp_path,
        people(75 * 10, repeatable=False),
        target,
        rate=Rate(1, 0.9, counted=False),
        during=stopping_after(2.0),
    )

    assert isinstance(outcome.error, Stopped)
    assert outcome.receipts.outcomes() == {"accepted": 75 * target.requests}
    rows = Counter(row["outcome"] for row in outcome.receipts.rows())
    assert rows["intended"] == rows["accepted"] + rows["withdrawn"]
    assert rows["withdrawn"] > 0


def test_intents_are_withdrawn_for_the_length_of_a_rate_limit(tmp_path: Path) -> None:
    receipts = ReceiptFiles(tmp_path)
    during_the_limit: list[Counter[str]] = []

    async def during(_: Upload) -> None:
        await asyncio.sleep(30)
        during_the_limit.append(Counter(row["outcome"] for row in receipts.rows()))

    target = Scripted(limited(retry_after="60"), latency=0.0)
    outcome = upload(tmp_path, people(75 * 4, repeatable=False), target, receipts=receipts, during=during)

    assert outcome.receipts.outcomes() == {"accepted": 300}
    (rows,) = during_the_limit
    assert rows["intended"] == rows["withdrawn"] + rows["accepted"]


def test_a_failing_server_is_asked_with_few_records_that_it_could_leave_unknown(tmp_path: Path) -> None:
    failed = Reply(Verdict.UNKNOWN, 503, sentence="busy, perhaps not for all")

    outcome = upload(tmp_path, people(75 * 200, repeatable=False), Target(lambda *_: failed), max_in_flight=4)

    assert isinstance(outcome.error, TransientError)
    assert outcome.receipts.outcomes()["unknown"] <= 75 * 16


@given(
    script=st.lists(st.sampled_from(["ok", "busy", "limited", "refused", "lost", "silent", "doubtful"]), max_size=12),
    sums=st.lists(st.booleans(), min_size=1, max_size=12),
)
@settings(deadline=None, max_examples=60)
@pytest.mark.promise(2)
def test_whatever_the_server_answers_nothing_is_added_twice(script: list[str], sums: list[bool]) -> None:
    added: Counter[str] = Counter()
    replies = {
        "busy": BUSY,
        "limited": limited(retry_after="1"),
        "refused": Reply(Verdict.SPLIT, 400),
        "lost": LOST,
        "doubtful": Reply(Verdict.SPLIT, 413, doubtful=True),
    }

    def answer(body: bytes, number: int) -> Reply:
        what = script[number] if number < len(script) else "ok"
        if what in ("ok", "lost", "silent", "doubtful"):
            added.update(external_ids(body))
        if what == "silent":
            return Reply(Verdict.READ_ENTRIES, 413, unanswered=(0,))
        return replies.get(what, ACCEPTED)

    records = [people(1, first=number, repeatable=not is_sum)[0] for number, is_sum in enumerate(sums)]
    with tempfile.TemporaryDirectory() as folder:
        outcome = upload(Path(folder), records, Target(answer), limits=BatchLimits(4, 1_000_000), max_tries=30)
        told = Counter(
            json.loads(row["identifier"])["external_id"]
            for row in outcome.receipts.rows()
            if row["outcome"] in ("accepted", "unknown", "rejected")
        )

    assert outcome.error is None
    assert all(added[f"p{number}"] <= 1 for number, is_sum in enumerate(sums) if is_sum)
    assert set(told) == {f"p{number}" for number in range(len(sums))}
    assert set(told.values()) == {1}


# What an answer says of single records


@pytest.mark.promise(3)
def test_records_that_an_answer_leaves_out_are_unknown(tmp_path: Path) -> None:
    reply = Reply(Verdict.READ_ENTRIES, 200, (Refusal(1, "bad"),), unanswered=(0, 2))

    outcome = upload(tmp_path, people(5), Scripted(reply))

    assert outcome.who("unknown") == ["p0", "p2"]
    assert outcome.who("rejected") == ["p1"]
    assert outcome.receipts.outcomes() == {"accepted": 2, "rejected": 1, "unknown": 2}


@pytest.mark.promise(2)
def test_of_a_batch_that_was_half_done_only_what_can_be_repeated_goes_again(tmp_path: Path) -> None:
    target = Scripted(Reply(Verdict.READ_ENTRIES, 413, unanswered=tuple(range(15, 30))))

    outcome = upload(tmp_path, mixed(30), target)

    assert outcome.receipts.outcomes() == {"accepted": 25, "unknown": 5}
    assert outcome.who("unknown") == ["p15", "p18", "p21", "p24", "p27"]
    assert external_ids(target.bodies[1]) == [f"p{number}" for number in range(15, 30) if number % 3]


@pytest.mark.promise(2)
def test_of_a_batch_that_was_refused_but_perhaps_applied_in_part_sums_are_held(tmp_path: Path) -> None:
    target = Scripted(Reply(Verdict.SPLIT, 413, sentence="too large (413)", doubtful=True))

    outcome = upload(tmp_path, mixed(30), target)

    assert outcome.receipts.outcomes() == {"accepted": 20, "unknown": 10}
    assert target.sent()["p0"] == 1


def test_people_who_are_not_there_or_did_not_consent_are_not_rejected(tmp_path: Path) -> None:
    reply = Reply(
        Verdict.READ_ENTRIES,
        200,
        (Refusal(0, "nobody matches", "not_found"), Refusal(1, "no consent", "no_consent"), Refusal(2, "bad")),
    )

    outcome = upload(tmp_path, people(4), Scripted(reply), rejected_percent=26.0, rejected_after=1)

    assert outcome.error is None
    assert outcome.receipts.outcomes() == {"accepted": 1, "rejected": 1, "not_found": 1, "no_consent": 1}
    tally = outcome.tally
    assert tally is not None
    assert (tally.not_found, tally.no_consent, tally.rejected, tally.records) == (1, 1, 1, 4)


@pytest.mark.promise(8)
def test_a_record_that_was_taken_without_a_field_is_accepted_and_says_which(tmp_path: Path) -> None:
    reply = Reply(Verdict.READ_ENTRIES, 200, partial={1: {"city": "p1 is no city", "age": "not a number"}})

    outcome = upload(tmp_path, people(3), Scripted(reply))

    assert outcome.receipts.outcomes() == {"accepted": 3}
    assert outcome.tally is not None
    assert outcome.tally.accepted == 3
    rows = {json.loads(row["identifier"])["external_id"]: row for row in outcome.receipts.rows()}
    assert rows["p1"]["refused_fields"] == ["city", "age"]
    assert rows["p1"]["reason"] == "city: *** is no city; age: not a number"
    assert rows["p0"]["refused_fields"] is None


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    "reply",
    [
        Reply(Verdict.READ_ENTRIES, 200, unanswered=(5,)),
        Reply(Verdict.READ_ENTRIES, 200, partial={-1: {"city": "bad"}}),
    ],
    ids=["unanswered", "partial"],
)
def test_a_reply_about_other_peoples_fields_is_not_believed(tmp_path: Path, reply: Reply) -> None:
    outcome = upload(tmp_path, people(5), Scripted(reply))

    assert outcome.receipts.outcomes() == {"unknown": 5}


def test_refusals_without_a_hint_halve_what_is_under_way(tmp_path: Path) -> None:
    def answer(_: bytes, __: int) -> Reply:
        return limited() if target.in_flight > 3 else ACCEPTED

    target = Target(answer, latency=0.5)
    outcome = upload(tmp_path, people(60), target, limits=LIMIT_OF_ONE, max_in_flight=8, rate=FAST)

    assert outcome.error is None
    assert outcome.receipts.outcomes() == {"accepted": 60}
    assert outcome.tally is not None
    assert outcome.tally.rate_limited < 15
    assert outcome.seconds < 40


def test_pauses_after_refusals_without_a_hint_double(tmp_path: Path) -> None:
    target = Scripted(*[limited()] * 5, latency=0.0)

    outcome = upload(tmp_path, people(75), target)

    pauses = [round(after - before) for before, after in zip(target.starts, target.starts[1:], strict=False)]
    assert pauses == [5, 10, 20, 40, 60]
    assert outcome.receipts.outcomes() == {"accepted": 75}


# When it gives up


@pytest.mark.promise(1)
def test_a_refused_key_ends_the_run_and_what_was_accepted_keeps_its_receipts(tmp_path: Path) -> None:
    stop = Reply(Verdict.STOP, 401, sentence="Braze refused the key (401).")
    target = Target(lambda _, number: stop if number == 3 else ACCEPTED)

    outcome = upload(tmp_path, people(75 * 1_000), target, max_in_flight=8)

    assert isinstance(outcome.error, AccessError)
    assert str(outcome.error) == "Braze refused the key (401)."
    assert outcome.receipts.outcomes() == {"accepted": 75 * (target.requests - 1)}
    assert target.requests < 20


def test_a_server_that_is_down_is_not_stormed_and_the_run_gives_up_after_its_patience(tmp_path: Path) -> None:
    target = Target(lambda *_: BUSY)

    outcome = upload(tmp_path, people(75 * 2_000), target, patience=300)

    assert isinstance(outcome.error, TransientError)
    assert "Braze is busy (503)." in str(outcome.error)
    assert 300 <= outcome.seconds < 380
    first_second = len([start for start in target.starts if start < target.starts[0] + 0.9])
    assert first_second < 200  # what the cap lets out before the first answers are there
    assert target.requests - first_second < 15
    assert outcome.receipts.outcomes().get("unknown", 0) <= 75 * 3


def test_an_outage_shorter_than_the_patience_costs_time_and_nothing_else(tmp_path: Path) -> None:
    def answer(_: bytes, __: int) -> Reply:
        return BUSY if 5_001 <= asyncio.get_running_loop().time() < 5_090 else ACCEPTED

    outcome = upload(tmp_path, people(3_000), Target(answer), limits=LIMIT_OF_ONE, patience=300)

    assert outcome.error is None
    assert outcome.receipts.outcomes() == {"accepted": 3_000}
    assert outcome.seconds < 180


def test_a_failure_after_a_long_rate_limit_does_not_use_up_the_patience(tmp_path: Path) -> None:
    target = Scripted(limited(retry_after="3000"), BUSY)

    outcome = upload(tmp_path, people(75), target, patience=60)

    assert outcome.error is None
    assert outcome.receipts.outcomes() == {"accepted": 75}


@pytest.mark.parametrize(
    "reply",
    [
        limited(retry_after="4000"),
        Reply(Verdict.READ_ENTRIES, 201, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000000000"}),
    ],
    ids=["429", "reset-in-milliseconds"],
)
def test_a_rate_limit_longer_than_its_patience_ends_the_run_at_once(tmp_path: Path, reply: Reply) -> None:
    outcome = upload(tmp_path, people(150), Scripted(reply, latency=0.0), max_in_flight=1, rate_limit_patience=3_900)

    assert isinstance(outcome.error, TransientError)
    assert "rate limit" in str(outcome.error)
    assert outcome.seconds < 5


def test_a_rate_limit_that_never_ends_ends_the_run(tmp_path: Path) -> None:
    outcome = upload(
        tmp_path, people(75), Target(lambda *_: limited(retry_after="60"), latency=0.0), rate_limit_patience=600
    )

    assert isinstance(outcome.error, TransientError)
    assert 500 <= outcome.seconds <= 700


def test_too_many_rejections_stop_the_run_and_keep_what_was_accepted(tmp_path: Path) -> None:
    bad = [f"p{number}" for number in range(0, 75 * 100, 10)]
    target = Target(refusing(*bad, verdict=Verdict.READ_ENTRIES, named=True))

    outcome = upload(tmp_path, people(75 * 100), target, rejected_percent=5.0, max_in_flight=4)

    assert isinstance(outcome.error, LimitExceeded)
    assert "limits.rejected_percent = 5" in str(outcome.error)
    assert 1_000 <= sum(outcome.receipts.outcomes().values()) < 2_000
    assert outcome.receipts.outcomes()["accepted"] > 800


def test_an_upload_goes_on_as_long_as_the_whole_run_may_keep_within_the_limit(tmp_path: Path) -> None:
    bad = [f"p{number}" for number in range(0, 75 * 100, 10)]
    target = Target(refusing(*bad, verdict=Verdict.READ_ENTRIES, named=True))

    outcome = upload(
        tmp_path, people(75 * 100), target, rejected_percent=5.0, rejected_after=1, sent_by_run=15_000, max_in_flight=4
    )

    assert outcome.error is None
    assert outcome.receipts.outcomes() == {"accepted": 6_750, "rejected": 750}


def test_a_share_of_rejections_means_nothing_before_there_are_enough_people(tmp_path: Path) -> None:
    target = Target(refusing("p0", verdict=Verdict.READ_ENTRIES, named=True))

    outcome = upload(tmp_path, people(20), target, rejected_percent=1.0)

    assert outcome.error is None


# Being told to end


def stopping_after(seconds: float) -> Callable[[Upload], object]:
    async def during(one: Upload) -> None:
        await asyncio.sleep(seconds)
        one.stop()

    return during


def test_answers_in_flight_are_counted_when_it_is_told_to_end(tmp_path: Path) -> None:
    target = Scripted(latency=0.5)

    outcome = upload(tmp_path, people(75 * 2_000), target, during=stopping_after(1.0))

    assert isinstance(outcome.error, Stopped)
    assert outcome.receipts.outcomes() == {"accepted": 75 * target.requests}
    assert outcome.seconds < 1.7


def test_it_ends_in_time_when_answers_do_not_come(tmp_path: Path) -> None:
    target = Scripted(latency=600)

    outcome = upload(tmp_path, people(75 * 100), target, during=stopping_after(1.0))

    assert isinstance(outcome.error, Stopped)
    assert outcome.seconds < 1.0 + 4.0
    assert target.in_flight == 0


@pytest.mark.promise(2)
def test_what_cannot_be_repeated_and_is_cut_off_is_unknown_not_unsent(tmp_path: Path) -> None:
    target = Scripted(latency=600)

    outcome = upload(tmp_path, people(75, repeatable=False), target, during=stopping_after(1.0))

    assert outcome.receipts.outcomes() == {"unknown": 75}


@pytest.mark.parametrize(
    "reply", [limited(retry_after="3000"), BUSY], ids=["in-a-rate-limit", "in-the-pause-of-a-batch"]
)
def test_a_pause_ends_at_once_when_it_is_told_to_end(tmp_path: Path, reply: Reply) -> None:
    target = Target(lambda *_: reply, latency=0.0)

    outcome = upload(tmp_path, people(75), target, during=stopping_after(5.3))

    assert isinstance(outcome.error, Stopped)
    assert outcome.seconds == pytest.approx(5.3, abs=0.1)


def test_told_to_end_while_it_waits_for_the_last_answers_it_still_ends_in_time(tmp_path: Path) -> None:
    stop = Reply(Verdict.STOP, 403, sentence="no right")

    class Slow(Target):
        async def send(self, body: bytes) -> Reply:
            self._latency = 0.1 if self.requests == 0 else 600
            return await super().send(body)

    target = Slow(lambda _, number: stop if number == 0 else ACCEPTED)

    outcome = upload(tmp_path, people(75 * 4), target, during=stopping_after(10.0), max_in_flight=2)

    assert isinstance(outcome.error, AccessError)
    assert outcome.seconds < 10 + 4


def test_told_to_end_before_it_began_it_sends_nothing(tmp_path: Path) -> None:
    target = Scripted()

    async def during(one: Upload) -> None:
        one.stop()

    outcome = upload(tmp_path, people(75), target, during=during)

    assert isinstance(outcome.error, Stopped)
    assert target.requests <= 1


# When something has a bug


@pytest.mark.parametrize("repeatable", [True, False], ids=["repeatable", "not-repeatable"])
def test_a_sender_that_raises_ends_the_run_without_naming_a_person(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, repeatable: bool
) -> None:
    def answer(body: bytes, number: int) -> Reply:
        if number == 3:
            raise RuntimeError(f"can't read {body.decode()}")
        return ACCEPTED

    target = Target(answer)
    with caplog.at_level(logging.DEBUG):
        outcome = upload(tmp_path, people(75 * 1_000, repeatable=repeatable), target, max_in_flight=8)

    assert type(outcome.error) is SyncError
    assert "RuntimeError in the send loop, at test_upload.py:" in str(outcome.error)
    assert outcome.error.__cause__ is None
    assert outcome.error.__context__ is None
    assert "p225" not in str(outcome.error) + caplog.text
    held = {} if repeatable else {"unknown": 75}
    assert outcome.receipts.outcomes() == {"accepted": 75 * (target.requests - 1), **held}
    assert target.requests < 20


def test_records_that_break_off_lose_no_receipt(tmp_path: Path) -> None:
    def broken() -> Iterator[Outgoing]:
        yield from people(75 * 5)
        raise ValueError("the engine failed")

    target = Scripted()

    outcome = upload(tmp_path, broken(), target)

    assert isinstance(outcome.error, ValueError)
    assert outcome.receipts.outcomes() == {"accepted": 75 * target.requests}


# Speed


def test_no_more_requests_are_under_way_than_allowed(tmp_path: Path) -> None:
    target = Scripted(latency=0.5)

    upload(tmp_path, people(75 * 400), target, rate=FAST, max_in_flight=37)

    assert target.most_in_flight == 37


@pytest.mark.parametrize("latency", [0.001, 0.05, 0.4], ids=["1ms", "50ms", "400ms"])
def test_the_cap_is_reached_at_any_latency(tmp_path: Path, latency: float) -> None:
    target = Scripted(latency=latency)

    upload(tmp_path, people(5_000), target, limits=LIMIT_OF_ONE)

    assert len(target.starts) / (target.starts[-1] - target.starts[0]) >= 900


def test_the_cap_holds_for_repeats_too(tmp_path: Path) -> None:
    target = Target(lambda _, number: BUSY if number % 3 == 0 else ACCEPTED)

    upload(tmp_path, people(300), target, rate=Rate(20, 1.0, counted=False), limits=LIMIT_OF_ONE, max_tries=20)

    starts = target.starts
    assert all(after - before >= 1.0 for before, after in zip(starts, starts[20:], strict=False))


# Receipts that become durable on the way


def test_receipts_are_durable_while_the_upload_runs(tmp_path: Path) -> None:
    receipts = ReceiptFiles(tmp_path)
    seen: list[int] = []

    async def during(_: Upload) -> None:
        for _ in range(3):
            await asyncio.sleep(1.5)
            seen.append(len(receipts.rows()))

    upload(
        tmp_path,
        people(500),
        Scripted(),
        rate=Rate(100, 1.0, counted=False),
        limits=LIMIT_OF_ONE,
        receipts=receipts,
        during=during,
    )

    assert 0 < seen[0] < seen[1] < seen[2] < 500


@pytest.mark.promise(2)
def test_a_store_that_fails_once_loses_no_receipt_and_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    receipts = ReceiptFiles(tmp_path, fail=lambda number: number == 1)

    outcome = upload(
        tmp_path, people(500), Scripted(), rate=Rate(100, 1.0, counted=False), limits=LIMIT_OF_ONE, receipts=receipts
    )

    assert outcome.error is None
    assert receipts.outcomes() == {"accepted": 500}
    assert len({row["identifier"] for row in receipts.rows()}) == 500
    assert receipts.tries >= 5
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "couldn't be written (OSError). Trying again." in warnings[0]
    assert "bucket" not in caplog.text


def test_a_store_that_keeps_failing_ends_the_upload_before_a_kill_could_cost_much(tmp_path: Path) -> None:
    receipts = ReceiptFiles(tmp_path, fail=lambda number: number < 33)

    outcome = upload(
        tmp_path, people(20_000), Scripted(), rate=Rate(100, 1.0, counted=False), limits=LIMIT_OF_ONE, receipts=receipts
    )

    assert isinstance(outcome.error, TransientError)
    assert outcome.seconds < 40
    assert receipts.outcomes() == {"accepted": outcome.upload._tally.accepted}


def test_a_last_write_that_fails_is_tried_again(tmp_path: Path) -> None:
    receipts = ReceiptFiles(tmp_path, fail=lambda number: number == 0)

    outcome = upload(tmp_path, people(10), Scripted(), receipts=receipts)

    assert outcome.error is None
    assert receipts.outcomes() == {"accepted": 10}


@pytest.mark.promise(2)
def test_last_receipts_are_not_given_up_while_the_store_may_come_back(tmp_path: Path) -> None:
    receipts = ReceiptFiles(tmp_path, fail=lambda number: number < 12)

    outcome = upload(tmp_path, people(10), Scripted(), receipts=receipts)

    assert outcome.error is None
    assert receipts.outcomes() == {"accepted": 10}
    assert 10 < outcome.seconds < 30


def test_last_receipts_get_a_second_once_the_task_was_told_to_end(tmp_path: Path) -> None:
    receipts = ReceiptFiles(tmp_path, fail=lambda _: True)

    outcome = upload(tmp_path, people(10), Scripted(), receipts=receipts, during=stopping_after(3.0))

    assert outcome.error is not None
    assert 3 <= outcome.seconds < 6


def test_receipts_that_cannot_be_written_at_all_are_an_error(tmp_path: Path) -> None:
    receipts = ReceiptFiles(tmp_path, fail=lambda _: True)

    outcome = upload(tmp_path, people(10), Scripted(), receipts=receipts)

    assert isinstance(outcome.error, TransientError)
    assert "receipts of 10 people couldn't be written (OSError)" in str(outcome.error)


def test_the_first_reason_to_end_is_the_one_that_is_told(tmp_path: Path) -> None:
    receipts = ReceiptFiles(tmp_path, fail=lambda _: True)
    target = Scripted(ACCEPTED, Reply(Verdict.STOP, 401, sentence="Braze refused the key (401)."))

    outcome = upload(tmp_path, people(150), target, receipts=receipts)

    assert str(outcome.error) == "Braze refused the key (401)."


# What is shown of a server's text


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("Zoë is not a name", "*** is not a name"),
        ("'email' must not be 'ann@example.org'", "'email' must not be '***'"),
        ("ANN@EXAMPLE.ORG is taken", "*** is taken"),
        ("4711 is too large; 12 is not", "*** is too large; 12 is not"),
        (r"bad value \"O\"Neil\" said the server", None),
        (r"bad name: Zo\u00eb", r"bad name: ***"),
        ("the country 'NL' is unknown, NLX is not", "the country '***' is unknown, NLX is not"),
    ],
    ids=["name", "email", "email-in-capitals", "number", "quotes", "escaped", "short"],
)
def test_a_persons_values_are_masked_in_a_reason(reason: str, shown: str | None) -> None:
    body = (
        '{"external_id":"crm-1","first_name":"Zoë","email":"ann@example.org","points":4711,'
        '"last_name":"O\\"Neil","address":{"country":"NL"},"tags":["secret-tag"],"vip":true}'
    ).encode()

    masked = mask_values(reason, body)

    assert masked == shown if shown else "Neil" not in masked


@pytest.mark.promise(8)
def test_names_of_properties_are_shown_where_no_value_of_a_person_stands() -> None:
    body = (
        b'{"matching":[[{"id":"email","value":"Ann"}]],"properties":[{"id":"city","values":["SET"],"strategy":"ADD"}]}'
    )

    shown = mask_values("email of Ann: city can't ADD, SET", body, shown_keys=frozenset({"id", "strategy"}))

    assert shown == "email of ***: city can't ADD, ***"


def test_a_reason_of_a_record_that_cannot_be_read_is_not_shown() -> None:
    assert "Ann" not in mask_values("Ann is bad", b"{Ann")


@pytest.mark.promise(8)
def test_a_rejection_is_kept_without_the_persons_values(tmp_path: Path) -> None:
    def answer(body: bytes, _: int) -> Reply:
        return Reply(Verdict.READ_ENTRIES, 201, refusal(body, "p3", reason="p3 is on the blocklist"))

    outcome = upload(tmp_path, people(5), Target(answer))

    assert [row["reason"] for row in outcome.receipts.rows() if row["reason"]] == ["*** is on the blocklist"]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1_000), jitter=st.floats(0, 0.3), cap=st.integers(5, 60))
def test_a_server_that_counts_requests_late_never_counts_more_than_the_cap_in_a_window(
    seed: int, jitter: float, cap: int
) -> None:
    target = LateTarget(random.Random(seed), jitter)

    with tempfile.TemporaryDirectory() as folder:
        outcome = upload(Path(folder), people(4 * cap), target, rate=Rate(cap, 3.0), limits=LIMIT_OF_ONE)

    assert outcome.error is None
    counted = sorted(target.counted)
    assert len(counted) == 4 * cap
    # The request that comes a cap later is a window later: no window holds both.
    assert all(later - earlier >= 3.0 for earlier, later in zip(counted, counted[cap:], strict=False))


class LateTarget:
    """Counts a request some time after it was sent, and answers some time after that."""

    def __init__(self, chance: random.Random, jitter: float) -> None:
        self._chance = chance
        self._jitter = jitter
        self.counted: list[float] = []

    async def send(self, _: bytes) -> Reply:
        await asyncio.sleep(self._jitter * self._chance.random())
        self.counted.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self._jitter * self._chance.random())
        return ACCEPTED
