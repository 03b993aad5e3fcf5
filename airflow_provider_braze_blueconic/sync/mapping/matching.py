"""How BlueConic finds a person: the conditions of an entry's ``matching``, as JSON texts."""

from __future__ import annotations

import json

from airflow_provider_braze_blueconic.sync.engine.database import literal
from airflow_provider_braze_blueconic.sync.mapping.plan import Matching, MatchLink
from airflow_provider_braze_blueconic.sync.mapping.source_texts import first_text_sql, has_several_sql

__all__ = ["condition_edges", "condition_sql", "conditions_sql", "matching_sql", "unmatched_sql"]


def condition_edges(property_id: str) -> tuple[str, str]:
    """Return what stands before and after the value in the JSON text of a condition: the property holds this value."""
    return f'{{"id":{json.dumps(property_id)},"value":', "}"


def condition_sql(property_id: str, value: str) -> str:
    """SQL for the JSON text of a condition, from SQL for a property's id and for the value."""
    return f"concat('{{\"id\":', to_json({property_id})::VARCHAR, ',\"value\":', to_json({value})::VARCHAR, '}}')"


def conditions_sql(matching: str) -> str:
    """SQL for all conditions of a matching as a list of structs: ``id`` (the property) and ``value``."""
    return f"flatten({matching}::JSON::STRUCT(id VARCHAR, value VARCHAR)[][])"


def _match_value(link: MatchLink) -> str:
    return link.normal.replace("{v}", f"({first_text_sql(link.column, is_list=True)})")


def unmatched_sql(matching: Matching) -> str:
    """SQL for the reason why the target could not find a person; NULL if it can."""
    several = " OR ".join(f"({has_several_sql(link.column, link.normal)})" for link in matching.links)
    wanting = (" OR " if matching.every else " AND ").join(f"({_match_value(link)}) IS NULL" for link in matching.links)
    return f"CASE WHEN {several} THEN 'several_identifiers' WHEN {wanting} THEN 'no_identifier' END"


def matching_sql(matching: Matching) -> str:
    """SQL for the JSON text by which the target finds a person."""
    conditions = []
    for link in matching.links:
        before, after = condition_edges(link.target)
        conditions.append(f"({literal(before)} || to_json({_match_value(link)})::VARCHAR || {literal(after)})")
    if matching.every:
        return f"concat('[[', concat_ws(',', {', '.join(conditions)}), ']]')"
    alternatives = ", ".join(f"('[' || {condition} || ']')" for condition in conditions)
    return f"concat('[', concat_ws(',', {alternatives}), ']')"
