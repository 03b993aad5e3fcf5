"""When a goal runs: its cron text in its time zone, checked without Airflow."""

from __future__ import annotations

import re
import zoneinfo
from functools import lru_cache

from airflow_provider_braze_blueconic.near_names import nearest

__all__ = ["PRESETS", "airflow_schedule", "known_timezone"]

PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
"""The presets that Airflow 3.0 to 3.3 turn into cron texts."""

_CRON_FIELDS = ("minute", "hour", "day", "month", "weekday")
_LAST_WEEKDAY = re.compile(r"([0-7])[lL]")


@lru_cache(maxsize=1_000)  # goals of a folder run at the same few times
def airflow_schedule(text: str) -> str:
    """Check a schedule and write it as Airflow understands it.

    The last weekday of a month may be written ``5L``, as other schedulers do; Airflow's cron library wants ``L5``.

    :raises ValueError: with a sentence for the author.
    """
    words = text.split()
    if text.startswith("@"):
        if text not in PRESETS:
            raise ValueError(f"expected one of {', '.join(PRESETS)}, or five cron fields.{nearest(text, PRESETS)}")
        return text
    if len(words) != len(_CRON_FIELDS):
        raise ValueError(
            f'expected five cron fields ({" ".join(_CRON_FIELDS)}), such as "0 2 * * *"; found {len(words)}.'
        )
    words[4] = ",".join(_LAST_WEEKDAY.sub(r"L\1", day) for day in words[4].split(","))
    cron = " ".join(words)
    _check_cron(cron)
    return cron


def _check_cron(cron: str) -> None:
    # Airflow reads schedules with croniter and brings it along; without it the DAG processor is the judge.
    try:
        from croniter import croniter  # type: ignore[import-untyped]  # ships no types
    except ImportError:  # pragma: no cover - only without Airflow
        return
    if re.search(r"(?i)\b[rh]\b|\b[rh]\(", cron):
        raise ValueError('"R" and "H" give a different time at each reading; write a fixed time.')
    try:
        croniter(cron)
    except Exception:  # noqa: BLE001  of odd texts the library raises what Python raises
        # The library's own texts repeat the whole schedule or name its internals.
        raise ValueError(f'{_wrong_field(cron, croniter)} Expected five cron fields, such as "0 2 * * *".') from None
    try:
        croniter(cron).get_next()
    except Exception:  # noqa: BLE001  as above
        raise ValueError("no month has such a day, so the goal would never run.") from None


def _wrong_field(cron: str, croniter: type) -> str:
    words = cron.split()
    for position, (name, word) in enumerate(zip(_CRON_FIELDS, words, strict=True)):
        alone = ["*"] * len(words)
        alone[position] = word
        try:
            croniter(" ".join(alone))
        except Exception:  # noqa: BLE001 - whatever the library raises, this field is the one it can't read
            return f'"{word[:60]}" can\'t be read as the {name}.'
    return "it can't be read as a schedule."


def known_timezone(name: str) -> str:
    """Check that a time zone has a name in the IANA database.

    :raises ValueError: with near names.
    """
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = nearest(name, zoneinfo.available_timezones())
        raise ValueError(
            f'there is no time zone of that name; expected one such as "Europe/Amsterdam".{near}'
        ) from None
    return name
