"""The rows of one CSV file, on their way into parts, or among the rejects where they can't be read."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_braze_blueconic.sync.csv.files import CsvFile
from airflow_provider_braze_blueconic.sync.csv.header import checked_header, column_name
from airflow_provider_braze_blueconic.sync.csv.reading import CsvReading
from airflow_provider_braze_blueconic.sync.csv.records import Broken, Records
from airflow_provider_braze_blueconic.sync.csv.row_parts import RowParts
from airflow_provider_braze_blueconic.sync.csv.text import file_faults, open_text
from airflow_provider_braze_blueconic.sync.store.rejects import Rejects

__all__ = ["FileRows"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileRows:
    """Reads the rows of files.

    :param reading: how they are written.
    :param columns: columns that the goal needs → the place in the goal that names each.
    :param parts: takes the rows.
    :param rejects: takes what can't be read.
    """

    reading: CsvReading
    columns: Mapping[str, str]
    parts: RowParts
    rejects: Rejects

    def read(self, file: CsvFile, path: Path, *, only_look: bool) -> Iterator[None]:
        """Read the rows of a file; yields after each part.

        This loops over rows in Python: its csv module is the reader that takes every well-formed quote and tells where
        a broken one stands, and is written in C.

        :param path: local copy.
        :param only_look: only for what is wrong with the columns.
        :raises GoalError: with what is wrong with the file as a whole.
        """
        with file_faults(file, path), open_text(path) as text:
            records = Records(text, self.reading.delimiter)
            header = checked_header(file, records, self.columns, self.reading.delimiter)
            if header is None or only_look:
                return
            width = len(header)
            self._begin(file, header)
            for row in _without_headers(records, header):
                if isinstance(row, Broken):
                    self.rejects.add(file.uri, row.line, row.error, row.text)
                elif isinstance(row, _Header):
                    log.info("%s: line %s repeats the column names, so it is skipped", file.uri, f"{records.line:,}")
                    self._begin(file, row.names)
                elif len(row) == width:
                    if self.parts.add(row, records.characters):
                        yield
                elif row:  # a line without anything in it is no row
                    error = f"{len(row)} fields where the header has {width}"
                    self.rejects.add(file.uri, records.line, error, records.text())
        yield

    def _begin(self, file: CsvFile, header: Sequence[str]) -> None:
        places = [header.index(column) if column in header else None for column in self.columns]
        self.parts.begin(file.as_of, places, self.reading.multi_value_separator)


@dataclass(frozen=True)
class _Header:
    names: list[str]


def _without_headers(
    records: Iterable[list[str] | Broken], header: Sequence[str]
) -> Iterator[list[str] | Broken | _Header]:
    """Tell apart the lines that name the columns again: of files that were joined to one, maybe in another order."""
    names, sorted_names = frozenset(header), sorted(header)
    for row in records:
        if isinstance(row, list) and row and column_name(row[0]) in names:
            named = [column_name(cell) for cell in row]
            yield _Header(named) if sorted(named) == sorted_names else row
        else:
            yield row
