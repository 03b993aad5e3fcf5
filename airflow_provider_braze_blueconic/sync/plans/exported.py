"""What an export goal syncs to Braze unchanged: its part in an echo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.sync.observations.observation import Route
from airflow_provider_braze_blueconic.sync.plans.export_fields import mapped_field

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.goals.export_rows import ExportField

__all__ = ["exported_pairs", "exported_routes"]


def exported_pairs(fields: Sequence[ExportField]) -> dict[str, tuple[str, str]]:
    """Say which attributes take a property as it is: target → (attribute, property)."""
    return {field.to: (field.to, field.property_id) for field in fields if field.property_id is not None}


def exported_routes(fields: Sequence[ExportField], property_types: Mapping[str, str]) -> dict[str, Route]:
    """Say which attributes take a property in whatever form: target → how it is brought over."""
    return {
        field.to: Route(field.to, field.property_id, mapped_field(field, property_types))
        for field in fields
        if field.property_id is not None
    }
