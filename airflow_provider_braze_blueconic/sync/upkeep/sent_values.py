"""The values in receipts: what was sent for each field, and what the target is known to hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from airflow_provider_braze_blueconic.sync.engine.database import literal
from airflow_provider_braze_blueconic.sync.state.doubt import doubt_if

if TYPE_CHECKING:
    import duckdb

__all__ = ["Sum", "known_sql", "split_fields"]

Sum = Literal["value", "increase"]
"""How a number is added to, as ``of`` in a goal file."""

_NUMBER = "DECIMAL(38, 4)"
"""As exact as the delta's own sums."""


def split_fields(connection: duckdb.DuckDBPyConnection) -> None:
    """Split what was sent into ``sent``, a row a person, delta and field, with its ``key`` and ``value``.

    A value is compared as text later, so it must be the very text that was sent. DuckDB writes what it read in its own
    way; where that is another (``1e5``, an escaped letter), the texts are cut out one by one.
    """
    import pyarrow as pa

    pairs = "json_transform(fields, '\"MAP(VARCHAR, JSON)\"')"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE split AS
        SELECT identifier, outcome, refused_fields, sent_at, fields,
            [{{'key': e.key, 'value': coalesce(e.value::VARCHAR, 'null')}} FOR e IN map_entries({pairs})] AS entries
        FROM told WHERE outcome IN ('accepted', 'unknown') AND fields IS NOT NULL
        """
    )
    again = "concat('{', array_to_string([to_json(e.key)::VARCHAR || ':' || e.value FOR e IN entries], ','), '}')"
    odd = connection.execute(f"SELECT DISTINCT fields FROM split WHERE fields IS DISTINCT FROM {again}").fetchall()
    cut = [(text, key, value) for (text,) in odd for key, value in _texts(text).items()]
    schema = pa.schema([("fields", pa.string()), ("key", pa.string()), ("value", pa.string())])
    connection.register("cut", pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in cut], schema))
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE sent AS
        SELECT identifier, outcome, refused_fields, sent_at, e.key AS key, e.value AS value
        FROM (SELECT * EXCLUDE (entries), unnest(entries) AS e FROM split WHERE fields NOT IN (SELECT fields FROM cut))
        UNION ALL
        SELECT identifier, outcome, refused_fields, sent_at, key, value FROM split JOIN cut USING (fields)
        """
    )
    connection.unregister("cut")


def known_sql(key: str, sum_of: Sum | None) -> str:
    """SQL for what the target is known to hold of a field, over the rows of ``sent`` of one person."""
    mine = f"key = {literal(key)}"
    taken = f"outcome = 'accepted' AND NOT coalesce(list_contains(refused_fields, {literal(key)}), FALSE)"
    # What may have been added must not be added again; of other fields the target may hold what was sent last.
    reached = f"{mine} AND (({taken}) OR outcome = 'unknown')"
    if sum_of == "value":
        return f"max_by(value, sent_at) FILTER (WHERE {reached})"
    if sum_of == "increase":
        number = f"coalesce(TRY_CAST(json_extract_string(value, '$[0]') AS {_NUMBER}), 0)"
        # Never below what the ledger knew: what was set before the field became a sum may be negative.
        level = f"(sum(greatest({number}, 0)) FILTER (WHERE {reached}))"
        plain = f"regexp_replace(regexp_replace({level}::{_NUMBER}::VARCHAR, '0+$', ''), '\\.$', '')"
        return f"CASE WHEN {level} IS NOT NULL THEN concat('[\"', {plain}, '\"]') END"
    told = doubt_if("outcome = 'unknown'", otherwise="value")
    return f"max_by({told}, sent_at) FILTER (WHERE {reached})"


def _texts(fields: str) -> dict[str, str]:
    """Cut the values out of a JSON object without spaces, as they are written: ``{"a":1e5}`` → ``{"a": "1e5"}``."""
    decoder = json.JSONDecoder()
    texts: dict[str, str] = {}
    at = 1
    while fields[at : at + 1] == '"':
        key, colon = decoder.raw_decode(fields, at)
        _, end = decoder.raw_decode(fields, colon + 1)
        texts[key] = fields[colon + 1 : end]
        at = end + 1
    return texts
