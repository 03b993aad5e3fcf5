"""Invented people: the fields that they have, their snapshot as an extract leaves it, and their CSV files.

On the second night one of :data:`CHANGED` people has another value in the first field.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CHANGED", "People"]

CHANGED = 100
"""One of so many people changes from one night to the next, unless somebody asks for something else."""

_ROWS_PER_PART = 50_000
"""As the extracts cut a snapshot."""

_CELLS_PER_PART = 10_000_000
"""A wide snapshot is cut finer: making it must not take the memory that reading it is measured by."""

_MIXED = ["string"] * 10 + ["integer"] * 3 + ["float"] * 2 + ["time"] * 2 + ["boolean"] * 2 + ["array"]


@dataclass(frozen=True)
class People:
    """So many people with so many fields.

    :param fields: beyond the first 20 all are texts.
    :param texts: all fields are texts; otherwise the first 20 are of the kinds that a goal can have.
    :param changed: one of so many changes on the second night.
    :param cells_per_part: a wide snapshot has shorter parts.
    """

    people: int
    fields: int = 20
    texts: bool = False
    changed: int = CHANGED
    cells_per_part: int = _CELLS_PER_PART

    @property
    def to_change(self) -> int:
        """How many people change on the second night."""
        return len(range(0, self.people, self.changed))

    def rows(self) -> list[dict[str, str]]:
        """Return the field rows of a goal."""
        kinds = [] if self.texts else _MIXED
        return [
            {"from": f"property.p{n}", "to": f"attribute_{n}", "type": kinds[n] if n < len(kinds) else "string"}
            for n in range(self.fields)
        ]

    def write_parts(self, folder: Path, *, night: int, as_of: dt.datetime) -> Iterator[Path]:
        """Write the parts of a snapshot, one by one; a part may go as soon as the next one is asked for."""
        import duckdb

        size = min(_ROWS_PER_PART, self.cells_per_part // self.fields)
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for number, first in enumerate(range(0, self.people, size)):
                part = folder / f"part-{number:05d}.parquet"
                rows = f"range({first}, {min(first + size, self.people)}) AS t(i)"
                connection.execute(
                    f"""
                    COPY (
                        SELECT i AS row, 'profile-' || i AS profile_id, '{as_of.isoformat()}'::TIMESTAMPTZ AS as_of,
                            '2026-10-01'::TIMESTAMPTZ AS last_modified, NULL::VARCHAR[] AS consented,
                            ['crm-' || i] AS property_crm, {self._properties(night)}
                        FROM {rows}
                    ) TO '{part}' (FORMAT parquet, COMPRESSION zstd)
                    """
                )
                yield part

    def write_csv(self, file: Path, *, night: int) -> None:
        """Write a CSV file with a column for each field, beside ``crm``; an array's values are joined by ``|``."""
        import duckdb

        with duckdb.connect() as connection:
            columns = ", ".join(f"array_to_string(property_p{n}, '|') AS p{n}" for n in range(self.fields))
            connection.execute(
                f"COPY (SELECT 'crm-' || i AS crm, {columns} FROM "
                f"(SELECT i, {self._properties(night)} FROM range({self.people}) AS t(i))) TO '{file}' (FORMAT csv)"
            )

    def _properties(self, night: int) -> str:
        columns = [self._value(n) for n in range(self.fields)]
        if night > 1:
            columns[0] = f"CASE WHEN i % {self.changed} = 0 THEN ['changed {night}'] ELSE {columns[0]} END"
        return ", ".join(f"{column} AS property_p{n}" for n, column in enumerate(columns))

    def _value(self, n: int) -> str:
        kind = "string" if self.texts or n >= len(_MIXED) else _MIXED[n]
        return {
            "string": f"['value {n} of ' || (i % {1_000 + 777 * n})]",
            "integer": f"[((i * {n}) % 100000)::VARCHAR]",
            "float": f"[(((i * {n}) % 100000) / 100)::VARCHAR]",
            "time": f"[(1700000000000 + i * 1000 * {n})::VARCHAR]",
            "boolean": f"[CASE WHEN i % {n} = 0 THEN 'true' ELSE 'false' END]",
            "array": "['a' || (i % 7), 'b' || (i % 11)]",
        }[kind]
