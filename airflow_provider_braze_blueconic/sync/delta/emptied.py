"""Fields that a run would clear."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.engine.columns import field_column
from airflow_provider_braze_blueconic.sync.engine.database import quote
from airflow_provider_braze_blueconic.sync.state.doubt import is_certain
from airflow_provider_braze_blueconic.sync.state.ledger_rows import LedgerRows
from airflow_provider_braze_blueconic.sync.values.texts import CLEAR

if TYPE_CHECKING:
    import duckdb

__all__ = ["count_emptied"]

_LARGE = 10_000
"""People of a partition from which its share of anything is near that of every other partition."""


def count_emptied(connection: duckdb.DuckDBPyConnection, plan: DeltaPlan, *, quiet: int = 0) -> dict[str, Any]:
    """Count of each field the people who lose an acknowledged value, and all who have one; leavers are in neither.

    A field in doubt may hold a value. It counts where it is emptied now and where the source has a value; who is not
    sent, and has none in the source, is no witness that the field is still there.

    In a large partition the second count is left out for a field that nobody loses: each field costs a look at every
    row, and where a share worth stopping for loses it in one partition, somebody does in each other of that size.

    :param quiet: people who were set aside; :func:`count_filled_quiet` counts what they have.
    :return: ``emptied`` and ``filled`` of :class:`.counts.DeltaCounts`; neither, where there is nothing to count.
    """
    targets = [target for target in plan.targets if plan.merge(target) != "sum"]
    if not targets:
        return {}
    people, emptied = _count_losses(connection, targets)
    asked = targets if people + quiet < _LARGE else list(emptied)
    if not asked:
        return {}
    return {"emptied": emptied, "filled": _count_filled(connection, asked)}


def _count_losses(connection: duckdb.DuckDBPyConnection, targets: Sequence[str]) -> tuple[int, Counter[str]]:
    """Count the people of the partition, and of each field those who lose it."""
    counts = [
        f"count(*) FILTER (WHERE d.{column} = '{CLEAR}' AND l.{column} <> '{CLEAR}')"
        for column in (quote(field_column(target)) for target in targets)
    ]
    size, *people = connection.execute(
        f"""
        SELECT (SELECT count(*) FROM mapped), {", ".join(counts)}
        FROM delta AS d JOIN ledger AS l ON l.identifier = d.identifier WHERE d.to_send AND d.kind <> 'leave'
        """
    ).fetchall()[0]
    return size, Counter({target: number for target, number in zip(targets, people, strict=True) if number})


def _count_filled(connection: duckdb.DuckDBPyConnection, targets: Sequence[str]) -> Counter[str]:
    """Count of each field the people who have it, or may have it."""
    counts = [
        f"count(*) FILTER (WHERE l.{column} <> '{CLEAR}' AND ({is_certain(f'l.{column}')} "
        f"OR m.{column} IS DISTINCT FROM '{CLEAR}' OR d.identifier IS NOT NULL))"
        for column in (quote(field_column(target)) for target in targets)
    ]
    people = connection.execute(
        f"""
        SELECT {", ".join(counts)}
        FROM ledger AS l JOIN mapped AS m ON m.identifier = l.identifier
        LEFT JOIN (SELECT identifier FROM delta WHERE to_send) AS d ON d.identifier = l.identifier
        """
    ).fetchall()[0]
    return Counter(dict(zip(targets, people, strict=True)))


def count_filled_quiet(
    connection: duckdb.DuckDBPyConnection,
    ledger: LedgerRows,
    plan: DeltaPlan,
    partition: int,
    targets: Sequence[str],
    held: Sequence[Path] | None,
) -> Counter[str]:
    """Count of each field the quiet people who have it.

    :param held: local copies of the ledger's files, where there are any.
    """
    if not targets:
        return Counter()
    columns = [field_column(target) for target in targets]
    counts = ", ".join(f"count(*) FILTER (WHERE {quote(column)} <> '{CLEAR}')" for column in columns)
    names = ["identifier", *columns]
    with ledger.partition_rows(connection, partition, names, partitions=plan.partitions, files=held) as rows:
        people = connection.execute(
            f"SELECT {counts} FROM {rows} WHERE identifier IN (SELECT identifier FROM quiet)"
        ).fetchall()[0]
    return Counter(dict(zip(targets, people, strict=True)))
