"""The rows of one CSV file, on their way into parts, or among the rejects where they can't be read."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_braze_blueconic.sync.csv.careful_rows import CarefulRows
from airflow_provider_braze_blueconic.sync.csv.cells import CellLayout
from airflow_provider_braze_blueconic.sync.csv.clean_records import CleanRecords
from airflow_provider_braze_blueconic.sync.csv.file_bytes import FileBytes
from airflow_provider_braze_blueconic.sync.csv.files import CsvFile
from airflow_provider_braze_blueconic.sync.csv.header import checked_header
from airflow_provider_braze_blueconic.sync.csv.reading import CsvReading
from airflow_provider_braze_blueconic.sync.csv.records import Records, largest_cell
from airflow_provider_braze_blueconic.sync.csv.row_parts import RowParts
from airflow_provider_braze_blueconic.sync.csv.text import file_faults, open_bytes
from airflow_provider_braze_blueconic.sync.store.rejects import Rejects

__all__ = ["FileRows"]

log = logging.getLogger(__name__)

_BLOCK_BYTES = 1024 * 1024
"""Bytes that are looked at together. Of one that isn't clean as a whole each line is looked at, which takes twice as
long, so it shouldn't be large."""

_MOST_UNSEEN = 4_096
"""Records that are read carefully, where no block is found, before somebody looks for one again."""


@dataclass(frozen=True)
class FileRows:
    """Reads the rows of files: what is clean on the fast road, and what isn't on the careful one.

    Both give the same rows, in the same order.

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

        :param path: local copy.
        :param only_look: only for what is wrong with the columns.
        :raises GoalError: with what is wrong with the file as a whole.
        """
        with file_faults(file, path), open_bytes(path) as source:
            records = Records(source, self.reading.delimiter)
            header = checked_header(file, records, self.columns, self.reading.delimiter)
            if header is None or only_look:
                return
            clean = CleanRecords(header, self.reading.delimiter)
            self._begin(file, header, clean)
            careful = CarefulRows(file, records, header, [*self.columns], clean.delimiter, self.rejects)
            for text in _clean_text(source, clean, careful):
                yield from self.parts.add(text)
                if careful.names_again is not None:
                    yield from self.parts.end()
                    self._begin(file, careful.names_again, clean)
                    careful.names_again = None
            yield from self.parts.end()
            self.parts.repaired += careful.repaired
        yield

    def _begin(self, file: CsvFile, names: Sequence[str], clean: CleanRecords) -> None:
        places = [names.index(column) if column in names else None for column in self.columns]
        separator = self.reading.multi_value_separator
        self.parts.begin(file.as_of, CellLayout(len(names), places, clean.delimiter, separator))


def _clean_text(source: FileBytes, clean: CleanRecords, careful: CarefulRows) -> Iterator[bytes]:
    """Read a file to its end, as clean text of its rows: as it is written, or as the careful road writes it."""
    unseen = 1
    while not source.is_at_end():
        # No cell in it is larger than a cell may be.
        block = source.block(min(_BLOCK_BYTES, largest_cell()))
        if block:
            yield from _block_text(block, source, clean, careful)
            unseen = 1
        else:
            # Such as a file whose lines end in a carriage return: looking for blocks again and again takes its time.
            for _ in range(unseen):
                yield careful.take()[1]
            unseen = min(2 * unseen, _MOST_UNSEEN)


def _block_text(block: bytes, source: FileBytes, clean: CleanRecords, careful: CarefulRows) -> Iterator[bytes]:
    position = 0
    for start, end in [*clean.stretches(block), (len(block), len(block))]:
        while position < start:
            length, text = careful.take()
            position += length
            yield text
        # A record that began in front may have taken lines of the stretch, or all of it.
        if position < end:
            source.advance(end - position, lines=block.count(b"\n", position, end))
            yield block[position:end]
            position = end
