"""What an export goal asks of the pipeline: what to read from BlueConic, how to map it, what Braze bills.

Made of the goal's models and of the properties that BlueConic has.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from airflow_provider_braze_blueconic.sync.braze_paths import BRAZE_EXPORT_FIELDS, alias_path, attribute_path
from airflow_provider_braze_blueconic.sync.braze_values import (
    PHONE_PATTERN,
    PHONE_SEPARATORS,
    braze_rule,
    check_document,
    excluding_identifiers,
    is_billable,
    is_clearable,
    is_standard,
)
from airflow_provider_braze_blueconic.sync.columns import property_column, source_column
from airflow_provider_braze_blueconic.sync.constants import constant_text, constant_type
from airflow_provider_braze_blueconic.sync.database import quote
from airflow_provider_braze_blueconic.sync.delta import DeltaPlan, SendPolicy
from airflow_provider_braze_blueconic.sync.emails import braze_email_sql
from airflow_provider_braze_blueconic.sync.mapping import IdentifierLink, MappedField, MappingPlan
from airflow_provider_braze_blueconic.sync.observations import Observation, Route
from airflow_provider_braze_blueconic.sync.snapshot import INTERACTIONS_PROPERTY, LAST_MODIFIED_PROPERTY
from airflow_provider_braze_blueconic.sync.times import TimeReading
from airflow_provider_braze_blueconic.sync.values import CLEAR, FieldType, canonical_json

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.goals.models import ExportField, ExportIdentifier

__all__ = [
    "delta_plan",
    "expansions",
    "exported_pairs",
    "exported_routes",
    "mapping_plan",
    "observable_sources",
    "observed_users",
    "properties_to_read",
    "warning_sources",
]

_EXTERNAL_ID_BYTES = 987  # Braze docs "POST /users/track": EXTERNAL_USER_ID_TOO_LARGE, read 2026-11

# BlueConic REST API, profileProperties.filterType; the readable names are inferred, see there. Read 2026-11.
_TYPE_OF_FILTER: Mapping[str, FieldType] = {
    "SELECT": "string",
    "EMAIL": "string",
    "RANGE": "integer",
    "DECIMAL": "float",
    "CURRENCY": "float",
    "DATETIME": "time",
}

_ALWAYS_READ = (LAST_MODIFIED_PROPERTY,)
_NAMED_WITHOUT_ID = "profile_id"


def properties_to_read(identifiers: Sequence[ExportIdentifier], fields: Sequence[ExportField]) -> dict[str, str]:
    """Name the BlueConic properties that a goal needs, and where in the goal each is named first."""
    needed: dict[str, str] = {}
    for number, link in enumerate(identifiers):
        if link.blueconic != _NAMED_WITHOUT_ID:
            needed.setdefault(link.blueconic, f"identifiers[{number}].blueconic")
    for number, field in enumerate(fields):
        if field.property_id is not None:
            needed.setdefault(field.property_id, f"fields[{number}].from")
        elif field.kind == "interactions":
            needed.setdefault(INTERACTIONS_PROPERTY, f"fields[{number}].from")
    for property_id in _ALWAYS_READ:
        needed.setdefault(property_id, "")
    return needed


def expansions(fields: Sequence[ExportField]) -> list[Literal["permissions", "segments"]]:
    """Name the parts of a profile that must be asked for."""
    parts: list[Literal["permissions", "segments"]] = []
    kinds = {field.kind for field in fields}
    if "permission_level" in kinds:
        parts.append("permissions")
    if "segments" in kinds:
        parts.append("segments")
    return parts


def mapping_plan(
    identifiers: Sequence[ExportIdentifier],
    fields: Sequence[ExportField],
    *,
    property_types: Mapping[str, str],
    clear_missing: bool,
    objectives: Sequence[str],
    partitions: int,
) -> MappingPlan:
    """Plan the mapping of an export goal.

    :param property_types: property id → BlueConic's ``filterType``.
    """
    return MappingPlan(
        identifiers=tuple(_link(link) for link in identifiers),
        fields=tuple(_field(field, property_types) for field in fields),
        clear_missing=clear_missing,
        objectives=tuple(objectives),
        partitions=partitions,
    )


def _link(link: ExportIdentifier) -> IdentifierLink:
    if link.blueconic == _NAMED_WITHOUT_ID:
        return _link_by(link, "profile_id", is_list=False)
    return _link_by(link, quote(property_column(link.blueconic)), is_list=True)


def _link_by(link: ExportIdentifier, column: str, *, is_list: bool) -> IdentifierLink:
    before, after, normal = f"{{{canonical_json(link.braze)}:", "}", "{v}"
    if link.braze == "external_id":
        normal = f"CASE WHEN strlen({{v}}) <= {_EXTERNAL_ID_BYTES} THEN {{v}} END"
    elif link.braze == "user_alias":
        before = '{"user_alias":{"alias_name":'
        after = f',"alias_label":{canonical_json(link.alias_label)}}}}}'
    elif link.braze == "email":
        normal = braze_email_sql("{v}")
    elif link.braze == "phone":
        bare = f"regexp_replace({{v}}, '{PHONE_SEPARATORS}', '', 'g')"
        normal = f"CASE WHEN regexp_full_match({bare}, '{PHONE_PATTERN}') THEN {bare} END"
    return IdentifierLink(column, before, after, is_list=is_list, normal=normal, is_email=link.braze == "email")


def _field(field: ExportField, property_types: Mapping[str, str]) -> MappedField:
    withheld = _withheld_from(field.to)
    if field.kind == "value":
        return MappedField(field.to, constant=_constant(field.to, field.value, field.type), withheld_from=withheld)
    column, is_list = _column(field)
    type_ = _type(field, property_types)
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


def _withheld_from(target: str) -> tuple[str, ...]:
    """Say how the identifiers begin of the people for whom a target is never written."""
    return tuple(f"{{{canonical_json(identifier)}:" for identifier in excluding_identifiers(target))


def _constant(target: str, value: object, type_: FieldType | None) -> str:
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


def _type(field: ExportField, property_types: Mapping[str, str]) -> FieldType:
    if field.type is not None:
        return field.type
    if field.date_format is not None:
        return "time"
    if field.kind in ("segments", "interactions"):
        return "array"
    if field.property_id is not None:
        return _TYPE_OF_FILTER.get(property_types.get(field.property_id, ""), "string")
    return "string"


def delta_plan(
    fields: Sequence[ExportField],
    *,
    partitions: int,
    as_of: dt.datetime,
    send: SendPolicy,
    leavers: str | Mapping[str, object],
    complete: bool,
    allow_stale: bool,
    max_attempts: int | None = None,
    identifiers: Sequence[ExportIdentifier] = (),
    allow_creation: bool = False,
) -> DeltaPlan:
    """Plan the delta of an export goal.

    :param leavers: ``keep``, ``clear_fields``, or target → value.
    :param max_attempts: after how many refusals of the same values a person rests; ``None`` tries everybody.
    :param identifiers: links by which people are known.
    :param allow_creation: Braze is asked to create whom it does not know.
    """
    targets = tuple(field.to for field in fields)
    written: Mapping[str, str] | None
    if isinstance(leavers, Mapping):
        types = {field.to: field.type for field in fields}
        written = {target: _constant(target, value, types.get(target)) for target, value in leavers.items()}
    elif leavers == "clear_fields":
        written = dict.fromkeys(filter(is_clearable, targets), CLEAR)
    else:
        written = None
    every = (*targets, *(written or {}))
    withheld = {target: beginnings for target in every if (beginnings := _withheld_from(target))}
    return DeltaPlan(
        targets=targets,
        billable=frozenset(target for target in every if is_billable(target)),
        documents=frozenset(field.to for field in fields if field.type == "object"),
        partitions=partitions,
        as_of=as_of,
        send=send,
        leavers=written,
        withheld=withheld,
        complete=complete,
        allow_stale=allow_stale,
        max_attempts=max_attempts,
        creates=allow_creation,
        links=_links_fingerprint(identifiers) if identifiers else None,
    )


def _links_fingerprint(identifiers: Sequence[ExportIdentifier]) -> int:
    """Number the links, within what a Delta table can keep of an application: a signed integer of 64 bits."""
    text = "\n".join(link.model_dump_json(by_alias=True) for link in identifiers)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])


def warning_sources(plan: MappingPlan) -> dict[str, str]:
    """Say where each target's rule comes from, for the report."""
    return {field.target: field.rule.source for field in plan.fields if field.rule is not None}


