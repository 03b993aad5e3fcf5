"""Repairs: values that are sent only because a read showed that the target no longer holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.looks import Looks
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.engine.columns import field_column
from airflow_provider_braze_blueconic.sync.engine.database import literal, quote

if TYPE_CHECKING:
    import duckdb

__all__ = ["collect_repairs"]

_REPAIRS = 1
"""How often a value is put right that the target was seen not to hold. With the sending before it that is twice that it
did not stick: a third time would not be another, and costs as much."""


def collect_repairs(connection: duckdb.DuckDBPyConnection, plan: DeltaPlan, looks: Looks) -> None:
    """Find the people of whom the target does not hold any more what it acknowledged, into ``repairs``.

    ``unstuck`` tells that exactly these values were put right before, and did not stick.
    """
    if not looks.is_seen:
        return
    marks = [f"{text} AS {quote(field_column(target))}" for target, text in looks.repaired.items()]
    values = [
        f"CASE WHEN {text} THEN {literal(target + ':')} || m.{quote(field_column(target))} END"
        for target, text in sorted(looks.repaired.items())
    ]
    any_repair = " OR ".join(looks.repaired.values()) or "FALSE"
    tried = (
        "FALSE" if plan.max_attempts is None else f"coalesce(unstuck_hash = repair_hash AND times >= {_REPAIRS}, FALSE)"
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE repairs AS
        SELECT * EXCLUDE (unstuck_hash, times), {tried} AS unstuck FROM (
            SELECT m.identifier, l.unstuck_hash, l.unstuck AS times,
                {", ".join([f"md5(concat_ws('|', {', '.join(values) or 'NULL'})) AS repair_hash", *marks])}
            FROM (SELECT * FROM mapped WHERE identifier IN (SELECT identifier FROM moved WHERE NOT stale)) AS m
            JOIN seen AS s ON s.identifier = m.identifier
            JOIN ledger AS l ON l.identifier = m.identifier
            WHERE {any_repair}
        )
        """
    )
