"""Each type's canonical JSON text: source text in, the text that the target gets out, or the reason why not."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.braze.documents import check_document
from airflow_provider_braze_blueconic.sync.values.rules import ValueRule
from airflow_provider_braze_blueconic.sync.values.space import trimmed
from airflow_provider_braze_blueconic.sync.values.texts import (
    array_rule,
    boolean_rule,
    canonical_json,
    date_rule,
    float_rule,
    integer_rule,
    object_rule,
    string_rule,
    time_rule,
)
from tests.support.core import map_values

STRING = string_rule(longest=255, source="here")
INTEGER = integer_rule(source="here")
FLOAT = float_rule(source="here")
BOOLEAN = boolean_rule(source="here")
TIME = time_rule(source="here")
DATE = date_rule(source="here")
ARRAY = array_rule(most=500, longest_bytes=100_000, source="here")
OBJECT = object_rule(check_document, source="here")

Texts = list[str | list[str]]


FreshFolder = Callable[[], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> FreshFolder:
    """A new folder for each example of a property test."""
    return lambda: tmp_path_factory.mktemp("values")


# (source text, JSON text or None, reason or None); (text, None, None) says nothing and warns of nothing.
STRINGS = [
    ("007", '"007"', None),
    ("7.0", '"7.0"', None),
    ("true", '"true"', None),
    ("null", '"null"', None),
    ("  Ann \t", '"Ann"', None),
    ("Ann\r\n", '"Ann"', None),
    ("two  words", '"two  words"', None),
    ('say "hi"', '"say \\"hi\\""', None),
    ("back\\slash", '"back\\\\slash"', None),
    ("a\nb\tc\rd", '"a\\nb\\tc\\rd"', None),
    ("a\x01b", '"a\\u0001b"', None),
    ("it's", '"it\'s"', None),
    ("</script>", '"</script>"', None),
    ("Zoë", '"Zoë"', None),
    ("😀", '"😀"', None),
    ("\xa0x", '"x"', None),
    ("\u200b\ufeffAnn\u2003\u3000\u2060", '"Ann"', None),
    ("Ann\xa0Lee", '"Ann\xa0Lee"', None),
    ("\u05d3\u05e0\u05d4\u200f", '"\u05d3\u05e0\u05d4"', None),
    ("\u2764\ufe0f", '"\u2764\ufe0f"', None),
    ("\x0b\x0c\x85Ann", '"Ann"', None),
    ("\xa0" * 3 + "x" * 255 + "\u200b" * 3, '"' + "x" * 255 + '"', None),
    ("x" * 255, '"' + "x" * 255 + '"', None),
    ("x" * 256, None, "too_long"),
    (" " + "x" * 255 + " ", '"' + "x" * 255 + '"', None),
    ("é" * 255, '"' + "é" * 255 + '"', None),
    ("é" * 256, None, "too_long"),
    ("😀" * 255, '"' + "😀" * 255 + '"', None),
    ("😀" * 256, None, "too_long"),
    ("", None, None),
    (" \t\r\n", None, None),
    ("\u200b\xa0\ufeff", None, None),
]
INTEGERS = [
    ("7", "7", None),
    ("-7", "-7", None),
    ("+7", "7", None),
    ("007", "7", None),
    ("7.0", "7", None),
    ("7.000", "7", None),
    ("-0", "0", None),
    ("0", "0", None),
    (" 8 ", "8", None),
    ("\xa08\u200b", "8", None),
    ("999999999999999999", "999999999999999999", None),
    ("-999999999999999999", "-999999999999999999", None),
    ("9223372036854775808", None, "not_an_integer"),
    ("7.5", None, "not_an_integer"),
    ("7.", None, "not_an_integer"),
    ("0x10", None, "not_an_integer"),
    ("0b1", None, "not_an_integer"),
    ("1_000", None, "not_an_integer"),
    ("1,000", None, "not_an_integer"),
    ("1 000", None, "not_an_integer"),
    ("1e3", None, "not_an_integer"),
    ("NaN", None, "not_an_integer"),
    ("inf", None, "not_an_integer"),
    ("true", None, "not_an_integer"),
    ("--7", None, "not_an_integer"),
    ("٣", None, "not_an_integer"),
    ("", None, None),
]
FLOATS = [
    ("7", "7.0", None),
    ("7.5", "7.5", None),
    ("1.50", "1.5", None),
    ("+1.5", "1.5", None),
    ("007.5", "7.5", None),
    (".5", "0.5", None),
    ("5.", "5.0", None),
    ("0", "0.0", None),
    ("-0", "0.0", None),
    ("-0.0", "0.0", None),
    ("0.1", "0.1", None),
    ("1e3", "1000.0", None),
    ("2.5E-3", "0.0025", None),
    ("1e22", "1e+22", None),
    ("1e308", "1e+308", None),
    ("1e309", None, "not_a_number"),
    ("1e9999", None, "not_a_number"),
    ("NaN", None, "not_a_number"),
    ("nan", None, "not_a_number"),
    ("inf", None, "not_a_number"),
    ("-Infinity", None, "not_a_number"),
    ("0x10", None, "not_a_number"),
    ("1_000", None, "not_a_number"),
    ("1,5", None, "not_a_number"),
    ("1d", None, "not_a_number"),
    ("EUR 5", None, "not_a_number"),
    ("", None, None),
]
BOOLEANS = [
    ("true", "true", None),
    ("TRUE", "true", None),
    ("t", "true", None),
    ("1", "true", None),
    ("Yes", "true", None),
    ("false", "false", None),
    ("F", "false", None),
    ("0", "false", None),
    ("no", "false", None),
    (" False ", "false", None),
    ("\u3000Yes\ufeff", "true", None),
    ("2", None, "not_a_boolean"),
    ("1.0", None, "not_a_boolean"),
    ("on", None, "not_a_boolean"),
    ("null", None, "not_a_boolean"),
    ("", None, None),
]
TIMES = [
    ("1700000000000", '"2023-11-14T22:13:20.000Z"', None),
    ("1700000000123", '"2023-11-14T22:13:20.123Z"', None),
    ("1700000000", '"2023-11-14T22:13:20.000Z"', None),
    ("1700000000.5", '"2023-11-14T22:13:20.500Z"', None),
    ("1700000000123456", '"2023-11-14T22:13:20.123Z"', None),
    ("-315619200", '"1960-01-01T00:00:00.000Z"', None),
    ("-1", '"1969-12-31T23:59:59.999Z"', None),
    ("0", '"1970-01-01T00:00:00.000Z"', None),
    ("82800000", '"1970-01-01T23:00:00.000Z"', None),
    ("2023-11-14T22:13:20Z", '"2023-11-14T22:13:20.000Z"', None),
    ("2023-11-14T22:13:20.123Z", '"2023-11-14T22:13:20.123Z"', None),
    ("2023-11-14T22:13:20.123999Z", '"2023-11-14T22:13:20.123Z"', None),
    ("2023-11-15T00:13:20+02:00", '"2023-11-14T22:13:20.000Z"', None),
    ("2023-11-15T00:13:20+0200", '"2023-11-14T22:13:20.000Z"', None),
    ("2023-11-15T00:13:20+02", '"2023-11-14T22:13:20.000Z"', None),
    ("2023-11-14T18:43:20-03:30", '"2023-11-14T22:13:20.000Z"', None),
    ("2023-11-15 00:13:20 +0200", '"2023-11-14T22:13:20.000Z"', None),
    ("2023-11-14 22:13:20", '"2023-11-14T22:13:20.000Z"', None),
    ("2023-11-14 23:13:20+01:00", '"2023-11-14T22:13:20.000Z"', None),
    ("2023-11-14T22:13", '"2023-11-14T22:13:00.000Z"', None),
    ("2023-11-14", '"2023-11-14T00:00:00.000Z"', None),
    ("20231114", '"2023-11-14T00:00:00.000Z"', None),
    ("11/14/2023", '"2023-11-14T00:00:00.000Z"', None),
    ("2024-02-29", '"2024-02-29T00:00:00.000Z"', None),
    ("0001-01-01", '"0001-01-01T00:00:00.000Z"', None),
    ("3000-12-31T23:59:59Z", '"3000-12-31T23:59:59.000Z"', None),
    ("3000-12-31T23:30:00-02:00", None, "bad_date"),
    ("3001-01-01", None, "bad_date"),
    ("99999999999999", None, "bad_date"),
    ("0000-01-01", None, "bad_date"),
    ("20260230", None, "bad_date"),
    ("2026-02-30", None, "bad_date"),
    ("02/30/2026", None, "bad_date"),
    ("2026-02-29", None, "bad_date"),
    ("2026-13-01", None, "bad_date"),
    ("2026-01-01T25:00:00Z", None, "bad_date"),
    ("1980", None, "bad_date"),
    ("14-11-2023", None, "bad_date"),
    ("11/14/23", None, "bad_date"),
    ("2023-11-14T22:13:20Znow", None, "bad_date"),
    ("epoch", None, "bad_date"),
    ("infinity", None, "bad_date"),
    ("now", None, "bad_date"),
    ("yesterday", None, "bad_date"),
    ("", None, None),
]
DATES = [
    ("1980-12-21", '"1980-12-21"', None),
    ("19801221", '"1980-12-21"', None),
    ("12/21/1980", '"1980-12-21"', None),
    ("346204800000", '"1980-12-21"', None),
    ("346204800", '"1980-12-21"', None),
    ("03/04/1980", '"1980-03-04"', "ambiguous_date"),
    ("-3600000", '"1969-12-31"', None),
    ("1980-12-21T00:00:00+01:00", '"1980-12-21"', None),
    ("1980-12-21T23:30:00-05:00", '"1980-12-21"', None),
    ("1980-12-21 10:00:00", '"1980-12-21"', None),
    ("1980-12-21 or so", None, "bad_date"),
    ("1980-13-01", None, "bad_date"),
    ("20260230", None, "bad_date"),
    ("3001-01-01", None, "bad_date"),
    ("1980", None, "bad_date"),
    ("21-12-1980", None, "bad_date"),
    ("", None, None),
]
NUMBERS = [str(number) for number in range(100, 601)]
ARRAYS = [
    (["b", "a"], '["a","b"]', None),
    (["a", "b", "a"], '["a","b"]', None),
    ([" a", "a\n", ""], '["a"]', None),
    (["a\xa0", "\u200ba", "\u3000", "\ufeff"], '["a"]', None),
    (["a\u200b"], '["a"]', None),
    (["B", "a", "A", "b"], '["A","B","a","b"]', None),
    (["10", "9"], '["10","9"]', None),
    (["z", "é", "e"], '["e","z","é"]', None),
    (['say "hi"', "back\\slash", "a\nb"], '["a\\nb","back\\\\slash","say \\"hi\\""]', None),
    (["007"], '["007"]', None),
    (["null", "true"], '["null","true"]', None),
    ([], None, None),
    (["", "  "], None, None),
    (NUMBERS[:500], '["' + '","'.join(NUMBERS[:500]) + '"]', None),
    ([*NUMBERS[:500], "100"], '["' + '","'.join(NUMBERS[:500]) + '"]', None),
    (NUMBERS, None, "too_many_elements"),
    (["x" * 99_996], '["' + "x" * 99_996 + '"]', None),
    (["x" * 99_997], None, "too_large"),
    (["é" * 49_998], '["' + "é" * 49_998 + '"]', None),
    (["é" * 49_999], None, "too_large"),
]
EXACTLY_100_KB = '{"a":[' + ",".join(['"' + "x" * 247 + '"'] * 399) + ',"' + "y" * 240 + '"]}'
OBJECTS = [
    ('{"b":1,"a":"x"}', '{"a":"x","b":1}', None),
    (' { "b" : 1 , "a" : [ 1 , 2 ] } ', '{"a":[1,2],"b":1}', None),
    ('[{"b":1,"a":2},{"c":3}]', '[{"a":2,"b":1},{"c":3}]', None),
    ("{}", "{}", None),
    ('{"a":"\\u00e9"}', '{"a":"é"}', None),
    ('{"a":"\\ud83d\\ude00"}', '{"a":"😀"}', None),
    ('{"a":1e2}', '{"a":100.0}', None),
    ('{"a":-0.0}', '{"a":0.0}', None),
    ('{"a":-0}', '{"a":0}', None),
    ('{"a":"' + "x" * 255 + '"}', '{"a":"' + "x" * 255 + '"}', None),
    ('{"' + "k" * 255 + '":1}', '{"' + "k" * 255 + '":1}', None),
    ('{"t":{"$time":"2026-01-02T01:00:00+02:00"}}', '{"t":{"$time":"2026-01-01T23:00:00.000Z"}}', None),
    ('{"t":{"$time":"2026-01-01"}}', '{"t":{"$time":"2026-01-01T00:00:00.000Z"}}', None),
    (EXACTLY_100_KB, EXACTLY_100_KB, None),
    (EXACTLY_100_KB.replace("y", "yy", 1), None, "too_large"),
    ("nope", None, "not_json"),
    ('{"a":1} {"b":2}', None, "not_json"),
    ('{"a":"\\ud800"}', None, "not_json"),
    ('{"a":' * 5_000 + "1" + "}" * 5_000, None, "too_deep"),
    ("5", None, "not_an_object"),
    ('"text"', None, "not_an_object"),
    ("null", None, "not_an_object"),
    ("[]", None, "not_an_object"),
    ('["x"]', None, "not_an_object"),
    ('[{"a":1},2]', None, "not_an_object"),
    ('{"a":null,"b":1}', '{"b":1}', None),
    ('{"a":null}', "{}", None),
    ('{"a":[1,null,{"b":{"c":null,"d":2}}]}', '{"a":[1,{"b":{"d":2}}]}', None),
    ('{"a":[[null,[null]],null]}', '{"a":[[[]]]}', None),
    ('[{"a":null,"b":1},null,{"c":{"d":null}}]', '[{"b":1},{"c":{}}]', None),
    ("[null]", None, "not_an_object"),
    ('{"t":{"$time":null},"b":1}', '{"b":1}', None),
    ('{"t":{"$time":"2026-01-01","b":null}}', '{"t":{"$time":"2026-01-01T00:00:00.000Z"}}', None),
    ('{"a":{"inc":null,"b":1}}', '{"a":{"b":1}}', None),
    ('{"inc":5}', None, "operator_in_object"),
    ('{"inc":-1,"currency":"EUR"}', None, "operator_in_object"),
    ('{"add":["x"]}', None, "operator_in_object"),
    ('{"remove":["x"],"add":["y"]}', None, "operator_in_object"),
    ('{"$add":[{"id":1}]}', None, "operator_in_object"),
    ('{"$update":[{"$identifier_key":"id"}]}', None, "operator_in_object"),
    ('{"$remove":[]}', None, "operator_in_object"),
    ('{"a":{"inc":5,"add":["x"]}}', '{"a":{"add":["x"],"inc":5}}', None),
    ('[{"inc":5}]', '[{"inc":5}]', None),
    ('{"inc":null,"a":1}', '{"a":1}', None),
    ('{"a":NaN}', None, "not_a_number"),
    ('{"a":[-Infinity]}', None, "not_a_number"),
    ('{"a":1e400}', None, "not_a_number"),
    ('{"a":"' + "x" * 256 + '"}', None, "too_long"),
    ('{"a b":1}', None, "bad_key_in_object"),
    ('{"a.b":1}', None, "bad_key_in_object"),
    ('{"a":{"$b":1}}', None, "bad_key_in_object"),
    ('{"":1}', None, "bad_key_in_object"),
    ('{"' + "k" * 256 + '":1}', None, "bad_key_in_object"),
    ('{"t":{"$time":"soon"}}', None, "bad_date"),
    ('{"t":{"$time":null}}', "{}", None),
    ('{"t":{"$time":"20260230"}}', None, "bad_date"),
    ('{"t":{"$time":"3001-01-01"}}', None, "bad_date"),
    ('{"t":{"$time":"2026-01-01","b":1}}', None, "bad_date"),
    ("", None, None),
]

TABLES = [
    pytest.param(STRING, STRINGS, id="string"),
    pytest.param(INTEGER, INTEGERS, id="integer"),
    pytest.param(FLOAT, FLOATS, id="float"),
    pytest.param(BOOLEAN, BOOLEANS, id="boolean"),
    pytest.param(TIME, TIMES, id="time"),
    pytest.param(DATE, DATES, id="date"),
    pytest.param(ARRAY, ARRAYS, id="array"),
    pytest.param(OBJECT, OBJECTS, id="object"),
]


@pytest.mark.parametrize(("rule", "table"), TABLES)
def test_a_value_becomes_its_json_text_or_gets_a_reason(
    rule: ValueRule, table: list[tuple[str | list[str], str | None, str | None]], tmp_path: Path
) -> None:
    found = map_values(tmp_path, rule, [source for source, *_ in table])

    # Compared row by row in one dict, so that a failure shows the rows that differ.
    wanted = {str(source)[:80]: (text, reason) for source, text, reason in table}
    assert dict(zip([str(source)[:80] for source, *_ in table], found, strict=True)) == wanted


@pytest.mark.parametrize(("rule", "table"), TABLES)
def test_the_written_form_of_a_value_is_written_the_same_again(
    rule: ValueRule, table: list[tuple[str | list[str], str | None, str | None]], tmp_path: Path
) -> None:
    texts = [text for _, text, _ in table if text is not None]

    again = map_values(tmp_path, rule, [as_source(text, rule) for text in texts])

    assert again == [(text, None) for text in texts]


def as_source(text: str, rule: ValueRule) -> str | list[str]:
    """What a read of the target would give for a JSON text, in the form of a source value."""
    value = json.loads(text)
    if rule.takes_list:
        return [str(element) for element in value]
    return value if isinstance(value, str) else text


@pytest.mark.parametrize(
    ("rule", "spellings"),
    [
        pytest.param(INTEGER, ["7", "007", "+7", "7.0", " 7 "], id="integer"),
        pytest.param(INTEGER, ["0", "-0", "+0", "0.0", "-0.0"], id="integer zero"),
        pytest.param(FLOAT, ["1.5", "1.50", "+1.5", "15e-1", "01.5", "0.15E1"], id="float"),
        pytest.param(FLOAT, ["0", "-0", "0.0", "-0.0", "0e5", "-.0"], id="float zero"),
        pytest.param(BOOLEAN, ["true", "TRUE", "1", "yes", "t"], id="boolean"),
        pytest.param(
            TIME, ["1700000000000", "2023-11-14T22:13:20Z", "2023-11-14 17:13:20-05:00", "2023-11-15T00:13:20.0+02"],
            id="time",
        ),
        pytest.param(DATE, ["1980-12-21", "12/21/1980", "19801221", "1980-12-21T00:00:00+01:00"], id="date"),
        pytest.param(ARRAY, [["a", "b"], ["b", "a"], ["a", "b", "a "]], id="array"),
        pytest.param(OBJECT, ['{"a":1,"b":[0.5]}', '{ "b":[5e-1], "a":1}', '{"\\u0061":1,"b":[0.50]}'], id="object"),
    ],
)  # fmt: skip
def test_two_spellings_of_one_value_are_not_a_change(rule: ValueRule, spellings: Texts, tmp_path: Path) -> None:
    found = map_values(tmp_path, rule, spellings)

    assert len(set(found)) == 1
    assert found[0][0] is not None


@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=40))
@settings(max_examples=20, deadline=None)
def test_any_text_comes_back_from_its_json_text(folder: FreshFolder, texts: list[str]) -> None:
    found = map_values(folder(), STRING, texts)

    read_back = [None if text is None else json.loads(text) for text, _ in found]
    assert read_back == [trimmed(text) or None for text in texts]


@given(st.lists(st.integers(-(10**18) + 1, 10**18 - 1), min_size=1, max_size=40))
@settings(max_examples=8, deadline=None)
def test_a_whole_number_keeps_every_digit(folder: FreshFolder, numbers: list[int]) -> None:
    found = map_values(folder(), INTEGER, [str(number) for number in numbers])

    assert found == [(str(number), None) for number in numbers]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
@settings(max_examples=10, deadline=None)
def test_a_number_keeps_its_value_and_has_one_text_for_all_its_spellings(
    folder: FreshFolder, numbers: list[float]
) -> None:
    plain = map_values(folder(), FLOAT, [repr(number) for number in numbers])
    scientific = map_values(folder(), FLOAT, [f"{number:.17E}" for number in numbers])
    again = map_values(folder(), FLOAT, [str(text) for text, _ in plain])

    assert [json.loads(str(text)) for text, _ in plain] == numbers
    assert plain == scientific == again


moments = st.datetimes(
    min_value=dt.datetime(2, 1, 1),  # noqa: DTZ001 - what Hypothesis asks for
    max_value=dt.datetime(3000, 12, 30),  # noqa: DTZ001
    timezones=st.just(dt.UTC),
).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))


@given(st.lists(st.tuples(moments, offsets), min_size=1, max_size=40))
@settings(max_examples=12, deadline=None)
def test_a_moment_has_one_text_whatever_zone_it_is_written_in(
    folder: FreshFolder, written: list[tuple[dt.datetime, dt.timezone]]
) -> None:
    found = map_values(folder(), TIME, [moment.astimezone(zone).isoformat() for moment, zone in written])

    wanted = [moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z" for moment, _ in written]
    assert found == [(f'"{text}"', None) for text in wanted]


@given(st.lists(st.lists(st.text(max_size=8), max_size=12), min_size=1, max_size=30))
@settings(max_examples=12, deadline=None)
def test_an_array_is_the_same_in_any_order_and_read_back_is_the_set_that_went_in(
    folder: FreshFolder, arrays: list[list[str]]
) -> None:
    turned = [[*reversed(array), *array[:1]] for array in arrays]

    found = map_values(folder(), ARRAY, list(arrays))

    assert map_values(folder(), ARRAY, list(turned)) == found
    wanted = [{trimmed(element) for element in array} - {""} for array in arrays]
    assert [set(json.loads(text)) if text else set() for text, _ in found] == wanted


OPERATORS = {"inc", "add", "remove"}
keys = st.text(min_size=1, max_size=6).filter(lambda key: key not in OPERATORS and not set(key) & set(" .$"))
floats = st.floats(allow_nan=False, allow_infinity=False)
leaves = st.text(max_size=10) | st.integers(-(10**12), 10**12) | st.booleans() | floats
documents = st.dictionaries(
    keys, st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)),
    max_size=4,
)  # fmt: skip


@given(documents)
@settings(max_examples=80, deadline=None)
def test_a_document_has_one_text_for_all_its_spellings_and_keeps_its_content(document: dict[str, object]) -> None:
    backwards = json.dumps(dict(reversed(document.items())), indent=2, ensure_ascii=True)

    text, reason = check_document(json.dumps(document, ensure_ascii=False))

    assert reason is None
    assert text is not None
    assert json.loads(text) == document
    assert check_document(backwards) == (text, None)
    assert check_document(text) == (text, None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "null"),
        (5, "5"),
        ("Zoë 😀", '"Zoë 😀"'),
        ({"b": [1, "x"], "a": {}}, '{"a":{},"b":[1,"x"]}'),
    ],
)
def test_a_value_of_a_goal_file_becomes_its_json_text(value: object, text: str) -> None:
    assert canonical_json(value) == text
