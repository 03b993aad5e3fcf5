"""What a time is: every form in which a moment or a day is written, read in SQL for columns and in Python for the rest.

============================================  =======================================================================
``2026-01-15T12:00:00.123+01:00``             ISO 8601 and its relatives: a space for the ``T``, a comma or colon before
                                              the fraction, a space before the offset (Ruby), ``UTC`` or ``GMT`` for it,
                                              none at all for UTC, as Braze reads it
``2026-01-15``, ``20260115``                  a day
``20260115120000``, ``20260115T120000Z``      the same without marks
``01/15/2026``                                month, day, year: the one form with slashes that Braze reads
``1768474800``                                a number since 1970: nine and ten digits are seconds, up to fifteen
                                              milliseconds, up to seventeen microseconds, more are nanoseconds
============================================  =======================================================================

A number that lies outside the years 1 to 9999 is no time: neither end has a form for it.

Standard library only: the goals' checks and the reading of a Braze export use it too.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

__all__ = [
    "AS_FOUND",
    "TimeReading",
    "ambiguous_date_sql",
    "date_format_problem",
    "day_sql",
    "is_time",
    "read_moment",
    "timestamp_sql",
    "written_moment_sql",
]

_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_OFFSET = "[+-][0-9]{2}(?::?[0-9]{2})?"
_MOMENT = rf"{_DAY}[Tt ][0-9]{{2}}:[0-9]{{2}}(?::[0-9]{{2}}(?:[.,:][0-9]{{1,9}})?)?(?: ?(?:[Zz]|UTC|GMT|{_OFFSET}))?"
_BEGINS_AS_DAY = f"{_DAY}.*"
_COMPACT_DAY = "[0-9]{8}"
_BASIC_MOMENT = rf"[0-9]{{8}}T[0-9]{{6}}(?:Z|{_OFFSET})?"
_AMERICAN_DAY = "[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}"

_FRACTION = r"(?:\.[0-9]+)?"
_COMPACT_MOMENT = f"(?:19|20)[0-9]{{12}}{_FRACTION}"
"""As milliseconds these would be moments after the year 2500. One with a fraction is none at all."""
_NUMBER = f"-?[0-9]{{1,19}}{_FRACTION}"
_SECONDS = f"-?[0-9]{{9,10}}{_FRACTION}"
_MILLISECONDS = f"0|-?[0-9]{{11,15}}{_FRACTION}"
"""Up to fifteen digits: the last day of the year 9999, which stands for never, has so many."""
_PLAIN_MILLISECONDS = "-?[0-9]{11,13}"
_MICROSECONDS = f"-?[0-9]{{16,17}}{_FRACTION}"
_NANOSECONDS = f"-?[0-9]{{18,19}}{_FRACTION}"
_SMALL_NEGATIVE = "-[0-9]{1,8}"
_SMALL = "[0-9]{5,8}"
_WHOLE_MINUTES = "[0-9]{3,4}0000"
"""Milliseconds of the first day of 1970, a birthday in some time zone: no date of eight digits ends in four zeros."""
_FIRST, _LAST = "TIMESTAMP '0001-01-01'", "TIMESTAMP '9999-12-31 23:59:59.999999'"
_SHORTEST_MOMENT = len("2026-11-30T12:00")
_DAY_SECONDS = 86_400
_MINUTE = 60_000
_QUARTER = 900_000
"""Milliseconds. Time zones differ by whole quarters of an hour, so the birthdays of all zones are whole ones."""

_DIRECTIVES = "aAbBdfHIjmMpSyYz%"
"""What Python's and DuckDB's ``strptime`` read alike."""
_TOKEN = re.compile(r"%(.?)", re.DOTALL)
_LAST_OFFSET = re.compile(r"\s*%z\Z")


@dataclass(frozen=True)
class TimeReading:
    """How a source writes its times, as far as it is known.

    :param date_format: the one form of all its texts, as ``strptime`` has it; anything else is no time.
    :param milliseconds: numbers are milliseconds since 1970, by the type of the source. Between January and April 1970
        these have nine or ten digits, as seconds have: a whole quarter of an hour is then taken for a birthday. Nothing
        else happened in that year that a profile would tell.
    """

    date_format: str | None = None
    milliseconds: bool = False


AS_FOUND = TimeReading()
"""Nothing is known: the value itself has to tell."""


def timestamp_sql(value: str, reading: TimeReading = AS_FOUND) -> str:
    """SQL for the UTC timestamp of a text; NULL if it is no time.

    The casts go over TIMESTAMPTZ because a cast to TIMESTAMP drops an offset in silence. Each form is matched before it
    is read: DuckDB also reads words such as ``epoch``.
    """
    if reading.date_format is not None:
        return _formatted_sql(value, reading.date_format)
    return _forms_sql(value, written_moment_sql(value), reading)


def _forms_sql(value: str, written: str, reading: TimeReading) -> str:
    """SQL that finds out the form of a text and reads it, the two usual ones first.

    :param written: SQL for what a text names that begins as a day in ISO 8601 does.
    """
    number = f"TRY_CAST({value} AS BIGINT)"
    forms = [
        (_matches(value, _PLAIN_MILLISECONDS), f"epoch_ms({number})"),
        (_matches(value, _BEGINS_AS_DAY), written),
        (_matches(value, _NUMBER), _number_sql(value)),
        (_matches(value, _AMERICAN_DAY), f"try_strptime({value}, '%m/%d/%Y')"),
        (_matches(value, _BASIC_MOMENT), _basic_sql(value)),
    ]
    if reading.milliseconds:
        is_birthday = f"{_matches(value, '-?[0-9]{9,10}')} AND {number} % {_QUARTER} = 0"
        forms.insert(2, (is_birthday, f"epoch_ms({number})"))
    return f"CASE {' '.join(f'WHEN {condition} THEN {moment}' for condition, moment in forms)} END"


def _number_sql(value: str) -> str:
    """SQL for the moment of a number since 1970, or of a day that is written as one; its digits tell the unit."""
    digits = f"strlen(split_part(ltrim({value}, '-'), '.', 1))"
    exact = f"TRY_CAST({value} AS DECIMAL(38, 6))"
    is_compact = f"{digits} = 14 AND {value}[:2] IN ('19', '20')"
    moment = (
        f"CASE WHEN {is_compact} THEN try_strptime({value}, '%Y%m%d%H%M%S') "
        f"WHEN {digits} > 17 THEN make_timestamp(TRY_CAST(split_part({value}, '.', 1)[:-4] AS BIGINT)) "
        f"WHEN {digits} > 8 THEN make_timestamp(({exact} * CASE WHEN {digits} < 11 THEN 1000000 "
        f"WHEN {digits} < 16 THEN 1000 ELSE 1 END)::BIGINT) "
        f"WHEN NOT contains({value}, '.') THEN {_small_sql(value)} END"
    )
    return f"CASE WHEN {moment} BETWEEN {_FIRST} AND {_LAST} THEN {moment} END"


def _small_sql(value: str) -> str:
    """SQL for a number of up to eight digits: a day, or a moment round the beginning of 1970."""
    number = f"TRY_CAST({value} AS BIGINT)"
    is_milliseconds = f"{number} % {_MINUTE} = 0 OR {number} % {_DAY_SECONDS} <> 0"
    return (
        f"CASE WHEN starts_with({value}, '-') THEN "
        f"make_timestamp({number} * CASE WHEN {is_milliseconds} THEN 1000 ELSE 1000000 END) "
        f"ELSE coalesce(CASE WHEN strlen({value}) = 8 THEN try_strptime({value}, '%Y%m%d') END, "
        f"CASE WHEN {number} = 0 OR ({number} % 10000 = 0 AND strlen({value}) > 6) THEN epoch_ms({number}) "
        f"WHEN {number} % {_DAY_SECONDS} = 0 AND strlen({value}) > 4 THEN make_timestamp({number} * 1000000) END) END"
    )


def day_sql(value: str, reading: TimeReading = AS_FOUND) -> str:
    """SQL for the day that a text names, as a timestamp at midnight or later; NULL if it names none.

    Of a moment it is the day that is written: a birthday at midnight in Amsterdam is the evening before in UTC, and
    still the same birthday. Of a number since 1970 it is the day in UTC.
    """
    if reading.date_format is not None:
        bare = _LAST_OFFSET.sub("", reading.date_format)
        if bare != reading.date_format:
            value = f"regexp_replace({value}, '\\s*(Z|z|{_OFFSET})$', '')"
        return _formatted_sql(value, bare)
    written = f"CASE WHEN {written_moment_sql(value)} IS NOT NULL THEN try_strptime(({value})[:10], '%Y-%m-%d') END"
    return _forms_sql(value, written, reading)


def ambiguous_date_sql(value: str) -> str:
    """SQL that tells whether a text could as well mean another day: ``03/04/1980`` is in March or in April."""
    first, second = (f"TRY_CAST(split_part({value}, '/', {place}) AS INTEGER)" for place in (1, 2))
    return f"{_matches(value, _AMERICAN_DAY)} AND {first} <= 12 AND {second} <= 12 AND {first} <> {second}"


def is_time(text: str) -> bool:
    """Tell whether a text is a moment beyond doubt, so that its field may be taken for one of times.

    A day alone is none: for a birthday a text is the better home. Whatever this says yes to, :func:`timestamp_sql`
    and :func:`read_moment` read.
    """
    if len(text) < _SHORTEST_MOMENT or text[4] != "-" or _PYTHON_MOMENT.fullmatch(text) is None:
        return False
    return _written(text) is not None


def read_moment(text: str) -> dt.datetime | None:
    """Read what :func:`timestamp_sql` reads, of a single text.

    :return: UTC; ``None`` if it is no time, or one that Python can't hold.
    """
    try:
        return _read(text.strip())
    except (OverflowError, ValueError):
        return None


def date_format_problem(text: str, *, day_only: bool = False) -> str | None:
    """Say why this is no format of dates; ``None`` if it is one.

    :param day_only: it is for a birthday.
    """
    example = 'Write it as strptime has it, such as "%d/%m/%Y" or "%Y-%m-%d %H:%M:%S %z".'
    codes = [token[1] for token in _TOKEN.finditer(text)]
    unknown = next((f"%{code}" for code in codes if code == "" or code not in _DIRECTIVES), None)
    has_day = "j" in codes or ("d" in codes and not {"m", "b", "B"}.isdisjoint(codes))
    faults = {
        f'holds "{unknown}", which is no part of a date. {example}': unknown is not None,
        f"names no part of a date. {example}": set(codes) <= {"%"},
        f"has no year. {example}": {"Y", "y"}.isdisjoint(codes),
        f"has no day and month. {example}": not has_day,
        "needs %I and %p together: an hour of twelve, and which half of the day.": ("I" in codes) != ("p" in codes),
        "has a year of two digits, which leaves the century of a birthday open. Let the source write four.": (
            day_only and "y" in codes
        ),
        "has %z in its middle. For a birthday it is possible at the end only.": (
            day_only and "z" in codes and not _LAST_OFFSET.search(text)
        ),
        f"names a part of the date twice, or two parts that can't be told apart. {example}": not _reads_back(text),
    }
    return next((fault for fault, is_there in faults.items() if is_there), None)


def _reads_back(date_format: str) -> bool:
    moment = dt.datetime(2001, 2, 3, 4, 5, 6, 7, dt.UTC)
    try:
        dt.datetime.strptime(moment.strftime(date_format), date_format)  # noqa: DTZ007  a day has no zone
    except (ValueError, re.error):
        return False
    return True


def _matches(value: str, pattern: str) -> str:
    return f"regexp_full_match({value}, '{pattern}')"


def written_moment_sql(value: str) -> str:
    """SQL for the UTC timestamp of a text that begins as a day in ISO 8601 does: DuckDB's reading, widened.

    That is a space before the offset, a fraction after a comma or a colon, and small letters.
    """
    joined = f"regexp_replace(regexp_replace(upper({value}), ' ?(Z|UTC|GMT)$', '+00'), ' ([+-])', '\\1')"
    plain = f"regexp_replace({joined}, '(:[0-9]{{2}}:[0-9]{{2}})[,:]', '\\1.')"
    return f"coalesce(TRY_CAST({value} AS TIMESTAMPTZ), TRY_CAST({plain} AS TIMESTAMPTZ)) AT TIME ZONE 'UTC'"


def _basic_sql(value: str) -> str:
    marks = r"'(....)(..)(..)T(..)(..)(..)(.*)', '\1-\2-\3T\4:\5:\6\7'"
    return f"TRY_CAST(regexp_replace({value}, {marks}) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'"


def _formatted_sql(value: str, date_format: str) -> str:
    """SQL for the UTC timestamp of a text of this one form."""
    form = "'" + date_format.replace("'", "''") + "'"
    if "%z" not in date_format.replace("%%", ""):
        return f"try_strptime({value}, {form})"
    # Python takes Z for an offset, DuckDB does not.
    with_offset = f"regexp_replace({value}, '[Zz]$', '+00:00')" if date_format.endswith("%z") else value
    return f"try_strptime({with_offset}, {form}) AT TIME ZONE 'UTC'"


_FURTHEST_ZONE = 15
"""Hours from UTC that DuckDB and Python read alike; the Pacific's furthest islands are at 14."""
_PYTHON_MOMENT = re.compile(
    rf"({_DAY})[Tt ]([0-9]{{2}}):([0-9]{{2}})(?::([0-9]{{2}})(?:[.,:]([0-9]{{1,9}}))?)?"
    rf"(?: ?(Z|z|UTC|GMT|{_OFFSET}))?"
)


