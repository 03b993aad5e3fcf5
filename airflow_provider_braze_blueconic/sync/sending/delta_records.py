"""The records of a delta that are still to be sent, as a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect, parquet_source
from airflow_provider_braze_blueconic.sync.sending.batches import Outgoing
from airflow_provider_braze_blueconic.sync.state.told_receipts import settled_identifiers

if TYPE_CHECKING:
    import duckdb

__all__ = ["ObjectsSql", "open_records"]

ObjectsSql = Callable[[str, Sequence[str]], str]
"""(source, its columns) → SQL that yields ``identifier``, ``body`` (the record as the target gets it), ``repeatable``
(whether it may be sent twice; without that column all may)."""


def open_records(
    engine: Engine, delta: Path, settled: Sequence[Path], objects_sql: ObjectsSql
) -> tuple[int, Iterator[Outgoing]]:
    """Count and stream the records to send.

    :param settled: part receipts of earlier attempts: what they settled is left out.
    """
    with connect(engine) as connection:
        objects = _objects_to_send(connection, delta, settled, objects_sql)
        total = connection.execute(f"SELECT count(*) FROM ({objects})").fetchall()[0][0]

    def records() -> Iterator[Outgoing]:
        with connect(engine) as connection:
            # Small batches: the loop that sends waits while one is turned into Python objects.
            bodies = f"SELECT identifier, encode(body) AS body, repeatable FROM ({objects})"
            for batch in connection.sql(bodies).to_arrow_reader(2_048):
                columns = (batch.column(name).to_pylist() for name in ("identifier", "body", "repeatable"))
                yield from map(Outgoing._make, zip(*columns, strict=True))

    return total, records()


def _objects_to_send(
    connection: duckdb.DuckDBPyConnection, delta: Path, settled: Sequence[Path], objects_sql: ObjectsSql
) -> str:
    source = parquet_source([delta])
    columns = [name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
    if settled:
        without = settled_identifiers(settled, repeatable=True)
        source = f"(SELECT * FROM {source} WHERE identifier NOT IN ({without}))"
    objects = objects_sql(source, columns)
    if "repeatable" not in {name for name, *_ in connection.execute(f"DESCRIBE {objects}").fetchall()}:
        return f"SELECT *, TRUE AS repeatable FROM ({objects})"
    if settled:
        held = settled_identifiers(settled, repeatable=False)
        return f"SELECT * FROM ({objects}) WHERE repeatable OR identifier NOT IN ({held})"
    return objects
