"""What reads of other goals saw of a partition's people: the tables ``found`` and ``seen``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.echoes import is_echo_sql
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.delta.seen import Seen
from airflow_provider_braze_blueconic.sync.engine.columns import certain_column, echo_column, field_column
from airflow_provider_braze_blueconic.sync.engine.database import parquet_source, quote
from airflow_provider_braze_blueconic.sync.engine.relations import column_names
from airflow_provider_braze_blueconic.sync.mapping.matching import condition_sql, conditions_sql

if TYPE_CHECKING:
    import duckdb

__all__ = ["load_seen"]


@dataclass(frozen=True)
class _Read:
    """One read, and which of its columns concern the goal.

    :param number: of the read, among all of them.
    :param shown: targets that were looked at.
    :param back: targets of which is known what comes back of them.
    """

    seen: Seen
    number: int
    there: frozenset[str]
    shown: tuple[str, ...]
    back: tuple[str, ...]

    @classmethod
    def of(cls, connection: duckdb.DuckDBPyConnection, plan: DeltaPlan, seen: Seen, number: int) -> _Read:
        there = frozenset(column_names(connection, f"SELECT * FROM {parquet_source([seen.file])}"))
        return cls(
            seen,
            number,
            there,
            shown=tuple(name for name in plan.targets if field_column(name) in there and plan.merge(name) != "sum"),
            back=tuple(name for name in plan.targets if echo_column(name) in there),
        )

    def rows(self) -> str:
        """SQL for the people whom the read saw."""
        columns = [
            "identifier AS key",
            f"{self.number} AS look",
            f"{self.seen.whole} AS whole",
            "row",
            f"as_of - INTERVAL {int(self.seen.settles_in.total_seconds())} SECONDS AS as_of",
            *(quote(field_column(target)) for target in self.shown),
            *(f"{self._certain(target)} AS {quote(certain_column(target))}" for target in self.shown),
            *(quote(echo_column(target)) for target in self.back),
        ]
        return f"SELECT {', '.join(columns)} FROM {parquet_source([self.seen.file])}"

    def _certain(self, target: str) -> str:
        if target not in self.seen.certain:
            return "FALSE"
        return quote(certain_column(target)) if certain_column(target) in self.there else "TRUE"


def load_seen(
    connection: duckdb.DuckDBPyConnection, plan: DeltaPlan, seen: Sequence[Seen], skipped: Path | None
) -> tuple[dict[str, bool], list[str]]:
    """Load what was seen of this partition's people into ``seen``, the newest look at each of them.

    A person is found again by the identifier, or by any of the conditions by which the target would find them. Where
    either side has several records of somebody, what was seen of one of them does not count.

    :param skipped: people of whom this goal's own read had a record that was not mapped.
    :return: targets that were seen → whether what was seen is certain; and targets of which is known what comes back
        of them. Of these every look counts, and not the newest alone.
    """
    reads = [_Read.of(connection, plan, one, number) for number, one in enumerate(seen)]
    certain: dict[str, bool] = {}
    for read in reads:
        for target in read.shown:
            certain[target] = certain.get(target, False) or target in read.seen.certain
    echoed = list(dict.fromkeys(target for read in reads for target in read.back))
    if certain or echoed:
        _collect_found(connection, reads)
        _collect_newest(connection, echoed, skipped)
    return certain, echoed


def _collect_found(connection: duckdb.DuckDBPyConnection, reads: Sequence[_Read]) -> None:
    """Collect into ``found`` what each read saw of each person."""
    keys = "SELECT identifier, identifier AS key FROM mapped"
    if "matching" in column_names(connection, "mapped"):
        conditions = f"SELECT identifier, unnest({conditions_sql('matching')}) AS c FROM mapped"
        keys = f"SELECT identifier, {condition_sql('c.id', 'c.value')} AS key FROM ({conditions})"
    rows = " UNION ALL BY NAME ".join(read.rows() for read in reads)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE found AS
        SELECT k.identifier, s.* FROM ({keys}) AS k JOIN ({rows}) AS s ON s.key = k.key
        """
    )


def _collect_newest(connection: duckdb.DuckDBPyConnection, echoed: Sequence[str], skipped: Path | None) -> None:
    """Collect into ``seen`` the newest look at each person, and whether any look shows an echo."""
    counts = "identifier NOT IN (SELECT identifier FROM found GROUP BY identifier, look HAVING count(DISTINCT row) > 1)"
    if skipped is not None:
        # The goal's own look at its target is no news that another goal may have brought over for the other record.
        own = f"SELECT identifier FROM {parquet_source([skipped])} WHERE identifier IS NOT NULL"
        counts += f" AND (whole OR identifier NOT IN ({own}))"
    echoes = {target: quote(echo_column(target)) for target in echoed}
    others = f" EXCLUDE ({', '.join(echoes.values())})" if echoes else ""
    compared = [
        f"{is_echo_sql(f'm.{quote(field_column(target))}', f'f.{name}')} AS {name}" for target, name in echoes.items()
    ]
    gathered = [f"bool_or({name}) OVER (PARTITION BY identifier) AS {name}" for name in echoes.values()]
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE seen AS
        SELECT * EXCLUDE (key, look, whole, row, place) FROM (
            SELECT {", ".join([f"*{others}", *gathered])},
                row_number() OVER (PARTITION BY identifier ORDER BY as_of DESC) AS place
            FROM (
                SELECT {", ".join([f"f.*{others}", *compared])}
                FROM found AS f JOIN mapped AS m ON m.identifier = f.identifier
            )
        ) WHERE place = 1 AND {counts}
        """
    )
