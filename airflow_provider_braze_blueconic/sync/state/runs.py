"""The runs table: a row for each run, with the counters of its report."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.sync.store.tables import Table, microseconds

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["GoodRead", "RunTable"]

_REPORTED = "reported"
"""Application transaction by which a row is found again whose commit got no answer: its ``reported_at``."""

_ENDED = "reads_ended"
"""Application transaction that holds until when reads are no place to begin."""

GoodRead = tuple[dt.datetime, str]
"""Start of a read after which everybody was accepted, and the fingerprint of what decided who was read."""


class RunTable(Table):
    """One row a report. A run that is reported twice has two rows; the later one counts."""

    def add(self, report: Mapping[str, Any], *, read_started_at: dt.datetime | None, mapping_hash: str) -> None:
        """Append the row of a finished run."""
        import pyarrow as pa

        row: dict[str, Any] = {
            name: value if not isinstance(value, Mapping | list) else json.dumps(value)
            for name, value in report.items()
        }
        reported_at = dt.datetime.now(dt.UTC)
        row |= {"read_started_at": read_started_at, "mapping_hash": mapping_hash, "reported_at": reported_at}
        table = pa.Table.from_pylist([row], schema=_schema(row))
        self.append(table, transactions={_REPORTED: microseconds(reported_at)})

    def last_good_read(self) -> GoodRead | None:
        """Return the latest read after which nobody was left rejected, unknown or unsent; ``None`` if there was none.

        A partial read may begin there: whoever was not accepted since is read again. So a read only counts if it is
        known to have brought everybody whom it was to bring, and if nothing ended it: see :meth:`end_reads`.
        """
        import pyarrow.dataset as ds

        table = self.open()
        if table is None:
            return None
        # Arrow's threads hold delta-rs's Python file objects for a moment longer; where the interpreter ends within it
        # (a command line), the process aborts after its work is done. Seen with pyarrow 26 and deltalake 1.6.
        rows = table.to_pyarrow_dataset().to_table(
            use_threads=False,
            columns=[name for name in _LOOKED_AT if name in self.columns()],
            filter=ds.field("dry_run").__invert__(),
        )
        last = {row["run_key"]: row for row in sorted(rows.to_pylist(), key=lambda row: row["reported_at"])}
        ended = table.transaction_version(_ENDED) or 0
        good = [_read(row) for row in last.values() if _is_good(row) and microseconds(row["read_started_at"]) > ended]
        return max(good, default=None)

    def end_reads(self, until: dt.datetime) -> None:
        """Say that no partial read may begin at a read of until then.

        A run that sends other than new changes, older data or by other settings, says so before it sends: whoever gets
        those did not change in the source since, so a partial read would not meet them.

        :raises WriterConflict: if another writer was faster.
        """
        import pyarrow as pa

        nothing = pa.table({"run_key": pa.array([], pa.string())})
        self.append(nothing, transactions={_ENDED: microseconds(until)})

    def reads(self) -> pa.Table:
        """Return ``run_key``, ``reported_at``, ``read_started_at`` and ``committed`` of each report.

        ``committed`` tells that all outcomes of the run are in the ledger. A dry run has none, and of an incomplete run
        it is not known.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        moment = pa.timestamp("us", tz="UTC")
        names = [("run_key", pa.string()), ("reported_at", moment), ("read_started_at", moment)]
        rows = self.rows([*dict(names), "status", "dry_run"])
        if rows is None:
            return pa.schema([*names, ("committed", pa.bool_())]).empty_table()
        with self.reading():
            found = rows.read_all()
        committed = pc.and_not(pc.equal(found["status"], "success"), found["dry_run"])
        return found.select(list(dict(names))).append_column("committed", committed)


_LOOKED_AT = (
    "run_key", "reported_at", "read_started_at", "mapping_hash", "status", "not_accepted", "complete", "read", "whole",
)  # fmt: skip


def _is_good(row: Mapping[str, Any]) -> bool:
    whole = row.get("whole")
    if whole is None:  # a row of an earlier version
        whole = row["complete"] or row["read"] == "modified"
    return row["status"] == "success" and row["not_accepted"] == 0 and whole and row["read_started_at"] is not None


def _read(row: Mapping[str, Any]) -> GoodRead:
    return row["read_started_at"], row["mapping_hash"]


def _schema(row: Mapping[str, Any]) -> pa.Schema:
    import pyarrow as pa

    moments = {"read_started_at", "reported_at"}

    def type_of(name: str, value: object) -> pa.DataType:
        if name in moments:
            return pa.timestamp("us", tz="UTC")
        if isinstance(value, bool):
            return pa.bool_()
        if isinstance(value, int):
            return pa.int64()
        if isinstance(value, float):
            return pa.float64()
        return pa.string()

    return pa.schema([(name, type_of(name, value)) for name, value in row.items()])
