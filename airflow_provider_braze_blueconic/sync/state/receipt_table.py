"""The receipts table: the permanent receipts of a goal, each with what was sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.columns import FIELD_PREFIX, INCREASE_PREFIX, field_name
from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect, literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.engine.relations import column_names
from airflow_provider_braze_blueconic.sync.state.told_receipts import told_receipts
from airflow_provider_braze_blueconic.sync.store.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ReceiptTable"]


class ReceiptTable(Table):
    """The receipts of a goal for good: who was sent what, when, with what outcome. Append-only."""

    def commit(
        self,
        engine: Engine,
        *,
        run_key: str,
        delta_id: str,
        delta: Sequence[Path],
        parts: Sequence[Path],
        receipt_rows: int,
    ) -> bool:
        """Append the receipts of one delta; those of an earlier commit are not appended again.

        :param delta: local delta files, which say what was sent.
        :param parts: local part receipts.
        :param receipt_rows: number of receipts in them.
        :return: whether anything was appended.
        """
        name = f"delta:{delta_id}"
        done = self.transaction(name) or 0
        if done >= receipt_rows or not parts:
            return False
        with connect(engine) as connection:
            # A second commit of the same delta is rare (a kill, a retry): only then the table is read.
            committed = self._committed(delta_id) if done else None
            known = "FALSE"
            if committed is not None:
                connection.register("committed", committed)
                known = "(r.identifier, r.sent_at) IN (SELECT (identifier, sent_at) FROM committed)"
            columns = column_names(connection, f"SELECT * FROM {parquet_source(delta, union_by_name=True)}")
            # By what the target was asked for somebody is told beside what it was sent.
            matching = ["matching"] if "matching" in columns else []
            told = "".join(f", d.{name}" for name in ["fields", *matching])
            sent = _sent_fields(delta, columns, beside=matching)
            reader = connection.sql(
                f"""
                SELECT r.identifier, {literal(run_key)} AS run_key, {literal(delta_id)} AS delta_id, r.outcome,
                    r.reason, r.status, r.sent_at, r.refused_fields{told}
                FROM ({told_receipts(parts)}) AS r LEFT JOIN ({sent}) AS d
                    ON d.identifier = r.identifier
                WHERE NOT {known}
                """
            ).to_arrow_reader(50_000)
            self.append(reader, transactions={name: receipt_rows})
        return True

    def _committed(self, delta_id: str) -> pa.Table | None:
        import pyarrow.dataset as ds

        table = self.open()
        if table is None:
            return None
        rows = table.to_pyarrow_dataset()
        # No threads: see RunTable.last_good_read.
        wanted = ds.field("delta_id") == delta_id
        with self.reading():
            return rows.to_table(columns=["identifier", "sent_at"], filter=wanted, use_threads=False)


def _sent_fields(delta: Sequence[Path], columns: Sequence[str], *, beside: Sequence[str]) -> str:
    """SQL for ``identifier`` and ``fields``: a JSON object of each target field that was sent, and its value.

    Of a number that is added to, what was sent is the increase.

    :param beside: other columns of the delta to keep.
    """
    source = parquet_source(delta, union_by_name=True)
    sent = {column: column for column in columns if column.startswith(FIELD_PREFIX)}
    for column in columns:
        if column.startswith(INCREASE_PREFIX):
            sent[FIELD_PREFIX + column.removeprefix(INCREASE_PREFIX)] = column
    pairs = ", ".join(
        f"{literal(json.dumps(field_name(name), ensure_ascii=False) + ':')} || {quote(column)}"
        for name, column in sent.items()
    )
    values = f"[p FOR p IN [{pairs}] IF p IS NOT NULL]"
    fields = f"concat('{{', array_to_string({values}, ','), '}}') AS fields"
    return f"SELECT {', '.join(['identifier', fields, *beside])} FROM {source}"
