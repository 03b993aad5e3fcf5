"""What BlueConic stores of a value: texts of a field in, the JSON list that the property gets out, or why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.blueconic.values import (
    NUMBER_TYPES,
    Merge,
    already_holds_sql,
    blueconic_rule,
    property_type_of,
)
from airflow_provider_braze_blueconic.sync.values.space import trimmed
from tests.support.core import map_values

FreshFolder = Callable[[], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> FreshFolder:
    """A new folder for each example of a property test."""
    return lambda: tmp_path_factory.mktemp("values")


# (source text or texts, JSON text or None, reason or None); (text, None, None) says nothing and warns of nothing.
Case = tuple[str | list[str], str | None, str | None]

TEXTS: list[Case] = [
    ("NL", '["NL"]', None),
    (" NL \t", '["NL"]', None),
    ("007", '["007"]', None),
    ("7.0", '["7.0"]', None),
    ("12.50", '["12.50"]', None),
    ("true", '["true"]', None),
    ("null", '["null"]', None),
    ('say "hi"', '["say \\"hi\\""]', None),
    ("back\\slash", '["back\\\\slash"]', None),
    ("two\nlines", '["two\\nlines"]', None),
    ("Zoë 😀", '["Zoë 😀"]', None),
    ('{"a":1}', '["{\\"a\\":1}"]', None),
    ("2147483648", '["2147483648"]', None),
    ("x" * 64_000, f'["{"x" * 64_000}"]', None),
    ("x" * 64_001, None, "too_long"),
    ("é" * 32_000, f'["{"é" * 32_000}"]', None),
    ("é" * 32_001, None, "too_long"),
    ("", None, None),
    (" \t\r\n", None, None),
    ([], None, None),
    (["b", "a", "B", "é", "b"], '["B","a","b","é"]', None),
    (["a", " ", " a ", ""], '["a"]', None),
    (["10", "9"], '["10","9"]', None),
    (["a", "x" * 64_001], None, "too_long"),
]
NUMBERS: list[Case] = [
    ("7", '["7"]', None),
    ("-7", '["-7"]', None),
    ("+7", '["7"]', None),
    ("007", '["7"]', None),
    ("7.0", '["7"]', None),
    ("-0", '["0"]', None),
    ("2147483647", '["2147483647"]', None),
    ("-2147483647", '["-2147483647"]', None),
    ("2147483648", None, "over_2147483647"),
    ("-2147483648", None, "over_2147483647"),
    ("9" * 18, None, "over_2147483647"),
    ("9" * 19, None, "over_2147483647"),
    ("9" * 40, None, "over_2147483647"),
    ("7.5", None, "not_an_integer"),
    ("true", None, "not_an_integer"),
    ("1e3", None, "not_an_integer"),
    ("1,000", None, "not_an_integer"),
    ("seven", None, "not_an_integer"),
    ("", None, None),
    (["2", "10", "02"], '["10","2"]', None),
    (["2", "seven", "3"], None, "not_an_integer"),
    (["2", "2147483648", "3"], None, "over_2147483647"),
]
DECIMALS: list[Case] = [
    ("12.50", '["12.5"]', None),
    ("12", '["12"]', None),
    ("012", '["12"]', None),
    ("12.", '["12"]', None),
    (".5", '["0.5"]', None),
    ("-.5", '["-0.5"]', None),
    ("100", '["100"]', None),
    ("0.0000", '["0"]', None),
    ("-0.0", '["0"]', None),
    ("-0.00001", '["0"]', None),
    ("1e3", '["1000"]', None),
    ("12.5e-1", '["1.25"]', None),
    ("0.1234", '["0.1234"]', None),
    ("0.12344", '["0.1234"]', None),
    ("0.12345", '["0.1235"]', None),
    ("-0.12345", '["-0.1235"]', None),
    ("9999999999999999.9999", '["9999999999999999.9999"]', None),
    ("12345678901234567890.1", '["12345678901234567890.1"]', None),
    ("1e40", None, "not_a_number"),
    ("12,50", None, "not_a_number"),
    ("€ 12", None, "not_a_number"),
    ("NaN", None, "not_a_number"),
    ("inf", None, "not_a_number"),
    ("0x10", None, "not_a_number"),
    ("1_000", None, "not_a_number"),
    ("true", None, "not_a_number"),
    (["1.5", "1.50", "10"], '["1.5","10"]', None),
    (["1.5", "much"], None, "not_a_number"),
]
MOMENTS: list[Case] = [
    ("2020-07-10 15:00:00.000 UTC", '["1594393200000"]', None),
    ("2020-07-10T15:00:00Z", '["1594393200000"]', None),
    ("2020-07-10T15:00:00.000Z", '["1594393200000"]', None),
    ("2020-07-10T17:00:00+02:00", '["1594393200000"]', None),
    ("2020-07-10T17:00:00+0200", '["1594393200000"]', None),
    ("2020-07-10T15:00:00", '["1594393200000"]', None),
    ("2020-07-10 15:00", '["1594393200000"]', None),
    ("2020-07-10T15:00:00.123456Z", '["1594393200123"]', None),
    ("2020-07-10", '["1594339200000"]', None),
    ("20200710", '["1594339200000"]', None),
    ("7/10/2020", '["1594339200000"]', "ambiguous_date"),
    ("1594393200000", '["1594393200000"]', None),
    ("-86400000", '["-86400000"]', None),
    ("1969-12-31", '["-86400000"]', None),
    ("1594393200", '["1594393200000"]', None),
    ("1980", None, "bad_date"),
    ("2020-13-01", None, "bad_date"),
    ("2020-02-30T00:00:00Z", None, "bad_date"),
    ("epoch", None, "bad_date"),
    ("tomorrow", None, "bad_date"),
    (["2020-07-10", "1594339200000"], '["1594339200000"]', None),
    (["2020-07-10", "soon"], None, "bad_date"),
]
EMAILS: list[Case] = [
    ("ann@example.com", '["ann@example.com"]', None),
    (" ann@example.com ", '["ann@example.com"]', None),
    ("Ann@Example.com", '["Ann@Example.com"]', None),
    ("ann+tag@sub.example.co.uk", '["ann+tag@sub.example.co.uk"]', None),
    ("\xa0ann@example.com\u200b", '["ann@example.com"]', None),
    ("ann@bücher.example", '["ann@bücher.example"]', None),
    ("ann\xa0b@example.com", None, "bad_email"),
    ("ann\u200b@example.com", None, "bad_email"),
    ("ann@example", None, "bad_email"),
    ("ann@example..com", None, "bad_email"),
    ("ann example.com", None, "bad_email"),
    ("a@b.nl, c@d.nl", None, "bad_email"),
    (["b@example.com", "a@example.com"], '["a@example.com","b@example.com"]', None),
    (["b@example.com", "nobody"], None, "bad_email"),
]
KINDS = {
    "SELECT": TEXTS,
    "TEXT_OF_TOMORROW": TEXTS,
    "": TEXTS,
    "RANGE": NUMBERS,
    "DECIMAL": DECIMALS,
    "CURRENCY": DECIMALS,
    "DATETIME": MOMENTS,
    "EMAIL": EMAILS,
}


@pytest.mark.parametrize("filter_type", KINDS)
def test_a_value_is_written_as_the_property_stores_it_or_left_out_with_a_reason(
    filter_type: str, tmp_path: Path
) -> None:
    cases = KINDS[filter_type]

    found = map_values(tmp_path, blueconic_rule(filter_type, "set"), [value for value, *_ in cases])

    assert found == [(text, reason) for _, text, reason in cases]


@pytest.mark.parametrize("merge", ["set", "add", "set_if_empty", "set_or_clear", "remove"])
def test_a_list_is_taken_whole_by_every_merge_but_a_sum(merge: Merge, tmp_path: Path) -> None:
    assert map_values(tmp_path, blueconic_rule("RANGE", merge), [["2", "1"]]) == [('["1","2"]', None)]


@pytest.mark.parametrize(
    ("filter_type", "value", "text", "reason"),
    [
        pytest.param("RANGE", "7", '["7"]', None, id="one number"),
        pytest.param("RANGE", ["", "7", " "], '["7"]', None, id="one number and blanks"),
        pytest.param("DECIMAL", "12.50", '["12.5"]', None, id="one decimal"),
        pytest.param("CURRENCY", "0", '["0"]', None, id="nothing to add is a number too"),
        pytest.param("RANGE", ["7", "8"], None, "several_values", id="two numbers"),
        pytest.param("RANGE", ["7", "seven"], None, "several_values", id="a number and something else"),
        pytest.param("RANGE", "seven", None, "not_an_integer", id="no number"),
        pytest.param("RANGE", "2147483648", None, "over_2147483647", id="too large"),
    ],
)
def test_a_sum_takes_one_number_only(
    filter_type: str, value: str | list[str], text: str | None, reason: str | None, tmp_path: Path
) -> None:
    assert map_values(tmp_path, blueconic_rule(filter_type, "sum"), [value]) == [(text, reason)]


def test_the_rule_says_whose_it_is() -> None:
    assert blueconic_rule("RANGE", "set").source == "BlueConic support, Profile properties: data types: RANGE"
    assert blueconic_rule("", "set").source == "BlueConic support, Profile properties: data types: text"


any_text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
numbers = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.integers(-(2**31), 2**31).map(str),
    st.decimals(-(10**18), 10**18, places=6, allow_nan=False).map(str),
    st.floats(allow_nan=True).map(str),
)
moments = st.one_of(
    st.datetimes().map(lambda m: m.isoformat()),
    st.dates().map(str),
)


@given(
    filter_type=st.sampled_from(["SELECT", "RANGE", "DECIMAL", "CURRENCY", "DATETIME", "EMAIL"]),
    merge=st.sampled_from(get_args(Merge)),
    values=st.lists(
        st.one_of(any_text, numbers, moments, st.lists(any_text | numbers | moments, max_size=4)),
        min_size=1,
        max_size=8,
    ),
)
@settings(max_examples=30, deadline=None)
def test_a_value_that_was_mapped_is_mapped_to_the_same_text_again(
    folder: FreshFolder, filter_type: str, merge: Merge, values: list[str | list[str]]
) -> None:
    rule = blueconic_rule(filter_type, merge)
    once = [text for text, _ in map_values(folder(), rule, values) if text is not None]

    stored = blueconic_rule(filter_type, merge, is_stored=True)
    again = map_values(folder(), stored, [json.loads(text) for text in once]) if once else []

    assert again == [(text, None) for text in once]
    assert all(json.loads(text) == sorted(set(json.loads(text))) for text in once)


# What the property holds already


def holds(merge: Merge, wanted: str | None, held: str | None) -> bool | None:
    found: bool | None = duckdb.execute(
        f"SELECT {already_holds_sql(merge, 'wanted', 'held')} FROM (SELECT $1::VARCHAR AS wanted, $2::VARCHAR AS held)",
        [wanted, held],
    ).fetchall()[0][0]
    return found


@pytest.mark.parametrize(
    ("merge", "wanted", "held", "expected"),
    [
        ("set", '["a"]', '["a"]', True),
        ("set", '["a"]', '["a","b"]', False),
        ("set", '["a"]', "null", False),
        ("set_or_clear", '["a"]', '["a"]', True),
        ("set_or_clear", '["a"]', '["b"]', False),
        ("set_or_clear", "null", "null", True),
        ("set_or_clear", "null", '["a"]', False),
        ("set_if_empty", '["a"]', '["b"]', True),
        ("set_if_empty", '["a"]', "null", False),
        ("add", '["a"]', '["a","b"]', True),
        ("add", '["a","b"]', '["b","a","c"]', True),
        ("add", '["a","c"]', '["a","b"]', False),
        ("add", '["a"]', "null", False),
        ("add", '["it\'s \\"1\\""]', '["it\'s \\"1\\"","é"]', True),
        ("remove", '["a"]', '["b"]', True),
        ("remove", '["a"]', "null", True),
        ("remove", '["a","c"]', '["a","b"]', False),
        ("sum", '["1"]', '["1"]', False),
        ("sum", '["0"]', "null", False),
    ],
)
def test_writing_what_the_property_holds_already_changes_nothing(
    merge: Merge, wanted: str, held: str, expected: bool
) -> None:
    assert holds(merge, wanted, held) is expected


@pytest.mark.parametrize("merge", get_args(Merge))
def test_of_a_property_that_was_not_looked_at_it_is_not_said_that_it_holds_anything(merge: Merge) -> None:
    assert holds(merge, '["a"]', None) is not True


# The type of a new property


@pytest.mark.parametrize(
    ("kinds", "filter_type"),
    [
        (["integer"], "RANGE"),
        (["float"], "DECIMAL"),
        (["integer", "float"], "DECIMAL"),
        (["time"], "DATETIME"),
        (["big_integer"], "SELECT"),
        (["integer", "big_integer"], "SELECT"),
        (["long_float"], "SELECT"),
        (["float", "long_float"], "SELECT"),
        (["boolean"], "SELECT"),
        (["text"], "SELECT"),
        (["object"], "SELECT"),
        (["time", "text"], "SELECT"),
        (["integer", "text"], "SELECT"),
        ([], "SELECT"),
    ],
)
def test_a_new_property_gets_the_narrowest_type_that_every_value_fits(kinds: list[str], filter_type: str) -> None:
    assert property_type_of(frozenset(kinds)) == filter_type


def test_only_numbers_can_be_added_to() -> None:
    assert {"RANGE", "DECIMAL", "CURRENCY"} == NUMBER_TYPES


# A new property takes whatever its first values were: what is found to be of a kind must pass its type.
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", "2147483647"),
        ("integer", "-2147483647"),
        ("float", "0.1234"),
        ("time", "2020-07-10 15:00:00.000 UTC"),
        ("time", "2026-01-15 12:00:00 +0100"),
        ("big_integer", "2147483648"),
        ("long_float", "0.12345"),
        ("boolean", "true"),
        ("object", '{"a":1}'),
    ],
)
def test_what_was_found_to_be_of_a_kind_passes_the_type_that_is_made_for_it(
    kind: str, value: str, tmp_path: Path
) -> None:
    rule = blueconic_rule(property_type_of(frozenset({kind})), "set")

    ((text, reason),) = map_values(tmp_path, rule, [value])

    assert text is not None
    assert reason is None


def expected_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@given(values=st.lists(any_text, max_size=6))
@settings(max_examples=40, deadline=None)
def test_a_text_arrives_as_it_is_but_for_the_space_at_its_edges(folder: FreshFolder, values: list[str]) -> None:
    ((text, reason),) = map_values(folder(), blueconic_rule("SELECT", "set"), [values])

    kept = sorted({trimmed(value) for value in values} - {""})
    assert reason is None
    assert (None if text is None else json.loads(text)) == (kept or None)
