"""The table ``news``: people about whose identity the ledger learns something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.identity import Identities
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.engine.columns import field_column
from airflow_provider_braze_blueconic.sync.engine.database import quote
from airflow_provider_braze_blueconic.sync.engine.relations import column_names
from airflow_provider_braze_blueconic.sync.state.doubt import doubt_known
from airflow_provider_braze_blueconic.sync.state.ledger_rows import LedgerRows
from airflow_provider_braze_blueconic.sync.state.settings import is_added_to

if TYPE_CHECKING:
    import duckdb

__all__ = ["News"]


@dataclass(frozen=True)
class News:
    """What a partition's people are known by, and whom that puts in doubt: in the table ``news``, if there is one.

    :param fields: field columns in ``news``; where they are not NULL, the field is in doubt.
    :param is_told: ``news`` is there, for people of several identifiers.
    :param is_found: people are found by their ``matching``; ``news`` is there, for whom the target may now find
        somebody else.
    """

    fields: tuple[str, ...] = ()
    is_told: bool = False
    is_found: bool = False

    @classmethod
    def load(
        cls,
        connection: duckdb.DuckDBPyConnection,
        ledger: LedgerRows,
        plan: DeltaPlan,
        partition: int,
        identities: Identities | None,
    ) -> News:
        """Load ``news``, and put the table ``ledger`` in doubt where it is not the same person any more."""
        if identities is not None:
            identities.load(connection, partition)
            return cls(identities.fields, is_told=True)
        if "matching" not in column_names(connection, "mapped"):
            return cls()
        fields = _without_sums(ledger, plan)
        _collect_elsewhere(connection, fields)
        return cls(fields, is_found=True)

    @property
    def is_loaded(self) -> bool:
        """Whether the table ``news`` is there."""
        return self.is_told or self.is_found

    def differs(self, mapped: str, ledger: str) -> str:
        """SQL that tells whether the ledger learns who somebody is."""
        if self.is_told:
            return f"{mapped}.identifier IN (SELECT identifier FROM news)"
        return f"{ledger}.known_by IS DISTINCT FROM {mapped}.matching" if self.is_found else "FALSE"

    def known_by(self, to_send: str) -> str:
        """SQL for what the ledger learns whatever becomes of the sending."""
        if self.is_told:
            return "n.known_by"
        # By what else BlueConic is asked is only known once it was asked.
        return f"CASE WHEN l.known_by IS NULL OR (l.known_by <> m.matching AND NOT ({to_send})) THEN m.matching END"


def _without_sums(ledger: LedgerRows, plan: DeltaPlan) -> tuple[str, ...]:
    """Name the field columns that are not added to.

    A counter stays where it stood: by another address its whole level would be added again.
    """
    mapped = {field_column(target): plan.merge(target) for target in plan.targets}
    return tuple(
        name
        for name in ledger.fields()
        if (mapped[name] != "sum" if name in mapped else is_added_to(name, known=ledger.transaction) is False)
    )


def _collect_elsewhere(connection: duckdb.DuckDBPyConnection, fields: tuple[str, ...]) -> None:
    """Collect into ``news`` for whom the target may find somebody else, and put the table ``ledger`` in doubt."""
    doubts = [f"{doubt_known(f'l.{quote(name)}')} AS {quote(name)}" for name in fields]
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE news AS
        SELECT l.identifier{"".join(f", {text}" for text in doubts)}
        FROM ledger AS l JOIN mapped AS m ON m.identifier = l.identifier WHERE l.known_by <> m.matching
        """
    )
    if fields:
        doubted = ", ".join(f"{quote(name)} = coalesce(n.{quote(name)}, ledger.{quote(name)})" for name in fields)
        connection.execute(f"UPDATE ledger SET {doubted} FROM news AS n WHERE n.identifier = ledger.identifier")
