"""The counts of a delta."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.sync.delta.emptied import count_emptied
from airflow_provider_braze_blueconic.sync.delta.looks import Looks
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.engine.columns import field_column, increase_column, noted_column
from airflow_provider_braze_blueconic.sync.engine.database import quote
from airflow_provider_braze_blueconic.sync.engine.relations import total_sql
from airflow_provider_braze_blueconic.sync.state.doubt import is_certain
from airflow_provider_braze_blueconic.sync.values.texts import CLEAR

if TYPE_CHECKING:
    import duckdb

__all__ = ["DeltaCounts", "count_delta"]


@dataclass(frozen=True)
class DeltaCounts:
    """What a delta holds.

    :param inserts: people to send that the ledger did not know.
    :param changes: people to send of whom some field changed.
    :param leavers: people who left, whether or not anything is sent for them.
    :param spared: people who seem to have left, and may only be missing from the read: nothing is done about them.
    :param to_send: people to send, leavers included.
    :param unchanged: people with nothing to send.
    :param stale: people not sent because the ledger knows something newer.
    :param fields: field values to send.
    :param clears: those among them that empty a field.
    :param data_points: what Braze will bill.
    :param members: people of whom the ledger says that they are in the segment, before this run.
    :param seen: people of whom the target was seen to hold something already that would have been sent.
    :param held: people not sent because the target could not take the same values before.
    :param quarantined: people not sent because the target refused the same values too often.
    :param drifted: people of whom the target was seen not to hold any more what it acknowledged.
    :param unstuck: those among them whose values are not put right again, since they did not stick.
    :param absent: people whom the target should have, and a read that was made to see them did not meet.
    :param drift: target field → people of whom it was seen to differ.
    :param emptied: target field → people in the source who are to lose a value that they have, or may have.
    :param filled: target field → people in the source who have, or may have, a value there, as far as it was counted.
    """

    inserts: int = 0
    changes: int = 0
    leavers: int = 0
    to_send: int = 0
    unchanged: int = 0
    stale: int = 0
    fields: int = 0
    clears: int = 0
    data_points: int = 0
    members: int = 0
    seen: int = 0
    held: int = 0
    quarantined: int = 0
    drifted: int = 0
    unstuck: int = 0
    absent: int = 0
    spared: int = 0
    drift: Counter[str] = field(default_factory=Counter)
    emptied: Counter[str] = field(default_factory=Counter, compare=False)
    filled: Counter[str] = field(default_factory=Counter, compare=False)

    def __add__(self, other: DeltaCounts) -> DeltaCounts:
        return DeltaCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def as_row(self) -> dict[str, Any]:
        """Return the counts as plain values, for a reference."""
        counts = {f.name: getattr(self, f.name) for f in fields(self)}
        counts["filled"] = {target: self.filled[target] for target in self.emptied}
        return {name: dict(count) if isinstance(count, Counter) else count for name, count in counts.items()}


def count_delta(connection: duckdb.DuckDBPyConnection, plan: DeltaPlan, looks: Looks, *, quiet: int = 0) -> DeltaCounts:
    """Count the rows of ``delta`` and those that it does not hold: unchanged, stale and resting people.

    :param quiet: people who were set aside, and are in none of the tables.
    """
    added = {field_column(target): increase_column(target) for target in looks.increase}
    sent = [f"count({quote(added.get(column, column))}) FILTER (WHERE to_send)" for column in plan.all_columns]
    cleared = [f"count(*) FILTER (WHERE to_send AND {quote(name)} = '{CLEAR}')" for name in plan.all_columns]
    row = connection.execute(
        f"""
        SELECT
            count(*) FILTER (WHERE to_send AND kind = 'insert'),
            count(*) FILTER (WHERE to_send AND kind = 'change'),
            count(*) FILTER (WHERE kind = 'leave'),
            count(*) FILTER (WHERE to_send),
            {quiet:d} + (SELECT count(*) FROM mapped) - count(*) FILTER (WHERE to_send AND kind <> 'leave')
                - (SELECT count(*) FROM moved WHERE stale) - (SELECT count(*) FROM resting WHERE NOT leaves),
            (SELECT count(*) FROM moved WHERE stale),
            {total_sql(sent)},
            {total_sql(cleared)},
            coalesce(sum(data_points), 0)::BIGINT,
            {quiet:d} + (SELECT count(*) FROM ledger WHERE in_segment),
            count(*) FILTER (WHERE {_held_already(looks)}),
            (SELECT count(*) FROM resting WHERE NOT quarantined),
            (SELECT count(*) FROM resting WHERE quarantined)
        FROM delta
        """
    ).fetchall()[0]
    return replace(DeltaCounts(*row), **_count_drift(connection, looks), **count_emptied(connection, plan, quiet=quiet))


def _held_already(looks: Looks) -> str:
    """SQL that tells whether the target was seen to hold something already that would have been sent."""
    if not looks.is_seen:
        return "FALSE"
    told = [
        f"({column} IS NOT NULL AND {is_certain(column)})"
        for column in (quote(noted_column(target)) for target in looks.noted if target not in looks.increase)
    ]
    return " OR ".join(told) or "FALSE"


def _count_drift(connection: duckdb.DuckDBPyConnection, looks: Looks) -> dict[str, Any]:
    """Count the people, and of each field the people, of whom the target does not hold what it acknowledged."""
    if not looks.repaired:
        return {}
    fields_ = [f"count(*) FILTER (WHERE {quote(field_column(target))})" for target in looks.repaired]
    drifted, unstuck, *people = connection.execute(
        f"SELECT count(*), count(*) FILTER (WHERE unstuck), {', '.join(fields_)} FROM repairs"
    ).fetchall()[0]
    drift = {target: count for target, count in zip(looks.repaired, people, strict=True) if count}
    return {"drifted": drifted, "unstuck": unstuck, "drift": Counter(drift)}
