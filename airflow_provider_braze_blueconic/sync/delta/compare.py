"""The comparison of the mapped snapshot with the ledger: the people who differ in anything."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.absent import IS_ABSENT
from airflow_provider_braze_blueconic.sync.delta.looks import Looks
from airflow_provider_braze_blueconic.sync.delta.news import News
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.engine.database import quote

if TYPE_CHECKING:
    import duckdb

__all__ = ["compare"]


def compare(
    connection: duckdb.DuckDBPyConnection,
    plan: DeltaPlan,
    floor: dt.datetime | None,
    looks: Looks,
    news: News,
) -> None:
    """Find the people of whom anything differs, by two hashes of their fields, into ``moved``.

    Comparing 128 bits reads each side once and keeps the join narrow; the fields themselves are compared
    afterwards, for the few that differ. Hashes live for one statement, so the library's version does not matter.
    """
    listed = ", ".join(quote(column) for column in plan.columns)
    backwards = ", ".join(quote(column) for column in reversed(plan.columns))
    hashes = f"hash({listed}) AS h, hash('', {backwards}) AS g"
    stale = "FALSE" if plan.allow_stale else "coalesce(m.as_of < greatest(l.as_of, $floor::TIMESTAMPTZ), FALSE)"
    parameters = {} if plan.allow_stale else {"floor": floor}
    # What was seen may differ also where mapped and ledger agree.
    elsewhere = " OR m.identifier IN (SELECT identifier FROM seen)" if looks.is_seen else ""
    if looks.is_whole:
        elsewhere += f" OR {IS_ABSENT}"
    if not plan.confirms:
        elsewhere += " OR m.as_of > l.as_of"
    if news.is_loaded:
        elsewhere += f" OR {news.differs('m', 'l')}"
    matching, known_by = ("matching, ", "known_by, ") if news.is_found else ("", "")
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE moved AS
        SELECT m.identifier, {stale} AS stale
        FROM (SELECT identifier, as_of, {matching}{hashes} FROM mapped) AS m
        LEFT JOIN (SELECT identifier, as_of, in_segment, {known_by}{hashes} FROM ledger) AS l
            ON l.identifier = m.identifier
        WHERE l.identifier IS NULL OR l.in_segment IS DISTINCT FROM TRUE OR m.h <> l.h OR m.g <> l.g{elsewhere}
        """,
        parameters,
    )
