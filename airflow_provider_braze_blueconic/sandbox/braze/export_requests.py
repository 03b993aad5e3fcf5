"""What ``POST /users/export/segment`` of the sandbox's Braze is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_braze_blueconic.sandbox.braze.descriptions import find_segment
from airflow_provider_braze_blueconic.sandbox.braze.requests import refuse
from airflow_provider_braze_blueconic.sandbox.braze.workspace import Segment

__all__ = ["EXPORT_FIELDS", "MAX_ATTRIBUTES", "ExportFormat", "ExportRequest", "read_export"]

ExportFormat = Literal["zip", "gzip"]
MAX_ATTRIBUTES = 500  # names in custom_attributes_to_export: docs "POST /users/export/segment", read 2026-11

EXPORT_FIELDS = frozenset(
    """apps attributed_campaign attributed_source attributed_adgroup attributed_ad push_subscribe email_subscribe
    braze_id country created_at created_from custom_attributes custom_events devices dob email external_id first_name
    gender home_city language last_coordinates last_name phone purchases push_tokens random_bucket time_zone
    total_revenue uninstalled_at user_aliases campaigns_received canvases_received cards_clicked""".split()  # noqa: SIM905 - a list a reader can scan
)
"""The page's table, and the last three, which only its reminders and its sample name."""


@dataclass(frozen=True)
class ExportRequest:
    """What was asked for.

    :param fields: of :data:`EXPORT_FIELDS`.
    :param attributes: custom attributes by name.
    """

    segment: Segment
    fields: tuple[str, ...]
    attributes: tuple[str, ...] = ()
    format: ExportFormat = "zip"


def read_export(document: Mapping[str, Any]) -> ExportRequest:
    """Read the body of ``POST /users/export/segment``. ``callback_endpoint`` is taken and never called.

    Status and text of the refusals are UNVERIFIED; so is that an unknown name of a field is refused at all.
    """
    segment = find_segment(document.get("segment_id"))
    fields = document.get("fields_to_export")
    if not _is_list_of_texts(fields) or not fields:
        refuse(400, "fields_to_export is required: a list of names")
    unknown = sorted(set(fields) - EXPORT_FIELDS)
    if unknown:
        refuse(400, f"fields_to_export: {', '.join(unknown)} can not be exported")
    attributes = document.get("custom_attributes_to_export")
    if attributes is None or "custom_attributes" in fields:  # then all of them are exported, whatever stands here
        attributes = []
    if not _is_list_of_texts(attributes) or len(attributes) > MAX_ATTRIBUTES:
        refuse(400, f"custom_attributes_to_export must be a list of at most {MAX_ATTRIBUTES} names")
    form = document.get("output_format", "zip")
    if form not in {"zip", "gzip"}:
        refuse(400, "output_format must be zip or gzip")
    return ExportRequest(segment, tuple(dict.fromkeys(fields)), tuple(attributes), form)


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
