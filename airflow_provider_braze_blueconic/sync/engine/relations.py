"""SQL over many columns: those that a relation has, and the sum of a value of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

__all__ = ["column_names", "total_sql"]


def column_names(connection: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    """Name the columns of a relation, in their order.

    :param relation: name of a table or a view, or a query.
    """
    return [name for name, *_ in connection.execute(f"DESCRIBE {relation}").fetchall()]


def total_sql(numbers: Sequence[str]) -> str:
    """SQL for the sum of whole numbers, none of them NULL.

    By way of a list: of a chain of ``+`` DuckDB parses no more than some thousand.
    """
    return f"list_sum([{', '.join(['0', *numbers])}])::BIGINT"