def exported_pairs(fields: Sequence[ExportField]) -> dict[str, tuple[str, str]]:
    """Say which attributes take a property as it is: target → (attribute, property)."""
    return {field.to: (field.to, field.property_id) for field in fields if field.property_id is not None}


def exported_routes(fields: Sequence[ExportField], property_types: Mapping[str, str]) -> dict[str, Route]:
    """Say which attributes take a property in whatever form: target → how it is brought over."""
    return {
        field.to: Route(field.to, field.property_id, _field(field, property_types))
        for field in fields
        if field.property_id is not None
    }


def observable_sources(identifiers: Sequence[ExportIdentifier], fields: Sequence[ExportField]) -> dict[str, str]:
    """Name what an export of a Braze segment can show of what a goal writes, and where in the goal each is named.

    Of some attributes Braze exports nothing: subscription groups, and a few standard ones such as ``image_url``.
    """
    needed: dict[str, str] = {}
    for number, link in enumerate(identifiers):
        needed.setdefault(_link_path(link), f"identifiers[{number}].braze")
    for number, field in enumerate(fields):
        path = _attribute_source(field.to)
        if path is not None:
            needed.setdefault(path, f"fields[{number}].to")
    return needed


def _link_path(link: ExportIdentifier) -> str:
    return alias_path(link.alias_label or "") if link.braze == "user_alias" else link.braze


