"""Part receipts: small Parquet files that an upload writes beside the delta while it runs.

So a killed upload knows what was acknowledged. The commit copies them into the receipts table, with what was sent, for
good.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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


class _Accepted(NamedTuple):
    """Receipts of people who were accepted as a whole by one answer."""

    identifiers: pa.StringArray
    status: int | None
    sent_at: dt.datetime


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
        self._waiting: list[Receipt | _Accepted] = []
        self._writing: list[Receipt | _Accepted] = []
        self._not_durable = 0
        self._changing = threading.Lock()
        self._one_flush = threading.Lock()

    def __len__(self) -> int:
        """Count the receipts that are not durable yet."""
        return self._not_durable

    def add(self, receipts: Iterable[Receipt]) -> None:
        """Take receipts; they are durable after the next :meth:`flush`."""
        taken = list(receipts)
        with self._changing:
            self._waiting += taken
            self._not_durable += len(taken)

    def add_accepted(self, identifiers: pa.StringArray, status: int | None, sent_at: dt.datetime) -> None:
        """Take the receipts of people who were accepted as a whole by one answer, without an object for each.

        :param identifiers: of the people, as JSON texts; kept as they are until they are durable.
        """
        if len(identifiers):
            with self._changing:
                self._waiting.append(_Accepted(identifiers, status, sent_at))
                self._not_durable += len(identifiers)

    def flush(self) -> int:
        """Make all receipts taken so far durable, and say how many they were.

        A second flush waits for the one under way, so that nothing is on its way when it returns. If writing fails,
        nothing is forgotten: the next flush takes the same receipts along.
        """
        with self._one_flush:
            with self._changing:
                self._writing, self._waiting = self._writing + self._waiting, []
                count = self._not_durable
            if count:
                self._write(self._writing)
                with self._changing:
                    self._writing = []
                    self._not_durable -= count
            return count

    def _write(self, receipts: Sequence[Receipt | _Accepted]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._attempt}-{self._parts:05d}.parquet"
        pq.write_table(pa.concat_tables(_tables(receipts)), path, compression="zstd")
        self._publish(path)
        # Only now: a part that failed is written again under its own name, so it can't be there twice.
        self._parts += 1
        path.unlink()


def _tables(receipts: Sequence[Receipt | _Accepted]) -> list[pa.Table]:
    """Put receipts into tables that follow each other, one for each stretch of either kind."""
    tables = []
    for is_whole_answer, stretch in groupby(receipts, key=lambda entry: isinstance(entry, _Accepted)):
        entries = list(stretch)
        tables.append(_accepted_table(entries) if is_whole_answer else _table(entries))  # type: ignore[arg-type]  # as asked
    return tables


def _table(receipts: Sequence[Receipt]) -> pa.Table:
    import pyarrow as pa

    schema, columns = _schema(), zip(*receipts, strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _accepted_table(answers: Sequence[_Accepted]) -> pa.Table:
    import pyarrow as pa

    schema = _schema()
    identifiers, statuses, moments = zip(*answers, strict=True)
    counts = [len(part) for part in identifiers]
    people = sum(counts)

    def repeated(column: str, values: Iterable[object]) -> pa.Array:
        scalars = [pa.scalar(value, schema.field(column).type) for value in values]
        return pa.concat_arrays([pa.repeat(scalar, count) for scalar, count in zip(scalars, counts, strict=True)])

    arrays = [
        pa.concat_arrays(identifiers),
        pa.repeat("accepted", people),
        pa.repeat("", people),
        repeated("status", statuses),
        repeated("sent_at", moments),
        pa.nulls(people, schema.field("refused_fields").type),
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
