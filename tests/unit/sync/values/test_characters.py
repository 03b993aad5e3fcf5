"""Halves of characters, on every way in."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.values.characters import may_hold_halves, repaired, repaired_text, text_array

ANY_TEXT = st.text(st.characters(codec=None), max_size=12)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("whole 😀", "whole 😀"),
        ("first half \ud83d", "first half \ufffd"),
        ("\ude00 second half", "\ufffd second half"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("\ud83d\ud83d\ude00", "\ufffd😀"),
    ],
)
def test_a_half_without_its_other_half_is_replaced(text: str, expected: str) -> None:
    assert repaired_text(text) == expected


@given(ANY_JSON)
def test_whatever_json_holds_can_be_written_once_it_is_repaired(value: object) -> None:
    whole = repaired(value)

    json.dumps(whole, ensure_ascii=False).encode()
    assert repaired(whole) == whole


@given(ANY_JSON)
def test_a_text_that_can_hold_a_half_is_never_taken_for_one_that_can_not(value: object) -> None:
    for text in (json.dumps(value).encode(), json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")):
        # As a reader sees it: two halves side by side are one character.
        if repaired(json.loads(text)) != json.loads(text):
            assert may_hold_halves(text)


@given(st.text(st.characters(codec="utf-8")))
def test_what_holds_no_half_stays_what_it_is(text: str) -> None:
    assert repaired_text(text) is text
    assert repaired({text: [text]}) == {text: [text]}


def test_a_column_says_which_rows_were_repaired() -> None:
    column, rows = text_array([["a"], None, ["b", "\ud83d"], []], pa.list_(pa.string()))

    assert (column.to_pylist(), rows) == ([["a"], None, ["b", "\ufffd"], []], {2})
