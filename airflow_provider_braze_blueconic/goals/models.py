"""The goal as pydantic models: the Python API for what a goal file may hold.

Each model stands with its noun in a module of this folder; who writes a goal in Python, and every other room, finds all
of them here. Their descriptions become the JSON Schema (``goals/schema.py``) and the reference page
(``goals/reference.py``).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal, ExportUpload, LeaversSet
from airflow_provider_braze_blueconic.goals.export_rows import ExportField, ExportIdentifier
from airflow_provider_braze_blueconic.goals.export_source import CsvSource, ExportSource, SegmentSource
from airflow_provider_braze_blueconic.goals.import_goal import CsvDelivery, ImportGoal, ImportUpload
from airflow_provider_braze_blueconic.goals.import_rows import ImportField, ImportIdentifier, RemainingFields
from airflow_provider_braze_blueconic.goals.sections import Connections, Limits, Notify, Retention
from airflow_provider_braze_blueconic.goals.segment_export import ImportSource, Reconcile

__all__ = [
    "Connections",
    "CsvDelivery",
    "CsvSource",
    "ExportField",
    "ExportGoal",
    "ExportIdentifier",
    "ExportSource",
    "ExportUpload",
    "Goal",
    "ImportField",
    "ImportGoal",
    "ImportIdentifier",
    "ImportSource",
    "ImportUpload",
    "LeaversSet",
    "Limits",
    "Notify",
    "Reconcile",
    "RemainingFields",
    "Retention",
    "SegmentSource",
]

Goal = Annotated[ExportGoal | ImportGoal, Field(discriminator="goal")]
