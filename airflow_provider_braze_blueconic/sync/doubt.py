"""What a changed goal puts in doubt: fields of which the target may hold something else than it acknowledged.

A goal's settings are kept in its ledger as numbers, so that the next run can tell which of them changed. What such a
change means for the acknowledged values is worked out twice, by the same rules: for the delta, which only reads, and
again by the commit, which writes it down together with what the target answered. So a run that is only planned, or
stopped before it sends, leaves the ledger as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.blueconic_values import Merge
from airflow_provider_braze_blueconic.sync.columns import FIELD_PREFIX, field_column
from airflow_provider_braze_blueconic.sync.database import literal, quote

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "CREATES",
    "DIRECTION",
    "IN_DOUBT",
    "NO_DOUBTS",
    "Doubts",
    "creation_setting",
    "doubt_everything",
    "doubts_of",
    "is_added_to",
    "merge_settings",
    "source_settings",
    "target_settings",
]

IN_DOUBT = '["in doubt" ]'
"""What a field holds of which the target may have something else than it acknowledged: no answer came, no receipt was
kept, or the goal changed. No mapped value is written so, since a canonical text has no space there; so it always
differs, and is sent again whatever the source has by then. It is not NULL, because there may be something of ours to
clear."""

_MERGE = "merge:"
"""Setting, by field column: the number of the merge by which the field was last sent."""

_SOURCE = "source:"
"""Setting, by field column: a number that stands for where the values of a number property come from."""

CREATES = "creates"
"""Setting: 1 where the target is asked to create people whom it does not know, 0 where it drops them in silence."""

_TARGET = "target"
"""Setting: a number that stands for the connection by which the target is reached."""

DIRECTION = "direction"
"""Setting: 1 for an export goal, 2 for an import goal; the ledgers of both have other identifiers and texts."""

_MERGE_NUMBERS: Mapping[Merge, int] = {"set": 1, "set_or_clear": 1, "add": 2, "sum": 3, "set_if_empty": 4, "remove": 5}
"""Merges by which the same value leaves something else in the target have other numbers. They are kept in ledgers, so
none may ever change."""


def merge_settings(merges: Mapping[str, Merge]) -> dict[str, int]:
    """Write how values meet what the target holds as settings of a ledger.

    :param merges: target → merge.
    """
    return {_MERGE + field_column(target): _MERGE_NUMBERS[merge] for target, merge in merges.items()}


def source_settings(sources: Mapping[str, str]) -> dict[str, int]:
    """Write where numbers come from as settings of a ledger: within what a Delta table can keep, 63 bits.

    :param sources: target → path of its source.
    """
    return {_SOURCE + field_column(target): _number(source) for target, source in sources.items()}


def target_settings(connection: str | None, *, imports: bool) -> dict[str, int]:
    """Write where a goal writes to as settings of a ledger.

    :param connection: id of the connection; ``None`` where nothing is reached by one.
    """
    settings = {DIRECTION: 2 if imports else 1}
    return settings if connection is None else {**settings, _TARGET: _number(connection)}


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])


def creation_setting(creates: bool | None) -> dict[str, int]:
    """Write whether people are created as a setting of a ledger.

    :param creates: ``None`` for a target that tells whom it does not know.
    """
    return {} if creates is None else {CREATES: int(creates)}


def is_added_to(field: str, *, known: Callable[[str], int | None]) -> bool | None:
    """Tell whether a field was a number that is added to when it was last sent; ``None`` if that is not known.

    :param field: field column.
    :param known: name of a setting → its number in the ledger.
    """
    number = known(_MERGE + field)
    return None if number is None else number == _MERGE_NUMBERS["sum"]


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
            (len(self.fields), f"the merge of {len(self.fields)} fields changed; they are sent once more"),
            (len(self.forgotten), f"{len(self.forgotten)} counters come from elsewhere now; they start anew"),
            (self.unproven, "people may be created now; whoever was accepted only before is sent once more"),
            (self.elsewhere, "another connection leads to the target; every field but sums is sent once more"),
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
    described = connection.execute("DESCRIBE ledger").fetchall()
    _doubt(
        connection,
        [name for name, *_ in described if name.startswith(FIELD_PREFIX) and name not in but],
        condition,
    )


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
    adds = _MERGE_NUMBERS["sum"]
    merged = [name for name in changed if name.startswith(_MERGE + FIELD_PREFIX) and wanted[name] != adds]
    created = known(CREATES)
    moved = [name.removeprefix(_SOURCE) for name in changed if name.startswith(_SOURCE + FIELD_PREFIX)]
    return Doubts(
        fields=tuple(name.removeprefix(_MERGE) for name in merged),
        forgotten=tuple(field for field in moved if wanted.get(_MERGE + field) == adds),
        unproven=created == 0 and wanted.get(CREATES) == 1,
        proven=created == 1 and wanted.get(CREATES) == 0,
        elsewhere=_TARGET in changed,
        sums=tuple(name.removeprefix(_MERGE) for name, number in wanted.items() if number == adds and _MERGE in name),
    )
