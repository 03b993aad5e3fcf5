"""What must be sent so that the target equals the mapped snapshot: field by field, against the ledger.

Delta row: ``identifier``, ``kind`` (``insert``, ``change``, ``leave``, ``return``), ``as_of``, ``to_send``,
``data_points``, and one ``field_…`` column a target field: JSON text to send, or NULL to say nothing.
A row without anything to send only keeps the books of who is in the segment.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from airflow_provider_braze_blueconic.sync.columns import field_column
from airflow_provider_braze_blueconic.sync.database import Engine, connect, literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.ledger import Ledger
from airflow_provider_braze_blueconic.sync.partitions import partition_sql
from airflow_provider_braze_blueconic.sync.values import CLEAR

if TYPE_CHECKING:
    import duckdb

__all__ = ["DeltaCounts", "DeltaPlan", "compute_delta"]

SendPolicy = Literal["changed_fields", "whole_profile"]


@dataclass(frozen=True)
class DeltaPlan:
    """Everything that the delta needs to know of a goal.

    :param targets: target fields in the mapped snapshot.
    :param billable: those among all targets whose writing costs a data point.
    :param documents: targets that hold nested objects, billed by their inner keys.
    :param partitions: number of partitions of the ledger.
    :param as_of: version of the snapshot; a leaver's row is as old as the read that missed it.
    :param send: only changed fields, or all fields of a person with any change.
    :param leavers: target → JSON text to write for people who left; ``None`` leaves them alone.
    :param complete: the snapshot is known to hold every member, so that absence means departure.
    :param allow_stale: rows older than what the ledger already knows are sent all the same.
    """

    targets: tuple[str, ...]
    billable: frozenset[str]
    documents: frozenset[str]
    partitions: int
    as_of: dt.datetime
    send: SendPolicy = "changed_fields"
    leavers: Mapping[str, str] | None = None
    complete: bool = False
    allow_stale: bool = False


@dataclass(frozen=True)
class DeltaCounts:
    """What a delta holds.

    :param inserts: people to send that the ledger did not know.
    :param changes: people to send of whom some field changed.
    :param leavers: people who left, whether or not anything is sent for them.
    :param to_send: people to send, leavers included.
    :param unchanged: people with nothing to send.
    :param stale: people not sent because the ledger knows something newer.
    :param fields: field values to send.
    :param clears: those among them that empty a field.
    :param data_points: what Braze will bill.
    :param members: people of whom the ledger says that they are in the segment, before this run.
    """

    inserts: int = 0
    changes: int = 0
    leavers: int = 0
    to_send: int = 0
    unchanged: int = 0
    stale: int = 0
    fields: int = 0
    clears: int = 0
    data_points: int = 0
    members: int = 0

    def __add__(self, other: DeltaCounts) -> DeltaCounts:
        return DeltaCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def compute_delta(
    engine: Engine,
    *,
    partition: int,
    mapped: Sequence[Path],
    skipped: Path | None,
    ledger: Ledger,
    plan: DeltaPlan,
    out: Path,
) -> DeltaCounts:
    """Write the delta of one partition.

    :param mapped: the partition's files of the mapped snapshot; none when nobody is in it.
    :param skipped: people who were read but not mapped; they did not leave.
    :param out: Parquet file to write; not written when it would be empty.
    """
    sent_to_leavers = {field_column(target): text for target, text in (plan.leavers or {}).items()}
    columns = [field_column(target) for target in plan.targets]
    every = [*columns, *(column for column in sent_to_leavers if column not in columns)]
    with connect(engine) as connection:
        ledger.load(connection, partition, every)
        _load_mapped(connection, mapped, columns)
        floor = ledger.newest_as_of()
        _compare(connection, columns, plan, floor)
        _collect_delta(connection, columns, every, plan)
        if plan.complete:
            _collect_leavers(connection, partition, skipped, every, sent_to_leavers, plan, floor)
        counts = _count(connection, every, plan)
        if connection.execute("SELECT count(*) FROM delta").fetchall()[0][0]:
            connection.execute(f"COPY delta TO {literal(str(out))} (FORMAT parquet, COMPRESSION zstd)")
    return counts


def _load_mapped(connection: duckdb.DuckDBPyConnection, mapped: Sequence[Path], columns: Sequence[str]) -> None:
    if mapped:
        source = parquet_source(mapped)
        connection.execute(f"CREATE OR REPLACE TEMP VIEW mapped AS SELECT * FROM {source}")
        return
    fields_ = "".join(f", NULL::VARCHAR AS {quote(column)}" for column in columns)
    connection.execute(
        "CREATE OR REPLACE TEMP VIEW mapped AS "
        f"SELECT NULL::VARCHAR AS identifier, NULL::TIMESTAMPTZ AS as_of{fields_} LIMIT 0"
    )


def _compare(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[str], plan: DeltaPlan, floor: dt.datetime | None
) -> None:
    """Find the people of whom anything differs, by two hashes of their fields, into ``moved``.

    Comparing 128 bits reads each side once and keeps the join narrow; the fields themselves are compared
    afterwards, for the few that differ. Hashes live for one statement, so the library's version does not matter.
    """
    listed = ", ".join(quote(column) for column in columns)
    backwards = ", ".join(quote(column) for column in reversed(columns))
    hashes = f"hash({listed}) AS h, hash('', {backwards}) AS g"
    stale = "FALSE" if plan.allow_stale else "coalesce(m.as_of < greatest(l.as_of, $floor::TIMESTAMPTZ), FALSE)"
    parameters = {} if plan.allow_stale else {"floor": floor}
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE moved AS
        SELECT m.identifier, {stale} AS stale
        FROM (SELECT identifier, as_of, {hashes} FROM mapped) AS m
        LEFT JOIN (SELECT identifier, as_of, in_segment, {hashes} FROM ledger) AS l ON l.identifier = m.identifier
        WHERE l.identifier IS NULL OR l.in_segment IS DISTINCT FROM TRUE OR m.h <> l.h OR m.g <> l.g
        """,
        parameters,
    )


