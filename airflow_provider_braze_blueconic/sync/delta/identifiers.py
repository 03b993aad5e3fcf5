"""The identifiers of all people, in the read as in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.engine.database import literal, parquet_source
from airflow_provider_braze_blueconic.sync.state.known_by import KNOWN_BY_NOBODY
from airflow_provider_braze_blueconic.sync.state.ledger_rows import LedgerRows

if TYPE_CHECKING:
    import duckdb

__all__ = ["LIVE", "kind_sql", "load_identifiers"]

LIVE = f"(b.known_by IS DISTINCT FROM {literal(KNOWN_BY_NOBODY)} OR b.in_segment)"
"""SQL that tells whether a row of ``b`` still says something of its own: a row that moved does not."""


def load_identifiers(
    connection: duckdb.DuckDBPyConnection, records: Sequence[Path], ledger: LedgerRows, plan: DeltaPlan
) -> None:
    """Load the records into ``records``, their identifiers into ``listed``, and the ledger's books into ``books``."""
    connection.execute(
        f"""
        CREATE TEMP TABLE records AS
        SELECT row_number() OVER () AS record, sent_as, identifiers, as_of FROM {parquet_source(records)}
        """
    )
    # Only files have records of several ages.
    as_of = "as_of" if plan.confirms else "max(as_of) OVER (PARTITION BY coalesce(sent_as, record::VARCHAR)) AS as_of"
    connection.execute(
        "CREATE TEMP TABLE listed AS SELECT record, sent_as, as_of, unnest(identifiers) AS identifier "
        f"FROM (SELECT record, sent_as, {as_of}, identifiers FROM records)"
    )
    connection.execute("CREATE TEMP TABLE sent AS SELECT DISTINCT sent_as AS identifier FROM records")
    connection.execute("DELETE FROM sent WHERE identifier IS NULL")
    with ledger.narrow(connection, ("identifier", "known_by", "in_segment", "as_of")) as rows:
        connection.execute(f"CREATE TEMP TABLE books AS SELECT * FROM {rows}")


def kind_sql(identifier: str) -> str:
    """SQL for the kind of an identifier: its key, and of an alias also its label."""
    label = f"regexp_extract({identifier}, '\"alias_label\":(.*)\\}}\\}}$', 1)"
    return f"concat(regexp_extract({identifier}, '^\\{{\"([a-z_]+)\":', 1), {label})"
