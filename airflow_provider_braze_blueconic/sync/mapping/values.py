"""Mapped values, as SQL: what the target gets of each field, with the warnings beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field

from airflow_provider_braze_blueconic.sync.engine.columns import field_column
from airflow_provider_braze_blueconic.sync.engine.database import literal, quote
from airflow_provider_braze_blueconic.sync.engine.partitions import partition_sql
from airflow_provider_braze_blueconic.sync.mapping.fingerprints import RECORD, record_sql
from airflow_provider_braze_blueconic.sync.mapping.identifiers import identifier_sql, with_links
from airflow_provider_braze_blueconic.sync.mapping.matching import matching_sql
from airflow_provider_braze_blueconic.sync.mapping.plan import MappedField, MappingPlan
from airflow_provider_braze_blueconic.sync.mapping.source_texts import (
    clean_list_sql,
    first_text_sql,
    has_several_sql,
    texts_sql,
    unpacked_list_sql,
)
from airflow_provider_braze_blueconic.sync.values.rules import ValueRule
from airflow_provider_braze_blueconic.sync.values.texts import CLEAR

__all__ = ["mapped_sql", "withheld_sql"]


@dataclass(frozen=True)
class _FieldSql:
    """What one field adds to the statement.

    :param output: the mapped value, under the name of its column.
    :param sources: what is read of the snapshot.
    :param joins: the field's vocabulary.
    :param texts: what is made of what was read.
    :param warnings: condition → SQL for the text of the warning.
    """

    output: str
    sources: tuple[str, ...] = ()
    joins: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    warnings: Mapping[str, str] = dataclass_field(default_factory=dict)


def mapped_sql(
    source: str,
    plan: MappingPlan,
    lookups: Mapping[str, str],
    *,
    fields: range | None = None,
    with_fingerprint: bool = False,
) -> str:
    """SQL for the mapped snapshot, with the partition of each person.

    :param lookups: target field → relation of its vocabulary.
    :param fields: numbers of the fields to map; ``None`` for all.
    :param with_fingerprint: also that of the record.
    """
    written = [
        _field_sql(number, field, lookups.get(field.target), clear_missing=plan.clear_missing)
        for number, field in enumerate(plan.fields)
        if fields is None or number in fields
    ]
    sources = [sql for field in written for sql in field.sources]
    texts = [sql for field in written for sql in field.texts]
    joins = [sql for field in written for sql in field.joins]
    outputs = [field.output for field in written]
    warned = _warnings_sql({flag: text for field in written for flag, text in field.warnings.items()})
    base = ["row", "as_of", "last_modified", f"{identifier_sql(plan)} AS identifier"]
    carried = ["row", "identifier", "as_of", "last_modified"]
    if plan.matching is not None:
        base.append(f"{matching_sql(plan.matching)} AS matching")
        carried.append("matching")
    if with_fingerprint:
        base.append(record_sql(plan))
        carried += RECORD
    return f"""
        WITH source AS (
            SELECT {", ".join([*base, *sources])} FROM {with_links(source, plan, first_only=True)}
        ), typed AS (
            SELECT {", ".join(["source.*", *texts])} FROM source {" ".join(joins)}
            WHERE row NOT IN (SELECT row FROM skipped)
        )
        SELECT {partition_sql("identifier", plan.partitions)} AS partition, {", ".join(carried)},
            {", ".join([f"{warned} AS warnings", *outputs])}
        FROM typed
        """


def _field_sql(number: int, field: MappedField, relation: str | None, *, clear_missing: bool) -> _FieldSql:
    """SQL for one field.

    :param number: tells its columns from those of the others: ``v`` (the source), ``t`` (the text), ``r`` (the reason
        that the vocabulary gives) and ``s`` (there are several values).
    :param relation: of its vocabulary.
    """
    column = quote(field_column(field.target))
    if field.constant is not None:
        return _FieldSql(f"{_unless_withheld(field, literal(field.constant))} AS {column}")
    rule = field.rule
    if rule is None:
        raise ValueError(f"{field.target} has neither a rule nor a constant")
    sources = [f"{_unless_withheld(field, _source_value(field, rule))} AS v{number}"]
    joins, texts = _texts_sql(number, rule, relation)
    missing = literal(CLEAR) if clear_missing and field.clearable else "NULL"
    written = f"CASE WHEN v{number} IS NULL THEN {missing} ELSE t{number} END"
    refused = f"(v{number} IS NOT NULL AND t{number} IS NULL)"
    warnings = {refused: _refusal_sql(number, rule, is_looked_up=relation is not None)}
    for word, condition in rule.doubts:
        doubted = f"(t{number} IS NOT NULL AND {condition.replace('{v}', f'v{number}')})"
        warnings[doubted] = f"'{number}:{word}'"
    if field.is_list and not rule.takes_list and not field.joined:
        sources.append(f"{_unless_withheld(field, has_several_sql(field.column))} AS s{number}")
        warnings[f"s{number}"] = f"'{number}:several_values_first_sent'"
    return _FieldSql(
        f"{_unless_withheld(field, written)} AS {column}", tuple(sources), tuple(joins), tuple(texts), warnings
    )


def _texts_sql(number: int, rule: ValueRule, relation: str | None) -> tuple[list[str], list[str]]:
    """SQL for the join of a field's vocabulary, and for its text."""
    value = f"v{number}"
    text = rule.text.replace("{v}", value)
    if relation is None:
        return [], [f"{text} AS t{number}"]
    key = "{v}" if rule.check else rule.lookup_key
    join = f"LEFT JOIN {relation} ON {relation}.spelling = {key.replace('{v}', value)}"
    found = text.replace("{lookup}", f"{relation}.text")
    return [join], [f"{relation}.reason AS r{number}", f"{found} AS t{number}"]


