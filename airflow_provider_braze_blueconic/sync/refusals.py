"""People whom the target did not take: who they are, whether the next run tries them again, and letting it.

All of it stands in the ledger: ``refused_as`` says what the target answered, ``rejection`` why, ``attempts`` how often
in a row with the same values. The hash of these values is what makes a person rest; without it they are tried again.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.sync.database import connect, literal
from airflow_provider_braze_blueconic.sync.delta import HELD_FOR
from airflow_provider_braze_blueconic.sync.ledger import ABSENT, HELD_REASONS, QUARANTINED_REASONS
from airflow_provider_braze_blueconic.sync.tables import from_microseconds

if TYPE_CHECKING:
    import duckdb

    from airflow_provider_braze_blueconic.sync.pipeline import Workspace

__all__ = ["Refusal", "RestRules", "list_refusals", "mask_identifier", "release_people"]

_NAMES_NOBODY = frozenset({"id", "alias_label"})
"""Keys of an identifier that say which kind it is: the same for everybody."""


@dataclass(frozen=True)
class RestRules:
    """When the next run does not try a person again, as the goal says.

    :param holds_back: who is not found, did not consent, or was taken without a field rests for a while: of imports.
    :param max_attempts: refusals of the same values after which a person rests.
    """

    holds_back: bool
    max_attempts: int


@dataclass(frozen=True)
class Refusal:
    """One person whom the target did not take, or not whole.

    :param identifier: JSON text, as in a request.
    :param outcome: ``rejected``, ``not_found``, ``no_consent``, ``unknown``; ``fields`` for who was taken without some
        fields; ``repaired`` for whom a value was put right that the target did not hold any more; ``absent`` for whom
        the target acknowledged, and does not have.
    :param reason: the target's, with the person's own values masked.
    :param tried_at: version of the data that was refused, UTC.
    :param attempts: in a row, with the same values.
    :param next: what the next run does, if nothing of the person changes: ``tries again``, ``rests until …``.
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
    """Find the people whom the target did not take the last time.

    :param now: when the next run would read.
    :param limit: people to return, at most; ``None`` for all.
    :return: (outcome, ``rests`` or ``tries again``) → people; and the people, the latest first.
    """
    with _refused_people(workspace) as connection:
        connection.execute(
            f"CREATE TEMP VIEW judged AS SELECT *, {_rests_sql(rules, now)} AS rests, epoch_us(tried_at) AS tried "
            "FROM refused"
        )
        counts = connection.execute(
            "SELECT outcome, CASE WHEN rests IS NULL THEN 'tries again' ELSE 'rests' END AS then, count(*) FROM judged "
            "GROUP BY ALL ORDER BY ALL"
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
    """Let the next run try people again although they rest, in one commit of the ledger.

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
        workspace.ledger().release(workspace.engine, found)
    return len(found), missing


def mask_identifier(identifier: str) -> str:
    """Write an identifier so that it can be told from others and names nobody: ``{"external_id":"u…7 (5)"}``.

    :param identifier: JSON text.
    """

    def masked(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: part if key in _NAMES_NOBODY else masked(part) for key, part in value.items()}
        if isinstance(value, list):
            return [masked(part) for part in value]
        text = str(value)
        shown = f"{text[0]}…{text[-1]}" if len(text) > 4 else "…"
        return f"{shown} ({len(text)})"

    return "\n".join(
        json.dumps(masked(json.loads(line)), ensure_ascii=False, separators=(",", ":"))
        for line in identifier.split("\n")
    )


@contextmanager
def _refused_people(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    """Load who was not taken into the table ``refused``."""
    ledger = workspace.ledger()
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
                    THEN 'the target did not hold a value any more; it was put right' ELSE '' END) AS reason,
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
        meant = [who for (who,) in near if who == text or text in _values(who)]
        found += meant
        missing += not meant
    return list(dict.fromkeys(found)), missing


def _values(identifier: str) -> set[str]:
    """Collect the values of an identifier that belong to the person."""

    def parts(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for key, part in value.items():
                if key not in _NAMES_NOBODY:
                    yield from parts(part)
        elif isinstance(value, list):
            for part in value:
                yield from parts(part)
        else:
            yield str(value)

    return {text for line in identifier.split("\n") for text in parts(json.loads(line))}


def _rests_sql(rules: RestRules, now: dt.datetime) -> str:
    """SQL for why a person rests: ``value``, until one changes; ``time``, for a while; NULL for who is tried again."""
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
            return "rests until a value changes"
        case "time":
            until = f"{tried_at + HELD_FOR:%Y-%m-%d}" if tried_at else "a week after it"
            return f"rests until {until} or a change"
        case "repaired":
            return "rests if it differs again"
        case "absent":
            return "the next reconcile looks again"
        case _:
            return "tries again"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(literal(word) for word in words)
