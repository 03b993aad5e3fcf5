"""What changed settings put in doubt of everybody.

It is worked out twice, by the same rules: for the delta, which only reads, and again by the commit, which writes it
down together with what the target answered. So a run that is only planned, or stopped before it sends, leaves the
ledger as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.columns import FIELD_PREFIX
from airflow_provider_braze_blueconic.sync.engine.database import quote
from airflow_provider_braze_blueconic.sync.state.doubt import doubt_everything, doubt_fields
from airflow_provider_braze_blueconic.sync.state.settings import ADDS, CREATES, MERGE, SOURCE, TARGET

if TYPE_CHECKING:
    import duckdb

__all__ = ["NO_DOUBTS", "Doubts", "doubts_of"]


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
        doubt_fields(connection, self.fields, "TRUE")
        for field in self.forgotten:
            connection.execute(f"UPDATE ledger SET {quote(field)} = NULL")
        if self.proven:
            connection.execute("UPDATE ledger SET unproven = FALSE WHERE unproven IS NULL")
        if self.unproven:
            doubt_everything(connection, "coalesce(unproven, TRUE)")
        if self.elsewhere:
            doubt_everything(connection, "TRUE", but=self.sums)


NO_DOUBTS = Doubts()


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
