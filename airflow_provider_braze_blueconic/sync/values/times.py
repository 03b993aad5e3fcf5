"""A moment or a day, read from a column of texts in SQL; see :mod:`~.time_forms` for what is read."""

from __future__ import annotations

from airflow_provider_braze_blueconic.sync.values.date_formats import AS_FOUND, LAST_OFFSET, TimeReading
from airflow_provider_braze_blueconic.sync.values.time_forms import (
    AMERICAN_DAY,
    BASIC_MOMENT,
    DAY,
    DAY_SECONDS,
    FRACTION,
    MINUTE,
    OFFSET,
)

__all__ = ["ambiguous_date_sql", "day_sql", "timestamp_sql", "written_moment_sql"]

_BEGINS_AS_DAY = f"{DAY}.*"
_NUMBER = f"-?[0-9]{{1,19}}{FRACTION}"
_PLAIN_MILLISECONDS = "-?[0-9]{11,13}"
_FIRST, _LAST = "TIMESTAMP '0001-01-01'", "TIMESTAMP '9999-12-31 23:59:59.999999'"
_QUARTER = 900_000
"""Milliseconds. Time zones differ by whole quarters of an hour, so the birthdays of all zones are whole ones."""


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
        (_matches(value, AMERICAN_DAY), f"try_strptime({value}, '%m/%d/%Y')"),
        (_matches(value, BASIC_MOMENT), _basic_sql(value)),
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
    is_milliseconds = f"{number} % {MINUTE} = 0 OR {number} % {DAY_SECONDS} <> 0"
    return (
        f"CASE WHEN starts_with({value}, '-') THEN "
        f"make_timestamp({number} * CASE WHEN {is_milliseconds} THEN 1000 ELSE 1000000 END) "
        f"ELSE coalesce(CASE WHEN strlen({value}) = 8 THEN try_strptime({value}, '%Y%m%d') END, "
        f"CASE WHEN {number} = 0 OR ({number} % 10000 = 0 AND strlen({value}) > 6) THEN epoch_ms({number}) "
        f"WHEN {number} % {DAY_SECONDS} = 0 AND strlen({value}) > 4 THEN make_timestamp({number} * 1000000) END) END"
    )


def day_sql(value: str, reading: TimeReading = AS_FOUND) -> str:
    """SQL for the day that a text names, as a timestamp at midnight or later; NULL if it names none.

    Of a moment it is the day that is written: a birthday at midnight in Amsterdam is the evening before in UTC, and
    still the same birthday. Of a number since 1970 it is the day in UTC.
    """
    if reading.date_format is not None:
        bare = LAST_OFFSET.sub("", reading.date_format)
        if bare != reading.date_format:
            value = f"regexp_replace({value}, '\\s*(Z|z|{OFFSET})$', '')"
        return _formatted_sql(value, bare)
    written = f"CASE WHEN {written_moment_sql(value)} IS NOT NULL THEN try_strptime(({value})[:10], '%Y-%m-%d') END"
    return _forms_sql(value, written, reading)


def ambiguous_date_sql(value: str) -> str:
    """SQL that tells whether a text could as well mean another day: ``03/04/1980`` is in March or in April."""
    first, second = (f"TRY_CAST(split_part({value}, '/', {place}) AS INTEGER)" for place in (1, 2))
    return f"{_matches(value, AMERICAN_DAY)} AND {first} <= 12 AND {second} <= 12 AND {first} <> {second}"


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
