"""Part receipts, counted by person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect
from airflow_provider_braze_blueconic.sync.state.receipt_parts import parts_by_partition
from airflow_provider_braze_blueconic.sync.state.told_receipts import are_plain, best_receipts

if TYPE_CHECKING:
    import duckdb

__all__ = ["ReceiptSummary", "summarise"]


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


def summarise(engine: Engine, parts: Sequence[Path]) -> ReceiptSummary:
    """Count part receipts: accepted counts over not taken, not taken over unknown."""
    if not parts:
        return ReceiptSummary(0, {}, {})
    # A person is in one partition, so what is in memory at a time is one of them.
    divided = parts_by_partition(parts)
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    receipts = 0
    with connect(engine) as connection:
        for some in [parts] if divided is None else divided.values():
            for outcome, reason, people, sent in _count(connection, some):
                outcomes[outcome] += people
                receipts += sent
                if reason is not None:
                    reasons[reason] += people
            refused.update(_count_refused_fields(connection))
    by_number = sorted(refused.items(), key=lambda item: (-item[1], item[0]))
    return ReceiptSummary(receipts, dict(outcomes), dict(reasons.most_common()), dict(by_number))


def _count(connection: duckdb.DuckDBPyConnection, parts: Sequence[Path]) -> list[tuple[str, str | None, int, int]]:
    """Count people by outcome and reason, with their receipts; the table ``counted`` keeps the fields refused."""
    best = best_receipts(parts, plain=are_plain(connection, parts))
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE counted AS "
        "SELECT outcome, CASE WHEN outcome IN ('rejected', 'unknown') THEN reason END AS reason, refused_fields, "
        f"count(*) AS people, sum(receipts)::BIGINT AS receipts FROM ({best}) GROUP BY ALL"
    )
    return connection.execute(
        "SELECT outcome, reason, sum(people)::BIGINT, sum(receipts)::BIGINT FROM counted GROUP BY ALL ORDER BY ALL"
    ).fetchall()


def _count_refused_fields(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Count the people of each target field that was refused, by what :func:`_count` left."""
    rows = connection.execute(
        "SELECT target, sum(people)::BIGINT FROM (SELECT unnest(refused_fields) AS target, people FROM counted) "
        "GROUP BY target"
    ).fetchall()
    return dict(rows)
