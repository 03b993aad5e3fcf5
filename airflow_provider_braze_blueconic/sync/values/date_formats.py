"""The date format that a source declares, in the notation of ``strptime``.

Standard library only: the goals' checks use it too.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

__all__ = ["AS_FOUND", "LAST_OFFSET", "TimeReading", "date_format_problem"]

_DIRECTIVES = "aAbBdfHIjmMpSyYz%"
"""What Python's and DuckDB's ``strptime`` read alike."""
_TOKEN = re.compile(r"%(.?)", re.DOTALL)
LAST_OFFSET = re.compile(r"\s*%z\Z")


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


def date_format_problem(text: str, *, day_only: bool = False) -> str | None:
    """Say why this is no format of dates; ``None`` if it is one.

    :param day_only: it is for a birthday.
    """
    example = 'Write it in the notation of strptime, such as "%d/%m/%Y" or "%Y-%m-%d %H:%M:%S %z".'
    codes = [token[1] for token in _TOKEN.finditer(text)]
    unknown = next((f"%{code}" for code in codes if code == "" or code not in _DIRECTIVES), None)
    has_day = "j" in codes or ("d" in codes and not {"m", "b", "B"}.isdisjoint(codes))
    faults = {
        f'holds "{unknown}", which isn\'t a part of a date. {example}': unknown is not None,
        f"names no part of a date. {example}": set(codes) <= {"%"},
        f"has no year. {example}": {"Y", "y"}.isdisjoint(codes),
        f"has no day and month. {example}": not has_day,
        "needs %I and %p together: a 12-hour clock, and AM or PM.": ("I" in codes) != ("p" in codes),
        "has a two-digit year, which leaves the century of a birthday open. Have the source write four digits.": (
            day_only and "y" in codes
        ),
        "has %z in the middle. For a birthday it is possible only at the end.": (
            day_only and "z" in codes and not LAST_OFFSET.search(text)
        ),
        f"names a part of the date twice, or two parts that can't be distinguished. {example}": not _reads_back(text),
    }
    return next((fault for fault, is_there in faults.items() if is_there), None)


def _reads_back(date_format: str) -> bool:
    moment = dt.datetime(2001, 2, 3, 4, 5, 6, 7, dt.UTC)
    try:
        dt.datetime.strptime(moment.strftime(date_format), date_format)  # noqa: DTZ007  a day has no zone
    except (ValueError, re.error):
        return False
    return True
