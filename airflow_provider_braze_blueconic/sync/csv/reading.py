"""The reading of a goal's CSV files, as the goal asks for it."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_braze_blueconic.sync.csv.file_pattern import FilePattern

__all__ = ["FILES_PLACE", "CsvReading"]

FILES_PLACE = "source.s3_csv"
"""Where a goal names its files."""


@dataclass(frozen=True)
class CsvReading:
    """How a goal's CSV files are found and read.

    :param pattern: the files; see :mod:`~airflow_provider_braze_blueconic.sync.csv.file_pattern`.
    :param delimiter: one character between two cells.
    :param multi_value_separator: text between two values in a cell; ``None`` takes each cell as one value.
    :param required: fail where the run finds no file.
    :param broken_percent: share of the rows, in percent, that may be unreadable.
    """

    pattern: FilePattern
    delimiter: str = ","
    multi_value_separator: str | None = None
    required: bool = False
    broken_percent: float = 1.0
