"""Names: all identifiers under which the ledger knows a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.identifiers import LIVE, kind_sql
from airflow_provider_braze_blueconic.sync.engine.database import literal
from airflow_provider_braze_blueconic.sync.state.known_by import KNOWN_BY_NOBODY

if TYPE_CHECKING:
    import duckdb

__all__ = ["collect_names"]

_REMEMBERED = 20
"""How many identifiers a row remembers at least; more only if the record has more today. A link whose value changes
with every visit would let the ledger grow for ever."""

_KNOWN = "coalesce(b.known_by::JSON::VARCHAR[], [])"
"""SQL for the names that a row of ``books`` has already."""

_MOVED = f"b.known_by = {literal(KNOWN_BY_NOBODY)}"
"""SQL that tells whether the person of a row of ``books`` has moved."""


def collect_names(connection: duckdb.DuckDBPyConnection) -> None:
    """Collect into ``learnt`` whose identifiers are not all known yet: ``identifier``, ``known_by``, ``mapped``.

    Who moved stays known by what the old row was known by: the person may come back under any of it.
    """
    _find_unknown(connection)
    _list_names(connection)
    connection.execute(
        f"""
        CREATE TEMP TABLE learnt AS
        SELECT identifier, mapped, to_json(list_slice(
            list_concat(own, list_sort([x FOR x IN list_distinct(all_names) IF NOT list_contains(own, x)])),
            1, greatest(len(own), {_REMEMBERED})
        ))::VARCHAR AS known_by
        FROM (
            SELECT t.*, list_concat(t.names, {_KNOWN}, [t.identifier]) AS all_names
            FROM (
                SELECT identifier, bool_or(mapped) AS mapped, list(DISTINCT name) AS names,
                    coalesce(list_sort(list(DISTINCT name) FILTER (WHERE own)), []) AS own
                FROM named GROUP BY identifier
            ) AS t
            LEFT JOIN books AS b ON b.identifier = t.identifier
            WHERE {_MOVED} OR NOT list_has_all(list_append({_KNOWN}, t.identifier), t.names)
        )
        """
    )


def _find_unknown(connection: duckdb.DuckDBPyConnection) -> None:
    """Find into ``new_names`` who is sent and has a name that the ledger does not know."""
    # Most people are known already by exactly what they have, and texts compare faster than lists.
    connection.execute(
        f"""
        CREATE TEMP TABLE new_names AS
        SELECT r.sent_as AS identifier
        FROM records AS r LEFT JOIN books AS b ON b.identifier = r.sent_as
        WHERE r.sent_as IS NOT NULL AND b.known_by IS DISTINCT FROM to_json(r.identifiers)::VARCHAR
            AND ({_MOVED} OR NOT list_has_all(list_append({_KNOWN}, r.sent_as), r.identifiers))
        UNION SELECT new FROM moves
        """
    )


def _list_names(connection: duckdb.DuckDBPyConnection) -> None:
    """List into ``named`` the names of who has a new one, of who moved, and of who was skipped.

    ``own`` are those that the person's record has today.
    """
    connection.execute(
        f"""
        CREATE TEMP TABLE named AS
        SELECT sent_as AS identifier, TRUE AS mapped, TRUE AS own, unnest(identifiers) AS name
        FROM records WHERE sent_as IN (SELECT identifier FROM new_names)
        UNION ALL
        SELECT m.new, TRUE, FALSE, unnest(list_append({_KNOWN}, m.old))
        FROM moves AS m JOIN books AS b ON b.identifier = m.old
        UNION ALL
        SELECT identifier, FALSE, TRUE, name FROM (
            SELECT l.identifier, unnest(r.identifiers) AS name
            FROM (
                SELECT identifier, record FROM listed WHERE sent_as IS NULL
                UNION SELECT old, record FROM shared WHERE sent_as IS NULL AND same
            ) AS l
            JOIN records AS r ON r.record = l.record
            JOIN books AS b ON b.identifier = l.identifier
            WHERE {LIVE} AND l.identifier NOT IN (SELECT identifier FROM sent)
                AND l.identifier NOT IN (SELECT old FROM moves)
        )
        -- Of a skipped record it is not known which of several values of a kind is the person's.
        WHERE {kind_sql("name")} <> {kind_sql("identifier")}
        """
    )
