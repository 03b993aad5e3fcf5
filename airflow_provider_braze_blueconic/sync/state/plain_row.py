"""The row of a person of whom the target took everything, and of those who are not in the delta.

On most nights that is nearly everybody, and a field is what was sent, or what it was before. :mod:`.moved_row` says
the same of everybody else too, in many more steps; a test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from airflow_provider_braze_blueconic.sync.engine.database import literal, quote
from airflow_provider_braze_blueconic.sync.state.acknowledged import Acknowledged
from airflow_provider_braze_blueconic.sync.state.known_by import KNOWN_BY_NOBODY
from airflow_provider_braze_blueconic.sync.state.outcomes import noted_beside
from airflow_provider_braze_blueconic.sync.state.release import ABSENT
from airflow_provider_braze_blueconic.sync.state.settings import CREATES

__all__ = ["plain_sql", "plainly_taken"]

_NOT_PLAIN = {
    "absent": "d.absent IS TRUE",
    "crossed": "len(d.crossed) > 0",
    "repair_hash": "d.repair_hash IS NOT NULL",
    "sticks": "d.sticks IS TRUE",
}
"""Column that only some deltas have → SQL that tells whether a row needs more than is said here."""


def plainly_taken(there: Collection[str]) -> str:
    """SQL over ``d`` (delta) and ``r`` (best receipt) that tells whether the plain row holds for a person.

    :param there: columns of the delta.
    """
    more = [f"coalesce({condition}, FALSE)" for column, condition in _NOT_PLAIN.items() if column in there]
    taken = "r.outcome = 'accepted' AND coalesce(len(r.refused_fields), 0) = 0"
    conditions = [taken, "d.kind IN ('insert', 'change', 'return')", *(f"NOT {each}" for each in more)]
    return f"coalesce({' AND '.join(conditions)}, FALSE)"


def plain_sql(
    fields: Sequence[str],
    outcome: Acknowledged,
    there: Collection[str],
    *,
    taken: str,
    ledger: str | None,
    with_known_by: bool,
) -> str:
    """SQL for rows after the run.

    :param fields: field columns of the ledger.
    :param there: columns of the delta.
    :param taken: relation of the delta's rows that were plainly taken.
    :param ledger: relation of the ledger's rows that are theirs, or nobody's in the delta; ``None`` if there are none,
        so that no row has to wait in memory for a match.
    :param with_known_by: the ledger has that column.
    """
    here = "c.identifier IS NOT NULL"
    still_absent = _still_absent_sql(outcome, there)
    kept = f"{here} AND NOT {still_absent}"
    columns = {
        "identifier": "coalesce(l.identifier, c.identifier)",
        "as_of": f"CASE WHEN {here} THEN {_as_of_sql(there)} ELSE l.as_of END",
        "in_segment": f"CASE WHEN {here} THEN TRUE ELSE l.in_segment END",
        "run_key": f"CASE WHEN {here} THEN {literal(outcome.run_key)} ELSE l.run_key END",
        "rejection": f"CASE WHEN {kept} THEN NULL ELSE l.rejection END",
        "attempts": f"CASE WHEN {here} THEN 0 ELSE coalesce(l.attempts, 0) END::INTEGER",
        "refused_hash": f"CASE WHEN {here} THEN NULL ELSE l.refused_hash END",
        "refused_as": f"CASE WHEN {kept} THEN NULL WHEN {here} THEN {literal(ABSENT)} ELSE l.refused_as END",
        "tried_at": f"CASE WHEN {kept} THEN NULL ELSE l.tried_at END",
        "unstuck": "l.unstuck",
        "unstuck_hash": "l.unstuck_hash",
        "unproven": _unproven_sql(outcome, here),
    }
    if with_known_by:
        columns["known_by"] = _known_by_sql(there, here)
    columns |= {field: _field_sql(field, there) for field in fields}
    listed = ", ".join(f"{text} AS {quote(name)}" for name, text in columns.items())
    joined = f"{ledger} AS l FULL JOIN {taken} AS c" if ledger else f"{taken} AS c LEFT JOIN ledger AS l"
    return f"SELECT {listed} FROM {joined} ON c.identifier = l.identifier"


def _field_sql(field: str, there: Collection[str]) -> str:
    sent = [f"c.{quote(name)}" for name in (field, noted_beside(field)) if name in there]
    known = f"l.{quote(field)}"
    return f"coalesce({', '.join([*sent, known])})" if sent else known


def _as_of_sql(there: Collection[str]) -> str:
    return "greatest(c.as_of, c.seen_as_of)" if "seen_as_of" in there else "c.as_of"


def _still_absent_sql(outcome: Acknowledged, there: Collection[str]) -> str:
    """SQL that tells whether somebody whom a read did not meet still counts as absent.

    An answer proves that the target has the person only where it creates people.
    """
    was_absent = "FALSE" if outcome.settings.get(CREATES) else f"l.refused_as = {literal(ABSENT)}"
    return f"coalesce({'c.absent, ' if 'absent' in there else ''}{was_absent}, FALSE)"


def _unproven_sql(outcome: Acknowledged, here: str) -> str:
    creates = outcome.settings.get(CREATES)
    if creates is None:
        return "l.unproven"
    return f"CASE WHEN {here} THEN {'FALSE' if creates else 'coalesce(l.unproven, TRUE)'} ELSE l.unproven END"


def _known_by_sql(there: Collection[str], here: str) -> str:
    # Deltas of before did not look at how the target finds people, so what they were told proves nothing of it.
    if "known_by" not in there:
        revived = f"WHEN {here} AND l.known_by = {literal(KNOWN_BY_NOBODY)} THEN NULL"
        return f"CASE {revived} ELSE l.known_by END"
    asked = "WHEN c.matching IS NOT NULL THEN c.matching" if "matching" in there else ""
    revived = f"WHEN {here} AND l.known_by = {literal(KNOWN_BY_NOBODY)} THEN c.known_by"
    return f"CASE {asked} {revived} ELSE coalesce(c.known_by, l.known_by) END"
