"""The progress of a segment export, judged from the files in the bucket.

Braze has no status call and writes no manifest; its files appear one by one while the export runs. So an export counts
as done when its files have been still for a while, and whoever reads them compares the count with the segment's size.
Nothing here talks to anybody: listings and times are handed in.

::

    <export>/segment-export/<segment id>/<date>/<uuid>-<unix seconds>/<random>.gz     a file of an export
    <export>/segment-export/<segment id>/<date>/users-<random>.zip                    a CSV from the dashboard, ignored
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from airflow_provider_braze_blueconic.sync.store.staging import StagedFile

__all__ = ["Candidate", "ExportTree", "ExportWatch", "Sight", "still_for_long"]

CLOCK_MARGIN = 900.0
"""Seconds by which our clock and the bucket's may differ: with more, S3 refuses every request
(``RequestTimeTooSkewed``, Amazon S3 "Error responses", read 2026-11)."""

ASKED_BEFORE = 60.0
"""Seconds by which the folder's name may be older than our question: the clocks of Braze and of the worker differ."""

ANSWERED_WITHIN = 300.0
"""Seconds after our question within which Braze has named the folder, since the name is part of its answer. A folder
with a later time belongs to somebody else's question."""

_FOLDER_DAYS = 2
"""A date folder is named after the end of the export, so it is not older than the question; two days are for zones."""

_FOLDER = re.compile(r"^.+-(\d{9,11})$")
"""``<uuid>-<unix seconds>``: docs "POST /users/export/segment", read 2026-11; the page says "since 2017", its own
example says Unix."""


File = TypeVar("File", bound=StagedFile)


@dataclass(frozen=True)
class Candidate:
    """A folder that may hold the answer to a question of ours.

    :param object_prefix: the folder's name.
    :param asked_at: Unix seconds at which it was asked for at the earliest.
    """

    object_prefix: str
    asked_at: float


@dataclass(frozen=True)
class ExportTree:
    """Where all exports of one segment land.

    :param export: ``s3://bucket[/root]`` that Braze writes to.
    :param segment_id: the segment's id.
    """

    export: str
    segment_id: str

    @property
    def uri(self) -> str:
        return f"{self.export.rstrip('/')}/segment-export/{self.segment_id}/"

    def since(self, asked_at: float) -> str:
        """Name a URI that sorts before every date folder an export asked for then can have.

        Years of daily exports are thousands of objects; a listing that starts here skips them.
        """
        moment = dt.datetime.fromtimestamp(asked_at, dt.UTC) - dt.timedelta(days=_FOLDER_DAYS)
        return f"{self.uri}{moment:%Y-%m-%d}"

    def files(self, listing: Iterable[File], object_prefix: str) -> list[File]:
        """Pick one export's files, under any date, in the order in which they are read: by time, then by key.

        The prefix is taken for the name of a folder, as the documented path shows it, or for the beginning of a
        file's name, as the page calls it. It holds a UUID, so it fits nothing else.
        """
        found = [
            file
            for file in listing
            if any(
                part == object_prefix or (last and part.startswith(object_prefix))
                for last, part in _parts(file.uri, self.uri)
            )
        ]
        return sorted(found, key=lambda file: (file.modified, file.uri))

    def candidates(self, listing: Iterable[StagedFile], questions: Sequence[float]) -> list[Candidate]:
        """Find the folders that can be the answer to one of our questions.

        :param questions: Unix seconds at which we asked and never learnt the answer.
        """
        found: dict[str, Candidate] = {}
        for file in listing:
            for last, part in _parts(file.uri, self.uri):
                name = None if last else _FOLDER.match(part)
                if name is None:
                    continue
                named_at = float(name[1])
                for asked_at in questions:
                    if asked_at - ASKED_BEFORE <= named_at <= asked_at + ANSWERED_WITHIN:
                        found[part] = Candidate(part, min(asked_at, named_at))
        return list(found.values())


def _parts(uri: str, tree: str) -> list[tuple[bool, str]]:
    """Cut a URI into (is the last one, name); nothing for a folder's placeholder or an object elsewhere."""
    if not uri.startswith(tree) or uri.endswith("/"):
        return []
    names = uri.removeprefix(tree).split("/")
    return [(number == len(names) - 1, name) for number, name in enumerate(names)]


@dataclass(frozen=True)
class Sight:
    """What one look showed.

    :param state: ``nothing`` yet; ``growing``; ``quiet``: all of it has been still long enough; ``empty``: no file came
        for as long, and none had to; ``timed_out``.
    :param files: number of files.
    :param bytes: their sizes together.
    :param still: seconds since something was seen to change.
    """

    state: Literal["nothing", "growing", "quiet", "empty", "timed_out"]
    files: int
    bytes: int
    still: float


class ExportWatch:
    """Looks at an export until it is still.

    :param quiet_seconds: for how long nothing may be new, grow or vanish.
    :param deadline: Unix seconds at which the wait ends.
    :param may_stay_empty: whether there may be no file at all.
    :param known: ``(files, bytes)`` that were found to be too few: still is not enough while it is no more than them.
    """

    def __init__(
        self,
        *,
        quiet_seconds: float,
        deadline: float,
        may_stay_empty: bool = False,
        known: tuple[int, int] | None = None,
    ) -> None:
        self._quiet_seconds = quiet_seconds
        self._deadline = deadline
        self._may_stay_empty = may_stay_empty
        self._known = known
        self._seen: frozenset[tuple[str, int, dt.datetime]] | None = None
        self._since = 0.0

    def look(self, files: Iterable[StagedFile], *, clock: float, wall: float) -> Sight:
        """Say how far it is.

        :param files: what is there now.
        :param clock: monotonic seconds: stillness is measured with a clock that nobody sets.
        :param wall: Unix seconds: the deadline is kept by one process after the other.
        """
        seen = frozenset((file.uri, file.size, file.modified) for file in files)
        if seen != self._seen:
            self._seen, self._since = seen, clock
        still = clock - self._since
        size = sum(entry[1] for entry in seen)
        state: Literal["nothing", "growing", "quiet", "empty", "timed_out"] = "growing" if seen else "nothing"
        if still >= self._quiet_seconds and (len(seen), size) != self._known:
            if seen:
                state = "quiet"
            elif self._may_stay_empty:
                state = "empty"
        if state in ("nothing", "growing") and wall >= self._deadline:
            state = "timed_out"
        return Sight(state, len(seen), size, still)


def still_for_long(files: Sequence[StagedFile], *, quiet_seconds: float, wall: float) -> bool:
    """Tell at a single look whether files came to rest long ago, such as those of a run that is done again.

    The bucket's times are compared with our clock, so the margin is as wide as the two can differ.
    """
    if not files:
        return False
    newest = max(file.modified.timestamp() for file in files)
    return wall - newest >= quiet_seconds + CLOCK_MARGIN
