"""The runs table: a row a run, with the counters of its report."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.sync.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["GoodRead", "RunTable"]

GoodRead = tuple[dt.datetime, str]
"""Start of a read after which everybody was accepted, and the mapping's hash at that time."""


class RunTable(Table):
    """One row a report. A run that is reported twice has two rows; the later one counts."""

    def add(self, report: Mapping[str, Any], *, read_started_at: dt.datetime | None, mapping_hash: str) -> None:
        """Append the row of a finished run."""
        import pyarrow as pa

        row: dict[str, Any] = {
            name: value if not isinstance(value, Mapping | list) else json.dumps(value)
            for name, value in report.items()
        }
        row |= {
            "read_started_at": read_started_at,
            "mapping_hash": mapping_hash,
            "reported_at": dt.datetime.now(dt.UTC),
        }
        table = pa.Table.from_pylist([row], schema=_schema(row))
        self.append(table, transactions={})

    def last_good_read(self) -> GoodRead | None:
        """Return the latest read after which nobody was left rejected, unknown or unsent; ``None`` if there was none.

        A partial read may begin there: whoever was not accepted since is read again.
        """
        import pyarrow.dataset as ds

        table = self.open()
        if table is None:
            return None
        good = (ds.field("status") == "success") & (ds.field("not_accepted") == 0) & ds.field("dry_run").__invert__()
        rows = table.to_pyarrow_dataset().to_table(columns=["read_started_at", "mapping_hash"], filter=good).to_pylist()
        reads = [(row["read_started_at"], row["mapping_hash"]) for row in rows if row["read_started_at"] is not None]
        return max(reads, default=None)


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
