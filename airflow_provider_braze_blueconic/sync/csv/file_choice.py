"""The choice of files: which of the existing ones a run reads.

A run reads the files of its own date, also when it is run again or backfilled, and the earlier ones that no run has
finished yet. A file that is not finished is read again, which only costs the reading: what was acknowledged is not sent
again.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from airflow_provider_braze_blueconic.sync.csv.files import CsvFile

__all__ = ["FileChoice", "choose_files", "run_day"]


@dataclass(frozen=True)
class FileChoice:
    """What a run reads.

    :param files: in the order in which they are read: of two rows about one person, the later one counts.
    :param late: how many of them are of an earlier date than the run's.
    :param expected: the file that the run is about is among them, or it is about none in particular.
    """

    files: tuple[CsvFile, ...]
    late: int
    expected: bool


def run_day(logical_date: dt.datetime | None, timezone: str) -> dt.date | None:
    """Return the day that a run is about, in the goal's time zone; ``None`` for a run without a logical date."""
    return None if logical_date is None else logical_date.astimezone(zoneinfo.ZoneInfo(timezone)).date()


def choose_files(
    files: Sequence[CsvFile], *, day: dt.date | None, finished: Collection[str], everything: bool = False
) -> FileChoice:
    """Choose what a run reads.

    With a date in the names and a day: the files of that day, finished or not (it is run again on purpose), and what
    no run has finished of the days before. The files of later days belong to later runs. Else all that is not finished.

    :param files: oldest data first.
    :param day: what the run is about.
    :param finished: fingerprints.
    :param everything: also what was finished, of the days up to the run's.
    """
    chosen = []
    late = own = 0
    for file in files:
        waits = everything or file.fingerprints.isdisjoint(finished)
        if day is None or file.dated is None:
            chosen += [file] if waits else []
        elif file.dated.date() == day:
            own += 1
            chosen.append(file)
        elif file.dated.date() < day and waits:
            late += 1
            chosen.append(file)
    is_about_one = day is not None and any(file.dated is not None for file in files)
    return FileChoice(tuple(chosen), late, bool(own) if is_about_one else bool(chosen))
