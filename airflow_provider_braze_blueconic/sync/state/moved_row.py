"""The row of a person after a run.

It is SQL over the row before the run (``l``) and what became of the delta's row (``c``). Acknowledged fields move,
everything else stays.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.columns import field_name
from airflow_provider_braze_blueconic.sync.engine.database import literal, quote
from airflow_provider_braze_blueconic.sync.state.acknowledged import Acknowledged
from airflow_provider_braze_blueconic.sync.state.doubt import doubt_if
from airflow_provider_braze_blueconic.sync.state.known_by import known_by_sql
from airflow_provider_braze_blueconic.sync.state.outcomes import ACCEPTED, REFUSED, noted_beside
from airflow_provider_braze_blueconic.sync.state.refusal import refusal_columns
from airflow_provider_braze_blueconic.sync.state.settings import CREATES

if TYPE_CHECKING:
    import duckdb

__all__ = ["moved_sql"]


def moved_sql(
    connection: duckdb.DuckDBPyConnection,
    groups: Sequence[Sequence[str]],
    outcome: Acknowledged,
    sums: Container[str],
    *,
    with_known_by: bool,
    ledger: str = "ledger",
) -> str:
    """SQL for rows after the run, over the tables ``ledger`` and ``outcome`` and those of the fields.

    :param groups: field columns of the ledger, as :mod:`.outcome_fields` loads them.
    :param sums: those among them that are added to.
    :param with_known_by: the ledger has that column.
    :param ledger: relation of its rows that are asked for, where that is not all of a partition.
    """
    books = _books(outcome, with_known_by=with_known_by)
    if len(groups) == 1:
        return _joined_sql(books | _fields(groups[0], outcome, sums), ledger, 0)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE moved AS {_joined_sql(books, ledger, 0)}")
    for number, group in enumerate(groups):
        columns = {"identifier": books["identifier"], **_fields(group, outcome, sums)}
        moved = _joined_sql(columns, ledger, number)
        connection.execute(f"CREATE OR REPLACE TEMP TABLE moved_{number} AS {moved}")
    tables = " ".join(f"JOIN moved_{number} USING (identifier)" for number in range(len(groups)))
    return f"SELECT * FROM moved {tables}"


def _books(outcome: Acknowledged, *, with_known_by: bool) -> dict[str, str]:
    """SQL for the columns beside the fields: column → SQL."""
    run_key = literal(outcome.run_key)
    # A second commit of the same run meets its own rows.
    again = f"l.run_key = {run_key}"
    books = {
        "identifier": "coalesce(l.identifier, c.identifier)",
        "as_of": _as_of_sql(late=outcome.late),
        "in_segment": _in_segment_sql(late=outcome.late),
        "run_key": f"CASE WHEN {ACCEPTED} OR {REFUSED} THEN {run_key} ELSE l.run_key END",
        **refusal_columns(again=again, proves=_proves_sql(outcome), with_known_by=with_known_by),
        **_repair(again),
        "unproven": _unproven_sql(outcome),
    }
    return {**books, "known_by": known_by_sql(late=outcome.late)} if with_known_by else books


def _fields(group: Sequence[str], outcome: Acknowledged, sums: Container[str]) -> dict[str, str]:
    return {field: _field_sql(field, outcome, is_sum=field in sums) for field in group}


def _joined_sql(columns: Mapping[str, str], ledger: str, number: int) -> str:
    """SQL for columns over the ledger's rows and those of ``outcome`` from which it learns something.

    :param number: of the table that has the fields.
    """
    return f"""
        SELECT {", ".join(f"{text} AS {quote(name)}" for name, text in columns.items())}
        FROM {ledger} AS l FULL JOIN (
            SELECT o.*, f.* EXCLUDE (identifier, learns, refused)
            FROM outcome AS o JOIN outcome_{number} AS f ON f.identifier = o.identifier
            WHERE NOT ({_NOTHING_LEARNT})
        ) AS c ON c.identifier = l.identifier
        WHERE l.identifier IS NOT NULL OR c.kind NOT IN ('move', 'known')
        """


_NOTHING_LEARNT = (
    "o.outcome = 'unsent' AND NOT o.learns AND NOT o.takes_over "
    "AND (o.known_by IS NULL OR o.identifier NOT IN (SELECT identifier FROM ledger))"
)
"""SQL that tells whether a row ``o`` of ``outcome`` leaves the ledger as it is."""


def _as_of_sql(*, late: bool) -> str:
    versions = "c.as_of, c.seen_as_of, l.as_of" if late else "c.as_of, c.seen_as_of"
    return f"CASE WHEN {ACCEPTED} THEN greatest({versions}) ELSE greatest(l.as_of, c.seen_as_of) END"


def _in_segment_sql(*, late: bool) -> str:
    moves = "FALSE" if late else "c.kind = 'move'"
    return f"""
            CASE
                WHEN {moves} OR (c.kind = 'leave' AND c.outcome IN ('accepted', 'noted')) THEN FALSE
                WHEN c.kind IS NULL OR c.kind IN ('leave', 'move', 'known') THEN l.in_segment
                WHEN c.outcome = 'unsent' AND NOT c.doubted AND NOT c.takes_over THEN l.in_segment
                ELSE TRUE
            END"""


def _repair(again: str) -> dict[str, str]:
    """SQL for how often the same values were put right: column → SQL.

    :param again: SQL that tells whether the row is this run's own already.
    """
    ended = "c.sticks OR c.kind = 'move'"
    same = f"{ACCEPTED} AND c.repair_hash = l.unstuck_hash"
    return {
        "unstuck": f"""
            CASE
                WHEN {ended} THEN NULL
                WHEN {same} AND {again} THEN l.unstuck
                WHEN {same} THEN coalesce(l.unstuck, 0) + 1
                WHEN {ACCEPTED} AND c.repair_hash IS NOT NULL THEN 1
                ELSE l.unstuck
            END::INTEGER""",
        "unstuck_hash": f"""
            CASE
                WHEN {ended} THEN NULL
                WHEN {ACCEPTED} THEN coalesce(c.repair_hash, l.unstuck_hash)
                ELSE l.unstuck_hash
            END""",
    }


def _proves_sql(outcome: Acknowledged) -> str:
    """SQL that tells whether an answer proves that the target has the person."""
    # Where nobody is created, an answer does not tell that there is somebody.
    return f"coalesce({ACCEPTED} AND c.kind <> 'leave', FALSE)" if outcome.settings.get(CREATES) else "FALSE"


def _unproven_sql(outcome: Acknowledged) -> str:
    if CREATES not in outcome.settings:
        return "l.unproven"
    return (
        f"CASE WHEN {_proves_sql(outcome)} THEN FALSE WHEN {ACCEPTED} THEN coalesce(l.unproven, TRUE) "
        "ELSE l.unproven END"
    )


def _field_sql(field: str, outcome: Acknowledged, *, is_sum: bool) -> str:
    """SQL for what is known of a field in the target."""
    taken = f"{ACCEPTED} AND NOT coalesce(list_contains(c.refused_fields, {literal(field_name(field))}), FALSE)"
    noted = f"c.{quote(noted_beside(field))}"
    new, known = f"c.{quote(field)}", f"l.{quote(field)}"
    if outcome.late and is_sum:
        # Taken back, a counter would grow a second time.
        return f"coalesce({known}, CASE WHEN {taken} THEN {new} END, {noted})"
    # Nobody can tell whether a late answer's value came before or after the newer one.
    differs = "TRUE" if outcome.otherwise else f"{known} <> {new}"
    told = doubt_if(differs, otherwise=new) if outcome.late else new
    value = f"CASE WHEN {taken} AND {new} IS NOT NULL THEN {told} ELSE coalesce({noted}, {known}) END"
    return doubt_if(f"list_contains(c.crossed, {literal(field)})", otherwise=value)
