"""The database of a step: its connections may share it, and none sees what another made."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from airflow_provider_braze_blueconic.sync.engine import database
from airflow_provider_braze_blueconic.sync.engine.database import Engine, connect, keep_open


@contextmanager
def _apart(engine: Engine) -> Iterator[None]:
    yield


@pytest.mark.parametrize("scope", [keep_open, _apart])
def test_what_a_connection_makes_is_its_own(scope: type[keep_open], tmp_path: Path) -> None:
    engine = Engine(tmp_path, threads=1)
    with scope(engine), connect(engine) as first, connect(engine) as second:
        first.execute("CREATE TEMP TABLE people AS SELECT 1 AS number")
        first.execute("SET VARIABLE known = 7")
        first.register("rows", pa.table({"number": [1]}))

        assert second.execute("SELECT getvariable('known')").fetchall() == [(None,)]
        for name in ("people", "rows"):
            with pytest.raises(duckdb.CatalogException):
                second.execute(f"SELECT * FROM {name}")


@pytest.mark.parametrize("scope", [keep_open, _apart])
def test_every_connection_has_the_limits_of_its_engine_and_reads_times_as_utc(
    scope: type[keep_open], tmp_path: Path
) -> None:
    engine = Engine(tmp_path, memory_limit="64MiB", threads=1)
    asked = "SELECT current_setting('TimeZone'), current_setting('memory_limit'), current_setting('threads')"
    with scope(engine):
        for _ in range(2):
            with connect(engine) as connection:
                assert connection.execute(asked).fetchall() == [("UTC", "64.0 MiB", 1)]


def test_memory_of_a_closed_connection_is_free_for_the_next(tmp_path: Path) -> None:
    engine = Engine(tmp_path, memory_limit="100MiB", threads=1)
    with keep_open(engine):
        for _ in range(4):
            with connect(engine) as connection:
                connection.execute("CREATE TEMP TABLE numbers AS SELECT range AS number FROM range(6000000)")
                held = connection.execute("SELECT sum(temporary_storage_bytes) FROM duckdb_memory()").fetchall()

    assert held == [(0,)]


def test_of_two_threads_that_connect_first_one_opens_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(tmp_path)
    both, opened = threading.Barrier(2), []
    open_database = database._open

    def opening(engine: Engine) -> Any:
        with suppress(threading.BrokenBarrierError):
            both.wait(1)  # for the other thread, should it get here as well
        opened.append(open_database(engine))
        return opened[-1]

    monkeypatch.setattr(database, "_open", opening)

    def count(_: int) -> Any:
        with connect(engine) as connection:
            return connection.execute("SELECT 1").fetchone()

    with keep_open(engine), ThreadPoolExecutor(2) as pool:
        counted = list(pool.map(count, range(2)))

    assert counted == [(1,), (1,)]
    assert len(opened) == 1
