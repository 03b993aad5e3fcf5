"""Moves: rows of the ledger whose person is sent by another identifier today."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.identifiers import LIVE, kind_sql
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan

if TYPE_CHECKING:
    import duckdb

__all__ = ["find_moves"]


def find_moves(connection: duckdb.DuckDBPyConnection, plan: DeltaPlan) -> None:
    """Find out which rows went where.

    ``shared``: rows that no record names, with each record that shares another identifier, and whether it has no other
    value of the row's kind (``same``).
    ``moves``: ``old`` and ``new`` identifier of the same person.
    ``older``: the same, where the data are older than what the row acknowledged, so that nothing is sent and nobody
    moves.
    ``replaced``: the same, where the old one has left.
    """
    fresh = "TRUE" if plan.allow_stale else "coalesce(r.as_of >= b.as_of, TRUE)"
    _find_shared(connection, fresh)
    _find_found(connection, fresh)
    connection.execute("CREATE TEMP TABLE older AS SELECT DISTINCT old, new FROM found WHERE NOT fresh")
    connection.execute(
        "CREATE TEMP TABLE moves AS SELECT DISTINCT old, new FROM found WHERE new NOT IN (SELECT new FROM older)"
    )
    _find_replaced(connection)


def _find_shared(connection: duckdb.DuckDBPyConnection, fresh: str) -> None:
    """Find into ``shared`` the rows that no record names.

    :param fresh: SQL that tells whether the record ``r`` is no older than the row ``b``.
    """
    kind = kind_sql("b.identifier")
    connection.execute(
        f"""
        CREATE TEMP TABLE shared AS
        SELECT b.identifier AS old, r.record, r.sent_as, {fresh} AS fresh,
            len([x FOR x IN w.identifiers IF {kind_sql("x")} = {kind} AND NOT list_contains(b.known, x)]) = 0 AS same
        FROM (
            SELECT *, unnest(known) AS key FROM (
                SELECT identifier, as_of, known_by::JSON::VARCHAR[] AS known FROM books AS b
                WHERE {LIVE} AND known_by IS NOT NULL AND identifier NOT IN (SELECT identifier FROM listed)
            )
        ) AS b
        JOIN listed AS r ON r.identifier = b.key
        JOIN records AS w ON w.record = r.record
        """
    )


def _find_found(connection: duckdb.DuckDBPyConnection, fresh: str) -> None:
    """Find into ``found`` the rows whose person is sent by another identifier, whatever the age of the data.

    :param fresh: SQL that tells whether the record ``r`` is no older than the row ``b``.
    """
    connection.execute(
        f"""
        CREATE TEMP TABLE found AS
        SELECT DISTINCT b.identifier AS old, r.sent_as AS new, {fresh} AS fresh
        FROM books AS b JOIN listed AS r ON r.identifier = b.identifier
        WHERE r.sent_as <> b.identifier AND {LIVE} AND b.identifier NOT IN (SELECT identifier FROM sent)
        UNION
        SELECT old, sent_as, fresh FROM shared WHERE sent_as IS NOT NULL AND same
        """
    )


def _find_replaced(connection: duckdb.DuckDBPyConnection) -> None:
    """Find into ``replaced`` the rows that left, and whose place another one took."""
    # Who was on the list as somebody else before did not take the place of a row that is not named any more.
    connection.execute(
        """
        CREATE TEMP TABLE replaced AS
        SELECT DISTINCT s.old, s.sent_as AS new
        FROM shared AS s LEFT JOIN books AS n ON n.identifier = s.sent_as
        WHERE s.sent_as IS NOT NULL AND s.fresh AND n.in_segment IS DISTINCT FROM TRUE
            AND s.old NOT IN (SELECT old FROM shared WHERE same) AND s.sent_as NOT IN (SELECT new FROM older)
        """
    )
