"""Rows of a table in the file in which the table keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.database import literal

if TYPE_CHECKING:
    import duckdb

__all__ = ["joins_as_written", "write_file"]

_GROUP_BYTES = 16 * 1024**2
"""What a row group may take before it is encoded: each thread has one in memory."""

_ROW_BYTES = 160
_FIELD_BYTES = 32
"""What the books of a row take, and a field: measured on texts, numbers and times."""

_VECTOR = 2_048
"""Rows that DuckDB works on at once; a row group has a multiple of them."""

_MOST_ROWS = 122_880
"""DuckDB's own number of rows in a group."""


_DICTIONARY = 1_000
"""Values of a column up to which a group lists each once, such as countries. To look for more takes a third of the
time and saves 5 % of the bytes."""


_WIDE = 250
"""Fields from which a statement runs in one thread, since each thread holds 2,048 values of every column."""


def write_file(connection: duckdb.DuckDBPyConnection, rows: str, file: Path, *, fields: int) -> int:
    """Write rows to a Parquet file that every reader of Delta tables understands, and say how many there are.

    :param rows: SQL for them.
    :param fields: field columns in a row; the more there are, the fewer rows go into a group.
    """
    groups = _GROUP_BYTES // (_ROW_BYTES + _FIELD_BYTES * fields) // _VECTOR
    size = min(_MOST_ROWS, max(1, groups) * _VECTOR)
    how = f"FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE {size:d}, DICTIONARY_SIZE_LIMIT {_DICTIONARY:d}"
    with _one_thread(connection) if fields > _WIDE else nullcontext():
        ((count,),) = connection.execute(f"COPY ({rows}) TO {literal(str(file))} ({how})").fetchall()
    return int(count)


@contextmanager
def joins_as_written(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let joins keep their right side in memory for a block; DuckDB 2 chooses by rows, not by their width."""
    ((before,),) = connection.execute("SELECT current_setting('disabled_optimizers')").fetchall()
    connection.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
    try:
        yield
    finally:
        connection.execute(f"SET disabled_optimizers = {literal(before)}")


@contextmanager
def _one_thread(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    ((threads,),) = connection.execute("SELECT current_setting('threads')").fetchall()
    connection.execute("SET threads = 1")
    try:
        yield
    finally:
        connection.execute(f"SET threads = {int(threads):d}")
