"""Receipts: the outcome of every record that was sent.

While an upload runs, receipts are written as small Parquet files beside the delta (part receipts), so that a killed
upload knows what was acknowledged. The commit copies them into the receipts table, with what was sent, for good.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from airflow_provider_braze_blueconic.sync.columns import FIELD_PREFIX, field_name
from airflow_provider_braze_blueconic.sync.database import Engine, connect, literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.tables import Table

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = [
    "Outcome",
    "PartReceipts",
    "Receipt",
    "ReceiptSummary",
    "ReceiptTable",
    "best_receipts",
    "settled_identifiers",
    "summarise",
]

Outcome = Literal["accepted", "rejected", "unknown"]


class Receipt(NamedTuple):
    """What became of one sent record. A named tuple, because one is made for every person sent.

    :param identifier: the person, as JSON text.
    :param outcome: ``unknown`` means that the target may or may not have applied it.
    :param reason: why not, with the person's own values masked; empty when accepted.
    :param status: HTTP status of the last answer, if there was one.
    :param sent_at: UTC.
    """

    identifier: str
    outcome: Outcome
    reason: str
    status: int | None
    sent_at: dt.datetime

    def __repr__(self) -> str:
        return f"Receipt(outcome={self.outcome!r}, status={self.status!r})"


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("identifier", pa.string()),
            ("outcome", pa.string()),
            ("reason", pa.string()),
            ("status", pa.int32()),
            ("sent_at", pa.timestamp("us", tz="UTC")),
        ]
    )


class PartReceipts:
    """Collects receipts and writes them out in parts. Receipts may come in while a part is being written.

    :param folder: local folder.
    :param attempt: name of this attempt; files of two attempts never meet.
    :param publish: called with each finished file; makes it durable. A file is complete before it is published, so
        a kill leaves either the whole part or none of it.
    """

    def __init__(self, folder: Path, *, attempt: str, publish: Callable[[Path], object]) -> None:
        # Loaded now: in the first flush it would keep the loop that sends waiting for a quarter of a second.
        import pyarrow.parquet  # noqa: F401

        self._folder = folder
        self._attempt = attempt
        self._publish = publish
        self._parts = 0
        self._waiting: list[Receipt] = []
        self._writing: list[Receipt] = []
        self._changing = threading.Lock()
        self._one_flush = threading.Lock()

    def __len__(self) -> int:
        """Count the receipts that are not durable yet."""
        return len(self._waiting) + len(self._writing)

    def add(self, receipts: Iterable[Receipt]) -> None:
        """Take receipts; they are durable after the next :meth:`flush`."""
        taken = list(receipts)
        with self._changing:
            self._waiting += taken

    def flush(self) -> int:
        """Make all receipts taken so far durable, and say how many they were.

        A second flush waits for the one under way, so that nothing is on its way when it returns. If writing fails,
        nothing is forgotten: the next flush takes the same receipts along.
        """
        with self._one_flush:
            with self._changing:
                self._writing, self._waiting = self._writing + self._waiting, []
            count = len(self._writing)
            if count:
                self._write(self._writing)
                self._writing = []
            return count

    def _write(self, receipts: Sequence[Receipt]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._attempt}-{self._parts:05d}.parquet"
        schema, columns = _schema(), zip(*receipts, strict=True)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, compression="zstd")
        self._publish(path)
        # Only now: a part that failed is written again under its own name, so it can't be there twice.
        self._parts += 1
        path.unlink()


def settled_identifiers(parts: Sequence[Path], *, repeatable: bool) -> str:
    """SQL for the identifiers that must not be sent again: accepted, or refused for what they are.

    :param repeatable: sending twice does no harm. If not, an unknown outcome is settled too: it is held, not repeated.
    """
    settled = "'accepted', 'rejected'" if repeatable else "'accepted', 'rejected', 'unknown'"
    return f"SELECT identifier FROM {parquet_source(parts)} WHERE outcome IN ({settled})"


@dataclass(frozen=True)
class ReceiptSummary:
    """Part receipts, counted by person.

    :param receipts: receipts, including those of repeated attempts.
    :param outcomes: outcome → people, by the best receipt of each.
    :param reasons: reason → people, of those not accepted.
    """

    receipts: int
    outcomes: Mapping[str, int]
    reasons: Mapping[str, int]


def best_receipts(parts: Sequence[Path]) -> str:
    """SQL for ``identifier``, ``receipts`` (how many), ``outcome`` and ``reason``: one row a person.

    A retry may have tried a person again, so the best receipt counts: accepted over rejected over unknown. The ledger
    and the report both ask here, so that they can't tell different stories.
    """
    return f"""
        SELECT identifier, count(*) AS receipts, min_by(outcome, rank) AS outcome, min_by(reason, rank) AS reason
        FROM (
            SELECT *, CASE outcome WHEN 'accepted' THEN 0 WHEN 'rejected' THEN 1 ELSE 2 END AS rank
            FROM {parquet_source(parts)}
        )
        GROUP BY identifier
        """


def summarise(engine: Engine, parts: Sequence[Path]) -> ReceiptSummary:
    """Count part receipts: accepted counts over rejected, rejected over unknown."""
    if not parts:
        return ReceiptSummary(0, {}, {})
    with connect(engine) as connection:
        rows = connection.execute(
            f"SELECT outcome, reason, count(*), sum(receipts)::BIGINT FROM ({best_receipts(parts)}) GROUP BY ALL"
        ).fetchall()
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    receipts = 0
    for outcome, reason, people, sent in rows:
        outcomes[outcome] += people
        receipts += sent
        if outcome != "accepted":
            reasons[reason] += people
    return ReceiptSummary(receipts, dict(outcomes), dict(reasons.most_common()))


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
            reader = connection.sql(
                f"""
                SELECT r.identifier, {literal(run_key)} AS run_key, {literal(delta_id)} AS delta_id, r.outcome,
                    r.reason, r.status, r.sent_at, d.fields
                FROM {parquet_source(parts)} AS r LEFT JOIN ({_sent_fields(connection, delta)}) AS d
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
        return rows.to_table(columns=["identifier", "sent_at"], filter=wanted, use_threads=False)


def _sent_fields(connection: duckdb.DuckDBPyConnection, delta: Sequence[Path]) -> str:
    """SQL for ``identifier`` and ``fields``: a JSON object of each target field that was sent, and its value."""
    source = parquet_source(delta, union_by_name=True)
    columns = [name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
    pairs = ", ".join(
        f"{literal(json.dumps(field_name(column), ensure_ascii=False) + ':')} || {quote(column)}"
        for column in columns
        if column.startswith(FIELD_PREFIX)
    )
    values = f"[p FOR p IN [{pairs}] IF p IS NOT NULL]"
    return f"SELECT identifier, concat('{{', array_to_string({values}, ','), '}}') AS fields FROM {source}"
