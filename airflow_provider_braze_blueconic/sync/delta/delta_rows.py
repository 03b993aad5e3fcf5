"""The delta's rows of people in the segment.

:mod:`.partition_delta` tells what the columns mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.absent import IS_ABSENT, IS_SENT_AGAIN
from airflow_provider_braze_blueconic.sync.delta.echoes import LOOKED
from airflow_provider_braze_blueconic.sync.delta.looks import Looks
from airflow_provider_braze_blueconic.sync.delta.news import News
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.engine.columns import field_column, field_name, increase_column, noted_column
from airflow_provider_braze_blueconic.sync.engine.database import literal, quote
from airflow_provider_braze_blueconic.sync.state.doubt import doubt_if
from airflow_provider_braze_blueconic.sync.state.refusal import sent_hash_sql
from airflow_provider_braze_blueconic.sync.state.release import ABSENT

if TYPE_CHECKING:
    import duckdb

__all__ = ["DIFFERS_HASH", "collect_rows"]

DIFFERS_HASH = "differs_hash"
"""Column of a delta of whole profiles in the making: the fingerprint of what differs, and not only goes along."""

_STICKS = f"(l.unstuck_hash IS NOT NULL AND {LOOKED} AND p.identifier IS NULL)"
"""SQL that tells whether all that was put right before is there."""


def collect_rows(connection: duckdb.DuckDBPyConnection, plan: DeltaPlan, looks: Looks, news: News) -> None:
    """Make ``delta`` of the people in ``moved``: of those of whom something is sent, or the ledger learns something."""
    any_change = " OR ".join(looks.tells(target) for target in plan.targets)
    # A file that says the same as before makes it true for longer: what is older than the file must not undo it.
    confirmed = "FALSE" if plan.confirms else f"m.as_of > l.as_of AND NOT ({any_change})"
    columns = {
        **_known_by(news, any_change),
        **_fields(plan, looks, any_change),
        **{increase_column(target): text for target, text in looks.increase.items()},
        **_learnt(plan, looks, news, confirmed),
    }
    if looks.repaired:
        columns |= {"repair_hash": "CASE WHEN NOT p.unstuck THEN p.repair_hash END", "sticks": _STICKS}
    known = " OR ".join(f"l.{quote(column)} IS NOT NULL" for column in plan.columns)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE delta AS
        SELECT m.identifier,
            CASE
                WHEN ({any_change}) AND NOT ({known}) THEN 'insert'
                WHEN ({any_change}) THEN 'change'
                ELSE 'return'
            END AS kind,
            m.as_of, ({any_change}) AS to_send, 0::INTEGER AS data_points,
            {", ".join(f"{text} AS {quote(name)}" for name, text in columns.items())}
        FROM (SELECT * FROM mapped WHERE identifier IN (SELECT identifier FROM moved WHERE NOT stale)) AS m
        LEFT JOIN ledger AS l ON l.identifier = m.identifier {_joins(looks, news)}
        WHERE ({any_change}) OR l.in_segment IS DISTINCT FROM TRUE OR {looks.notes} OR ({confirmed})
            OR {_STICKS if looks.repaired else "FALSE"} OR {_absence_is_news(looks)} OR {news.differs("m", "l")}
        """
    )


def _joins(looks: Looks, news: News) -> str:
    """SQL that joins what else is known of a person to ``m``."""
    beside = {"s": "seen", "p": "repairs"} if looks.is_seen else {}
    beside |= {"n": "news"} if news.is_loaded else {}
    return " ".join(f"LEFT JOIN {name} AS {at} ON {at}.identifier = m.identifier" for at, name in beside.items())


def _known_by(news: News, any_change: str) -> dict[str, str]:
    """SQL for who people are: column → SQL.

    :param any_change: SQL that tells whether anything is sent.
    """
    columns = {}
    if news.is_found:
        columns["matching"] = "m.matching"
    if news.is_loaded:
        columns["known_by"] = news.known_by(any_change)
    if news.is_told:
        columns |= {"takes_over": "coalesce(n.taken, FALSE)", "crossed": "n.crossed"}
    return columns


def _fields(plan: DeltaPlan, looks: Looks, any_change: str) -> dict[str, str]:
    """SQL for what is sent: column → SQL.

    :param any_change: SQL that tells whether anything is sent.
    """
    columns = dict.fromkeys(plan.all_columns, "NULL::VARCHAR")
    differing = {}
    for target in plan.targets:
        name = field_column(target)
        columns[name] = f"CASE WHEN {_is_sent(target, any_change, plan, looks)} THEN m.{quote(name)} END"
        differing[name] = f"(CASE WHEN {looks.differs[target]} THEN m.{quote(name)} END)"
    if plan.send == "whole_profile":
        columns[DIFFERS_HASH] = sent_hash_sql(plan.columns, plan.policy, values=differing)
    return columns


def _is_sent(target: str, any_change: str, plan: DeltaPlan, looks: Looks) -> str:
    """SQL that tells whether a record holds a field.

    A whole profile holds all of them. But the level of a number that is added to only where that is also what the
    ledger will know: a level that nothing is added for, an older one, would let the counter grow a second time.
    """
    if plan.send != "whole_profile":
        return looks.differs[target]
    column = quote(field_column(target))
    if target in looks.increase:
        return f"({any_change}) AND ({looks.differs[target]} OR m.{column} IS NOT DISTINCT FROM l.{column})"
    # All that there is of the person, but nothing over its own original.
    return f"({any_change}) AND NOT {looks.echo[target]}" if target in looks.echo else any_change


def _learnt(plan: DeltaPlan, looks: Looks, news: News, confirmed: str) -> dict[str, str]:
    """SQL for what the ledger learns whatever becomes of the sending: column → SQL.

    :param confirmed: SQL that tells whether the record says the same as an older one.
    """
    noted = _noted(plan, looks, news)
    columns = {"absent": IS_ABSENT} if looks.is_whole else {}
    columns |= noted
    if noted or news.is_told or not plan.confirms:
        seen_as_of = "s.as_of" if looks.is_seen else "NULL::TIMESTAMPTZ"
        known_as_of = f"greatest(n.as_of, {seen_as_of})" if news.is_told else seen_as_of
        columns["seen_as_of"] = f"CASE WHEN {confirmed} THEN greatest(m.as_of, {seen_as_of}) ELSE {known_as_of} END"
    return columns


def _noted(plan: DeltaPlan, looks: Looks, news: News) -> dict[str, str]:
    """SQL for what the ledger learns of fields: column → JSON text.

    What puts a single person in doubt is among it, so that a sending that fails leaves the doubt behind.
    """
    noted = {noted_column(target): text for target, text in looks.noted.items()}
    if looks.is_whole:
        for target in plan.targets:
            told = f"{IS_SENT_AGAIN} AND m.{quote(field_column(target))} IS NOT NULL"
            name = noted_column(target)
            noted[name] = f"coalesce({noted.get(name, 'NULL')}, {doubt_if(told)})"
    for column in news.fields:
        name = noted_column(field_name(column))
        noted[name] = f"coalesce({noted.get(name, 'NULL')}, n.{quote(column)})"
    return noted


def _absence_is_news(looks: Looks) -> str:
    """SQL that tells whether the ledger learns that the target does not have somebody, or has them again."""
    if not looks.is_whole:
        return "FALSE"
    return f"({IS_ABSENT}) IS DISTINCT FROM coalesce(l.refused_as = {literal(ABSENT)}, FALSE)"
