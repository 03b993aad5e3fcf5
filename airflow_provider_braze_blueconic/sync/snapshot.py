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
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.characters import text_array
from airflow_provider_braze_blueconic.sync.columns import property_column
from airflow_provider_braze_blueconic.sync.parts import PartWriter, Progress

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ProfilePage", "SnapshotCounts", "profile_schema", "write_snapshot"]

log = logging.getLogger(__name__)

INTERACTIONS_PROPERTY = "interactions_viewed"
"""Property that lists the dialogues a profile has seen: BlueConic REST API, POST /interactionEvents, read 2026-11."""
LAST_MODIFIED_PROPERTY = "lastmodifieddate"
"""Property with the last change in Unix milliseconds: BlueConic REST API, examples, read 2026-11."""

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
    writer = _Profiles(properties, interaction_names, as_of, PartWriter(folder, publish))
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


class _Profiles:
    def __init__(
        self,
        properties: Sequence[str],
        interaction_names: Mapping[str, str] | None,
        as_of: dt.datetime,
        parts: PartWriter,
    ) -> None:
        self._properties = list(properties)
        self._interaction_names = interaction_names
        self._as_of = as_of
        self._schema = profile_schema(self._properties)
        self._columns: list[list[Any]] = [[] for _ in self._schema]
        self.parts = parts
        self.rows = 0
        self.repaired = 0

    def __len__(self) -> int:
        return len(self._columns[0])

    def add(self, profile: Mapping[str, Any]) -> None:
        try:
            row = self._row(profile)
        except (KeyError, TypeError, AttributeError):  # their texts, and the chain, can hold values
            row = None
        if row is None:
            raise _odd_profile("is not built as BlueConic says")
        for column, value in zip(self._columns, row, strict=True):
            column.append(value)
        self.rows += 1

    def _row(self, profile: Mapping[str, Any]) -> list[Any]:
        values = {entry["id"]: entry.get("values") for entry in profile.get("properties") or () if entry.get("id")}
        segments = profile.get("segments") or ()
        return [
            self.rows,
            profile["id"],
            self._as_of,
            _moment(values.get(LAST_MODIFIED_PROPERTY)),
            (profile.get("permissions") or {}).get("level"),
            [segment["id"] for segment in segments],
            [segment.get("name") or segment["id"] for segment in segments],
            self._names(_texts(INTERACTIONS_PROPERTY, values.get(INTERACTIONS_PROPERTY))),
            _texts("consentedObjectives", profile.get("consentedObjectives")),
            *(_texts(property_id, values.get(property_id)) for property_id in self._properties),
        ]

    def _names(self, interactions: Sequence[str] | None) -> list[str] | None:
        if self._interaction_names is None or not interactions:
            return None
        return [self._interaction_names.get(interaction, interaction) for interaction in interactions]

    def flush(self) -> None:
        import pyarrow as pa

        # Also without rows: an empty segment is a snapshot too, and the mapping wants its columns.
        if not self and self.parts.written:
            return
        arrays: list[pa.Array] = []
        repaired: set[int] = set()
        for column, field in zip(self._columns, self._schema, strict=True):
            array, rows = _array(column, field)
            arrays.append(array)
            repaired |= rows
        self.parts.write(pa.Table.from_arrays(arrays, schema=self._schema))
        self.repaired += len(repaired)
        self._columns = [[] for _ in self._schema]


def _texts(name: str, values: Any) -> Any:
    """Check what has to be a list: Arrow would take a text for a list of its characters."""
    if values is None or type(values) is list:
        return values
    raise _odd_profile(f'has something else than a list in "{name}"')


def _array(column: list[Any], field: pa.Field) -> tuple[pa.Array, set[int]]:
    import pyarrow as pa

    try:
        return text_array(column, field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):  # Arrow's texts quote values
        pass
    raise _odd_profile(f'has something else than texts in "{field.name}"')


def _odd_profile(what: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"BlueConic gave a profile that {what}. Nothing was sent.")


def profile_schema(properties: Sequence[str]) -> pa.Schema:
    """Return the columns of a snapshot of profiles: what is known of each, and a list of texts a property."""
    import pyarrow as pa

    texts = pa.list_(pa.string())
    moment = pa.timestamp("us", tz="UTC")
    return pa.schema(
        [
            ("row", pa.int64()),
            ("profile_id", pa.string()),
            ("as_of", moment),
            ("last_modified", moment),
            ("permission_level", pa.string()),
            ("segment_ids", texts),
            ("segment_names", texts),
            ("interaction_names", texts),
            ("consented", texts),
            *((property_column(property_id), texts) for property_id in properties),
        ]
    )


def _moment(values: Sequence[str] | None) -> dt.datetime | None:
    try:
        return dt.datetime.fromtimestamp(int(values[0]) / 1000, dt.UTC) if values else None
    except (TypeError, ValueError, OverflowError, OSError):
        return None
