"""What a property of each type takes, and what each strategy makes of what it held."""

from __future__ import annotations

import pytest

from airflow_provider_braze_blueconic.sandbox.blueconic.property_values import find_fault, merge_values, next_values


@pytest.mark.parametrize(
    ("filter_type", "text"),
    [
        ("SELECT", "any text, ümlauts too"),
        ("SELECT", "x" * 65_000),
        ("EMAIL", "ann@example.com"),
        ("RANGE", "0"),
        ("RANGE", "-2147483647"),
        ("RANGE", "2147483647"),
        ("DECIMAL", "-12.3456"),
        ("DECIMAL", "12"),
        ("CURRENCY", "12.50"),
        ("DATETIME", "1795348800000"),
        ("DATETIME", "-86400000"),
    ],
)
def test_value_fits_its_type(filter_type: str, text: str) -> None:
    assert find_fault(filter_type, text) is None


@pytest.mark.parametrize(
    ("filter_type", "text"),
    [
        pytest.param("SELECT", "x" * 65_001, id="text too long"),
        pytest.param("EMAIL", "ann at example.com", id="no address"),
        pytest.param("EMAIL", "ann@example", id="no domain"),
        pytest.param("EMAIL", "ann\xa0@example.com", id="no-break space in an address"),
        pytest.param("EMAIL", "ann\u200b@example.com", id="zero-width space in an address"),
        pytest.param("RANGE", "2147483648", id="number too large"),
        pytest.param("RANGE", "-2147483648", id="number too small"),
        pytest.param("RANGE", "1.0", id="number with a fraction"),
        pytest.param("RANGE", "1e3", id="number with an exponent"),
        pytest.param("RANGE", "\u0663", id="digit of another script"),
        pytest.param("RANGE", "true", id="boolean"),
        pytest.param("DECIMAL", "1.23456", id="five decimals"),
        pytest.param("DECIMAL", "1e-7", id="decimal with an exponent"),
        pytest.param("DECIMAL", "1,5", id="decimal comma"),
        pytest.param("CURRENCY", "EUR 5", id="amount with its currency"),
        pytest.param("DATETIME", "2026-11-23T12:00:00Z", id="ISO 8601"),
        pytest.param("DATETIME", "1795348800.5", id="fraction of a millisecond"),
    ],
)
def test_value_that_its_type_cannot_hold_is_found(filter_type: str, text: str) -> None:
    fault = find_fault(filter_type, text)

    assert fault is not None
    assert text not in fault


_TWO_OF = {
    "SELECT": ("a", "b"),
    "EMAIL": ("a@example.com", "b@example.com"),
    "RANGE": ("1", "2"),
    "DECIMAL": ("1.5", "2.25"),
    "CURRENCY": ("1.50", "2.25"),
    "DATETIME": ("1000", "2000"),
}
_NUMERIC = ("RANGE", "DECIMAL", "CURRENCY")
_ALL_TYPES = pytest.mark.parametrize("filter_type", _TWO_OF)


@_ALL_TYPES
def test_set_replaces_all_values(filter_type: str) -> None:
    old, new = _TWO_OF[filter_type]

    assert next_values(filter_type, [old, new], "SET", [new]) == [new]


@_ALL_TYPES
def test_set_with_an_empty_list_empties(filter_type: str) -> None:
    assert next_values(filter_type, [_TWO_OF[filter_type][0]], "SET", []) == []


def test_set_with_an_empty_list_says_nothing_where_it_does_not_clear() -> None:
    assert next_values("SELECT", ["a"], "SET", [], empty_set_clears=False) == ["a"]


def test_empty_text_is_no_value() -> None:
    assert next_values("RANGE", ["5"], "SET", [""]) == []


@_ALL_TYPES
def test_add_appends_what_is_not_there(filter_type: str) -> None:
    old, new = _TWO_OF[filter_type]

    assert next_values(filter_type, [old], "ADD", [new, old, new]) == [old, new]


@_ALL_TYPES
def test_set_if_empty_writes_only_into_an_empty_property(filter_type: str) -> None:
    old, new = _TWO_OF[filter_type]

    assert next_values(filter_type, [old], "SET_IF_EMPTY", [new]) == [old]
    assert next_values(filter_type, [], "SET_IF_EMPTY", [new]) == [new]


@_ALL_TYPES
def test_remove_takes_the_given_values_out(filter_type: str) -> None:
    old, new = _TWO_OF[filter_type]

    assert next_values(filter_type, [old, new], "REMOVE", [old, "never there"]) == [new]


@pytest.mark.parametrize("word", ["INCREMENT", "SUM"])
@pytest.mark.parametrize(
    ("filter_type", "old", "given", "total"),
    [
        ("RANGE", ["5"], "7", ["12"]),
        ("RANGE", ["5"], "-7", ["-2"]),
        ("RANGE", [], "7", ["7"]),
        ("DECIMAL", ["0.1"], "0.2", ["0.3"]),
        ("DECIMAL", ["10.50"], "0.0005", ["10.5005"]),
        ("CURRENCY", ["9999999999.99"], "0.01", ["10000000000.00"]),
    ],
)
def test_number_is_added(word: str, filter_type: str, old: list[str], given: str, total: list[str]) -> None:
    assert next_values(filter_type, old, word, [given]) == total


@pytest.mark.parametrize("filter_type", [each for each in _TWO_OF if each not in _NUMERIC])
def test_nothing_is_added_to_a_property_that_is_no_number(filter_type: str) -> None:
    with pytest.raises(ValueError, match="number, decimal and currency properties only"):
        next_values(filter_type, ["1"], "INCREMENT", ["1"])


@pytest.mark.parametrize(
    ("old", "given"),
    [
        pytest.param(["5"], ["five"], id="no number given"),
        pytest.param(["5"], [], id="nothing given"),
        pytest.param(["5"], ["1", "2"], id="two given"),
        pytest.param(["5", "6"], ["1"], id="two stored"),
        pytest.param(["5"], ["1.5"], id="a fraction for a whole number"),
        pytest.param(["2147483647"], ["1"], id="more than a number holds"),
    ],
)
def test_number_that_cannot_be_added_is_refused(old: list[str], given: list[str]) -> None:
    with pytest.raises(ValueError, match=r"number"):
        next_values("RANGE", old, "INCREMENT", given)


@pytest.mark.parametrize("strategy", ["SET", "ADD", "SET_IF_EMPTY"])
def test_one_bad_value_refuses_the_whole_rule(strategy: str) -> None:
    with pytest.raises(ValueError, match="not a whole number"):
        next_values("RANGE", [], strategy, ["1", "one"])


@pytest.mark.parametrize(
    ("strategy", "heir", "gone", "merged"),
    [
        ("LATEST", ["a"], ["b"], ["a"]),
        ("LATEST", [], ["b"], ["b"]),
        ("KEEP_CURRENT", ["a"], ["b"], ["a"]),
        ("OLDEST", ["a"], ["b"], ["b"]),
        ("OLDEST", ["a"], [], ["a"]),
        ("BOTH", ["a", "b"], ["b", "c"], ["a", "b", "c"]),
        ("SUM", ["1.5"], ["2"], ["3.5"]),
        ("SUM", ["many"], ["2"], ["many"]),
        ("HIGHEST", ["9"], ["10"], ["10"]),
        ("LOWEST", ["9"], ["10"], ["9"]),
    ],
)
def test_merge_strategy_decides_which_value_survives(
    strategy: str, heir: list[str], gone: list[str], merged: list[str]
) -> None:
    assert merge_values(strategy, heir, gone) == merged
