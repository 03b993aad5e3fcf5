"""The header of a CSV file: the names of its columns, and what is wrong with them.

What the line holds is shown only where it is sure to be a header: it may be a person's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from airflow_provider_braze_blueconic.exceptions import GoalError, Problem
from airflow_provider_braze_blueconic.near_names import nearest
from airflow_provider_braze_blueconic.sync.csv.files import CsvFile
from airflow_provider_braze_blueconic.sync.csv.reading import FILES_PLACE
from airflow_provider_braze_blueconic.sync.csv.records import Broken, Records
from airflow_provider_braze_blueconic.sync.values.characters import repaired_text
from airflow_provider_braze_blueconic.sync.values.space import trimmed

__all__ = ["checked_header", "column_name"]

_OTHER_DELIMITERS = ",;\t|"
_COLUMN_NAME = re.compile(r"[^\W\d]\w*(?:[ .-]\w+)*")
"""What a name of a column that the goal does not know looks like, unlike an address or a number."""


def checked_header(file: CsvFile, records: Records, columns: Mapping[str, str], delimiter: str) -> list[str] | None:
    """Read the column names; ``None`` for a file without a byte: one of no changes.

    BlueConic's files are not known to have a header then.

    :param columns: columns that the goal needs → the place in the goal that names each; empty where it need not be.
    :raises GoalError: with what is wrong with them.
    """
    header = _read_header(records)
    if isinstance(header, Broken):
        raise GoalError([Problem(FILES_PLACE, f"{file.uri}: the header can't be read: {header.error}.")])
    problems = _problems(file, header, columns, delimiter) if header is not None else []
    if problems:
        raise GoalError(problems)
    return header


def column_name(cell: str) -> str:
    """Read a cell as the name of a column; at the beginning of a file that was joined to another stands its mark."""
    return trimmed(repaired_text(cell))


def _read_header(records: Records) -> list[str] | Broken | None:
    """Return the column names, without space at their edges; ``None`` for a file without any text."""
    while (row := records.take()) is not None:
        if isinstance(row, Broken):
            return row
        if row:
            return [column_name(name) for name in row]
    return None


def _problems(file: CsvFile, header: Sequence[str], columns: Mapping[str, str], delimiter: str) -> list[Problem]:
    named = [name for name in header if name]
    missing = {column: place for column, place in columns.items() if place and column not in header}
    other = _other_delimiter(header, delimiter)
    if missing and other is not None:
        message = f"{file.uri} has only one column. It seems to be delimited by {other!r}: set source.delimiter."
        return [Problem("source.delimiter", message)]
    near = {column: nearest(column, filter(_COLUMN_NAME.fullmatch, named)) for column in missing}
    if any(name in columns for name in named) or all(near.values()):
        return [*_twice(file, named), *_missing(file, missing, near)]
    message = (
        f"{file.uri} seems to have no header. Have it written with one. Its first line isn't shown, because it may "
        "contain personal data."
    )
    return [Problem(FILES_PLACE, message), *_missing(file, missing, {})]


def _other_delimiter(header: Sequence[str], delimiter: str) -> str | None:
    """Find the delimiter of a file that seems to have one column; ``None`` if it has several, or really one."""
    if len(header) > 1:
        return None
    return next((mark for mark in _OTHER_DELIMITERS if mark != delimiter and mark in header[0]), None)


def _twice(file: CsvFile, named: Sequence[str]) -> list[Problem]:
    twice = sorted({name for name in named if named.count(name) > 1})
    if not twice:
        return []
    listed = ", ".join(f'"{name}"' for name in twice)
    return [Problem(FILES_PLACE, f"{file.uri} has more than one column named {listed}.")]


def _missing(file: CsvFile, missing: Mapping[str, str], near: Mapping[str, str]) -> list[Problem]:
    """Name the columns that are not there.

    :param missing: column → place in the goal.
    :param near: column → a sentence with what may be meant.
    """
    return [
        Problem(place, f'{file.uri} has no column "{column}".{near.get(column, "")}')
        for column, place in missing.items()
    ]