def _written(text: str) -> dt.datetime | None:
    found = _PYTHON_MOMENT.fullmatch(text)
    if found is None:
        return None
    day, hour, minute, second, fraction, zone = found.groups()
    try:
        moment = dt.datetime(
            int(day[:4]), int(day[5:7]), int(day[8:]), int(hour), int(minute), int(second or 0),
            int((fraction or "0").ljust(6, "0")[:6]), dt.UTC,
        )  # fmt: skip
        return moment - _offset(zone)
    except (OverflowError, ValueError):
        return None


def _offset(zone: str | None) -> dt.timedelta:
    if zone is None or zone[0] not in "+-":
        return dt.timedelta()
    hours, minutes = int(zone[1:3]), int(zone[3:].removeprefix(":") or 0)
    if hours > _FURTHEST_ZONE or minutes >= 60:
        raise ValueError(zone)
    offset = dt.timedelta(hours=hours, minutes=minutes)
    return -offset if zone[0] == "-" else offset


def _day(text: str, form: str) -> dt.datetime | None:
    try:
        return dt.datetime.strptime(text, form).replace(tzinfo=dt.UTC)
    except ValueError:
        return None


_SINCE_1970 = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_UNITS = ((_MILLISECONDS, 1_000), (_SECONDS, 1_000_000), (_MICROSECONDS, 1))


