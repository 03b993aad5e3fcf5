"""What a table's log says about the table itself, even if delta-rs can't open it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.sync.store.table_log import TableLog

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["TableHead", "read_head"]


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

    log = TableLog(uri, storage_options)
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
