"""What counts as a time is the same everywhere: where types are guessed, in columns, and inside objects."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.blueconic.values import blueconic_rule
from airflow_provider_braze_blueconic.sync.braze.documents import check_document
from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect
from airflow_provider_braze_blueconic.sync.values.date_formats import TimeReading, date_format_problem
from airflow_provider_braze_blueconic.sync.values.moments import is_time, read_moment
from airflow_provider_braze_blueconic.sync.values.texts import date_rule, time_rule
from airflow_provider_braze_blueconic.sync.values.times import timestamp_sql
from tests.support.core import map_values

InSql = Callable[[str], dt.datetime | None]


@pytest.fixture(scope="module")
def in_sql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InSql]:
    """What a column reads."""
    with connect(Engine(tmp_path_factory.mktemp("sql"), threads=1)) as connection:
        statement = f"SELECT {timestamp_sql('v')} FROM (SELECT $v AS v)"

        def read(text: str) -> dt.datetime | None:
            try:
                found = connection.execute(statement, {"v": text}).fetchall()[0][0]
            except duckdb.Error as error:
                raise AssertionError(text) from error
            return None if found is None else found.replace(tzinfo=dt.UTC)

        yield read


NOON = "2026-01-15T12:00:00+00:00"
TIMES = [
    # What the libraries of applications write by themselves.
    ("2026-01-15 13:00:00 +0100", NOON),  # Ruby
    ("2026-01-15 12:00:00 UTC", NOON),  # Ruby, and Braze's created_at
    ("2026-01-15 12:00:00.000 UTC", NOON),
    ("2026-01-15 12:00:00+00:00", NOON),  # Python
    ("2026-01-15 12:00:00,000", NOON),  # Python's logs
    ("2026-01-15T12:00:00.000Z", NOON),  # JavaScript
    ("2026-01-15T12:00:00:000+0000", NOON),  # Braze's own page
    ("2026-01-15T12:00:00 GMT", NOON),
    ("2026-01-15t12:00:00z", NOON),
    ("2026-01-15 08:30 -0330", NOON),
    ("2026-01-15T17:45+05:45", NOON),
    ("2026-01-15 13:00:00 +01", NOON),
    ("2026-01-15T12:00:00.123456789Z", "2026-01-15T12:00:00.123456+00:00"),
]
NUMBERS = [
    ("1768478400", NOON),
    ("1768478400.25", "2026-01-15T12:00:00.250000+00:00"),
    ("1768478400.1234567", "2026-01-15T12:00:00.123457+00:00"),
    ("1768478400000", NOON),
    ("1768478400000.5", "2026-01-15T12:00:00.000500+00:00"),
    ("1768478400000000", NOON),
    ("1768478400000000000", NOON),
    ("1768478400000000000.5", NOON),
    ("176847840000000000", "1975-08-09T20:24:00+00:00"),
    ("346204800", "1980-12-21T00:00:00+00:00"),
    ("346204800000", "1980-12-21T00:00:00+00:00"),
    ("-315619200", "1960-01-01T00:00:00+00:00"),
    ("-315619200000", "1960-01-01T00:00:00+00:00"),
    ("-1262304000", "1930-01-01T00:00:00+00:00"),
    ("31536000", "1971-01-01T00:00:00+00:00"),
    ("-31536000", "1969-01-01T00:00:00+00:00"),
    ("253402214400000", "9999-12-31T00:00:00+00:00"),
    ("9999999999", "2286-11-20T17:46:39+00:00"),
    ("10000000000", "1970-04-26T17:46:40+00:00"),
    # Round the beginning of 1970, as birthdays in some time zone have it.
    ("0", "1970-01-01T00:00:00+00:00"),
    ("82800000", "1970-01-01T23:00:00+00:00"),
    ("-3600000", "1969-12-31T23:00:00+00:00"),
    ("-86400000", "1969-12-31T00:00:00+00:00"),
]
DAYS = [
    ("2026-01-15", "2026-01-15T00:00:00+00:00"),
    ("20260115", "2026-01-15T00:00:00+00:00"),
    ("01/15/2026", "2026-01-15T00:00:00+00:00"),
    ("1/5/2026", "2026-01-05T00:00:00+00:00"),
    ("20260115120000", NOON),
    ("20260115T120000Z", NOON),
    ("20260115T130000+0100", NOON),
]
NO_TIMES = [
    "", "1980", "12345", "20260230", "31121980", "20261301120000", "21/12/1980", "21-12-1980", "1/2/26", "2026-01",
    "2026-02-30", "2026-01-15T25:00:00Z", "2026-01-15T12:60:00Z", "2026-01-15 noon", "12:00:00", "epoch", "now", "-",
    "1e12", "0x10", "1_768_478_400", "--1768478400", "17684784000000000000000", "١٧٦٨٤٧٨٤٠٠",
    # Small numbers with a fraction, and numbers beyond the year 9999.
    "-0.5", "0.0", "82800000.5", "20260115.0", "20260115120000.5", "253402300800000", "999999999999999.9", "-999999999999999",
]  # fmt: skip


@pytest.mark.parametrize(("text", "moment"), [*TIMES, *NUMBERS, *DAYS])
def test_a_time_is_read_alike_in_a_column_and_inside_an_object(text: str, moment: str, in_sql: InSql) -> None:
    expected = dt.datetime.fromisoformat(moment)

    assert (in_sql(text), read_moment(text)) == (expected, expected)


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_none_anywhere(text: str, in_sql: InSql) -> None:
    assert (in_sql(text), read_moment(text), is_time(text)) == (None, None, False)


@pytest.mark.parametrize("text", [text for text, _ in TIMES])
def test_what_counts_as_a_time_when_types_are_guessed_can_be_read_afterwards(text: str, tmp_path: Path) -> None:
    ((stored, reason),) = map_values(tmp_path, blueconic_rule("DATETIME", "set"), [text])

    assert is_time(text)
    assert (stored, reason) == ('["1768478400123"]' if "123" in text else '["1768478400000"]', None)


@pytest.mark.parametrize("text", [text for text, _ in (*NUMBERS, *DAYS)])
def test_a_number_or_a_day_alone_does_not_make_a_field_one_of_times(text: str) -> None:
    assert not is_time(text)


_FIRST, _LAST = (dt.datetime.fromisoformat(day) for day in ("0001-01-03", "9999-12-29"))


@given(
    moment=st.datetimes(_FIRST, _LAST),
    mark=st.sampled_from("T t"),
    seconds=st.sampled_from(["", ":%S", ":%S.%f", ":%S,%f", ":%S:%f"]),
    zone=st.sampled_from(["", "Z", " Z", " UTC", "GMT", "+01", " +0530", "-03:30", " -14:00", "+15:59"]),
)
@example(moment=_FIRST, mark=" ", seconds=":%S", zone=" +0100")
@settings(max_examples=150, deadline=None)
def test_whatever_is_taken_for_a_time_is_the_same_moment_in_sql_and_in_python(
    in_sql: InSql, moment: dt.datetime, mark: str, seconds: str, zone: str
) -> None:
    # Not strftime alone: it writes the years before 1000 without their zeros on some machines.
    text = f"{moment.date().isoformat()}{mark}{moment.strftime('%H:%M' + seconds)}{zone}"

    found = read_moment(text)

    assert is_time(text)
    assert found is not None
    assert in_sql(text) == found


@given(st.integers(-(10**19), 10**19))
@settings(max_examples=150, deadline=None)
def test_a_number_is_the_same_moment_in_sql_and_in_python(in_sql: InSql, number: int) -> None:
    found = read_moment(str(number))

    # Python ends with the year 9999.
    assert found is None or in_sql(str(number)) == found


# Which day a text with slashes is


AMBIGUOUS: Sequence[tuple[str, str | None, str | None]] = [
    ("03/04/1980", '"1980-03-04"', "ambiguous_date"),
    ("3/4/1980", '"1980-03-04"', "ambiguous_date"),
    ("12/11/1980", '"1980-12-11"', "ambiguous_date"),
    ("04/04/1980", '"1980-04-04"', None),
    ("12/21/1980", '"1980-12-21"', None),
    ("21/12/1980", None, "bad_date"),
    ("1980-03-04", '"1980-03-04"', None),
]


def test_a_date_that_may_be_another_day_is_sent_as_braze_reads_it_and_counted(tmp_path: Path) -> None:
    found = map_values(tmp_path, date_rule(source="here"), [text for text, *_ in AMBIGUOUS])

    assert found == [(day, reason) for _, day, reason in AMBIGUOUS]


def test_an_ambiguous_date_is_counted_on_its_way_into_blueconic_too(tmp_path: Path) -> None:
    values: list[str | list[str]] = ["03/04/1980", ["1980-03-04", "03/04/1980"], "04/04/1980"]

    found = map_values(tmp_path, blueconic_rule("DATETIME", "set"), values)

    assert [reason for _, reason in found] == ["ambiguous_date", "ambiguous_date", None]


# How a row says that dates are written


FORMATS = [
    ("%d/%m/%Y", "21/12/1980", '"1980-12-21T00:00:00.000Z"', '"1980-12-21"'),
    ("%d/%m/%Y", "03/04/1980", '"1980-04-03T00:00:00.000Z"', '"1980-04-03"'),
    ("%d/%m/%Y", "3/4/1980", '"1980-04-03T00:00:00.000Z"', '"1980-04-03"'),
    ("%d.%m.%Y", "21.12.1980", '"1980-12-21T00:00:00.000Z"', '"1980-12-21"'),
    ("%d%m%Y", "21121980", '"1980-12-21T00:00:00.000Z"', '"1980-12-21"'),
    ("%d %b %Y", "21 Dec 1980", '"1980-12-21T00:00:00.000Z"', '"1980-12-21"'),
    ("%B %d, %Y", "december 21, 1980", '"1980-12-21T00:00:00.000Z"', '"1980-12-21"'),
    ("%d/%m/%Y %H:%M", "21/12/1980 23:30", '"1980-12-21T23:30:00.000Z"', '"1980-12-21"'),
    ("%d/%m/%Y %I:%M %p", "21/12/1980 11:30 PM", '"1980-12-21T23:30:00.000Z"', '"1980-12-21"'),
    ("%d/%m/%Y %H:%M:%S %z", "21/12/1980 00:30:00 +0100", '"1980-12-20T23:30:00.000Z"', '"1980-12-21"'),
    ("%d/%m/%Y %H:%M:%S%z", "21/12/1980 00:30:00Z", '"1980-12-21T00:30:00.000Z"', '"1980-12-21"'),
    ("%d/%m/%Y %H:%M:%S.%f", "21/12/1980 00:30:00.25", '"1980-12-21T00:30:00.250Z"', '"1980-12-21"'),
    ("%Y%j", "1980356", '"1980-12-21T00:00:00.000Z"', '"1980-12-21"'),
    ("day '%d' of %m/%Y", "day '21' of 12/1980", '"1980-12-21T00:00:00.000Z"', '"1980-12-21"'),
    ("%d/%m/%Y", "12/21/1980", None, None),
    ("%d/%m/%Y", "1980-12-21", None, None),
    ("%d/%m/%Y", "346204800000", None, None),
    ("%d/%m/%Y", "30/02/1980", None, None),
    ("%d/%m/%Y", "21/12/1980 or so", None, None),
    ("%d/%m/%Y", "21/12/4000", None, None),
]


def test_a_row_says_how_its_dates_are_written_and_what_is_written_otherwise_is_left_out(tmp_path: Path) -> None:
    for number, (date_format, text, time, day) in enumerate(FORMATS):
        reading = TimeReading(date_format=date_format)
        (as_time,) = map_values(tmp_path / f"{number}-time", time_rule(source="", reading=reading), [text])
        (as_day,) = map_values(tmp_path / f"{number}-day", date_rule(source="", reading=reading), [text])

        assert as_time == (time, None if time else "bad_date"), (date_format, text)
        assert as_day == (day, None if day else "bad_date"), (date_format, text)


def test_dates_are_written_as_the_row_says_on_their_way_into_blueconic_too(tmp_path: Path) -> None:
    rule = blueconic_rule("DATETIME", "set", reading=TimeReading(date_format="%d/%m/%Y"))

    found = map_values(tmp_path, rule, ["21/12/1980", ["03/04/1980", "21/12/1980"], ["21/12/1980", "12/21/1980"]])

    assert found == [('["346204800000"]', None), ('["323568000000","346204800000"]', None), (None, "bad_date")]


@pytest.mark.parametrize(
    ("date_format", "problem"),
    [
        ("dd/mm/yyyy", "names no part of a date."),
        ("100%%", "names no part of a date."),
        ("%d/%m/%Q", 'holds "%Q", which isn\'t a part of a date.'),
        ("%s", 'holds "%s", which isn\'t a part of a date.'),
        ("%-d/%m/%Y", 'holds "%-", which isn\'t a part of a date.'),
        ("%d/%m/%", 'holds "%", which isn\'t a part of a date.'),
        ("%d/%m", "has no year."),
        ("%H:%M", "has no year."),
        ("%m/%Y", "has no day and month."),
        ("%d %Y", "has no day and month."),
        ("%d/%m/%Y %I:%M", "needs %I and %p together"),
        ("%d/%m/%Y %H:%M %p", "needs %I and %p together"),
        ("%d/%m/%Y %d", "names a part of the date twice"),
        ("", "names no part of a date."),
    ],
)
def test_a_format_that_can_not_be_read_says_why(date_format: str, problem: str) -> None:
    assert (date_format_problem(date_format) or "").startswith(problem)


@pytest.mark.parametrize("date_format", sorted({row[0] for row in FORMATS}))
def test_a_format_that_can_be_read_is_taken(date_format: str) -> None:
    assert date_format_problem(date_format) is None
    assert date_format_problem(date_format, day_only=True) is None


@pytest.mark.parametrize(
    ("date_format", "problem"),
    [("%d/%m/%y", "has a two-digit year"), ("%a %b %d %H:%M:%S %z %Y", "has %z in the middle")],
)
def test_a_birthday_needs_its_century_and_its_own_day(date_format: str, problem: str) -> None:
    assert date_format_problem(date_format) is None
    assert (date_format_problem(date_format, day_only=True) or "").startswith(problem)


# Numbers of BlueConic's own


def test_a_birthday_of_1970_that_blueconic_holds_in_milliseconds_is_no_date_of_today(tmp_path: Path) -> None:
    days = ["1209600000", "-1036800000", "2678400000", "1700000000"]

    found = map_values(tmp_path, date_rule(source="", reading=TimeReading(milliseconds=True)), days)

    assert [text for text, _ in found] == ['"1970-01-15"', '"1969-12-20"', '"1970-02-01"', '"2023-11-14"']


def test_what_blueconic_stores_of_a_time_is_read_back_as_it_is(tmp_path: Path) -> None:
    stored = ["1209600000", "1209600123", "-86400000", "31536000", "346204800000"]

    found = map_values(tmp_path, blueconic_rule("DATETIME", "set", is_stored=True), stored)

    assert [text for text, _ in found] == [f'["{milliseconds}"]' for milliseconds in stored]


@pytest.mark.parametrize("text", ["2026-01-15 13:00:00 +0100", "1768478400", "01/15/2026", "20260115T120000Z"])
def test_a_time_inside_an_object_is_read_as_any_other(text: str) -> None:
    day = "00" if "/" in text else "12"

    assert check_document(f'{{"t":{{"$time":"{text}"}}}}') == (
        f'{{"t":{{"$time":"2026-01-15T{day}:00:00.000Z"}}}}',
        None,
    )
