"""Features that somebody gave a Delta table, and that this package can't read or write.

Another engine can turn on a feature of a table with one statement. delta-rs then opens the table and reads NULL in
every column, or writes until its first commit, or calls its log odd. So a table is looked at when it is opened, before
anything is sent: what is refused here would else fail when the outcome of an upload has to be kept.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["TableHead", "read_head", "unsupported_features"]

# What deltalake 1.6.6 does with each: every feature of Delta's PROTOCOL.md ("Valid Feature Names in Table Features",
# read 2026-11) was set on a table like ours, which was then read through PyArrow, appended to and replaced.
_READABLE = frozenset({"timestampNtz", "variantType", "variantType-preview"})
_WRITABLE = _READABLE | {"appendOnly", "invariants", "checkConstraints", "changeDataFeed", "generatedColumns"}

_NEWEST_READER = 3
_NEWEST_WRITER = 7
_FEATURE_LISTS = 7
"""Writer version from which a table lists its features by name."""

_IDENTITY_WRITER = 6
"""The version that stands for identity columns where features are not listed; delta-rs refuses to write it."""

_DROP = "ALTER TABLE delta.`{uri}` DROP FEATURE {name}"
_UNSET = "ALTER TABLE delta.`{uri}` UNSET TBLPROPERTIES ('{name}')"

# Key in the metadata of a column -> what it is.
_COLUMN_RULES = {
    "delta.generationExpression": "a generated column",
    "delta.identity.step": "an identity column",
    "delta.invariants": "an invariant on a column",
}
_CONSTRAINT = "delta.constraints."


@dataclass(frozen=True)
class TableHead:
    """What a table's log says of the table itself.

    :param columns: a mapping a column, as in the log: ``name``, ``nullable``, ``metadata``.
    """

    min_reader: int
    min_writer: int
    reader_features: Sequence[str] = ()
    writer_features: Sequence[str] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    columns: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of(cls, table: DeltaTable) -> TableHead:
        """Take it from a table that could be opened."""
        protocol = table.protocol()
        return cls(
            protocol.min_reader_version,
            protocol.min_writer_version,
            protocol.reader_features or (),
            protocol.writer_features or (),
            dict(table.metadata().configuration),
            json.loads(table.schema().to_json())["fields"],
        )


def unsupported_features(head: TableHead, uri: str, *, replaces: bool) -> Iterator[tuple[str, str]]:
    """Name the features of a table that this package can't work with, each with the SQL that takes it off.

    :param replaces: rows of the table are replaced, and not only added.
    """
    named = [*head.reader_features, *(name for name in head.writer_features if name not in head.reader_features)]
    for name in named:
        if (name in head.reader_features and name not in _READABLE) or name not in _WRITABLE:
            yield name, _DROP.format(uri=uri, name=name)
    mapped = head.properties.get("delta.columnMapping.mode", "none")
    # Also without the feature's name: a table of reader version 2 lists none.
    if mapped.lower() != "none" and "columnMapping" not in named:
        yield "columnMapping", _DROP.format(uri=uri, name="columnMapping")
    if head.min_reader > _NEWEST_READER or head.min_writer > _NEWEST_WRITER:
        yield f"reader version {head.min_reader}, writer version {head.min_writer}", "write it anew"
    elif _IDENTITY_WRITER <= head.min_writer < _FEATURE_LISTS:
        yield "identityColumns", _DROP.format(uri=uri, name="identityColumns")
    if replaces and head.properties.get("delta.appendOnly", "").lower() == "true":
        yield "delta.appendOnly", _UNSET.format(uri=uri, name="delta.appendOnly")
    for name in head.properties:
        if name.startswith(_CONSTRAINT):
            constraint = name.removeprefix(_CONSTRAINT)
            yield f"constraint {constraint}", f"ALTER TABLE delta.`{uri}` DROP CONSTRAINT {constraint}"
    yield from _column_rules(head, uri)


def _column_rules(head: TableHead, uri: str) -> Iterator[tuple[str, str]]:
    for column in head.columns:
        name, metadata = column["name"], column.get("metadata") or {}
        for key, what in _COLUMN_RULES.items():
            if key in metadata:
                yield f"{what} ({name})", f"ALTER TABLE delta.`{uri}` DROP COLUMN {name}"
        if not column.get("nullable", True):
            yield f"NOT NULL on {name}", f"ALTER TABLE delta.`{uri}` ALTER COLUMN {name} DROP NOT NULL"


def read_head(uri: str, storage_options: Mapping[str, str]) -> TableHead | None:
    """Read what the log says of a table that delta-rs can't open; ``None`` if the log can't be read either.

    The newest word counts: later commits first, and a checkpoint for what is older than they are.
    """
    try:
        return _newest_head(uri, storage_options)
    except (OSError, ValueError, KeyError, TypeError):  # Arrow's own errors are among these
        return None


def _newest_head(uri: str, storage_options: Mapping[str, str]) -> TableHead | None:
    import pyarrow.parquet as pq

    log = _Log(uri, storage_options)
    hint = log.read(["_last_checkpoint"])
    begin = int(json.loads(hint["_last_checkpoint"])["version"]) if hint else 0
    commits: dict[str, bytes] = {}
    first = begin
    while page := log.read([f"{version:020d}.json" for version in range(first, first + _PAGE)]):
        commits |= page
        first += _PAGE
    found: dict[str, Mapping[str, Any]] = {}
    for name in sorted(commits, reverse=True):
        _take([json.loads(line) for line in commits[name].splitlines() if line.strip()], found)
    for content in log.read([f"{begin:020d}.checkpoint.parquet"]).values():
        wanted = [key for key in _HEAD if key in pq.read_schema(io.BytesIO(content)).names]
        _take(pq.read_table(io.BytesIO(content), columns=wanted).to_pylist(), found)
    return _head(**found) if len(found) == len(_HEAD) else None


def _take(actions: Sequence[Any], found: dict[str, Mapping[str, Any]]) -> None:
    for action in reversed(actions):
        for key in _HEAD:
            if isinstance(action, dict) and action.get(key):
                found.setdefault(key, action[key])


class _Log:
    """The files of a table's log, by delta-rs's own access.

    Not as a file system of Arrow's, nor by listing: in deltalake 1.6 both wait for the network with Python's lock held.
    """

    def __init__(self, uri: str, storage_options: Mapping[str, str]) -> None:
        self._uri = uri
        self._options = dict(storage_options)

    def read(self, names: Sequence[str]) -> dict[str, bytes]:
        """Read those that are there."""
        from deltalake.fs import DeltaStorageHandler

        paths = [f"_delta_log/{name}" for name in names]
        there = DeltaStorageHandler(self._uri, self._options).get_file_info(paths)
        sizes = {info.path: int(info.size) for info in there if info.is_file}
        # With its size told, a file is opened without asking for it.
        files = DeltaStorageHandler(self._uri, self._options, sizes)
        return {path.rpartition("/")[2]: files.open_input_file(path).read() for path in paths if path in sizes}


_PAGE = 20
"""Commits that are asked for at once. A table that is cleaned up has some dozens after its last checkpoint."""

_HEAD = ("protocol", "metaData")


def _head(protocol: Mapping[str, Any], metaData: Mapping[str, Any]) -> TableHead:  # noqa: N803 - the log's own word
    return TableHead(
        protocol["minReaderVersion"],
        protocol["minWriterVersion"],
        protocol.get("readerFeatures") or (),
        protocol.get("writerFeatures") or (),
        dict(metaData.get("configuration") or {}),  # Arrow reads a map as pairs
        json.loads(metaData["schemaString"])["fields"],
    )
