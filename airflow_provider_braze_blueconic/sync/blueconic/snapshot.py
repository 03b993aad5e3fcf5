"""The snapshot of a BlueConic segment: pages of profiles, written as Parquet parts.

Columns: ``row`` (number in the read), ``profile_id``, ``as_of``, ``last_modified``, ``permission_level``,
``segment_ids``, ``segment_names``, ``interaction_names``, ``consented`` and one list column a property.
BlueConic's values are lists of texts, and stay so here: types are given by the mapping.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from airflow_provider_braze_blueconic.sync.blueconic.profile_columns import Profiles
from airflow_provider_braze_blueconic.sync.store.parts import PartWriter, Progress

__all__ = ["ProfilePage", "SnapshotCounts", "write_snapshot"]

log = logging.getLogger(__name__)

_ROWS_PER_PART = 50_000
_COMPLETE_SHARE = 0.99
"""Share of the segment's size that counts as complete. The size comes from an index that lags up to ten minutes and
a segment moves while it is read, so equality can't be asked for; fewer than this is a broken read. As many people as
are missing then may be missing from the read only: see ``DeltaPlan.missing``."""


class ProfilePage(Protocol):
    """One page of profiles as BlueConic's API returns them."""

    @property
    def profiles(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def total_results(self) -> int | None: ...


@dataclass(frozen=True)
class SnapshotCounts:
    """What a read brought.

    :param profiles: profiles read.
    :param announced: size that the server announced with the pages, if it did.
    :param bytes: bytes of the parts.
    :param profile_count: size of the segment as BlueConic lists it, if it is known.
    :param repaired: profiles with a text that held half a character.
    """

    profiles: int
    announced: int | None
    bytes: int
    profile_count: int | None = None
    repaired: int = 0

    @property
    def size(self) -> int | None:
        """The larger of the two sizes that BlueConic tells; ``None`` if it told none.

        One of them alone may be wrong: an index that is being rebuilt announces an empty segment.
        """
        return max((size for size in (self.announced, self.profile_count) if size is not None), default=None)

    @property
    def complete(self) -> bool:
        """Tell whether the read is known to hold every member. Without an announced size it is not known."""
        return self.announced is not None and self.profiles >= (self.size or 0) * _COMPLETE_SHARE

    @property
    def has_all(self) -> bool:
        """Tell whether the read holds at least as many profiles as were announced.

        Nothing less will do where later runs read only what changed since: whom this one missed they don't look for.
        """
        return self.announced is not None and self.profiles >= self.announced


def write_snapshot(
    pages: Iterable[ProfilePage],
    *,
    properties: Sequence[str],
    interaction_names: Mapping[str, str] | None,
    as_of: dt.datetime,
    folder: Path,
    publish: Callable[[Path], int],
    label: str,
    rows_per_part: int = _ROWS_PER_PART,
    should_stop: Callable[[], bool] = lambda: False,
    profile_count: int | None = None,
) -> SnapshotCounts:
    """Write pages of profiles as Parquet parts, at most one part in memory.

    This loops over profiles in Python: parsing a page's JSON, which must be checked to its end before the cursor is
    used, takes several times as long.

    :param interaction_names: dialogue id → name, if names are wanted.
    :param publish: uploads a finished part and returns its size in bytes.
    :param should_stop: asked once a page; a true answer ends the read as incomplete.
    :param profile_count: size of the segment as BlueConic lists it; ``None`` for a part of the segment.
    :raises UnexpectedAnswer: a profile has another form than BlueConic's definition says; the message holds nothing of
        it.
    """
    writer = Profiles(properties, interaction_names, as_of, PartWriter(folder, publish))
    announced: int | None = None
    progress = Progress()
    stopped = False
    for page in pages:
        if page.total_results is not None:
            announced = page.total_results
        for profile in page.profiles:
            writer.add(profile)
        if len(writer) >= rows_per_part:
            writer.flush()
        if seconds := progress.due():
            of = f" of {announced:,}" if announced else ""
            log.info("%s: %s%s profiles read, %s/s", label, f"{writer.rows:,}", of, f"{writer.rows / seconds:,.0f}")
        if should_stop():
            stopped = True
            break
    writer.flush()
    announced = None if stopped else announced
    return SnapshotCounts(writer.rows, announced, writer.parts.bytes, profile_count, writer.repaired)
