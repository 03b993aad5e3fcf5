"""A moment, read from a single text in Python: what :mod:`~.times` reads in SQL, and nothing else.

Standard library only: the goals' checks and the reading of a Braze export use it too.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal

from airflow_provider_braze_blueconic.sync.values.time_forms import (
    AMERICAN_DAY,
    BASIC_MOMENT,
    DAY,
    DAY_SECONDS,
    FRACTION,
    MINUTE,
    OFFSET,
)

__all__ = ["is_time", "read_moment"]

_MOMENT = rf"{DAY}[Tt ][0-9]{{2}}:[0-9]{{2}}(?::[0-9]{{2}}(?:[.,:][0-9]{{1,9}})?)?(?: ?(?:[Zz]|UTC|GMT|{OFFSET}))?"
_COMPACT_DAY = "[0-9]{8}"
_COMPACT_MOMENT = f"(?:19|20)[0-9]{{12}}{FRACTION}"
"""As milliseconds these would be moments after the year 2500. One with a fraction is none at all."""
_SECONDS = f"-?[0-9]{{9,10}}{FRACTION}"
_MILLISECONDS = f"0|-?[0-9]{{11,15}}{FRACTION}"
"""Up to fifteen digits: the last day of the year 9999, which stands for never, has so many."""
_MICROSECONDS = f"-?[0-9]{{16,17}}{FRACTION}"
_NANOSECONDS = f"-?[0-9]{{18,19}}{FRACTION}"
_SMALL_NEGATIVE = "-[0-9]{1,8}"
_SMALL = "[0-9]{5,8}"
_WHOLE_MINUTES = "[0-9]{3,4}0000"
"""Milliseconds of the first day of 1970, a birthday in some time zone: no date of eight digits ends in four zeros."""
_SHORTEST_MOMENT = len("2026-11-30T12:00")


def is_time(text: str) -> bool:
    """Tell whether a text is a moment beyond doubt, so that its field may be taken for one of times.

    A day alone is none: for a birthday a text is the better home. Whatever this says yes to,
    :func:`~.times.timestamp_sql` and :func:`read_moment` read.
    """
    if len(text) < _SHORTEST_MOMENT or text[4] != "-" or _PYTHON_MOMENT.fullmatch(text) is None:
        return False
    return _written(text) is not None


def read_moment(text: str) -> dt.datetime | None:
    """Read what :func:`~.times.timestamp_sql` reads, of a single text.

    :return: UTC; ``None`` if it is no time, or one that Python can't hold.
    """
    try:
        return _read(text.strip())
    except (OverflowError, ValueError):
        return None


_FURTHEST_ZONE = 15
"""Hours from UTC that DuckDB and Python read alike; the Pacific's furthest islands are at 14."""
_PYTHON_MOMENT = re.compile(
    rf"({DAY})[Tt ]([0-9]{{2}}):([0-9]{{2}})(?::([0-9]{{2}})(?:[.,:]([0-9]{{1,9}}))?)?"
    rf"(?: ?(Z|z|UTC|GMT|{OFFSET}))?"
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
    is_days = number % DAY_SECONDS == 0
    is_milliseconds = number % MINUTE == 0 or not is_days if number < 0 else re.fullmatch(_WHOLE_MINUTES, text)
    if is_milliseconds:
        return _SINCE_1970 + dt.timedelta(milliseconds=number)
    return _SINCE_1970 + dt.timedelta(seconds=number) if is_days else None


_READERS: Sequence[tuple[str, Callable[[str], dt.datetime | None]]] = (
    (DAY, lambda text: _day(text, "%Y-%m-%d")),
    (_MOMENT, _written),
    (_COMPACT_MOMENT, lambda text: _day(text, "%Y%m%d%H%M%S")),
    ("|".join(pattern for pattern, _ in _UNITS), _read_number),
    (_NANOSECONDS, lambda text: _SINCE_1970 + dt.timedelta(microseconds=int(text.split(".")[0][:-3]))),
    (f"{_SMALL_NEGATIVE}|{_SMALL}", _read_small),
    (AMERICAN_DAY, lambda text: _day(text, "%m/%d/%Y")),
    (BASIC_MOMENT, _read_basic),
)
