"""The attributes that an export goal writes: where the value of each comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.blueconic.profile_columns import INTERACTIONS_PROPERTY
from airflow_provider_braze_blueconic.sync.braze.constants import constant_text
from airflow_provider_braze_blueconic.sync.braze.documents import check_document
from airflow_provider_braze_blueconic.sync.braze.identifiers import identifier_edges
from airflow_provider_braze_blueconic.sync.braze.values import braze_rule
from airflow_provider_braze_blueconic.sync.engine.columns import property_column
from airflow_provider_braze_blueconic.sync.engine.database import quote
from airflow_provider_braze_blueconic.sync.mapping.plan import MappedField
from airflow_provider_braze_blueconic.sync.values.date_formats import TimeReading
from airflow_provider_braze_blueconic.sync.values.texts import canonical_json
from airflow_provider_braze_blueconic.vendors.braze_attributes import (
    FieldType,
    excluding_identifiers,
    is_clearable,
)

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.goals.export_rows import ExportField

__all__ = ["field_type", "fixed_value", "mapped_field", "withheld_from"]

# BlueConic REST API, profileProperties.filterType; the readable names are inferred, see there. Read 2026-11.
_TYPE_OF_FILTER: Mapping[str, FieldType] = {
    "SELECT": "string",
    "EMAIL": "string",
    "RANGE": "integer",
    "DECIMAL": "float",
    "CURRENCY": "float",
    "DATETIME": "time",
}


def mapped_field(field: ExportField, property_types: Mapping[str, str]) -> MappedField:
    """Say where an attribute's value comes from, for people who are read from BlueConic."""
    withheld = withheld_from(field.to)
    if field.kind == "value":
        return MappedField(field.to, constant=fixed_value(field.to, field.value, field.type), withheld_from=withheld)
    column, is_list = _column(field)
    type_ = field_type(field, property_types)
    rule = braze_rule(field.to, type_, _reading(field, property_types))
    is_property = field.kind == "property"
    return MappedField(
        field.to,
        column,
        is_list=is_list,
        rule=rule,
        joined=is_list and not is_property and not rule.takes_list,
        clearable=is_clearable(field.to),
        withheld_from=withheld,
        unpacks=is_property,
    )


def withheld_from(target: str) -> tuple[str, ...]:
    """Say how the identifiers begin of the people for whom a target is never written."""
    return tuple(identifier_edges(identifier)[0] for identifier in excluding_identifiers(target))


def fixed_value(target: str, value: object, type_: FieldType | None) -> str:
    """Return a fixed value as Braze stores it; the checks of a goal have refused what Braze does not take.

    Objects and lists come from DAGs written by hand alone.
    """
    if value is None or isinstance(value, str | int | float):
        text, reason = constant_text(target, value, type_)
    elif isinstance(value, Mapping):
        text, reason = check_document(canonical_json(value))
    else:
        text, reason = canonical_json(value), None
    if text is None:
        raise ValueError(f'the fixed value of "{target}" can\'t be sent: {reason or "it is empty"}')
    return text


def _column(field: ExportField) -> tuple[str, bool]:
    match field.kind:
        case "profile_id" | "permission_level":
            return field.kind, False
        case "segments":
            return ("segment_names" if field.written_as == "names" else "segment_ids"), True
        case "interactions" if field.written_as == "names":
            return "interaction_names", True
        case "interactions":
            return quote(property_column(INTERACTIONS_PROPERTY)), True
        case _:
            return quote(property_column(field.property_id or "")), True


def _reading(field: ExportField, property_types: Mapping[str, str]) -> TimeReading:
    is_stored = _TYPE_OF_FILTER.get(property_types.get(field.property_id or "", "")) == "time"
    return TimeReading(date_format=field.date_format, milliseconds=is_stored)


def field_type(field: ExportField, property_types: Mapping[str, str]) -> FieldType:
    """Return the type of a field: what the goal says, or else what the source is."""
    if field.type is not None:
        return field.type
    if field.date_format is not None:
        return "time"
    if field.kind in ("segments", "interactions"):
        return "array"
    if field.property_id is not None:
        return _TYPE_OF_FILTER.get(property_types.get(field.property_id, ""), "string")
    return "string"
