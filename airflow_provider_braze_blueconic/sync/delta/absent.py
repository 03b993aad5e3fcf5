"""People whom the target should have, but whom a complete read didn't find there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.engine.database import literal
from airflow_provider_braze_blueconic.sync.state.doubt import doubt_everything
from airflow_provider_braze_blueconic.sync.state.release import ABSENT

if TYPE_CHECKING:
    import duckdb

__all__ = ["IS_ABSENT", "IS_SENT_AGAIN", "collect_absent"]

IS_ABSENT = "m.identifier IN (SELECT identifier FROM absent)"
"""SQL that tells whether a read of everybody did not meet a person whom the target acknowledged."""

IS_SENT_AGAIN = "m.identifier IN (SELECT identifier FROM absent WHERE again)"
"""SQL that tells whether all that was acknowledged of such a person is sent once more."""


def collect_absent(connection: duckdb.DuckDBPyConnection, plan: DeltaPlan) -> int:
    """Find the people whom the target has acknowledged, and a read of everybody did not meet, into ``absent``.

    ``again`` tells who is sent once more: all that was acknowledged of them is in doubt. Once is enough: who is still
    not there afterwards is nobody whom sending brings back, or the read does not see them.

    :return: how many they are.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE absent AS
        SELECT m.identifier, {bool(plan.creates)} AND l.refused_as IS DISTINCT FROM {literal(ABSENT)} AS again
        FROM mapped AS m JOIN ledger AS l ON l.identifier = m.identifier
        WHERE l.as_of IS NOT NULL AND m.identifier NOT IN (SELECT identifier FROM found WHERE whole)
        """
    )
    doubt_everything(connection, "identifier IN (SELECT identifier FROM absent WHERE again)")
    return int(connection.execute("SELECT count(*) FROM absent").fetchall()[0][0])
