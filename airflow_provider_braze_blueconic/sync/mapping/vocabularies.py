"""Vocabularies, as relations that a mapping joins: what the target stores for each spelling of a field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.mapping.plan import MappedField, MappingPlan
from airflow_provider_braze_blueconic.sync.mapping.source_texts import first_text_sql, texts_sql
from airflow_provider_braze_blueconic.sync.values.emails import load_ascii_domains
from airflow_provider_braze_blueconic.sync.values.space import trim_sql

if TYPE_CHECKING:
    import duckdb

__all__ = ["create_lookups", "load_domains"]

_ROWS_PER_INSERT = 50_000
"""Of a vocabulary, at a time: DuckDB keeps a copy of what it is handed."""

_Row = tuple[str, str | None, str | None]
"""A spelling, and its text or the reason why it has none."""


def load_domains(connection: duckdb.DuckDBPyConnection, source: str, plan: MappingPlan) -> None:
    """Load the domains of e-mail addresses that have to be written in ASCII."""
    columns = [(link.column, link.is_list) for link in plan.identifiers if link.is_email]
    columns += [(field.column, field.is_list) for field in plan.fields if field.rule and field.rule.is_email]
    load_ascii_domains(
        connection, source, [f"unnest({texts_sql(name)})" if is_list else trim_sql(name) for name, is_list in columns]
    )


def create_lookups(
    connection: duckdb.DuckDBPyConnection, source: str, fields: Sequence[MappedField]
) -> Mapping[str, str]:
    """Create the vocabulary of each field that has one; say under which relation it is found."""
    relations: dict[str, str] = {}
    for number, field in enumerate(fields):
        rows = _rows(connection, source, field)
        if rows is not None:
            relations[field.target] = f"lookup_{number}"
            _create(connection, relations[field.target], rows)
    return relations


def _rows(connection: duckdb.DuckDBPyConnection, source: str, field: MappedField) -> list[_Row] | None:
    """Return the vocabulary of a field; ``None`` if it has none."""
    rule = field.rule
    if rule is None:
        return None
    if rule.lookup is not None:
        return [(spelling, text, None) for spelling, text in rule.lookup.texts.items()]
    if rule.check is None:
        return None
    # One pass over distinct texts in Python, for what SQL can't bring into one form.
    value = first_text_sql(field.column, field.is_list)
    values = f"SELECT DISTINCT {value} AS value FROM {source}"
    texts = connection.execute(f"SELECT value FROM ({values}) WHERE value IS NOT NULL").fetchall()
    return [(text, *rule.check(text)) for (text,) in texts]


def _create(connection: duckdb.DuckDBPyConnection, relation: str, rows: Sequence[_Row]) -> None:
    connection.execute(f"CREATE TEMP TABLE {relation} (spelling VARCHAR, text VARCHAR, reason VARCHAR)")
    for first in range(0, len(rows), _ROWS_PER_INSERT):
        columns = [list(column) for column in zip(*rows[first : first + _ROWS_PER_INSERT], strict=True)]
        listed = ", ".join("unnest(?::VARCHAR[])" for _ in columns)
        connection.execute(f"INSERT INTO {relation} SELECT {listed}", columns)