def _attribute_source(target: str) -> str | None:
    """Path of an attribute in an exported user; ``None`` if Braze does not export it."""
    if target in BRAZE_EXPORT_FIELDS:
        return target
    return None if is_standard(target) else attribute_path(target)


def observed_users(
    identifiers: Sequence[ExportIdentifier],
    fields: Sequence[ExportField],
    property_types: Mapping[str, str],
    observation: Observation,
) -> list[MappingPlan]:
    """Read what an import goal saw of Braze: the attributes that this goal writes, in the form in which it writes them.

    A person is known by the first link for which the profile has a value, and can be found again by that one alone: so
    each link has a plan of its own.
    """
    there = set(observation.columns)
    mapped = []
    for field in fields:
        source = _attribute_source(field.to)
        if source is not None and source in there:
            mapped.append(_as_exported(field, property_types, quote(source_column(source))))
    if not mapped:
        return []
    plans = []
    for link in identifiers:
        source = _link_path(link)
        if source in there:
            plans.append(
                MappingPlan(
                    identifiers=(_link_by(link, quote(source_column(source)), is_list=True),),
                    fields=tuple(mapped),
                    clear_missing=True,
                    objectives=(),
                    partitions=1,
                )
            )
    return plans


def _as_exported(field: ExportField, property_types: Mapping[str, str], column: str) -> MappedField:
    """Map an exported attribute as this goal maps its own source; the export's texts are Braze's stored form."""
    if field.kind == "value":
        assert field.value is not None  # noqa: S101  for the type checker: the goal's checks refuse it
        type_ = constant_type(field.value, field.type)
    else:
        type_ = _type(field, property_types)
    if type_ == "object":
        # Braze's list of objects was read as a text for each, and the goal writes one text for all of them.
        column = f"(CASE WHEN len({column}) > 1 THEN ['[' || array_to_string({column}, ',') || ']'] ELSE {column} END)"
    return MappedField(field.to, column, rule=braze_rule(field.to, type_), clearable=is_clearable(field.to))
