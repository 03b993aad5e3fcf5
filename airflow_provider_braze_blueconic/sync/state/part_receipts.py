"""Part receipts: small Parquet files that an upload writes beside the delta while it runs.

So a killed upload knows what was acknowledged. The commit copies them into the receipts table, with what was sent, for
good.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.state.receipts import Receipt

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PartReceipts"]


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("identifier", pa.string()),
            ("outcome", pa.string()),
            ("reason", pa.string()),
            ("status", pa.int32()),
            ("sent_at", pa.timestamp("us", tz="UTC")),
            ("refused_fields", pa.list_(pa.string())),
        ]
    )


class PartReceipts:
    """Collects receipts and writes them out in parts. Receipts may come in while a part is being written.

    :param folder: local folder.
    :param attempt: name of this attempt; files of two attempts never meet.
    :param publish: called with each finished file; makes it durable. A file is complete before it is published, so
        a kill leaves either the whole part or none of it.
    """

    def __init__(self, folder: Path, *, attempt: str, publish: Callable[[Path], object]) -> None:
        # Loaded now: in the first flush it would keep the loop that sends waiting for a quarter of a second.
        import pyarrow.parquet  # noqa: F401

        self._folder = folder
        self._attempt = attempt
        self._publish = publish
        self._parts = 0
        self._waiting: list[Receipt] = []
        self._writing: list[Receipt] = []
        self._changing = threading.Lock()
        self._one_flush = threading.Lock()

    def __len__(self) -> int:
        """Count the receipts that are not durable yet."""
        return len(self._waiting) + len(self._writing)

    def add(self, receipts: Iterable[Receipt]) -> None:
        """Take receipts; they are durable after the next :meth:`flush`."""
        taken = list(receipts)
        with self._changing:
            self._waiting += taken

    def flush(self) -> int:
        """Make all receipts taken so far durable, and say how many they were.

        A second flush waits for the one under way, so that nothing is on its way when it returns. If writing fails,
        nothing is forgotten: the next flush takes the same receipts along.
        """
        with self._one_flush:
            with self._changing:
                self._writing, self._waiting = self._writing + self._waiting, []
            count = len(self._writing)
            if count:
                self._write(self._writing)
                self._writing = []
            return count

    def _write(self, receipts: Sequence[Receipt]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._attempt}-{self._parts:05d}.parquet"
        schema, columns = _schema(), zip(*receipts, strict=True)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, compression="zstd")
        self._publish(path)
        # Only now: a part that failed is written again under its own name, so it can't be there twice.
        self._parts += 1
        path.unlink()
