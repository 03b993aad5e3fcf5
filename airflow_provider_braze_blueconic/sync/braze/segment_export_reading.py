"""The files of a segment export, read one after the other into batches of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from airflow_provider_braze_blueconic.sync.braze.segment_export_batches import BatchReader, ReadBatch
from airflow_provider_braze_blueconic.sync.braze.segment_export_lines import line_batches
from airflow_provider_braze_blueconic.sync.braze.segment_export_rows import ReadSettings

__all__ = ["ExportFiles", "OwnReading", "Reading"]


@dataclass(frozen=True)
class ExportFiles:
    """What is to be read.

    :param files: (name for messages, local file), in reading order.
    :param should_stop: a true answer ends the read.
    :param discard: called for a file that was read.
    """

    files: Iterable[tuple[str, Path]]
    should_stop: Callable[[], bool]
    discard: Callable[[Path], None]


class Reading(Protocol):
    """The batches of all files, in reading order.

    :ivar files: files begun.
    :ivar stopped: the order to stop came before the end.
    """

    files: int
    stopped: bool

    def __iter__(self) -> Iterator[ReadBatch]: ...


class OwnReading:
    """A reading by this process."""

    def __init__(self, settings: ReadSettings, source: ExportFiles) -> None:
        self._reader = BatchReader(settings)
        self._source = source
        self.files = 0
        self.stopped = False

    def __iter__(self) -> Iterator[ReadBatch]:
        for name, path in self._source.files:
            self.files += 1
            with closing(line_batches(path, name)) as batches:
                for batch in batches:
                    yield self._reader.read(batch)
                    if self._is_stopped():
                        return
            self._source.discard(path)
            if self._is_stopped():
                return

    def _is_stopped(self) -> bool:
        self.stopped = self._source.should_stop()
        return self.stopped
