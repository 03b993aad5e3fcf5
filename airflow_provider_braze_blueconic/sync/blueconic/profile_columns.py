"""Profiles as the columns of a snapshot."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_braze_blueconic.collector import paused_collector
from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.blueconic.profile_parsing import (
    Profile,
    last_modified,
    moment,
    parse_profiles,
    property_values,
)
from airflow_provider_braze_blueconic.sync.engine.columns import property_column
from airflow_provider_braze_blueconic.sync.values.characters import text_array

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["NotProfiles", "ProfileColumns", "Rows", "profile_schema"]

INTERACTIONS_PROPERTY = "interactions_viewed"
"""Property that lists the dialogues a profile has seen: BlueConic REST API, POST /interactionEvents, read 2026-11."""
LAST_MODIFIED_PROPERTY = "lastmodifieddate"
"""Property with the last change in Unix milliseconds: BlueConic REST API, examples, read 2026-11."""


class NotProfiles(Exception):
    """A list holds something other than objects."""


@dataclass(frozen=True)
class Rows:
    """Some profiles as columns.

    :param batch: the columns of a snapshot, without those that :class:`~.snapshot.SnapshotWriter` fills.
    :param ids: a number for the id of each, the same for the same id in this process.
    :param repaired: profiles with a text that held half a character.
    """

    batch: pa.RecordBatch
    ids: Sequence[int]
    repaired: int = 0


@dataclass(frozen=True)
class ProfileColumns:
    """What a snapshot tells of a profile.

    :param properties: ids of the properties, a column each.
    :param interaction_names: dialogue id → name, if names are wanted.
    """

    properties: Sequence[str]
    interaction_names: Mapping[str, str] | None = None

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of the whole snapshot."""
        return profile_schema(self.properties)

    @cached_property
    def told(self) -> pa.Schema:
        """The columns that tell of a profile; the others tell of the read."""
        import pyarrow as pa

        return pa.schema([field for field in self.schema if field.name not in ("row", "as_of")])

    def of_text(self, text: bytes) -> Rows:
        """Read a JSON list of profiles.

        :raises ValueError: it isn't JSON.
        :raises NotProfiles: it holds something other than objects.
        :raises UnexpectedAnswer: a profile has another form than BlueConic's definition says; the message holds nothing
            of it.
        """
        try:
            # It would take half of a read.
            with paused_collector():
                return self._of_parsed(parse_profiles(text))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            pass  # not quite as documented, perhaps half a character
        try:
            entries = json.loads(text)
        except RecursionError:
            raise ValueError from None
        return self.of_entries(entries)

    def of_entries(self, entries: Sequence[Any]) -> Rows:
        """Make columns of what a list of profiles holds.

        :raises NotProfiles: it holds something other than objects.
        :raises UnexpectedAnswer: as in :meth:`of_text`.
        """
        if not all(isinstance(entry, dict) for entry in entries):
            raise NotProfiles
        return self.of_profiles(entries)

    def of_profiles(self, profiles: Iterable[Mapping[str, Any]]) -> Rows:
        """Make columns of profiles with care: whatever is odd is repaired or told.

        :raises UnexpectedAnswer: as in :meth:`of_text`.
        """
        import pyarrow as pa

        columns: list[list[Any]] = [[] for _ in self.told]
        ids = []
        for profile in profiles:
            for column, value in zip(columns, self._row(profile), strict=True):
                column.append(value)
            ids.append(hash(str(profile.get("id"))))
        arrays: list[pa.Array] = []
        repaired: set[int] = set()
        for column, field in zip(columns, self.told, strict=True):
            array, rows = _array(column, field)
            arrays.append(array)
            repaired |= rows
        return Rows(pa.RecordBatch.from_arrays(arrays, schema=self.told), ids, len(repaired))

    def _of_parsed(self, profiles: Sequence[Profile]) -> Rows:
        import pyarrow as pa

        modified, viewed, *properties = property_values(
            profiles, [LAST_MODIFIED_PROPERTY, INTERACTIONS_PROPERTY, *self.properties]
        )
        ids = [profile.id for profile in profiles]
        segments = [profile.segments or () for profile in profiles]
        has_segments = any(segments)
        columns: list[Any] = [
            ids,
            last_modified(modified),
            [profile.permissions and profile.permissions.level for profile in profiles],
            [[segment.id for segment in each] for each in segments] if has_segments else segments,
            [[segment.name or segment.id for segment in each] for each in segments] if has_segments else segments,
            [self._names(interactions) for interactions in viewed],
            [profile.consented_objectives for profile in profiles],
            *properties,
        ]
        batch = pa.RecordBatch.from_arrays(
            [pa.array(column, field.type) for column, field in zip(columns, self.told, strict=True)], schema=self.told
        )
        return Rows(batch, list(map(hash, ids)))

    def _row(self, profile: Mapping[str, Any]) -> list[Any]:
        try:
            return self._told_of(profile)
        except (KeyError, TypeError, AttributeError):  # their texts, and the chain, can hold values
            pass
        raise _odd_profile("doesn't have the form that BlueConic documents")

    def _told_of(self, profile: Mapping[str, Any]) -> list[Any]:
        values = {entry["id"]: entry.get("values") for entry in profile.get("properties") or () if entry.get("id")}
        segments = profile.get("segments") or ()
        return [
            profile["id"],
            moment(values.get(LAST_MODIFIED_PROPERTY)),
            (profile.get("permissions") or {}).get("level"),
            [segment["id"] for segment in segments],
            [segment.get("name") or segment["id"] for segment in segments],
            self._names(_texts(INTERACTIONS_PROPERTY, values.get(INTERACTIONS_PROPERTY))),
            _texts("consentedObjectives", profile.get("consentedObjectives")),
            *(_texts(property_id, values.get(property_id)) for property_id in self.properties),
        ]

    def _names(self, interactions: Sequence[str] | None) -> list[str] | None:
        if self.interaction_names is None or not interactions:
            return None
        return [self.interaction_names.get(interaction, interaction) for interaction in interactions]


def _texts(name: str, values: Any) -> Any:
    """Check what has to be a list: Arrow would take a text for a list of its characters."""
    if values is None or type(values) is list:
        return values
    raise _odd_profile(f'has something other than a list in "{name}"')


def _array(column: list[Any], field: pa.Field) -> tuple[pa.Array, set[int]]:
    import pyarrow as pa

    try:
        return text_array(column, field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):  # Arrow's texts quote values
        pass
    raise _odd_profile(f'has something other than text in "{field.name}"')


def _odd_profile(what: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"BlueConic returned a profile that {what}. Nothing was sent.")


def profile_schema(properties: Sequence[str]) -> pa.Schema:
    """Return the columns of a snapshot of profiles: what is known of each, and a list of texts a property."""
    import pyarrow as pa

    texts = pa.list_(pa.string())
    time = pa.timestamp("us", tz="UTC")
    return pa.schema(
        [
            ("row", pa.int64()),
            ("profile_id", pa.string()),
            ("as_of", time),
            ("last_modified", time),
            ("permission_level", pa.string()),
            ("segment_ids", texts),
            ("segment_names", texts),
            ("interaction_names", texts),
            ("consented", texts),
            *((property_column(property_id), texts) for property_id in properties),
        ]
    )
