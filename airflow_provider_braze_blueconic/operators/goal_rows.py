"""The rows of a goal that operators get as plain mappings, read as models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.goals.export_rows import ExportField, ExportIdentifier
    from airflow_provider_braze_blueconic.goals.import_rows import ImportField, ImportIdentifier

__all__ = ["Direction", "Rows", "export_rows", "import_rows"]

Direction = Literal["export", "import"]
"""``export``: BlueConic to Braze, ``import``: Braze to BlueConic. It decides the two ends; the rest is the same."""

Rows = Sequence[Mapping[str, Any]]


def export_rows(identifiers: Rows, fields: Rows) -> tuple[list[ExportIdentifier], list[ExportField]]:
    """Read the identifier links and the fields of an export goal."""
    from airflow_provider_braze_blueconic.goals.export_rows import ExportField, ExportIdentifier

    return (
        [ExportIdentifier.model_validate(row) for row in identifiers],
        [ExportField.model_validate(row) for row in fields],
    )


def import_rows(identifiers: Rows, fields: Rows) -> tuple[list[ImportIdentifier], list[ImportField]]:
    """Read the identifier links and the fields of an import goal."""
    from airflow_provider_braze_blueconic.goals.import_rows import ImportField, ImportIdentifier

    return (
        [ImportIdentifier.model_validate(row) for row in identifiers],
        [ImportField.model_validate(row) for row in fields],
    )
