"""Past dates: which runs are for one, and under which date a read is kept."""

from __future__ import annotations

import datetime as dt
import zoneinfo

__all__ = ["asks_for_the_past", "date_of_read", "day_of"]

_SET_IN_THE_PAST = dt.timedelta(days=1)
"""How much older than its start a manual run's logical date must be to ask for the past. Airflow's form fills in the
present moment, which may be a while ago when it is sent."""


def asks_for_the_past(
    run_type: str,
    logical_date: dt.datetime,
    *,
    run_after: dt.datetime | None,
    now: dt.datetime,
    timezone: str,
) -> bool:
    """Tell whether a run is about a past date, rather than about what the source holds now.

    A backfill is, if its day is over. So is a manual run whose logical date somebody set more than a day back. A
    scheduled run reads what there is now, also if it is late or cleared.

    :param run_type: in Airflow's words.
    :param run_after: when the run was to begin; ``None`` where Airflow doesn't tell. Then the moment of the read
        decides, and a manual run that is cleared days later asks for its own day.
    :param now: the moment of the read.
    :param timezone: IANA name; where the days begin.
    """
    if run_type == "backfill":
        return day_of(logical_date, timezone) < day_of(now, timezone)
    return run_type == "manual" and (run_after or now) - logical_date > _SET_IN_THE_PAST


def date_of_read(
    run_type: str, logical_date: dt.datetime | None, *, read_at: dt.datetime, timezone: str
) -> dt.datetime | None:
    """Return the date under which a read of the source is kept; ``None`` if it is no read of the run's date.

    A run of a past date may have to read what there is now: a reconcile compares two systems as they are, and a manual
    run may be cleared days later. What it read is what the source held at that moment, and must not be replayed as
    what it held on the run's date. A scheduled run has no other date than its own, however late it is.
    """
    if logical_date is None or asks_for_the_past(
        run_type, logical_date, run_after=None, now=read_at, timezone=timezone
    ):
        return None
    return logical_date


def day_of(moment: dt.datetime, timezone: str) -> dt.date:
    """Return the day of a moment in a time zone."""
    return moment.astimezone(zoneinfo.ZoneInfo(timezone)).date()
