"""The upkeep of a Delta table: it compacts small files and removes old ones."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.store.table_opening import OpenedTable

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from airflow_provider_braze_blueconic.sync.store.staging import Staging

__all__ = ["KeptTable"]

_FILES_KEPT = "delta.deletedFileRetentionDuration"
_LOG_KEPT = "delta.logRetentionDuration"
"""Table properties: for how long a checkpoint remembers a file that was replaced (7 days without it), and for how long
commits are kept (30 days)."""

_SMALL_BYTES = 16 * 1024**2
_SMALL_FILES = 32
"""Files smaller than that which make a table slow to open: each run adds one or more to receipts and runs."""


class KeptTable(OpenedTable):
    """A Delta table that is kept in order; nothing of it changes what the table holds."""

    def compact(self, *, at_least: int = _SMALL_FILES) -> int:
        """Put small files together where there are many of them; no row changes.

        :param at_least: so many files have to be small, or it is not worth it.
        :return: files that are gone.
        :raises WriterConflict: if another writer changed the table meanwhile; nothing was changed here.
        """
        from deltalake.exceptions import CommitFailedError

        table = self.open()
        if table is None:
            return 0
        with self.reading():
            sizes = table.get_add_actions(flatten=True).column("size_bytes").to_pylist()
            if sum(size < _SMALL_BYTES for size in sizes) < at_least:
                return 0
            try:
                # One at a time: what it holds in memory grows with each.
                done = table.optimize.compact(max_concurrent_tasks=1)
            except CommitFailedError as error:
                raise self._conflict() from error
            finally:
                self._look_again()
        return int(done["numFilesRemoved"])

    def keep_history(self, days: int, staging: Staging) -> None:
        """Have the table keep what its versions of the last days need; no row changes.

        At each checkpoint delta-rs forgets files that were replaced longer ago than the table's own properties say,
        and a vacuum then takes them, whatever number it is told. A commit is made only where a number is another.

        :param staging: the store that the table is in.
        :raises WriterConflict: if another writer changed the table meanwhile; nothing was changed here.
        """
        table = self.open()
        if table is None or self._keeps(days):
            return
        # Not alter.set_table_properties(): in deltalake 1.6 it waits for the network with Python's lock held, so that
        # no sign of life is given meanwhile. A commit is an object that nobody has written yet: see Delta's
        # PROTOCOL.md, "Change Metadata", read 2026-11.
        commit = f"{self.uri}/_delta_log/{table.version() + 1:020d}.json"
        written = staging.write_bytes(commit, _with_properties(table, _history(days)), if_absent=True)
        self._look_again()
        # What was refused may be this commit's own repetition after a lost answer.
        if not written and not self._keeps(days):
            raise self._conflict()

    def _keeps(self, days: int) -> bool:
        table = self.open()
        return table is not None and _history(days).items() <= table.metadata().configuration.items()

    def vacuum(self, days: int) -> int:
        """Remove files that only versions older than some days need, and those that a killed writer left.

        :param days: as many as the table keeps; see :meth:`keep_history`.
        :return: files that are gone.
        """
        if not self._vacuum(days, dry_run=True):
            return 0
        # A vacuum takes what the log names as replaced also where it is long gone, and notes that in two commits. So a
        # checkpoint comes first: it forgets what is older than the table keeps, and only files that are there are left.
        table = self.open()
        if table is None:
            return 0
        with self.reading():
            table.create_checkpoint()
        self._look_again()
        return self._vacuum(days, dry_run=False)

    def _vacuum(self, days: int, *, dry_run: bool) -> int:
        table = self.open()
        if table is None:
            return 0
        with self.reading():
            # All files and not only those that the log names: a writer that was killed told nobody of its own.
            gone = table.vacuum(24 * days, dry_run=dry_run, enforce_retention_duration=False, full=True)
        if not dry_run:
            self._look_again()
        return len(gone)


def _history(days: int) -> dict[str, str]:
    return dict.fromkeys((_FILES_KEPT, _LOG_KEPT), f"interval {days} days")


def _with_properties(table: DeltaTable, properties: Mapping[str, str]) -> bytes:
    """Write a commit that sets properties of a table and changes nothing else."""
    known = table.metadata()
    info = {
        "timestamp": int(dt.datetime.now(dt.UTC).timestamp() * 1000),
        "operation": "SET TBLPROPERTIES",
        "operationParameters": {"properties": json.dumps(properties)},
        "engineInfo": "airflow-provider-braze-blueconic",
    }
    head = {
        "id": str(known.id),
        "name": known.name,
        "description": known.description,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": table.schema().to_json(),
        "partitionColumns": known.partition_columns,
        "createdTime": known.created_time,
        "configuration": {**known.configuration, **properties},
    }
    return "\n".join(json.dumps(action) for action in ({"commitInfo": info}, {"metaData": head})).encode()
