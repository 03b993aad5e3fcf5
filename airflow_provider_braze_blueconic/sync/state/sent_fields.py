"""What was sent to each person of a delta, as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.engine.columns import FIELD_PREFIX, INCREASE_PREFIX, field_name
from airflow_provider_braze_blueconic.sync.engine.database import literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.engine.relations import column_names

if TYPE_CHECKING:
    import duckdb

__all__ = ["sent_fields"]


def sent_fields(connection: duckdb.DuckDBPyConnection, delta: Sequence[Path], *, beside: Sequence[str]) -> str:
    """SQL for ``identifier`` and ``fields``: a JSON object of each target field that was sent, and its value.

    Of a number that is added to, what was sent is the increase.

    :param delta: local delta files.
    :param beside: text columns to keep; NULL where these files don't have them.
    """
    source = parquet_source(delta, union_by_name=True)
    columns = column_names(connection, f"SELECT * FROM {source}")
    sent = {column: column for column in columns if column.startswith(FIELD_PREFIX)}
    for column in columns:
        if column.startswith(INCREASE_PREFIX):
            sent[FIELD_PREFIX + column.removeprefix(INCREASE_PREFIX)] = column
    # A key where there is a value, then the value: to put the two together first would copy every value once more.
    pairs = ", ".join(
        f"CASE WHEN {quote(column)} IS NOT NULL THEN {literal(_key(name))} END, {quote(column)}"
        for name, column in sent.items()
    )
    fields = f"concat('{{', substr(concat({pairs}), 2), '}}')" if sent else "'{}'"
    kept = [name if name in columns else f"NULL::VARCHAR AS {name}" for name in beside]
    return f"SELECT {', '.join(['identifier', f'{fields} AS fields', *kept])} FROM {source}"


def _key(column: str) -> str:
    """The key of a field in the object, with the comma before it."""
    return f",{json.dumps(field_name(column), ensure_ascii=False)}:"
