"""The snapshot of a BlueConic segment: pages of profiles, written as Parquet parts.

Columns: ``row`` (number in the read), ``profile_id``, ``as_of``, ``last_modified``, ``permission_level``,
``segment_ids``, ``segment_names``, ``interaction_names``, ``consented`` and one list column a property.
BlueConic's values are lists of texts, and stay so here: types are given by the mapping.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from airflow_provider_braze_blueconic.sync.blueconic.page_rows import PageRows
from airflow_provider_braze_blueconic.sync.blueconic.profile_columns import ProfileColumns
from airflow_provider_braze_blueconic.sync.blueconic.snapshot_writer import ROWS_PER_PART, SnapshotWriter
from airflow_provider_braze_blueconic.sync.store.parts import PartWriter, Progress

__all__ = ["ProfilePage", "RowsPage", "SnapshotCounts", "write_rows", "write_snapshot"]

log = logging.getLogger(__name__)

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
class RowsPage:
    """One page of profiles as rows.

    :param total_results: profiles in the whole read, as the server counts; ``None`` where it does not say.
    """

    rows: PageRows = field(repr=False)
    total_results: int | None = None


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
    rows_per_part: int = ROWS_PER_PART,
    should_stop: Callable[[], bool] = lambda: False,
    profile_count: int | None = None,
) -> SnapshotCounts:
    """Write pages of parsed profiles as Parquet parts; as :func:`write_rows`, which needs a third of the time.

    :param interaction_names: dialogue id → name, if names are wanted.
    :raises UnexpectedAnswer: a profile has another form than BlueConic's definition says; the message holds nothing of
        it.
    """
    columns = ProfileColumns(properties, interaction_names)
    return write_rows(
        (_rows_of(page, PageRows(columns, folder)) for page in pages),
        columns,
        as_of=as_of,
        folder=folder,
        publish=publish,
        label=label,
        rows_per_part=rows_per_part,
        should_stop=should_stop,
        profile_count=profile_count,
    )


def _rows_of(page: ProfilePage, rows: PageRows) -> RowsPage:
    rows.take_profiles(page.profiles)
    return RowsPage(rows, page.total_results)


def write_rows(
    pages: Iterable[RowsPage],
    columns: ProfileColumns,
    *,
    as_of: dt.datetime,
    folder: Path,
    publish: Callable[[Path], int],
    label: str,
    rows_per_part: int = ROWS_PER_PART,
    should_stop: Callable[[], bool] = lambda: False,
    profile_count: int | None = None,
) -> SnapshotCounts:
    """Write pages of rows as Parquet parts, at most two parts in memory.

    :param publish: uploads a finished part and returns its size in bytes; called in another thread, once at a time.
    :param should_stop: asked once a page; a true answer ends the read as incomplete.
    :param profile_count: size of the segment as BlueConic lists it; ``None`` for a part of the segment.
    """
    announced: int | None = None
    repaired = 0
    progress = Progress()
    stopped = False
    with SnapshotWriter(columns, as_of, PartWriter(folder, publish), rows_per_part) as writer:
        for page in pages:
            if page.total_results is not None:
                announced = page.total_results
            for batch in page.rows.batches():
                writer.add(batch)
            repaired += page.rows.repaired
            if seconds := progress.due():
                of = f" of {announced:,}" if announced else ""
                log.info("%s: %s%s profiles read, %s/s", label, f"{writer.rows:,}", of, f"{writer.rows / seconds:,.0f}")
            if should_stop():
                stopped = True
                break
        writer.finish()
    announced = None if stopped else announced
    return SnapshotCounts(writer.rows, announced, writer.bytes, profile_count, repaired)
