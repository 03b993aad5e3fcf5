"""Takeovers: people who take the place of another row of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.engine.database import literal, quote
from airflow_provider_braze_blueconic.sync.state.doubt import doubt_if
from airflow_provider_braze_blueconic.sync.state.ledger_rows import LedgerRows

if TYPE_CHECKING:
    import duckdb

__all__ = ["collect_takeovers"]

_FOUND_BY_SEVERAL = ("external_id", "user_alias")
"""Identifiers of which one Braze user may have several: an id that was renamed finds the user until it is removed
(docs "External ID migration"), and a user may have any number of aliases (docs "User profile lifecycle"), read
2026-11. A user has one ``braze_id``, one ``email`` and one ``phone``."""

_TAKEN = "NOT bool_or(p.kind = 'older')"
"""SQL that tells whether the person takes the other row's place, and is not only older data of it."""


def collect_takeovers(connection: duckdb.DuckDBPyConnection, ledger: LedgerRows, plan: DeltaPlan) -> tuple[str, ...]:
    """Collect into ``others`` what is in doubt of the people who take another row's place.

    Two identifiers that hold the same value leave no doubt: whichever the user was written by last, that is the value.

    :return: the field columns.
    """
    kinds = ("moves", "replaced", "older")
    pairs = " UNION ALL ".join(f"SELECT old, new, {literal(kind)} AS kind FROM {kind}" for kind in kinds)
    connection.execute(f"CREATE TEMP TABLE pairs AS {pairs}")
    fields = _load_rows(connection, ledger)
    doubts = [
        f"{doubt_if(f'bool_or({differs}) AND {_TAKEN}')} AS {column}"
        for column in map(quote, fields)
        for differs in (f"o.{column} IS NOT NULL AND o.{column} IS DISTINCT FROM n.{column}",)
    ]
    connection.execute(
        f"""
        CREATE TEMP TABLE others AS
        SELECT p.new AS identifier, {_TAKEN} AS taken, max(o.as_of) AS as_of, {_crossed_sql(plan, fields)} AS crossed
            {"".join(f", {text}" for text in doubts)}
        FROM pairs AS p JOIN rows AS o ON o.identifier = p.old LEFT JOIN rows AS n ON n.identifier = p.new
        GROUP BY p.new
        """
    )
    return fields


def _load_rows(connection: duckdb.DuckDBPyConnection, ledger: LedgerRows) -> tuple[str, ...]:
    """Load the ledger's rows of both identifiers of each pair into ``rows``, and name their field columns."""
    fields: tuple[str, ...] = ()
    wanted = "FALSE"
    if connection.execute("SELECT count(*) FROM pairs").fetchall()[0][0]:
        fields = tuple(ledger.fields())
        wanted = "identifier IN (SELECT old FROM pairs UNION ALL SELECT new FROM pairs)"
    with ledger.narrow(connection, ("identifier", "in_segment", "as_of", *fields)) as rows:
        connection.execute(f"CREATE TEMP TABLE rows AS SELECT * FROM {rows} WHERE {wanted}")
    return fields


def _crossed_sql(plan: DeltaPlan, fields: Sequence[str]) -> str:
    """SQL for the field columns that stay in doubt whatever the target says: what leavers get may reach the same user.

    :param fields: field columns of the ledger.
    """
    told = plan.to_leavers if plan.complete else {}
    if not told or not fields:
        return "NULL::VARCHAR[]"
    beginnings = ", ".join(literal(f'{{"{name}"') for name in _FOUND_BY_SEVERAL)
    touched = ", ".join(literal(column) for column in told)
    is_crossed = f"p.kind = 'replaced' AND o.in_segment AND split_part(p.old, ':', 1) IN ({beginnings})"
    return f"CASE WHEN bool_or({is_crossed}) THEN [{touched}] END"
