"""Receipts: the outcome of every record that was sent.

While an upload runs, receipts are written as small Parquet files beside the delta (part receipts), so that a killed
upload knows what was acknowledged. The commit copies them into the receipts table, with what was sent, for good.

Of a record that must not be sent twice the parts also hold an intent, written before it is sent. If the server
certainly did nothing with it, the intent is withdrawn. A record whose intent nothing followed was sent or not, and may
have been applied: whoever reads the parts is told that its outcome is unknown.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from airflow_provider_braze_blueconic.sync.columns import FIELD_PREFIX, INCREASE_PREFIX, field_name
from airflow_provider_braze_blueconic.sync.database import Engine, connect, literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.tables import Table

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = [
    "OPEN_INTENT",
    "Outcome",
    "PartReceipts",
    "Receipt",
    "ReceiptSummary",
    "ReceiptTable",
    "best_receipts",
    "settled_identifiers",
    "summarise",
]

Outcome = Literal["accepted", "rejected", "not_found", "no_consent", "unknown", "intended", "withdrawn"]
"""``intended`` and ``withdrawn`` only stand in part receipts, and in pairs: see the module's first lines."""

OPEN_INTENT = (
    "the upload ended after it was decided to send this and before an answer was kept; it may have been applied"
)
"""Reason of a record whose intent nothing followed."""


class Receipt(NamedTuple):
    """What became of one sent record. A named tuple, because one is made for every person sent.

    :param identifier: the person, as JSON text.
    :param outcome: ``unknown`` means that the target may or may not have applied it.
    :param reason: why not, with the person's own values masked; empty when accepted as a whole.
    :param status: HTTP status of the last answer, if there was one.
    :param sent_at: UTC.
    :param refused_fields: target fields that the target did not take although it took the record.
    """

    identifier: str
    outcome: Outcome
    reason: str
    status: int | None
    sent_at: dt.datetime
    refused_fields: tuple[str, ...] | None = None

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
            ("refused_fields", pa.list_(pa.string())),
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


def _part_rows(parts: Sequence[Path]) -> str:
    """SQL for the rows of part receipts as they are; parts of an older version have no refused fields."""
    rows = f"SELECT * FROM {parquet_source(parts, union_by_name=True)}"
    return f"{rows} UNION ALL BY NAME SELECT NULL::VARCHAR[] AS refused_fields WHERE FALSE"


def _told(parts: Sequence[Path]) -> str:
    """SQL for part receipts as they are to be read: without the intents, but with an unknown outcome for an open one.

    Intents are counted, not compared by their times: a clock that was set back must not withdraw what was sent.
    """
    rows = _part_rows(parts)
    own_books = "outcome IN ('intended', 'withdrawn')"
    return f"""
        SELECT * FROM ({rows}) WHERE NOT {own_books}
        UNION ALL BY NAME
        SELECT identifier, 'unknown' AS outcome, {literal(OPEN_INTENT)} AS reason, max(sent_at) AS sent_at
        FROM ({rows}) AS i
        WHERE {own_books}
            AND NOT EXISTS (SELECT 1 FROM ({rows}) AS r WHERE r.identifier = i.identifier AND NOT r.{own_books})
        GROUP BY identifier
        HAVING count(*) FILTER (WHERE outcome = 'intended') > count(*) FILTER (WHERE outcome = 'withdrawn')
        """


def settled_identifiers(parts: Sequence[Path], *, repeatable: bool) -> str:
    """SQL for the identifiers that must not be sent again: accepted, or not taken for what they are.

    :param repeatable: of records that may be sent twice. Of the others an unknown outcome is settled too: it is held,
        not repeated.
    """
    settled = "'accepted', 'rejected', 'not_found', 'no_consent'" + ("" if repeatable else ", 'unknown'")
    return f"SELECT identifier FROM ({_told(parts)}) WHERE outcome IN ({settled})"


@dataclass(frozen=True)
class ReceiptSummary:
    """Part receipts, counted by person.

    :param receipts: receipts, including those of repeated attempts.
    :param outcomes: outcome → people, by the best receipt of each.
    :param reasons: reason → people, of those rejected or unknown; ``not_found`` and ``no_consent`` say it themselves.
    :param refused_fields: target field → people who were accepted without it.
    """

    receipts: int
    outcomes: Mapping[str, int]
    reasons: Mapping[str, int]
    refused_fields: Mapping[str, int] = field(default_factory=dict)


def best_receipts(parts: Sequence[Path]) -> str:
    """SQL for the outcome of each person, a row each.

    Columns: ``identifier``, ``receipts`` (how many there are), ``outcome``, ``reason``, ``status``, ``refused_fields``.

    A retry may have tried a person again, so the best receipt counts: accepted over not taken over unknown. The ledger
    and the report both ask here, so that they can't tell different stories.
    """
    # A struct, since min_by passes over rows in which its value is NULL.
    return f"""
        SELECT identifier, receipts, best.outcome, best.reason, best.status, best.refused_fields
        FROM (
            SELECT identifier, count(*) AS receipts,
                min_by(
                    {{'outcome': outcome, 'reason': reason, 'status': status, 'refused_fields': refused_fields}},
                    CASE outcome WHEN 'accepted' THEN 0 WHEN 'unknown' THEN 2 ELSE 1 END
                ) AS best
            FROM ({_told(parts)})
            GROUP BY identifier
        )
        """


def summarise(engine: Engine, parts: Sequence[Path]) -> ReceiptSummary:
    """Count part receipts: accepted counts over not taken, not taken over unknown."""
    if not parts:
        return ReceiptSummary(0, {}, {})
    with connect(engine) as connection:
        connection.execute(f"CREATE TEMP TABLE best AS SELECT * EXCLUDE (identifier) FROM ({best_receipts(parts)})")
        rows = connection.execute(
            "SELECT outcome, CASE WHEN outcome IN ('rejected', 'unknown') THEN reason END, count(*), "
            "sum(receipts)::BIGINT FROM best GROUP BY ALL"
        ).fetchall()
        refused = connection.execute(
            "SELECT target, count(*) FROM (SELECT unnest(refused_fields) AS target FROM best) "
            "GROUP BY target ORDER BY count(*) DESC, target"
        ).fetchall()
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    receipts = 0
    for outcome, reason, people, sent in rows:
        outcomes[outcome] += people
        receipts += sent
        if reason is not None:
            reasons[reason] += people
    return ReceiptSummary(receipts, dict(outcomes), dict(reasons.most_common()), dict(refused))


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
            columns = _columns(connection, delta)
            # By what the target was asked for somebody is told beside what it was sent.
            matching = ["matching"] if "matching" in columns else []
            told = "".join(f", d.{name}" for name in ["fields", *matching])
            sent = _sent_fields(delta, columns, beside=matching)
            reader = connection.sql(
                f"""
                SELECT r.identifier, {literal(run_key)} AS run_key, {literal(delta_id)} AS delta_id, r.outcome,
                    r.reason, r.status, r.sent_at, r.refused_fields{told}
                FROM ({_told(parts)}) AS r LEFT JOIN ({sent}) AS d
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


def _columns(connection: duckdb.DuckDBPyConnection, delta: Sequence[Path]) -> list[str]:
    source = parquet_source(delta, union_by_name=True)
    return [name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]


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
