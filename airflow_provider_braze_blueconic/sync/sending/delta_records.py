"""The records of a delta that are still to be sent, as a stream."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect, parquet_source
from airflow_provider_braze_blueconic.sync.sending.read_ahead import read_ahead
from airflow_provider_braze_blueconic.sync.sending.rows import Rows
from airflow_provider_braze_blueconic.sync.state.told_receipts import settled_identifiers

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["ObjectsSql", "open_records"]

_CHUNK_ROWS = 4_096
"""Two vectors of DuckDB, 54 full requests of Braze."""

_SPARING = (
    "enable_external_file_cache = false",  # else it keeps what it read of the file, all of it in the end
    "streaming_buffer_size = '1MB'",  # of what was made and not yet taken; 10 MB by default
)

ObjectsSql = Callable[[str, Sequence[str]], str]
"""(source, its columns) → SQL that yields ``identifier``, ``body`` (the record as the target gets it), ``repeatable``
(whether it may be sent twice; without that column all may)."""


def open_records(
    engine: Engine, delta: Path, settled: Sequence[Path], objects_sql: ObjectsSql
) -> tuple[int, Generator[Rows]]:
    """Count and stream the records to send; close the stream if it is not read to its end.

    Memory does not depend on the people: one thread of DuckDB holds one row group of the delta, and what it made waits
    in two chunks at most. That thread makes more records than a target takes.

    :param settled: part receipts of earlier attempts: what they settled is left out.
    """
    one_thread = replace(engine, threads=1)
    with connect(one_thread) as connection:
        objects = _objects_to_send(connection, delta, settled, objects_sql)
        total = connection.execute(f"SELECT count(*) FROM ({objects})").fetchall()[0][0]
    return total, _records(one_thread, objects)


def _records(engine: Engine, objects: str) -> Generator[Rows]:
    with connect(engine) as connection:
        for setting in _SPARING:
            connection.execute(f"SET {setting}")
        bodies = f"SELECT identifier, body || ',' AS body, repeatable FROM ({objects})"
        reader = connection.sql(bodies).to_arrow_reader(_CHUNK_ROWS)
        with closing(read_ahead(_rows(chunk) for chunk in reader if chunk.num_rows)) as chunks:
            yield from chunks


def _rows(chunk: pa.RecordBatch) -> Rows:
    repeatable = chunk.column("repeatable")
    identifiers = _alone(chunk.column("identifier"))
    return Rows(identifiers, chunk.column("body"), repeatable if repeatable.false_count else None)


def _alone(texts: pa.StringArray) -> pa.StringArray:
    """Return texts in memory of their own: they wait for their receipts, and the bodies beside them must not."""
    import pyarrow as pa

    _, ends, characters = texts.buffers()
    return pa.StringArray.from_buffers(
        len(texts), pa.py_buffer(ends.to_pybytes()), pa.py_buffer(characters.to_pybytes()), offset=texts.offset
    )


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
