"""The careful road: a record at a time, as Python's csv module reads it, and a place for each that can't be read."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from airflow_provider_braze_blueconic.sync.csv.cells import clean_row
from airflow_provider_braze_blueconic.sync.csv.files import CsvFile
from airflow_provider_braze_blueconic.sync.csv.header import column_name
from airflow_provider_braze_blueconic.sync.csv.records import Broken, Records
from airflow_provider_braze_blueconic.sync.store.rejects import Rejects
from airflow_provider_braze_blueconic.sync.values.characters import repaired_text

__all__ = ["CarefulRows"]

log = logging.getLogger(__name__)


class CarefulRows:
    """Reads the records of a file that the fast road leaves.

    This loops over them in Python: its csv module is the reader that takes every well-formed quote and tells where a
    broken one stands, and is written in C.

    :param records: stand behind the header.
    :param header: names of the columns.
    :param kept: columns of which half a character counts as repaired.
    :param delimiter: of clean text.
    :param rejects: takes what can't be read.
    :ivar names_again: the column names of the record in hand, if it is a header; whoever reads it sets it to ``None``.
    :ivar repaired: rows with a kept cell that held half a character.
    """

    def __init__(
        self,
        file: CsvFile,
        records: Records,
        header: Sequence[str],
        kept: Sequence[str],
        delimiter: str,
        rejects: Rejects,
    ) -> None:
        self._file = file
        self._records = records
        self._names, self._sorted_names = list(header), sorted(header)
        self._kept = [*kept]
        self._delimiter = delimiter
        self._rejects = rejects
        self.names_again: Sequence[str] | None = None
        self.repaired = 0

    def take(self) -> tuple[int, bytes]:
        """Read the next record.

        :return: the bytes that it takes in the file, and the row as clean text; empty if it is none.
        """
        records = self._records
        row = records.take()
        if isinstance(row, Broken):
            self._rejects.add(self._file.uri, row.line, row.error, row.text)
        elif row and not self._is_header(row):
            if len(row) == len(self._names):
                return records.length, self._clean(row)
            error = f"{len(row)} fields where the header has {len(self._names)}"
            self._rejects.add(self._file.uri, records.line, error, records.text())
        return records.length, b""  # a line without anything in it is no row

    def _is_header(self, row: Sequence[str]) -> bool:
        """Tell whether a line names the columns again: of files that were joined to one, maybe in another order."""
        if column_name(row[0]) not in self._sorted_names:
            return False
        named = [column_name(cell) for cell in row]
        if sorted(named) != self._sorted_names:
            return False
        log.info("%s: line %s repeats the column names, so it is skipped", self._file.uri, f"{self._records.line:,}")
        self.names_again = self._names = named
        return True

    def _clean(self, row: Sequence[str]) -> bytes:
        whole = [repaired_text(cell) for cell in row]
        if whole != row:
            kept = [self._names.index(name) for name in self._kept if name in self._names]
            self.repaired += any(whole[place] != row[place] for place in kept)
        return clean_row(whole, self._delimiter)
