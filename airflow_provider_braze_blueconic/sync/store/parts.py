"""The parts of a snapshot: numbered Parquet files that leave the machine as soon as they are written."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PartWriter", "Progress"]

_PROGRESS_SECONDS = 10.0


class PartWriter:
    """Writes, publishes and removes one file after the other, so that a snapshot never lies here as a whole.

    :param folder: local folder of the file in hand.
    :param publish: uploads a file under its own name and returns its size in bytes.
    :param parquet: how Arrow writes the files, where another way suits their columns better.
    :ivar written: parts so far.
    :ivar bytes: bytes of the parts so far.
    """

    def __init__(
        self, folder: Path, publish: Callable[[Path], int], parquet: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        self._folder = folder
        self._publish = publish
        self._parquet = parquet
        self.written = 0
        self.bytes = 0

    def write(self, table: pa.Table) -> None:
        """Write the next part, ``part-<number>.parquet``."""
        import pyarrow.parquet as pq

        path = self._folder / f"part-{self.written:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, compression="zstd", **self._parquet)
        self.bytes += self._publish(path)
        path.unlink()
        self.written += 1


class Progress:
    """Says when a long read should tell again how far it is.

    :param clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = self._last = clock()

    def due(self) -> float | None:
        """Return the seconds since the beginning, every ten seconds; else ``None``."""
        now = self._clock()
        if now - self._last < _PROGRESS_SECONDS:
            return None
        self._last = now
        return now - self._began
