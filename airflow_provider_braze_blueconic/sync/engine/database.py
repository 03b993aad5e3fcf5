"""DuckDB as the set engine inside one task: local files, a memory limit, spill to disk.

Two habits of DuckDB 2 matter here: a relation object runs again on each call and keeps no result, so only
``Connection.execute`` is used; and casting text with an offset to ``TIMESTAMP`` drops the offset silently,
so times are cast to ``TIMESTAMPTZ`` first.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

__all__ = ["Engine", "connect", "keep_open", "literal", "parquet_source", "quote"]

_kept: dict[Engine, duckdb.DuckDBPyConnection | None] = {}
"""Databases that are kept open; ``None`` until somebody connects."""

_keeping = threading.Lock()
"""Of two threads that connect first at the same time, one opens the database, and the other waits for it."""


@dataclass(frozen=True)
class Engine:
    """What one task may use of its machine.

    :param folder: local folder for working files and for what does not fit in memory.
    :param memory_limit: DuckDB's own, such as ``"1GB"``; ``None`` is DuckDB's default of 80 % of the memory.
    :param threads: ``None`` takes every core.
    """

    folder: Path
    memory_limit: str | None = None
    threads: int | None = None


@contextmanager
def keep_open(engine: Engine) -> Iterator[None]:
    """Let all connections of a block share one database: to open one takes 10 ms, another connection to it nothing.

    What a connection makes is its own, and goes with it.
    """
    with _keeping:
        is_kept = engine in _kept
        if not is_kept:
            _kept[engine] = None
    if is_kept:
        yield
        return
    try:
        yield
    finally:
        with _keeping:
            database = _kept.pop(engine)
        if database:
            database.close()


@contextmanager
def connect(engine: Engine) -> Iterator[duckdb.DuckDBPyConnection]:
    """Connect to an in-memory database that spills into the engine's folder and never reaches for the network."""
    connection = _kept_connection(engine) or _open(engine)
    try:
        yield connection
    finally:
        connection.close()


def _kept_connection(engine: Engine) -> duckdb.DuckDBPyConnection | None:
    """Connect to the database that is kept open; ``None`` if none is."""
    with _keeping:
        if engine not in _kept:
            return None
        database = _kept[engine] = _kept[engine] or _open(engine)
        return database.cursor()


def _open(engine: Engine) -> duckdb.DuckDBPyConnection:
    import duckdb

    spill = engine.folder / "spill"
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": os.fspath(spill),
        # Order is only asked for where it matters (ORDER BY); keeping it elsewhere holds whole files in memory.
        "preserve_insertion_order": False,
    }
    if engine.memory_limit:
        config["memory_limit"] = engine.memory_limit
    if engine.threads:
        config["threads"] = engine.threads
    connection = duckdb.connect(config=config)
    # Not among the start options: the setting comes with the ICU extension that the wheel contains.
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    return connection


def quote(name: str) -> str:
    """Quote a column or relation name for SQL. Every name that comes from outside goes through here."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Quote a text for SQL, where a value can't be bound (inside ``COPY`` and table functions)."""
    return "'" + value.replace("'", "''") + "'"


def parquet_source(files: Sequence[Path], *, union_by_name: bool = False) -> str:
    """Name local Parquet files as a table in SQL."""
    listed = ", ".join(literal(os.fspath(file)) for file in files)
    union = ", union_by_name = true" if union_by_name else ""
    return f"read_parquet([{listed}]{union})"
