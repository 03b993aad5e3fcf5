"""People whom the target didn't accept: who they are, whether the next run retries them, and their release.

The ledger has all of it: ``refused_as`` says what the target answered, ``rejection`` why, ``attempts`` how often in a
row with the same values. The hash of these values is what keeps a person from being retried; without it the next run
retries them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.resting import HELD_FOR
from airflow_provider_braze_blueconic.sync.engine.database import connect, literal
from airflow_provider_braze_blueconic.sync.state.goal_tables import open_ledger
from airflow_provider_braze_blueconic.sync.state.refusal import HELD_REASONS, QUARANTINED_REASONS
from airflow_provider_braze_blueconic.sync.state.release import ABSENT
from airflow_provider_braze_blueconic.sync.store.tables import from_microseconds
from airflow_provider_braze_blueconic.sync.upkeep.identifier_texts import identifier_values

if TYPE_CHECKING:
    import duckdb

    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["Refusal", "RestRules", "list_refusals", "release_people"]


@dataclass(frozen=True)
class RestRules:
    """When the next run doesn't retry a person, according to the goal.

    :param holds_back: for import goals: people who weren't found, didn't consent, or were accepted without a field wait
        for a while.
    :param max_attempts: refusals of the same values after which a person is quarantined.
    """

    holds_back: bool
    max_attempts: int


@dataclass(frozen=True)
class Refusal:
    """One person whom the target didn't accept, or not with all fields.

    :param identifier: JSON text, as in a request.
    :param outcome: ``rejected``, ``not_found``, ``no_consent``, ``unknown``; ``fields`` for a person accepted without
        some fields; ``repaired`` if the target no longer held a value, which was sent again; ``absent`` for a person
        whom the target acknowledged but doesn't have.
    :param reason: the target's, with the person's own values masked.
    :param tried_at: version of the data that was refused, UTC.
    :param attempts: in a row, with the same values.
    :param next: what the next run does if nothing about the person changes, such as ``retried`` or ``waits until …``.
    """

    identifier: str
    outcome: str
    reason: str
    tried_at: dt.datetime | None
    attempts: int
    next: str

    def __repr__(self) -> str:
        return f"Refusal(outcome={self.outcome!r}, attempts={self.attempts!r}, next={self.next!r})"


def list_refusals(
    workspace: Workspace, rules: RestRules, *, now: dt.datetime, limit: int | None = None
) -> tuple[dict[tuple[str, str], int], list[Refusal]]:
    """Find the people whom the target didn't accept the last time.

    :param now: when the next run would read.
    :param limit: people to return, at most; ``None`` for all.
    :return: (outcome, ``retried`` or ``not retried``) → people; and the people, the latest first.
    """
    with _refused_people(workspace) as connection:
        connection.execute(
            f"CREATE TEMP VIEW judged AS SELECT *, {_rests_sql(rules, now)} AS rests, epoch_us(tried_at) AS tried "
            "FROM refused"
        )
        counts = connection.execute(
            "SELECT outcome, CASE WHEN rests IS NULL THEN 'retried' ELSE 'not retried' END AS then, count(*) FROM "
            "judged GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        rows = connection.execute(
            "SELECT identifier, outcome, reason, tried, attempts, rests FROM judged "
            f"ORDER BY tried DESC NULLS LAST, identifier {'' if limit is None else f'LIMIT {limit:d}'}"
        ).fetchall()
    found = []
    for who, outcome, reason, tried, attempts, rests in rows:
        tried_at = None if tried is None else from_microseconds(tried)
        found.append(Refusal(who, outcome, reason, tried_at, attempts, _next(rests, tried_at)))
    return {(outcome, then): people for outcome, then, people in counts}, found


def release_people(workspace: Workspace, wanted: Sequence[str] | None) -> tuple[int, int]:
    """Let the next run retry people, in one commit of the ledger.

    :param wanted: identifiers as JSON texts, or their values alone; ``None`` for everybody who was refused.
    :return: how many people were released, and how many of the wanted ones were not found among the refused.
    :raises WriterConflict: if a run moved the ledger meanwhile; nothing was changed.
    """
    with _refused_people(workspace) as connection:
        if wanted is None:
            found = [who for (who,) in connection.execute("SELECT identifier FROM refused").fetchall()]
            missing = 0
        else:
            found, missing = _match(connection, wanted)
    if found:
        open_ledger(workspace).release(workspace.engine, found)
    return len(found), missing


@contextmanager
def _refused_people(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    """Load the people who weren't accepted into the table ``refused``."""
    ledger = open_ledger(workspace)
    wanted = (
        "identifier",
        "refused_as",
        "rejection",
        "tried_at",
        "attempts",
        "refused_hash",
        "unstuck",
        "unstuck_hash",
    )
    types = {"tried_at": "TIMESTAMPTZ", "attempts": "INTEGER", "unstuck": "INTEGER"}
    with ledger.reading(), connect(workspace.engine) as connection:
        present = set(ledger.columns())
        columns = [name if name in present else f"NULL::{types.get(name, 'VARCHAR')} AS {name}" for name in wanted]
        rows = ledger.rows(wanted)
        if rows is not None:
            connection.register("ledger_rows", rows)
        source = "ledger_rows" if rows is not None else "(SELECT 1) WHERE FALSE"
        connection.execute(
            f"""
            CREATE TEMP TABLE refused AS
            SELECT identifier, coalesce(refused_as, 'repaired') AS outcome, tried_at, refused_hash,
                coalesce(rejection, CASE WHEN refused_as IS NULL
                    THEN 'the target no longer held a value; it was sent again' ELSE '' END) AS reason,
                CASE WHEN refused_as IS NULL THEN unstuck ELSE attempts END AS attempts
            FROM (SELECT {", ".join(columns)} FROM {source})
            WHERE refused_as IS NOT NULL OR unstuck > 0
            """
        )
        yield connection


