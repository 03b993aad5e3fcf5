"""The columns of a snapshot of profiles in the making."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.engine.columns import property_column
from airflow_provider_braze_blueconic.sync.store.parts import PartWriter
from airflow_provider_braze_blueconic.sync.values.characters import text_array

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Profiles", "profile_schema"]

INTERACTIONS_PROPERTY = "interactions_viewed"
"""Property that lists the dialogues a profile has seen: BlueConic REST API, POST /interactionEvents, read 2026-11."""
LAST_MODIFIED_PROPERTY = "lastmodifieddate"
"""Property with the last change in Unix milliseconds: BlueConic REST API, examples, read 2026-11."""


class Profiles:
    """The profiles of the part in hand.

    :ivar rows: profiles so far, of all parts.
    :ivar repaired: those of them with a text that held half a character.
    """

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
        """Add a profile.

        :raises UnexpectedAnswer: it has another form than BlueConic's definition says.
        """
        try:
            row = self._row(profile)
        except (KeyError, TypeError, AttributeError):  # their texts, and the chain, can hold values
            row = None
        if row is None:
            raise _odd_profile("doesn't have the form that BlueConic documents")
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
        """Write the part in hand, and begin the next."""
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
