"""What a changed goal puts in doubt: fields for which the target may hold something other than it acknowledged.

What changed settings mean for the acknowledged values is worked out twice, by the same rules: for the delta, which only
reads, and again by the commit, which writes it down together with what the target answered. So a run that is only
planned, or stopped before it sends, leaves the ledger as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.columns import FIELD_PREFIX
from airflow_provider_braze_blueconic.sync.engine.database import literal, quote
from airflow_provider_braze_blueconic.sync.engine.relations import column_names
from airflow_provider_braze_blueconic.sync.state.settings import ADDS, CREATES, MERGE, SOURCE, TARGET

if TYPE_CHECKING:
    import duckdb

__all__ = ["IN_DOUBT", "NO_DOUBTS", "Doubts", "doubt_everything", "doubts_of"]

IN_DOUBT = '["in doubt" ]'
"""What a field holds of which the target may have something else than it acknowledged: no answer came, no receipt was
kept, or the goal changed. No mapped value is written so, since a canonical text has no space there; so it always
differs, and is sent again whatever the source has by then. It is not NULL, because there may be something of ours to
clear."""


@dataclass(frozen=True)
class Doubts:
    """What changed settings put in doubt of everybody in a ledger.

    :param fields: field columns that are in doubt wherever something was acknowledged.
    :param forgotten: columns of numbers that are added to, and now come from another counter: what was acknowledged of
        the old one is no level that the new one grows from.
    :param unproven: creation is on now, so whoever was acknowledged only while it was off may not be there.
    :param proven: creation is off now, so whoever was acknowledged before is there.
    :param elsewhere: another connection leads to the target, maybe to another one: all that was acknowledged is in
        doubt, but for ``sums``, which might be added a second time where it is the same. Whoever was refused is tried.
    :param sums: columns of numbers that are added to.
    """

    fields: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()
    unproven: bool = False
    proven: bool = False
    elsewhere: bool = False
    sums: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.forgotten or self.unproven or self.proven or self.elsewhere)

    def told(self) -> list[str]:
        """Say what is sent once more, a sentence each, for a log."""
        sentences = [
            (len(self.fields), f"the merge of {len(self.fields)} fields changed; they are sent again"),
            (len(self.forgotten), f"{len(self.forgotten)} counters have another source now; they start over"),
            (self.unproven, "the goal now creates people; those accepted only before that are sent again"),
            (self.elsewhere, "the target's connection changed; every field except sums is sent again"),
        ]
        return [sentence for applies, sentence in sentences if applies]

    def apply(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Put the rows of the temporary table ``ledger`` in doubt."""
        _doubt(connection, self.fields, "TRUE")
        for field in self.forgotten:
            connection.execute(f"UPDATE ledger SET {quote(field)} = NULL")
        if self.proven:
            connection.execute("UPDATE ledger SET unproven = FALSE WHERE unproven IS NULL")
        if self.unproven:
            doubt_everything(connection, "coalesce(unproven, TRUE)")
        if self.elsewhere:
            doubt_everything(connection, "TRUE", but=self.sums)


NO_DOUBTS = Doubts()


def doubt_everything(connection: duckdb.DuckDBPyConnection, condition: str, *, but: Collection[str] = ()) -> None:
    """Put every acknowledged field of some rows of the temporary table ``ledger`` in doubt.

    :param condition: SQL over the ledger's columns.
    :param but: field columns that stay as they are.
    """
    fields = [name for name in column_names(connection, "ledger") if name.startswith(FIELD_PREFIX)]
    _doubt(connection, [name for name in fields if name not in but], condition)


def _doubt(connection: duckdb.DuckDBPyConnection, fields: Collection[str], condition: str) -> None:
    """Put what was acknowledged of some fields in doubt, in one pass over the ledger."""
    if fields:
        doubted = ", ".join(
            f"{quote(field)} = CASE WHEN {quote(field)} IS NOT NULL THEN {literal(IN_DOUBT)} END" for field in fields
        )
        connection.execute(f"UPDATE ledger SET {doubted} WHERE {condition}")


def doubts_of(wanted: Mapping[str, int], *, known: Callable[[str], int | None]) -> Doubts:
    """Compare a goal's settings with those that its ledger knows.

    :param wanted: settings of the run.
    :param known: name of a setting → its number in the ledger; ``None`` if the ledger does not know it, which puts
        nothing in doubt: ledgers are older than some settings.
    """
    changed = [name for name, number in wanted.items() if known(name) not in (None, number)]
    # What a number was set to, or came to, stays what a counter grows from.
    merged = [name for name in changed if name.startswith(MERGE + FIELD_PREFIX) and wanted[name] != ADDS]
    created = known(CREATES)
    moved = [name.removeprefix(SOURCE) for name in changed if name.startswith(SOURCE + FIELD_PREFIX)]
    return Doubts(
        fields=tuple(name.removeprefix(MERGE) for name in merged),
        forgotten=tuple(field for field in moved if wanted.get(MERGE + field) == ADDS),
        unproven=created == 0 and wanted.get(CREATES) == 1,
        proven=created == 1 and wanted.get(CREATES) == 0,
        elsewhere=TARGET in changed,
        sums=tuple(name.removeprefix(MERGE) for name, number in wanted.items() if number == ADDS and MERGE in name),
    )