def _read(text: str) -> dt.datetime | None:
    for pattern, read in _READERS:
        if re.fullmatch(pattern, text):
            return read(text)
    return None


def _read_number(text: str) -> dt.datetime | None:
    microseconds = next(unit for pattern, unit in _UNITS if re.fullmatch(pattern, text))
    exact = (Decimal(text) * microseconds).to_integral_value(ROUND_HALF_UP)
    return _SINCE_1970 + dt.timedelta(microseconds=int(exact))


def _read_basic(text: str) -> dt.datetime | None:
    return _written(f"{text[:4]}-{text[4:6]}-{text[6:11]}:{text[11:13]}:{text[13:]}")


def _read_small(text: str) -> dt.datetime | None:
    """Read a number of up to eight digits: a day, or a moment round the beginning of 1970."""
    number = int(text)
    if re.fullmatch(_COMPACT_DAY, text) and (day := _day(text, "%Y%m%d")):
        return day
    is_days = number % _DAY_SECONDS == 0
    is_milliseconds = number % _MINUTE == 0 or not is_days if number < 0 else re.fullmatch(_WHOLE_MINUTES, text)
    if is_milliseconds:
        return _SINCE_1970 + dt.timedelta(milliseconds=number)
    return _SINCE_1970 + dt.timedelta(seconds=number) if is_days else None


_READERS: Sequence[tuple[str, Callable[[str], dt.datetime | None]]] = (
    (_DAY, lambda text: _day(text, "%Y-%m-%d")),
    (_MOMENT, _written),
    (_COMPACT_MOMENT, lambda text: _day(text, "%Y%m%d%H%M%S")),
    ("|".join(pattern for pattern, _ in _UNITS), _read_number),
    (_NANOSECONDS, lambda text: _SINCE_1970 + dt.timedelta(microseconds=int(text.split(".")[0][:-3]))),
    (f"{_SMALL_NEGATIVE}|{_SMALL}", _read_small),
    (_AMERICAN_DAY, lambda text: _day(text, "%m/%d/%Y")),
    (_BASIC_MOMENT, _read_basic),
)
