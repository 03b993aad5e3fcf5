"""The format of a delivered CSV file: its delimiters, its quotes, and what a cell can't hold.

UTF-8 without a byte order mark; quotes only round what needs them, a space at an edge included: BlueConic's best
practices for CSV files, read 2026-11. Lines end in a bare line feed, which those do not settle and RFC 4180 has as
carriage return and line feed: who knows only the one form fails on a file of one line, in plain sight, while who knows
only the other would take a carriage return for a part of the last value.

A value that holds the separator would be split in two; that field is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_braze_blueconic.sync.engine.database import literal
from airflow_provider_braze_blueconic.sync.values.space import SPACE_CLASS

__all__ = ["CsvFormat"]

_NEEDS_QUOTES = rf'["\r\n]|^[{SPACE_CLASS}]|[{SPACE_CLASS}]$'
_SEPARATOR_INSIDE = "a value contains the separator"
_SEVERAL = "several values, but no separator"
_EMPTY = "a value is empty text, which a cell can't distinguish from no value"


@dataclass(frozen=True)
class CsvFormat:
    """How the file is written.

    :param delimiter: one character between two cells.
    :param multi_value_separator: text between two values in a cell; ``None`` can't write a field of several values.
    :param gzip: compress the file; its name then ends in ``.csv.gz``.
    """

    delimiter: str = ","
    multi_value_separator: str | None = "|"
    gzip: bool = False

    @property
    def suffix(self) -> str:
        return ".csv.gz" if self.gzip else ".csv"

    def cell(self, text: str) -> str:
        """Write a text as a cell; for the column names."""
        return f'"{text.replace(chr(34), chr(34) * 2)}"' if self.delimiter in text else text

    def cell_sql(self, value: str) -> str:
        """SQL for the cell of a text."""
        needs = f"regexp_matches({value}, {literal(_NEEDS_QUOTES)}) OR contains({value}, {literal(self.delimiter)})"
        return (
            f"""CASE WHEN {needs} THEN concat('"', replace({value}, '"', '""'), '"') ELSE coalesce({value}, '') END"""
        )

    def fault_sql(self, values: str) -> str:
        """SQL for why a list of texts can't be one cell; NULL if it can."""
        if self.multi_value_separator is None:
            several = f"WHEN len({values}) > 1 THEN {literal(_SEVERAL)}"
            return f"CASE {several} WHEN {values}[1] = '' THEN {literal(_EMPTY)} END"
        inside = f"[v FOR v IN {values} IF contains(v, {literal(self.multi_value_separator)})]"
        empty = f"WHEN list_contains({values}, '') THEN {literal(_EMPTY)}"
        return f"CASE WHEN len({inside}) > 0 THEN {literal(_SEPARATOR_INSIDE)} {empty} END"

    def joined_sql(self, values: str) -> str:
        """SQL for the one text of a list of texts; NULL for no text."""
        return f"nullif(array_to_string({values}, {literal(self.multi_value_separator or '')}), '')"
