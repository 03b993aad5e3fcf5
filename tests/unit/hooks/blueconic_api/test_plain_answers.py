"""What an answer says of a batch doesn't depend on whether it is read fast or entry by entry."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.hooks.blueconic_api import profile_replies
from airflow_provider_braze_blueconic.hooks.blueconic_api.plain_answers import odd_positions
from airflow_provider_braze_blueconic.hooks.blueconic_api.profile_replies import ProfileReplies
from airflow_provider_braze_blueconic.hooks.blueconic_api.sum_words import SumWord
from airflow_provider_braze_blueconic.sync.sending.seam import Reply

KEYS = ["k0", "k1", "k2"]
RULES = [{"id": "city", "values": ["x"], "strategy": "SET"}, {"id": "tags", "values": ["y"], "strategy": "ADD"}]

states = st.sampled_from(
    ["CREATED", "MODIFIED", "UNCHANGED", "NOTFOUND", "SKIPPED", "UNAUTHORIZED", "CONSENT_MISMATCH", "DELETED", "NEW"]
)
errors = st.one_of(
    st.none(), st.just({}), st.just([]), st.just("no"), st.just(0), st.just({"city": []}), st.just({"city": ["half \ud83d"]}),
    st.dictionaries(st.sampled_from(["city", "tags", "x"]), st.one_of(st.just("bad"), st.just(["a", "b"]))),
)  # fmt: skip
more: dict[str, st.SearchStrategy[Any]] = {"validationErrors": errors, "profileId": st.sampled_from(["p", "q", None])}
plain = st.fixed_dictionaries({"state": st.sampled_from(["CREATED", "MODIFIED", "UNCHANGED"])}, optional=more)
told = st.one_of(plain, st.fixed_dictionaries({"state": st.one_of(states, st.none(), st.just(1))}, optional=more))
in_order = st.tuples(told, told, told).map(
    lambda each: [{"identifier": key, **one} for key, one in zip(KEYS, each, strict=True)]
)
in_any_order = st.lists(
    st.one_of(
        st.builds(lambda key, one: {"identifier": key, **one}, st.sampled_from([*KEYS, " k1 ", "x", None, 1]), told),
        st.sampled_from([None, "k0", {}]),
    ),
    max_size=5,
)


def read(answer: bytes, keys: list[str]) -> Reply:
    sent = json.dumps([{"identifier": key, "properties": RULES} for key in keys]).encode()
    return ProfileReplies("BlueConic at x", SumWord()).read(200, {}, sent, answer)


@pytest.mark.promise(3)
@given(st.one_of(in_order, in_any_order), st.sampled_from([KEYS, ["k0", "k1", "k1"]]), st.booleans())
@example([{"identifier": key, "state": "MODIFIED"} for key in KEYS], KEYS, True)
@example([{"identifier": "k0", "state": "MODIFIED"}, {"identifier": "k0", "state": "NOTFOUND"}], ["k0"], True)
def test_an_answer_is_read_fast_as_it_is_read_entry_by_entry(
    answers: list[Any], keys: list[str], ascii_only: bool
) -> None:
    answer = json.dumps(answers, ensure_ascii=ascii_only).encode(errors="surrogatepass")

    with mock.patch.object(profile_replies, "odd_positions", return_value=None):
        careful = read(answer, keys)

    assert read(answer, keys) == careful


@pytest.mark.parametrize(
    ("answers", "odd"),
    [
        ([("k0", "MODIFIED"), ("k1", "CREATED"), ("k2", "UNCHANGED")], []),
        ([("k0", "MODIFIED"), ("k1", "NOTFOUND"), ("k2", "UNCHANGED")], [1]),
        ([("k1", "MODIFIED"), ("k0", "MODIFIED"), ("k2", "MODIFIED")], None),
        ([("k0", "MODIFIED"), ("k1", "MODIFIED")], None),
        ([("k0", "MODIFIED"), ("k1", "MODIFIED"), ("k2", "MODIFIED"), ("k2", "MODIFIED")], None),
    ],
    ids=["all", "one not", "another order", "one missing", "one twice"],
)
def test_only_entries_that_are_plainly_accepted_need_no_look(answers: list[Any], odd: list[int] | None) -> None:
    answer = json.dumps([{"identifier": key, "state": state} for key, state in answers]).encode()

    assert odd_positions(answer, KEYS) == odd


@pytest.mark.parametrize("answer", [None, b"", b"[]", b"{", b'[{"identifier":"k0","state":"MODIFIED","x":"\xff"}]'])
def test_an_answer_of_another_form_is_left_to_the_careful_road(answer: bytes | None) -> None:
    assert odd_positions(answer, ["k0"]) is None