def _match(connection: duckdb.DuckDBPyConnection, wanted: Sequence[str]) -> tuple[list[str], int]:
    """Find the refused people that are meant.

    :return: their identifiers, and how many of the wanted ones are nobody's.
    """
    found: list[str] = []
    missing = 0
    for text in dict.fromkeys(wanted):
        # Most of them by far are excluded before anything is parsed.
        near = connection.execute(
            "SELECT identifier FROM refused "
            "WHERE identifier = $text OR contains(identifier, to_json($text::VARCHAR)::VARCHAR)",
            {"text": text},
        ).fetchall()
        meant = [who for (who,) in near if who == text or text in identifier_values(who)]
        found += meant
        missing += not meant
    return list(dict.fromkeys(found)), missing


def _rests_sql(rules: RestRules, now: dt.datetime) -> str:
    """SQL for why a person isn't retried: ``value`` until one changes, ``time`` for a while; NULL if retried."""
    quarantined = f"outcome IN ({_listed(QUARANTINED_REASONS)}) AND attempts >= {rules.max_attempts:d}"
    since = literal((now - HELD_FOR).isoformat())
    held = f"{rules.holds_back} AND outcome IN ({_listed(HELD_REASONS)}) AND tried_at > {since}::TIMESTAMPTZ"
    return f"""
        CASE
            WHEN outcome IN ('repaired', {literal(ABSENT)}) THEN outcome
            WHEN refused_hash IS NULL THEN NULL
            WHEN {quarantined} THEN 'value'
            WHEN {held} THEN 'time'
        END
        """


def _next(rests: str | None, tried_at: dt.datetime | None) -> str:
    match rests:
        case "value":
            return "quarantined until a value changes"
        case "time":
            until = f"{tried_at + HELD_FOR:%Y-%m-%d}" if tried_at else "a week later"
            return f"waits until {until} or a change"
        case "repaired":
            return "not sent again if it differs again"
        case "absent":
            return "the next reconcile checks again"
        case _:
            return "retried"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(literal(word) for word in words)
