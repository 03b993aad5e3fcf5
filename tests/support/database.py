"""DuckDB for tests that open it hundreds of times: opened once a process, which takes most of a small run's time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

import duckdb
import pytest

__all__ = ["keep_duckdb_open", "warm_duckdb"]


_open = duckdb.connect


class _Warm:
    """Databases in memory by their settings; who opens one gets a connection with its own temporary tables.

    They differ from databases of one's own in where they spill, and in sharing a memory limit.
    """

    def __init__(self, *, plain: bool) -> None:
        self._bases: dict[tuple[tuple[str, Any], ...], duckdb.DuckDBPyConnection] = {}
        self._plain = plain

    def connect(self, *, config: Mapping[str, Any] | None = None) -> duckdb.DuckDBPyConnection:
        if config is None:  # A test's own, which may make tables that last.
            return _open()
        settings = {**config, "temp_directory": tempfile.gettempdir()}
        key = tuple(sorted(settings.items()))
        if key not in self._bases:
            self._bases[key] = _open(config=settings)
        cursor = self._bases[key].cursor()
        if self._plain:
            cursor.execute("PRAGMA disable_optimizer")
        return cursor

    def close(self) -> None:
        for base in self._bases.values():
            base.close()


@contextmanager
def keep_duckdb_open(*, plain: bool = False) -> Iterator[None]:
    """Hand out connections to databases that stay open, as long as this lasts.

    :param plain: statements run as they are written: for three people, optimizing takes longer than it saves.
    """
    warm = _Warm(plain=plain)
    try:
        with mock.patch.object(duckdb, "connect", warm.connect):
            yield
    finally:
        warm.close()


@pytest.fixture(scope="session", autouse=True)
def warm_duckdb() -> Iterator[None]:
    """Keep DuckDB open for all tests beside the conftest that imports this."""
    with keep_duckdb_open():
        yield