def _warnings_sql(warnings: Mapping[str, str]) -> str:
    """SQL for the list of a person's warnings; NULL where there is none."""
    if not warnings:
        return "NULL::VARCHAR[]"
    listed = ", ".join(f"CASE WHEN {flag} THEN {text} END" for flag, text in warnings.items())
    return f"CASE WHEN {' OR '.join(warnings)} THEN [w FOR w IN [{listed}] IF w IS NOT NULL] END"


def withheld_sql(beginnings: Sequence[str]) -> str:
    """SQL that tells whether a person's ``identifier`` begins so that nothing is ever said of a field."""
    return f"({' OR '.join(f'starts_with(identifier, {literal(text)})' for text in beginnings) or 'FALSE'})"


def _unless_withheld(field: MappedField, value: str) -> str:
    """SQL for a value of the people for whom something may be said of the field; NULL for the others."""
    return f"CASE WHEN NOT {withheld_sql(field.withheld_from)} THEN {value} END" if field.withheld_from else value


def _source_value(field: MappedField, rule: ValueRule) -> str:
    if not field.is_list:
        value = first_text_sql(field.column, is_list=False)
        return f"CASE WHEN {value} IS NOT NULL THEN [{value}] END" if rule.takes_list else value
    if not rule.takes_list and not field.joined:
        return first_text_sql(field.column, is_list=True)
    if field.joined:
        return f"nullif(array_to_string(list_sort(list_distinct({texts_sql(field.column)})), ','), '')"
    values = unpacked_list_sql(field.column) if field.unpacks else clean_list_sql(field.column)
    return f"list_sort(list_distinct({values}))" if rule.is_set else values


def _refusal_sql(number: int, rule: ValueRule, *, is_looked_up: bool) -> str:
    cases = " ".join(
        f"WHEN {condition.replace('{v}', f'v{number}')} THEN {literal(reason)}" for reason, condition in rule.reasons
    )
    found = f"r{number}, " if is_looked_up else ""
    return f"concat('{number}:', coalesce({found}CASE {cases} END))"
