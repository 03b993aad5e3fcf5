"""What Braze makes of the value of a custom attribute."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_braze_blueconic.sandbox.braze.attribute_types import AttributeTypes
from airflow_provider_braze_blueconic.sandbox.braze.times import parse_time, stored_time

_LONG = "x" * 256
_HUGE = {f"key{number}": "x" * 250 for number in range(450)}  # more than 100 KB


def _write(*values: Any, start: dict[str, Any] | None = None, merge: bool = False) -> tuple[Any, int]:
    """Write values to the attribute ``a`` one after the other; return what is stored, and the price of the last."""
    types, stored = AttributeTypes(), dict(start or {})
    points = 0
    for value in values:
        points = types.write(stored, "a", value, merge=merge, array_length=500)
    return stored.get("a", "nothing stored"), points


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        pytest.param(["text"], "text", id="string"),
        pytest.param(["007"], "007", id="leading zeros stay a string"),
        pytest.param(["first", _LONG], "first", id="256 characters are not applied"),
        pytest.param([""], "", id="empty string is stored"),
        pytest.param([5, ""], 5, id="empty string clears no number"),
        pytest.param(["first", None], "nothing stored", id="null removes"),
        pytest.param([5, "6"], 6, id="number takes a numeric string"),
        pytest.param([5, "six"], 5, id="number ignores a word"),
        pytest.param([5, True], 5, id="number ignores a boolean"),
        pytest.param([5, {"inc": -2}], 3, id="increment"),
        pytest.param(["5", 6], "6", id="string takes a number as text"),
        pytest.param(["5", ["x"]], "5", id="string ignores an array"),
        pytest.param([True, "f"], False, id="boolean takes f"),
        pytest.param([True, 0], False, id="boolean takes 0"),
        pytest.param([True, "no"], True, id="boolean ignores a word"),
        pytest.param(["2026-11-23"], "2026-11-23T00:00:00.000Z", id="day becomes a time"),
        pytest.param(["2026-11-23T10:00:00+02:00"], "2026-11-23T08:00:00.000Z", id="offset becomes UTC"),
        pytest.param(["2026-11-23", "soon"], "2026-11-23T00:00:00.000Z", id="time ignores a word"),
        pytest.param(["3001-01-01"], "3001-01-01", id="year after 3000 is a string"),
        pytest.param([["b", "a", "b"]], ["a", "b"], id="array keeps the last of two"),
        pytest.param([[1, True]], [1, True], id="number and boolean differ"),
        pytest.param(
            [[str(number) for number in range(501)]], [str(n) for n in range(1, 501)], id="501 drop the first"
        ),
        pytest.param([["a", "b"], {"add": ["c"], "remove": ["a"]}], ["b", "c"], id="add and remove"),
        pytest.param([["a"], "a"], ["a"], id="array ignores a string"),
        pytest.param([{"city": "Ede", "no": 5}], {"city": "Ede", "no": 5}, id="object"),
        pytest.param([{"x": 1}, {"y": 2}], {"y": 2}, id="object replaces"),
        pytest.param([{"x": 1}, {"x": None}], {"x": 1}, id="null inside drops all nested updates"),
        pytest.param([{"a b": 1}], "nothing stored", id="space in a key"),
        pytest.param([{"$x": 1}], "nothing stored", id="dollar in a key"),
        pytest.param([{"x": 1}, {"add": ["a"], "y": 1}], {"x": 1}, id="operator beside a key"),
        pytest.param([["a"], ["b", _LONG]], ["a"], id="long text in an array"),
        pytest.param([{"x": _LONG}], "nothing stored", id="long text inside"),
        pytest.param([_HUGE], "nothing stored", id="object above 100 KB"),
        pytest.param([{"d": {"$time": "2026-11-23"}}], {"d": "2026-11-23T00:00:00.000Z"}, id="$time"),
        pytest.param([{"x": 1}, {"d": {"$time": "soon"}}], {"x": 1}, id="bad $time drops all"),
        pytest.param([[{"id": 1}], {"$add": [{"id": 2}]}], [{"id": 1}, {"id": 2}], id="$add"),
        pytest.param(
            [[{"id": 1}, {"id": 2}], {"$remove": [{"$identifier_key": "id", "$identifier_value": 1}]}],
            [{"id": 2}],
            id="$remove",
        ),
        pytest.param([[{"id": 1}], {"$update": [{"$identifier_key": "id"}]}], [{"id": 1}], id="bad $update"),
    ],
)
def test_value_is_stored_or_silently_left(values: list[Any], stored: Any) -> None:
    assert _write(*values)[0] == stored


def test_merge_keeps_the_other_keys_of_an_object() -> None:
    stored, _ = _write({"x": 1, "in": {"a": 1}}, {"in": {"b": 2}}, merge=True)

    assert stored == {"x": 1, "in": {"a": 1, "b": 2}}


@pytest.mark.parametrize(
    ("values", "points"),
    [
        pytest.param(["text"], 1, id="string"),
        pytest.param(["text", "text"], 1, id="no change costs as well"),
        pytest.param([None], 1, id="null"),
        pytest.param([_LONG], 1, id="silently left costs as well"),
        pytest.param([["a", "b", "c"]], 1, id="whole array"),
        pytest.param([["a"], {"add": ["b", "c", "d"]}], 3, id="each added element"),
        pytest.param([["a"], {"remove": ["z"]}], 1, id="remove of nothing"),
        pytest.param([{"a": 1, "in": {"b": 2, "c": 3}}], 3, id="each key with a value"),
        pytest.param([[{"a": 1, "b": 2}, {"a": 3}]], 3, id="each key in an array of objects"),
    ],
)
def test_write_costs_what_braze_bills(values: list[Any], points: int) -> None:
    assert _write(*values)[1] == points


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("2026-11-23T10:11:12:345Z", "2026-11-23T10:11:12.345Z"),
        ("2026-11-23 10:11:12", "2026-11-23T10:11:12.000Z"),
        ("11/23/2026", "2026-11-23T00:00:00.000Z"),
        ("2026-11-23T10:11:12.5-0330", "2026-11-23T13:41:12.500Z"),
    ],
)
def test_time_forms_of_the_docs_are_read(text: str, stored: str) -> None:
    moment = parse_time(text)

    assert moment is not None
    assert stored_time(moment) == stored


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "23/11/2026", "20261123", "2026-11-23T25:00:00"])
def test_other_texts_are_no_times(text: str) -> None:
    assert parse_time(text) is None


def test_listed_type_is_that_of_the_first_value() -> None:
    types = AttributeTypes()
    types.write({}, "tags", ["a"], merge=False, array_length=500)
    types.write({}, "age", 5, merge=False, array_length=500)

    listed = types.describe(array_length=500)

    assert [(each["name"], each["data_type"], each["array_length"]) for each in listed] == [
        ("age", "Number", None),
        ("tags", "Array", 500),
    ]


def test_a_name_that_is_too_long_is_cut_off() -> None:
    types, stored = AttributeTypes(), dict[str, Any]()

    for name in ("x" * 256, "é" * 240, "y" * 255):
        types.write(stored, name, 1, merge=False, array_length=500)

    assert list(stored) == ["x" * 255, "é" * 239, "y" * 255]
