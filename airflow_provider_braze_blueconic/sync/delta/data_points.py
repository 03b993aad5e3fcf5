"""Data points: what Braze bills for writing a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.engine.columns import field_column
from airflow_provider_braze_blueconic.sync.engine.database import quote
from airflow_provider_braze_blueconic.sync.engine.relations import total_sql

if TYPE_CHECKING:
    import duckdb

__all__ = ["fill_in_data_points"]


def fill_in_data_points(connection: duckdb.DuckDBPyConnection, plan: DeltaPlan) -> None:
    """Write into ``delta`` what each row costs that is sent."""
    points = [
        _points_sql(quote(field_column(target)), nested=target in plan.documents)
        for target in dict.fromkeys((*plan.targets, *(plan.leavers or {})))
        if target in plan.billable
    ]
    connection.execute(f"UPDATE delta SET data_points = {total_sql(points)} WHERE to_send")


def _points_sql(column: str, *, nested: bool) -> str:
    """One data point a value; a nested object costs one a key, counted by its inner values."""
    if not nested:
        return f"({column} IS NOT NULL)::INTEGER"
    inner = f"(SELECT count(*) FROM json_tree({column}) WHERE type NOT IN ('OBJECT', 'ARRAY'))"
    return f"CASE WHEN {column} IS NULL THEN 0 ELSE greatest(1, {inner}) END"
