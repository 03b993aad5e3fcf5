"""What an export goal uses from exported Braze users: the attributes that it writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.braze.constants import constant_type
from airflow_provider_braze_blueconic.sync.braze.values import braze_rule
from airflow_provider_braze_blueconic.sync.engine.columns import source_column
from airflow_provider_braze_blueconic.sync.engine.database import quote
from airflow_provider_braze_blueconic.sync.mapping.plan import MappedField, MappingPlan
from airflow_provider_braze_blueconic.sync.observations.observation import Observation
from airflow_provider_braze_blueconic.sync.plans.export_fields import field_type
from airflow_provider_braze_blueconic.sync.plans.export_links import identifier_link_by, link_path
from airflow_provider_braze_blueconic.vendors.braze_attributes import (
    is_clearable,
    is_standard,
)
from airflow_provider_braze_blueconic.vendors.braze_export_fields import BRAZE_EXPORT_FIELDS
from airflow_provider_braze_blueconic.vendors.braze_paths import attribute_path

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.goals.export_rows import ExportField, ExportIdentifier

__all__ = ["observable_sources", "observed_users"]


def observable_sources(identifiers: Sequence[ExportIdentifier], fields: Sequence[ExportField]) -> dict[str, str]:
    """Name what an export of a Braze segment can show of what a goal writes, and where in the goal each is named.

    Of some attributes Braze exports nothing: subscription groups, and a few standard ones such as ``image_url``.
    """
    needed: dict[str, str] = {}
    for number, link in enumerate(identifiers):
        needed.setdefault(link_path(link), f"identifiers[{number}].braze")
    for number, field in enumerate(fields):
        path = _attribute_source(field.to)
        if path is not None:
            needed.setdefault(path, f"fields[{number}].to")
    return needed


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
        source = link_path(link)
        if source in there:
            plans.append(
                MappingPlan(
                    identifiers=(identifier_link_by(link, quote(source_column(source)), is_list=True),),
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
        type_ = field_type(field, property_types)
    if type_ == "object":
        # Braze's list of objects was read as a text for each, and the goal writes one text for all of them.
        column = f"(CASE WHEN len({column}) > 1 THEN ['[' || array_to_string({column}, ',') || ']'] ELSE {column} END)"
    return MappedField(field.to, column, rule=braze_rule(field.to, type_), clearable=is_clearable(field.to))
