"""What a changed goal puts in doubt: fields of which the target may hold something else than it acknowledged.

A goal's settings are kept in its ledger as numbers, so that the next run can tell which of them changed. What such a
change means for the acknowledged values is worked out twice, by the same rules: for the delta, which only reads, and
again by the commit, which writes it down together with what the target answered. So a run that is only planned, or
stopped before it sends, leaves the ledger as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.blueconic_values import Merge
from airflow_provider_braze_blueconic.sync.columns import FIELD_PREFIX, field_column
from airflow_provider_braze_blueconic.sync.database import literal, quote

if TYPE_CHECKING:
    import duckdb

__all__ = ["IN_DOUBT", "NO_DOUBTS", "Doubts", "doubts_of", "is_added_to", "merge_settings"]

IN_DOUBT = '["in doubt" ]'
"""What a field holds of which the target may have something else than it acknowledged: no answer came, no receipt was
kept, or the goal changed. No mapped value is written so, since a canonical text has no space there; so it always
differs, and is sent again whatever the source has by then. It is not NULL, because there may be something of ours to
clear."""

_MERGE = "merge:"
"""Setting, by field column: the number of the merge by which the field was last sent."""

_MERGE_NUMBERS: Mapping[Merge, int] = {"set": 1, "set_or_clear": 1, "add": 2, "sum": 3, "set_if_empty": 4, "remove": 5}
"""Merges by which the same value leaves something else in the target have other numbers. They are kept in ledgers, so
none may ever change."""


def merge_settings(merges: Mapping[str, Merge]) -> dict[str, int]:
    """Write how values meet what the target holds as settings of a ledger.

    :param merges: target → merge.
    """
    return {_MERGE + field_column(target): _MERGE_NUMBERS[merge] for target, merge in merges.items()}


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
    """

    fields: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields)

    def apply(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Put the rows of the temporary table ``ledger`` in doubt."""
        for field in self.fields:
            column = quote(field)
            connection.execute(f"UPDATE ledger SET {column} = {literal(IN_DOUBT)} WHERE {column} IS NOT NULL")


NO_DOUBTS = Doubts()


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
    return Doubts(fields=tuple(name.removeprefix(_MERGE) for name in merged))
