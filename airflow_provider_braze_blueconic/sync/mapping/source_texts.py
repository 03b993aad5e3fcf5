"""The texts of a snapshot's column, as SQL: without space at their edges, and without empty ones."""

from __future__ import annotations

from airflow_provider_braze_blueconic.sync.engine.database import literal
from airflow_provider_braze_blueconic.sync.values.space import SPACE_CLASS, edge_space_sql, trim_sql
from airflow_provider_braze_blueconic.sync.values.texts import unpacked_sql

__all__ = ["clean_list_sql", "first_text_sql", "has_several_sql", "texts_sql", "unpacked_list_sql"]


def texts_sql(column: str) -> str:
    """SQL for the texts of a list without space at their edges, and without those of which nothing is left."""
    text = f"CASE WHEN {edge_space_sql('x')} THEN {trim_sql('x')} ELSE x END"
    return f"[t FOR t IN [{text} FOR x IN {column}] IF t <> '']"


def first_text_sql(column: str, is_list: bool) -> str:
    """SQL for the first text of which something is left without the space at its edges; NULL if there is none.

    With 20 fields trimming was half of the mapping, so a text is only trimmed where its ends ask for it. Nor are lists
    of several texts usual, so only they are rebuilt.
    """
    value = f"{column}[1]" if is_list else column
    several = f"WHEN len({column}) > 1 THEN {texts_sql(column)}[1] " if is_list else ""
    return f"CASE WHEN NOT {edge_space_sql(value)} THEN {value} {several}ELSE nullif({trim_sql(value)}, '') END"


def has_several_sql(column: str, normal: str = "{v}") -> str:
    """SQL that tells whether a list holds more than one value, written in a normal form."""
    spellings = f"[{normal.replace('{v}', 't')} FOR t IN {texts_sql(column)}]"
    return f"CASE WHEN len({column}) > 1 THEN len(list_distinct({spellings})) > 1 ELSE FALSE END"


def unpacked_list_sql(column: str) -> str:
    """SQL for a list, clean; of one text that is a JSON list of single values, for those."""
    inner = unpacked_sql(trim_sql(f"{column}[1]"))
    maybe = f"len({column}) = 1 AND contains({column}[1], '[')"
    texts = texts_sql(inner)
    unpacked = f"CASE WHEN ({inner}) IS NULL THEN {clean_list_sql(column)} WHEN len({texts}) > 0 THEN {texts} END"
    return f"CASE WHEN {maybe} THEN {unpacked} ELSE {clean_list_sql(column)} END"


def clean_list_sql(column: str) -> str:
    """SQL for a list without space at the edges of its texts and without empty ones; NULL if nothing is left.

    Rebuilding a list takes three times as long as writing it as JSON, and in the JSON text an edge is a quotation mark:
    beside it there is a space, another mark, or (of control characters) a backslash only where something is to be done.
    """
    written = f"to_json({column})::VARCHAR"
    suspicious = (' "', '" ', '""', "\\", "null")
    dirty = " OR ".join(f"contains({written}, {literal(text)})" for text in suspicious)
    edges = f'"[{SPACE_CLASS}]|[{SPACE_CLASS}]"'
    dirty += f" OR (strlen({written}) <> length({written}) AND regexp_matches({written}, {literal(edges)}))"
    texts = texts_sql(column)
    return (
        f"CASE WHEN coalesce(len({column}), 0) = 0 THEN NULL "
        f"WHEN {dirty} THEN CASE WHEN len({texts}) > 0 THEN {texts} END ELSE {column} END"
    )