def _collect_delta(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[str], every: Sequence[str], plan: DeltaPlan
) -> None:
    differs = {column: f"m.{quote(column)} IS DISTINCT FROM l.{quote(column)}" for column in columns}
    any_change = " OR ".join(f"(m.{quote(column)} IS NOT NULL AND {differs[column]})" for column in columns)
    wanted = []
    for column in every:
        if column not in differs:
            wanted.append(f"NULL::VARCHAR AS {quote(column)}")
        elif plan.send == "whole_profile":
            wanted.append(f"CASE WHEN {any_change} THEN m.{quote(column)} END AS {quote(column)}")
        else:
            wanted.append(f"CASE WHEN {differs[column]} THEN m.{quote(column)} END AS {quote(column)}")
    known = " OR ".join(f"l.{quote(column)} IS NOT NULL" for column in columns)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE delta AS
        SELECT m.identifier,
            CASE
                WHEN ({any_change}) AND NOT coalesce({known}, FALSE) THEN 'insert'
                WHEN ({any_change}) THEN 'change'
                ELSE 'return'
            END AS kind,
            m.as_of, ({any_change}) AS to_send, 0::INTEGER AS data_points, {", ".join(wanted)}
        FROM (SELECT * FROM mapped WHERE identifier IN (SELECT identifier FROM moved WHERE NOT stale)) AS m
        LEFT JOIN ledger AS l ON l.identifier = m.identifier
        WHERE ({any_change}) OR l.in_segment IS DISTINCT FROM TRUE
        """
    )


def _collect_leavers(
    connection: duckdb.DuckDBPyConnection,
    partition: int,
    skipped: Path | None,
    every: Sequence[str],
    written: Mapping[str, str],
    plan: DeltaPlan,
    floor: dt.datetime | None,
) -> None:
    """Add the people of whom the ledger says that they are in the segment, and whom this read did not meet.

    A read that is older than what the ledger knows is silent about them: they may have come since.
    """
    if floor is not None and plan.as_of < floor and not plan.allow_stale:
        return
    wanted = []
    for column in every:
        text = written.get(column)
        if text is None:
            wanted.append(f"NULL::VARCHAR AS {quote(column)}")
        else:
            # What the ledger does not know was never set by us: there is nothing of ours to clear or to mark.
            known = f"l.{quote(column)} IS NOT NULL" if text == CLEAR else "l.as_of IS NOT NULL"
            differs = f"l.{quote(column)} IS DISTINCT FROM {literal(text)}"
            wanted.append(f"CASE WHEN {known} AND {differs} THEN {literal(text)} END AS {quote(column)}")
    anything = " OR ".join(f"{quote(column)} IS NOT NULL" for column in every)
    here = "SELECT identifier FROM mapped"
    if skipped is not None:
        skipped_here = partition_sql("identifier", plan.partitions)
        here += (
            f" UNION ALL SELECT identifier FROM {parquet_source([skipped])} "
            f"WHERE identifier IS NOT NULL AND {skipped_here} = {partition:d}"
        )
    connection.execute(
        f"""
        INSERT INTO delta
        SELECT identifier, 'leave', as_of, ({anything}), 0, {", ".join(quote(column) for column in every)}
        FROM (
            SELECT l.identifier, $as_of::TIMESTAMPTZ AS as_of, {", ".join(wanted)}
            FROM ledger AS l
            WHERE l.in_segment AND l.identifier NOT IN ({here})
        )
        """,
        {"as_of": plan.as_of},
    )


def _count(connection: duckdb.DuckDBPyConnection, every: Sequence[str], plan: DeltaPlan) -> DeltaCounts:
    points = ["0"]
    for target in dict.fromkeys((*plan.targets, *(plan.leavers or {}))):
        column = quote(field_column(target))
        if target in plan.billable:
            points.append(_points_sql(column, nested=target in plan.documents))
    connection.execute(f"UPDATE delta SET data_points = {' + '.join(points)} WHERE to_send")
    sent = " + ".join(f"count({quote(column)}) FILTER (WHERE to_send)" for column in every)
    cleared = " + ".join(f"count(*) FILTER (WHERE to_send AND {quote(column)} = '{CLEAR}')" for column in every)
    row = connection.execute(
        f"""
        SELECT
            count(*) FILTER (WHERE to_send AND kind = 'insert'),
            count(*) FILTER (WHERE to_send AND kind = 'change'),
            count(*) FILTER (WHERE kind = 'leave'),
            count(*) FILTER (WHERE to_send),
            (SELECT count(*) FROM mapped) - count(*) FILTER (WHERE to_send AND kind <> 'leave')
                - (SELECT count(*) FROM moved WHERE stale),
            (SELECT count(*) FROM moved WHERE stale),
            {sent},
            {cleared},
            coalesce(sum(data_points), 0)::BIGINT,
            (SELECT count(*) FROM ledger WHERE in_segment)
        FROM delta
        """
    ).fetchall()[0]
    return DeltaCounts(*row)


def _points_sql(column: str, *, nested: bool) -> str:
    """One data point a value; a nested object costs one a key, counted by its inner values."""
    if not nested:
        return f"({column} IS NOT NULL)::INTEGER"
    inner = f"(SELECT count(*) FROM json_tree({column}) WHERE type NOT IN ('OBJECT', 'ARRAY'))"
    return f"CASE WHEN {column} IS NULL THEN 0 ELSE greatest(1, {inner}) END"
