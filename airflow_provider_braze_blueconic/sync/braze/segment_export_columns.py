"""The columns of a snapshot in the making: what each path reads of the users so far."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.sync.braze.segment_export_kinds import KINDS, note_kind
from airflow_provider_braze_blueconic.sync.braze.segment_export_request import REMAINING_FIELDS
from airflow_provider_braze_blueconic.sync.engine.columns import source_column
from airflow_provider_braze_blueconic.vendors.braze_export_fields import CUSTOM_ATTRIBUTES
from airflow_provider_braze_blueconic.vendors.braze_path_values import value_texts
from airflow_provider_braze_blueconic.vendors.braze_paths import attribute_path, parse_path

if TYPE_CHECKING:
    import datetime as dt

    import pyarrow as pa

__all__ = ["Users"]

_ROWS_PER_CHUNK = 1_000
"""Rows that are held as Python objects; as Arrow chunks they take a fraction of the memory."""
_PART_BYTES = 64 << 20
_PART_CELLS = 10_000_000
"""A part ends early at so many bytes of lines, or rows times columns: its memory must not depend on the workspace."""


class _TextLists:
    """One sparse list column in the making: all its texts, where each row's begin, and which rows have a list."""

    __slots__ = ("begins", "present", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.begins = array("i")
        self.present = bytearray()

    def add(self, row: int, texts: list[str]) -> None:
        self._pad(row)
        self.begins.append(len(self.texts))
        self.present.append(1)
        self.texts += texts

    def _pad(self, rows: int) -> None:
        missing = rows - len(self.present)
        if missing:
            self.begins.extend([len(self.texts)] * missing)
            self.present.extend(bytes(missing))

    def array(self, rows: int) -> pa.Array:
        import pyarrow as pa

        self._pad(rows)
        self.begins.append(len(self.texts))
        texts = pa.array(self.texts, pa.string())
        present = pa.Array.from_buffers(pa.uint8(), rows, [None, pa.py_buffer(self.present)]).cast(pa.bool_())
        buffers = [present.buffers()[1], pa.py_buffer(self.begins)]
        return pa.Array.from_buffers(pa.list_(pa.string()), rows, buffers, children=[texts])


class Users:
    """The users of the part in hand, and what is known of the remaining fields of all."""

    def __init__(
        self,
        paths: Sequence[str],
        *,
        remaining: bool,
        excluded: Collection[str],
        campaign_names: Mapping[str, str] | None,
        as_of: dt.datetime,
    ) -> None:
        self._sources = list(dict.fromkeys(paths))
        parsed = [parse_path(path) for path in self._sources]
        self._readers = [path.reader(campaign_names) for path in parsed]
        named = {path.owner for path in [*parsed, *map(parse_path, excluded)]}
        self._fields = [field for field in REMAINING_FIELDS if (field, None) not in named] if remaining else []
        self._remaining = remaining
        # Attribute → its path, or None where a path names it: asked for every value of every person.
        self._attributes: dict[str, str | None] = {name: None for _, name in named if name is not None}
        self._kinds: dict[str, set[str]] = {}
        self._as_of = as_of
        self.rows = 0
        self.repaired = 0
        self._begin_part()

    def _begin_part(self) -> None:
        self._ids: list[str] = []
        self._bytes = 0
        self._chunks: list[list[pa.Array]] = [[] for _ in self._sources]
        self._unpacked: list[list[list[str] | None]] = []
        self._found: dict[str, _TextLists] = {}

    @property
    def held(self) -> int:
        """Rows of the part in hand."""
        return len(self._ids)

    def fill_a_part(self, rows: int) -> bool:
        """Tell whether the part in hand should end."""
        held = len(self._ids)
        cells = held * (len(self._sources) + len(self._found))
        return held >= rows or self._bytes >= _PART_BYTES or cells >= _PART_CELLS

    def add(self, user: Mapping[str, Any], size: int) -> None:
        """Add a user whose line has ``size`` bytes; an error while reading leaves no half a row."""
        named = [read(user) for read in self._readers]
        remaining = list(self._remaining_values(user)) if self._remaining else ()
        row = len(self._ids)
        self._ids.append(user["braze_id"])
        self._bytes += size
        self._unpacked.append(named)
        if len(self._unpacked) >= _ROWS_PER_CHUNK:
            self._pack()
        for path, value, texts in remaining:
            found = self._found.get(path)
            if found is None:
                found = self._found[path] = _TextLists()
                self._kinds.setdefault(path, set())
            found.add(row, texts)
            note_kind(value, self._kinds[path])
        self.rows += 1

    def _remaining_values(self, user: Mapping[str, Any]) -> Iterator[tuple[str, object, list[str]]]:
        for field in self._fields:
            value = user.get(field)
            if (texts := value_texts(value)) is not None:
                yield field, value, texts
        attributes = user.get(CUSTOM_ATTRIBUTES)
        if type(attributes) is not dict:
            return
        for name, value in attributes.items():
            try:
                path = self._attributes[name]
            except KeyError:
                path = self._attributes[name] = attribute_path(name)
            if path is not None and (texts := value_texts(value)) is not None:
                yield path, value, texts

    def _pack(self) -> None:
        """Make Arrow chunks of the rows that are Python objects."""
        import pyarrow as pa

        for chunks, texts in zip(self._chunks, zip(*self._unpacked, strict=True), strict=True):
            chunks.append(pa.array(texts, pa.list_(pa.string())))
        self._unpacked = []

    def take(self) -> pa.Table:
        """Give the part in hand, and begin the next. A remaining field that nobody here has is not a column of it."""
        import pyarrow as pa

        count = self.held
        moment = pa.timestamp("us", tz="UTC")
        if self._unpacked:
            self._pack()
        lists = pa.list_(pa.string())
        columns: dict[str, pa.Array | pa.ChunkedArray] = {
            "row": pa.array(range(self.rows - count, self.rows), pa.int64()),
            "profile_id": pa.array(self._ids, pa.string()),
            "as_of": pa.repeat(pa.scalar(self._as_of, moment), count),
            "last_modified": pa.nulls(count, moment),
            "consented": pa.nulls(count, lists),
        }
        for path, chunks in zip(self._sources, self._chunks, strict=True):
            columns[source_column(path)] = pa.chunked_array(chunks, lists)
        columns |= {source_column(path): texts.array(count) for path, texts in self._found.items()}
        self._begin_part()
        return pa.table(columns)

    def fields(self) -> dict[str, Any]:
        """Give the content of ``fields.json``."""
        remaining = {
            path: {"kinds": [kind for kind in KINDS if kind in kinds]} for path, kinds in sorted(self._kinds.items())
        }
        return {"sources": self._sources, "remaining": remaining}
