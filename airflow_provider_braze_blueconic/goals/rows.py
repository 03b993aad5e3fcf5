"""Rows of a goal as they were written, half-broken ones included.

So that a goal file with one bad value still gets all its other mistakes reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast, get_args

from airflow_provider_braze_blueconic.goals.findings import Finding
from airflow_provider_braze_blueconic.goals.shown_values import quoted
from airflow_provider_braze_blueconic.vendors.braze_attributes import FieldType

__all__ = ["Written", "check_twice", "rows_of", "text_of", "type_of"]

Written = Mapping[str, Any]
"""A goal or a part of one: keys and values, before any of them was checked."""

_TWICE: Mapping[str, str] = {
    "identifiers": "is already linked by another row.",
    "fields": "is already written by another row.",
}


def rows_of(goal: Written, section: str) -> Iterator[tuple[int, Written]]:
    """Give the rows of a section that are mappings, with their numbers."""
    rows = goal.get(section)
    if isinstance(rows, list | tuple):
        yield from ((index, row) for index, row in enumerate(rows) if isinstance(row, Mapping))


def text_of(row: Written, key: str) -> str | None:
    """Return the text under a key; ``None`` where there is none."""
    value = row.get(key)
    return value if isinstance(value, str) else None


def type_of(row: Written) -> FieldType | None:
    """Return the type that a row of an export goal says; ``None`` also for a word that is no type."""
    kind = row.get("type")
    return cast("FieldType", kind) if isinstance(kind, str) and kind in get_args(FieldType) else None


def check_twice(
    section: str, key: str, rows: Mapping[int, Written], identity: Callable[[Written], str | None]
) -> Iterator[Finding]:
    """Check that no two rows of a section mean the same.

    :param key: key of a row that errors name.
    :param identity: what two rows can't have in common; ``None`` of a row that can't be read.
    """
    first: dict[str, int] = {}
    for index, row in rows.items():
        name = identity(row)
        if name is None:
            continue
        if name in first:
            where = f"{section}[{index}].{key}"
            yield Finding(where, f"{quoted(str(row[key]))} {_TWICE[section]}", f"{section}[{first[name]}]")
        else:
            first[name] = index
