"""The rows of a batch of users: an Arrow column for each path that is read, and for each remaining field."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.sync.braze.segment_export_kinds import note_kinds
from airflow_provider_braze_blueconic.sync.braze.segment_export_paths import ExportUsers, PathColumn
from airflow_provider_braze_blueconic.sync.braze.segment_export_request import REMAINING_FIELDS
from airflow_provider_braze_blueconic.sync.braze.segment_export_texts import spread, text_lists
from airflow_provider_braze_blueconic.sync.engine.columns import source_column
from airflow_provider_braze_blueconic.vendors.braze_paths import attribute_path, parse_path

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ReadSettings", "RowMaker"]

_SPARSE = 8
"""Where fewer users than one in so many have an attribute, its values are gathered and then spread over the rows."""


@dataclass(frozen=True)
class ReadSettings:
    """What to read of each user.

    :param paths: see :mod:`~airflow_provider_braze_blueconic.vendors.braze_paths`; each one once.
    :param remaining: also read each field and custom attribute of which no path, and none of ``excluded``, reads
        anything.
    :param excluded: paths that count as named although they are not read.
    :param campaign_names: campaign id → name, for ``campaigns_received``.
    """

    paths: list[str]
    remaining: bool = False
    excluded: list[str] | None = None
    campaign_names: dict[str, str] | None = None


@dataclass(frozen=True)
class _Remaining:
    path: str
    values: list[Any]
    types: frozenset[type]
    lists: pa.Array


class RowMaker:
    """Makes rows of users, batch after batch, and learns the kinds of values in the remaining fields.

    :ivar kinds: path of a remaining field → kinds seen so far.
    """

    def __init__(self, settings: ReadSettings) -> None:
        self._paths = [(source_column(path), PathColumn(path, settings.campaign_names)) for path in settings.paths]
        named = {parse_path(path).owner for path in [*settings.paths, *(settings.excluded or ())]}
        self._remaining = settings.remaining
        self._fields = [field for field in REMAINING_FIELDS if (field, None) not in named]
        # Attribute → its path, or None where a path names it.
        self._attributes: dict[str, str | None] = {name: None for _, name in named if name is not None}
        self.kinds: dict[str, set[str]] = {}

    def rows(self, users: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
        """Make the rows of some users.

        :return: ``profile_id``, a list column for each path, and one for each remaining field that one of them has.
        :raises RecursionError: a value is nested too deeply; nothing of these users was learned then.
        """
        import pyarrow as pa

        batch = ExportUsers(users)
        columns = {"profile_id": pa.array(batch.field("braze_id"), pa.string())}
        columns |= {name: path.lists(batch) for name, path in self._paths}
        remaining = list(self._read_remaining(batch)) if self._remaining else []
        columns |= {source_column(each.path): each.lists for each in remaining}
        for each in remaining:
            note_kinds(each.values, each.types, each.lists, self.kinds.setdefault(each.path, set()))
        return pa.RecordBatch.from_pydict(columns)

    def check(self, users: Sequence[Mapping[str, Any]]) -> None:
        """Raise what :meth:`rows` raises for these users, and learn nothing."""
        batch = ExportUsers(users)
        for _, path in self._paths:
            path.lists(batch)
        if self._remaining:
            deque(self._read_remaining(batch), maxlen=0)

    def _read_remaining(self, batch: ExportUsers) -> Iterator[_Remaining]:
        present = set(chain.from_iterable(batch.users))
        for field in self._fields:
            if field in present:
                values = batch.field(field)
                lists, types = text_lists(values)
                if types:
                    yield _Remaining(field, values, types, lists)
        for path, values, rows in self._attribute_values(batch):
            lists, types = text_lists(values)
            if types:
                yield _Remaining(path, values, types, spread(lists, rows, len(batch.users)) if rows else lists)

    def _attribute_values(self, batch: ExportUsers) -> Iterator[tuple[str, list[Any], list[int]]]:
        """Yield path, values and rows of each attribute; without rows where there is a value for each row."""
        attributes = batch.attributes
        names = dict.fromkeys(chain.from_iterable(attributes))
        wanted = [(name, path) for name in names if (path := self._attribute_path(name)) is not None]
        if len(wanted) * len(attributes) < _SPARSE * sum(map(len, attributes)):
            yield from ((path, batch.attribute(name), []) for name, path in wanted)
            return
        gathered: dict[str, tuple[list[Any], list[int]]] = {name: ([], []) for name in names}
        for row, held in enumerate(attributes):
            for name, value in held.items():
                values, rows = gathered[name]
                values.append(value)
                rows.append(row)
        yield from ((path, *gathered[name]) for name, path in wanted)

    def _attribute_path(self, name: str) -> str | None:
        try:
            return self._attributes[name]
        except KeyError:
            path = self._attributes[name] = attribute_path(name)
            return path
