"""A refusal, as the ledger remembers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_provider_braze_blueconic.sync.engine.columns import field_name
from airflow_provider_braze_blueconic.sync.engine.database import literal, quote
from airflow_provider_braze_blueconic.sync.state.outcomes import FAILED, PARTLY, REFUSED, SETTLED
from airflow_provider_braze_blueconic.sync.state.release import ABSENT

__all__ = ["HELD_REASONS", "QUARANTINED_REASONS", "hash_sql", "refusal_columns", "refused_text_sql", "sent_hash_sql"]

HELD_REASONS = ("not_found", "no_consent", "fields")
"""What ``refused_as`` says of records that the target would not take today either, while nothing changes: it knows no
such person, the person did not consent, or it refused single fields of a record that it took."""

QUARANTINED_REASONS = ("rejected", "fields", "unknown")
"""What ``refused_as`` says of records that rest after too many attempts with the same values. ``unknown`` are those of
which the target's answer did not tell; where no answer came at all, nothing is held against the record."""

_NOT_THERE = "the target acknowledged this person but doesn't have them"

_WAS_ABSENT = f"l.refused_as = {literal(ABSENT)}"


def sent_hash_sql(
    fields: Sequence[str],
    policy: str,
    *,
    prefix: str = "",
    only: str = "TRUE",
    values: Mapping[str, str] | None = None,
) -> str:
    """SQL for the fingerprint of what is sent of a record: the same for the same fields, values and policy.

    :param fields: field columns, in any order.
    :param prefix: of the relation, with its dot.
    :param only: SQL with ``{name}`` for a target's name as a literal: which fields count.
    :param values: field column → SQL for its value, where that is not the column itself.
    """
    values = values or {}
    sent = [
        f"CASE WHEN {only.replace('{name}', literal(field_name(field)))} "
        f"THEN {literal(field + ':')} || {values.get(field, prefix + quote(field))} END"
        for field in sorted(fields)
    ]
    return hash_sql(policy, sent)


def hash_sql(policy: str, sent: Sequence[str]) -> str:
    """SQL for the fingerprint of texts, in their order; a NULL counts for nothing, so texts may come in groups.

    :param sent: SQL for each text.
    """
    return f"md5(concat_ws('|', {', '.join([literal(policy), *sent])}))"


def refused_text_sql(fields: Sequence[str]) -> str:
    """SQL over ``c`` (outcome) and ``d`` (delta) for what the target did not take of a record; NULL if it took all.

    :param fields: field columns in their order; the fingerprint of several such groups is :func:`hash_sql` of them.
    """
    # Of a record that was taken without some fields, these alone are what was refused.
    texts = ", ".join(
        f"CASE WHEN {REFUSED} OR list_contains(c.refused_fields, {literal(field_name(field))}) "
        f"THEN {literal(field + ':')} || d.{quote(field)} END"
        for field in fields
    )
    return f"nullif(concat_ws('|', {texts}), '')" if fields else "NULL::VARCHAR"


def refusal_columns(*, again: str, proves: str, with_known_by: bool) -> dict[str, str]:
    """SQL for what is remembered after a run, over ``l`` (ledger) and ``c`` (outcome): column → SQL.

    :param again: SQL that tells whether the row is this run's own already.
    :param proves: SQL that tells whether an answer proves that the target has the person.
    :param with_known_by: the ledger has that column.
    """
    listed = f"coalesce(c.absent, {_WAS_ABSENT} AND NOT {proves}, FALSE)"
    absent = f"({listed} AND c.kind IS DISTINCT FROM 'move')"
    return {
        "rejection": f"""
            CASE
                WHEN {FAILED} THEN c.reason
                WHEN {absent} THEN CASE WHEN c.absent THEN {literal(_NOT_THERE)} ELSE l.rejection END
                WHEN {SETTLED} OR {_WAS_ABSENT} THEN NULL
                ELSE l.rejection
            END""",
        "attempts": _attempts_sql(again, with_known_by=with_known_by),
        "refused_hash": f"CASE WHEN {SETTLED} THEN NULL WHEN {FAILED} THEN c.refused_hash ELSE l.refused_hash END",
        "refused_as": f"""
            CASE
                WHEN {PARTLY} THEN 'fields'
                WHEN {REFUSED} THEN c.outcome
                WHEN {absent} THEN {literal(ABSENT)}
                WHEN {SETTLED} THEN NULL
                ELSE nullif(l.refused_as, {literal(ABSENT)})
            END""",
        "tried_at": f"""
            CASE
                WHEN {FAILED} OR c.absent THEN c.as_of
                WHEN {absent} THEN l.tried_at
                WHEN {SETTLED} OR {_WAS_ABSENT} THEN NULL
                ELSE l.tried_at
            END""",
    }


def _attempts_sql(again: str, *, with_known_by: bool) -> str:
    """SQL for how often the target refused the same values of the same person."""
    # Where the target finds somebody else now, the same values are news.
    elsewhere = "coalesce(c.matching <> l.known_by, FALSE)" if with_known_by else "FALSE"
    same = f"{FAILED} AND l.refused_hash = c.refused_hash"
    return f"""
            CASE
                WHEN {SETTLED} THEN 0
                WHEN {FAILED} AND {elsewhere} THEN 1
                WHEN {same} AND {again} THEN l.attempts
                WHEN {same} THEN coalesce(l.attempts, 0) + 1
                WHEN {FAILED} THEN 1
                ELSE coalesce(l.attempts, 0)
            END::INTEGER"""
