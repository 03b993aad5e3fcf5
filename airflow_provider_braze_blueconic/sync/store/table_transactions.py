"""The application transactions of one version of a table: a number for each name.

delta-rs 1.6 reads the whole log since the last checkpoint for each name that it is asked for: a night with a ledger of
fifty commits took more than a thousand requests for its numbers. Here the log is read once for all names. Wherever it
looks in any way unusual, delta-rs is asked.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.sync.store.table_log import TableLog
from airflow_provider_braze_blueconic.sync.store.table_options import only_told

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["Transactions"]

_EXPIRES = "delta.setTransactionRetentionDuration"
"""Table property by which delta-rs leaves out old transactions."""


class Transactions:
    """The numbers of one version of a table.

    :param table: the version.
    :param storage_options: for delta-rs.
    """

    def __init__(self, table: DeltaTable, uri: str, storage_options: Mapping[str, str]) -> None:
        self._table = table
        self._uri = uri
        self._options = storage_options
        self._known: dict[str, int | None] = {}
        self._all: Mapping[str, int] | None = None
        self._looked = False

    def number(self, name: str) -> int | None:
        """Return the last number committed under a name."""
        if name not in self._known:
            # For one name delta-rs asks for less.
            if self._known and not self._looked:
                self._all, self._looked = self._read_all(), True
            told = self._table.transaction_version(name) if self._all is None else self._all.get(name)
            self._known[name] = told
        return self._known[name]

    def _read_all(self) -> Mapping[str, int] | None:
        """Read the numbers of all names; ``None`` where the log isn't as we know logs."""
        if _EXPIRES in self._table.metadata().configuration:
            return None
        try:
            with only_told(self._options):
                log = TableLog(self._uri, self._options)
            return _numbers(log, self._table.version())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # Arrow's own errors are among these
            return None


def _numbers(log: TableLog, version: int) -> Mapping[str, int] | None:
    hint = log.read(["_last_checkpoint"]).get("_last_checkpoint")
    checkpoint = json.loads(hint) if hint else None
    if checkpoint is not None and (checkpoint["version"] > version or not _is_plain(checkpoint)):
        return None
    begin = 0 if checkpoint is None else checkpoint["version"] + 1
    names = [f"{number:020d}.json" for number in range(begin, version + 1)]
    commits = log.read(names)
    if len(commits) != len(names):
        return None
    found: dict[str, int] = {}
    if checkpoint is not None:
        name = f"{checkpoint['version']:020d}.checkpoint.parquet"
        found |= _in_checkpoint(log.read([name])[name])
    for name in names:
        found |= _in_commit(commits[name])
    return found


def _is_plain(checkpoint: Mapping[str, Any]) -> bool:
    """Tell whether a checkpoint is one Parquet file."""
    return not checkpoint.get("parts") and not checkpoint.get("v2Checkpoint")


def _in_checkpoint(content: bytes) -> Mapping[str, int]:
    import pyarrow.parquet as pq

    rows = pq.read_table(io.BytesIO(content), columns=["txn"]).column("txn").to_pylist()
    return {row["appId"]: row["version"] for row in rows if row}


def _in_commit(content: bytes) -> Mapping[str, int]:
    actions = [json.loads(line) for line in content.splitlines() if line.strip()]
    return {action["txn"]["appId"]: action["txn"]["version"] for action in actions if action.get("txn")}
