"""What DuckDB says of a relation: the columns that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

__all__ = ["column_names"]


def column_names(connection: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    """Name the columns of a relation, in their order.

    :param relation: name of a table or a view, or a query.
    """
    return [name for name, *_ in connection.execute(f"DESCRIBE {relation}").fetchall()]
