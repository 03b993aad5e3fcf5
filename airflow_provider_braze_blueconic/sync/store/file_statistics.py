"""What the log of a Delta table says of the values of a file, so that readers can pass the file over."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["file_statistics"]

_INDEXED_COLUMNS = 32
"""Columns of which the log tells, from the first: Delta's default for ``delta.dataSkippingNumIndexedCols``."""

_LONGEST = 64
"""Characters of a least or greatest text; of longer ones the log says nothing. delta-rs cuts texts there."""

_MOMENTS = "%Y-%m-%dT%H:%M:%S.%fZ"


def file_statistics(file: Path) -> str:
    """Write the statistics of a Parquet file as JSON, from its footer: rows, NULLs, least and greatest values.

    Of a column without a value, of lists and of truth values there is no least one.
    """
    import pyarrow.parquet as pq

    footer = pq.read_metadata(file)
    found: dict[str, Any] = {"numRecords": footer.num_rows, "minValues": {}, "maxValues": {}, "nullCount": {}}
    for number in range(min(footer.num_columns, _INDEXED_COLUMNS)):
        column = footer.schema.column(number)
        if column.max_repetition_level == 0 and footer.num_row_groups:
            _add_column(found, footer, number, column.name)
    return json.dumps(found)


def _add_column(found: dict[str, Any], footer: pq.FileMetaData, number: int, name: str) -> None:
    groups = [footer.row_group(group).column(number).statistics for group in range(footer.num_row_groups)]
    if any(group is None or not group.has_null_count for group in groups):
        return
    found["nullCount"][name] = sum(group.null_count for group in groups)
    valued = [group for group in groups if group.num_values]
    if not valued or not all(group.has_min_max for group in valued):
        return
    least, greatest = _written(min(group.min for group in valued)), _written(max(group.max for group in valued))
    if least is not None and greatest is not None:
        found["minValues"][name], found["maxValues"][name] = least, greatest


def _written(value: object) -> str | int | None:
    """Write a value for the log; ``None`` if it can't be told."""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime(_MOMENTS)
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
