"""Parts of a snapshot that are written and published while the next rows are read."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.store.parts import PartWriter

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PartsBeside"]


class PartsBeside:
    """Writes one part at a time, in a thread of its own; Parquet, compression and the network leave Python free.

    All parts are published when the block ends without a fault. A part that fails raises by what comes next.

    :ivar parts: parts so far.
    """

    def __init__(self, writer: PartWriter) -> None:
        self._writer = writer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="csv-parts")
        self._writing: Future[None] | None = None
        self.parts = 0

    def __enter__(self) -> PartsBeside:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown()
        if kind is None:
            self._wait()

    def write(self, table: pa.Table) -> None:
        """Begin to write the next part, as soon as the one before is published."""
        self._wait()
        self._writing = self._thread.submit(self._writer.write, table)
        self.parts += 1

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()
