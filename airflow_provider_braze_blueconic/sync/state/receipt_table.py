"""The receipts table: the permanent receipts of a goal, each with what was sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.columns import FIELD_PREFIX
from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect, literal, parquet_source
from airflow_provider_braze_blueconic.sync.engine.relations import column_names
from airflow_provider_braze_blueconic.sync.state.receipt_parts import parts_by_partition
from airflow_provider_braze_blueconic.sync.state.sent_fields import sent_fields
from airflow_provider_braze_blueconic.sync.state.table_rows import write_file
from airflow_provider_braze_blueconic.sync.state.told_receipts import are_plain, told_receipts
from airflow_provider_braze_blueconic.sync.store.table_files import FiledTable

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ReceiptTable"]

_FILE_RECEIPTS = 200_000
"""Receipts from which a file is large enough. The deltas of small partitions go into one file together: what is in
memory at a time is a file's, and what makes a table slow to open is many files."""


class ReceiptTable(FiledTable):
    """The receipts of a goal for good: who was sent what, when, with what outcome. Append-only."""

    def commit(
        self,
        engine: Engine,
        *,
        run_key: str,
        delta_id: str,
        delta: Mapping[int, Path],
        parts: Sequence[Path],
        receipt_rows: int,
        folder: Path,
    ) -> bool:
        """Append the receipts of one delta; those of an earlier commit are not appended again.

        :param delta: partition → local delta file, which says what was sent.
        :param parts: local part receipts.
        :param receipt_rows: number of receipts in them.
        :param folder: local folder that gets a file at a time.
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
            columns = column_names(
                connection, f"SELECT * FROM {parquet_source(list(delta.values()), union_by_name=True)}"
            )
            # By what the target was asked for somebody is told beside what it was sent.
            beside = ["matching"] if "matching" in columns else []
            fields = sum(name.startswith(FIELD_PREFIX) for name in columns)
            files = []
            for number, (deltas, some) in enumerate(_batches(delta, parts)):
                files.append(folder / f"receipts-{number}.parquet")
                sent = sent_fields(connection, deltas, beside=beside)
                told = told_receipts(some, plain=are_plain(connection, some))
                write_file(
                    connection, _rows_sql(told, sent, beside, run_key, delta_id, known), files[-1], fields=fields
                )
            self.append_local(files, transactions={name: receipt_rows})
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


def _rows_sql(told: str, sent: str, beside: Sequence[str], run_key: str, delta_id: str, known: str) -> str:
    """SQL for the table's rows.

    :param told: SQL for the receipts.
    :param sent: SQL for what was sent.
    :param known: SQL that tells whether a receipt is in the table.
    """
    columns = "".join(f", d.{name}" for name in ["fields", *beside])
    nothing = "".join(f", NULL::VARCHAR AS {name}" for name in ["fields", *beside])
    receipt = (
        f"r.identifier, {literal(run_key)} AS run_key, {literal(delta_id)} AS delta_id, r.outcome, r.reason, r.status, "
        "r.sent_at, r.refused_fields"
    )
    # Not one outer join: DuckDB would keep what was sent in memory, which is wide, and not the receipts.
    return f"""
        SELECT {receipt}{columns} FROM ({sent}) AS d JOIN ({told}) AS r ON r.identifier = d.identifier
        WHERE NOT {known}
        UNION ALL
        SELECT {receipt}{nothing} FROM ({told}) AS r ANTI JOIN ({sent}) AS d ON d.identifier = r.identifier
        WHERE NOT {known}
        """


def _batches(delta: Mapping[int, Path], parts: Sequence[Path]) -> Iterator[tuple[list[Path], list[Path]]]:
    """Divide deltas and their receipts into what goes into one file."""
    import pyarrow.parquet as pq

    divided = parts_by_partition(parts)
    if divided is None or not divided.keys() <= delta.keys():
        yield list(delta.values()), list(parts)
        return
    deltas: list[Path] = []
    some: list[Path] = []
    receipts = 0
    for partition, mine in sorted(divided.items()):
        deltas.append(delta[partition])
        some += mine
        receipts += sum(pq.read_metadata(part).num_rows for part in mine)
        if receipts >= _FILE_RECEIPTS:
            yield deltas, some
            deltas, some, receipts = [], [], 0
    if some:
        yield deltas, some
