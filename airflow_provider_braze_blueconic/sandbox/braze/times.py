"""Times, in the forms that Braze takes and keeps."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

__all__ = ["parse_time", "stored_time"]

_TIME = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})"
    r"(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.:](\d{1,9}))?)?)?"
    r"(Z|[+-]\d{2}:?\d{2})?"
)

_AMERICAN_DATE = re.compile(r"(\d{2})/(\d{2})/(\d{4})")


def parse_time(text: str) -> datetime | None:
    """Read a time in one of the forms that Braze takes; without an offset it is UTC.

    The form with names of days (``ddd MM dd HH:mm:ss.TZD YYYY``) is not read.
    """
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            american = _AMERICAN_DATE.fullmatch(text)
            if american is None:
                return None
            month, day, year = map(int, american.groups())
            return datetime(year, month, day, tzinfo=UTC)
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
        micro = int((match[7] or "0").ljust(6, "0")[:6])
        moment = datetime(year, month, day, hour, minute, second, micro, tzinfo=UTC)
        return moment - _offset(match[8])
    except (ValueError, OverflowError):
        return None


def _offset(text: str | None) -> timedelta:
    if text is None or text == "Z":
        return timedelta()
    digits = text[1:].replace(":", "")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -size if text.startswith("-") else size


def stored_time(moment: datetime) -> str:
    """Return the form in which a time is kept. How Braze exports one is UNVERIFIED; this is that of its events."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
