"""The rows of one page, until the page is known to be whole."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.blueconic.profile_columns import ProfileColumns, Rows

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PageRows"]

_HELD_BYTES = 32 << 20
"""Bytes of columns that are held in memory; the others wait in a file."""


class PageRows:
    """Takes the rows of one page, and gives them back in their order.

    A page can hold a million profiles, and nothing of it counts before its end has come.

    :param folder: local folder for what doesn't stay in memory.
    :param held_bytes: bytes that do.
    :ivar repaired: profiles with a text that held half a character.
    """

    def __init__(self, columns: ProfileColumns, folder: Path, *, held_bytes: int = _HELD_BYTES) -> None:
        self._columns = columns
        self._folder = folder
        self._held_bytes = held_bytes
        self._batches: list[pa.RecordBatch] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None
        self._ids = array("q")
        self._odd: UnexpectedAnswer | None = None
        self.repaired = 0

    def __len__(self) -> int:
        return len(self._ids)

    def take_text(self, text: bytes) -> None:
        """Take a JSON list of profiles.

        :raises ValueError: it isn't JSON; nothing was taken.
        :raises NotProfiles: it holds something other than objects.
        """
        self._take_or_note(lambda: self._columns.of_text(text))

    def take_entries(self, entries: Sequence[Any]) -> None:
        """Take what a list of profiles holds.

        :raises NotProfiles: it holds something other than objects.
        """
        self._take_or_note(lambda: self._columns.of_entries(entries))

    def take_profiles(self, profiles: Iterable[Mapping[str, Any]]) -> None:
        """Take parsed profiles.

        :raises UnexpectedAnswer: a profile has another form than BlueConic's definition says.
        """
        self._take(self._columns.of_profiles(profiles))

    def _take_or_note(self, read: Callable[[], Rows]) -> None:
        try:
            rows = read()
        except UnexpectedAnswer as odd:
            # Told at the end: a page that breaks off is read again, whatever it held.
            self._odd = self._odd or odd
            return
        self._take(rows)

    def _take(self, rows: Rows) -> None:
        self._ids.extend(rows.ids)
        self.repaired += rows.repaired
        self._bytes += rows.batch.nbytes
        if self._writer is not None:
            self._writer.write_batch(rows.batch)
            return
        self._batches.append(rows.batch)
        if self._bytes > self._held_bytes:
            self._move_to_file()

    def check(self) -> None:
        """Say what is odd about a page that is whole.

        :raises UnexpectedAnswer: a profile has another form than BlueConic's definition says.
        """
        if self._odd is not None:
            raise self._odd

    @cached_property
    def signature(self) -> bytes:
        """The same bytes for the same people, whatever their order, and none for nobody; of a page that is whole."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self._ids:
            return b""
        distinct = pc.unique(pa.array(self._ids, pa.int64()))
        ordered = distinct.take(pc.sort_indices(distinct))
        return blake2b(memoryview(ordered.buffers()[1])[: 8 * len(ordered)], digest_size=16).digest()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Give the rows back, once."""
        import pyarrow as pa

        if self._writer is not None and self._file is not None:
            self._writer.close()
            self._file.seek(0)
            yield from pa.ipc.open_stream(self._file)
        else:
            yield from self._batches
        self.drop()

    def drop(self) -> None:
        """Forget the rows."""
        self._batches = []
        if self._file is not None:
            self._file.close()

    def _move_to_file(self) -> None:
        import pyarrow as pa

        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  drop() closes it
        self._writer = pa.ipc.new_stream(
            self._file, self._columns.told, options=pa.ipc.IpcWriteOptions(compression="lz4")
        )
        for batch in self._batches:
            self._writer.write_batch(batch)
        self._batches = []
