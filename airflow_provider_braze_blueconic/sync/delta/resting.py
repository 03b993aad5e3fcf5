"""Quarantined and waiting people: the target would refuse them again, so nothing is sent for them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.delta_rows import DIFFERS_HASH
from airflow_provider_braze_blueconic.sync.delta.looks import Looks
from airflow_provider_braze_blueconic.sync.delta.news import News
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.engine.columns import field_name, increase_column, noted_column
from airflow_provider_braze_blueconic.sync.engine.database import literal, quote
from airflow_provider_braze_blueconic.sync.state.refusal import HELD_REASONS, QUARANTINED_REASONS, sent_hash_sql

if TYPE_CHECKING:
    import duckdb

__all__ = ["HELD_FOR", "rest"]

HELD_FOR = dt.timedelta(days=7)
"""How long a record that the target could not take as it is rests, unless something of it changes. What changed on the
target's side, a profile that came to be or a consent that was given, can't be seen from here, so it is asked again."""


def rest(connection: duckdb.DuckDBPyConnection, plan: DeltaPlan, looks: Looks, news: News) -> None:
    """Send nothing of who would be refused again, and note them in ``resting``: the same values, the same policy.

    Where the target is asked for somebody by something else, it was not asked for that person before. What the ledger
    is to learn of them stays, or a counter that fell and grew again meanwhile would count too little.
    """
    held, quarantined = _held_sql(plan), _quarantined_sql(plan)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resting AS
        SELECT d.identifier, d.kind = 'leave' AS leaves, {quarantined} AS quarantined,
            l.in_segment IS DISTINCT FROM TRUE OR {_learns_sql(looks, news)} AS keeps_books
        FROM delta AS d JOIN ledger AS l ON l.identifier = d.identifier
        WHERE d.to_send AND {_again_sql(plan, news)} AND (({held}) OR ({quarantined}))
        """,
        {"since": plan.as_of - HELD_FOR} if plan.holds_back else {},
    )
    sent = [*plan.all_columns, *(increase_column(target) for target in looks.increase)]
    unsent = ", ".join(f"{quote(column)} = NULL" for column in sent)
    if plan.send == "whole_profile":
        connection.execute(f"ALTER TABLE delta DROP COLUMN {DIFFERS_HASH}")
    connection.execute("DELETE FROM delta WHERE identifier IN (SELECT identifier FROM resting WHERE NOT keeps_books)")
    connection.execute(
        f"UPDATE delta SET kind = 'return', to_send = FALSE, {unsent} "
        "WHERE identifier IN (SELECT identifier FROM resting)"
    )


def _again_sql(plan: DeltaPlan, news: News) -> str:
    """SQL that tells whether the target refused the same values of the same person before."""
    again = f"{sent_hash_sql(plan.all_columns, plan.policy, prefix='d.')} = l.refused_hash"
    if plan.send == "whole_profile":
        # A row that was taken without some fields has all others again: what counts is whether more than these differ.
        again = f"({again} OR coalesce(l.refused_as = 'fields' AND d.{DIFFERS_HASH} = l.refused_hash, FALSE))"
    if news.is_found:
        again += " AND d.identifier NOT IN (SELECT identifier FROM news)"
    return again


def _held_sql(plan: DeltaPlan) -> str:
    if not plan.holds_back:
        return "FALSE"
    return f"l.refused_as IN ({_listed(HELD_REASONS)}) AND l.tried_at > $since::TIMESTAMPTZ"


def _quarantined_sql(plan: DeltaPlan) -> str:
    if plan.max_attempts is None:
        return "FALSE"
    return f"l.refused_as IN ({_listed(QUARANTINED_REASONS)}) AND l.attempts >= {plan.max_attempts:d}"


def _learns_sql(looks: Looks, news: News) -> str:
    """SQL that tells whether the ledger learns anything of the person."""
    noted = dict.fromkeys([*map(noted_column, looks.noted), *(noted_column(field_name(name)) for name in news.fields)])
    learnt = [f"d.{quote(name)} IS NOT NULL" for name in noted]
    learnt += ["d.known_by IS NOT NULL"] if news.is_loaded else []
    return " OR ".join(learnt) or "FALSE"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(literal(word) for word in words)
