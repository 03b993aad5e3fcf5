"""A goal's settings, as its ledger remembers them: numbers, so that the next run can tell which of them changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from airflow_provider_braze_blueconic.sync.blueconic.values import Merge
from airflow_provider_braze_blueconic.sync.engine.columns import field_column

__all__ = [
    "ADDS",
    "CREATES",
    "DIRECTION",
    "MERGE",
    "SOURCE",
    "TARGET",
    "creation_setting",
    "is_added_to",
    "merge_settings",
    "source_settings",
    "target_settings",
]

MERGE = "merge:"
"""Setting, by field column: the number of the merge by which the field was last sent."""

SOURCE = "source:"
"""Setting, by field column: a number that stands for where the values of a number property come from."""

CREATES = "creates"
"""Setting: 1 where the target is asked to create people whom it does not know, 0 where it drops them in silence."""

TARGET = "target"
"""Setting: a number that stands for the connection by which the target is reached."""

DIRECTION = "direction"
"""Setting: 1 for an export goal, 2 for an import goal; the ledgers of both have other identifiers and texts."""

_MERGE_NUMBERS: Mapping[Merge, int] = {"set": 1, "set_or_clear": 1, "add": 2, "sum": 3, "set_if_empty": 4, "remove": 5}
"""Merges by which the same value leaves something else in the target have other numbers. They are kept in ledgers, so
none may ever change."""

ADDS = _MERGE_NUMBERS["sum"]
"""Number of the merge by which a field is a number that is added to."""


def merge_settings(merges: Mapping[str, Merge]) -> dict[str, int]:
    """Write how values meet what the target holds as settings of a ledger.

    :param merges: target → merge.
    """
    return {MERGE + field_column(target): _MERGE_NUMBERS[merge] for target, merge in merges.items()}


def source_settings(sources: Mapping[str, str]) -> dict[str, int]:
    """Write where numbers come from as settings of a ledger: within what a Delta table can keep, 63 bits.

    :param sources: target → path of its source.
    """
    return {SOURCE + field_column(target): _number(source) for target, source in sources.items()}


def target_settings(connection: str | None, *, imports: bool) -> dict[str, int]:
    """Write where a goal writes to as settings of a ledger.

    :param connection: id of the connection; ``None`` where nothing is reached by one.
    """
    settings = {DIRECTION: 2 if imports else 1}
    return settings if connection is None else {**settings, TARGET: _number(connection)}


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
    number = known(MERGE + field)
    return None if number is None else number == ADDS
