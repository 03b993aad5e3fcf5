"""What an export goal reads of BlueConic's profiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from airflow_provider_braze_blueconic.sync.blueconic.profile_columns import (
    INTERACTIONS_PROPERTY,
    LAST_MODIFIED_PROPERTY,
)
from airflow_provider_braze_blueconic.sync.plans.export_links import NAMED_WITHOUT_ID

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.goals.export_rows import ExportField, ExportIdentifier

__all__ = ["expansions", "properties_to_read"]

_ALWAYS_READ = (LAST_MODIFIED_PROPERTY,)


def properties_to_read(identifiers: Sequence[ExportIdentifier], fields: Sequence[ExportField]) -> dict[str, str]:
    """Name the BlueConic properties that a goal needs, and where in the goal each is named first."""
    needed: dict[str, str] = {}
    for number, link in enumerate(identifiers):
        if link.blueconic != NAMED_WITHOUT_ID:
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
