"""Part receipts, counted by person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect
from airflow_provider_braze_blueconic.sync.state.told_receipts import best_receipts

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
