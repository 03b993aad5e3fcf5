"""What Braze exports of a user: the fields, with what each holds.

Docs "POST /users/export/segment", read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

__all__ = [
    "BRAZE_EXPORT_FIELDS",
    "CAMPAIGNS",
    "COORDINATES",
    "COORDINATES_THERE",
    "CUSTOM_ATTRIBUTES",
    "EXPORT_PARTS",
    "ExportKind",
]

ExportKind = Literal["string", "integer", "float", "time", "boolean", "array", "object", "any"]
"""What a field of an exported Braze user holds; ``any`` for custom attributes and what no page names."""

CUSTOM_ATTRIBUTES = "custom_attributes"
CAMPAIGNS = "campaigns_received"
COORDINATES = "last_coordinates"
COORDINATES_THERE = 2  # docs "POST /users/export/segment", read 2026-11: longitude and latitude

# Docs "POST /users/export/segment", fields_to_export, read 2026-11. `custom_attributes` is asked for by attribute.
# campaigns_received and canvases_received are not in that table, but are named as fields by the same page.
BRAZE_EXPORT_FIELDS: Mapping[str, ExportKind] = MappingProxyType(
    {
        "apps": "array",
        "attributed_ad": "string",
        "attributed_adgroup": "string",
        "attributed_campaign": "string",
        "attributed_source": "string",
        "braze_id": "string",
        "campaigns_received": "array",
        "canvases_received": "array",
        "country": "string",
        "created_at": "time",
        "created_from": "string",
        "custom_events": "array",
        "devices": "array",
        "dob": "string",
        "email": "string",
        "email_subscribe": "string",
        "external_id": "string",
        "first_name": "string",
        "gender": "string",
        "home_city": "string",
        "language": "string",
        "last_coordinates": "array",
        "last_name": "string",
        "phone": "string",
        "purchases": "array",
        "push_subscribe": "string",
        "push_tokens": "array",
        "random_bucket": "integer",
        "time_zone": "string",
        "total_revenue": "float",
        "uninstalled_at": "time",
        "user_aliases": "array",
    }
)


# The same page, user object and sample output, read 2026-11. A part that is not here can be read all the same, since
# the page's own table and sample differ; only its kind is not known.
_COUNTED: Mapping[str, ExportKind] = {"name": "string", "first": "time", "last": "time", "count": "integer"}

EXPORT_PARTS: Mapping[str, Mapping[str, ExportKind]] = {
    "apps": {
        "name": "string",
        "platform": "string",
        "version": "string",
        "sessions": "integer",
        "first_used": "time",
        "last_used": "time",
    },
    "campaigns_received": {
        "name": "string",
        "api_campaign_id": "string",
        "last_received": "time",
        "engaged": "object",
        "converted": "boolean",
        "multiple_converted": "object",
        "variation_name": "string",
        "variation_api_id": "string",
        "in_control": "boolean",
    },
    "canvases_received": {
        "name": "string",
        "api_canvas_id": "string",
        "last_received_message": "time",
        "last_entered": "time",
        "last_exited": "time",
        "last_entered_control_at": "time",
        "variation_name": "string",
        "in_control": "boolean",
        "steps_received": "array",
    },
    "custom_events": _COUNTED,
    "devices": {
        "model": "string",
        "os": "string",
        "carrier": "string",
        "idfv": "string",
        "idfa": "string",
        "device_id": "string",
        "google_ad_id": "string",
        "roku_ad_id": "string",
        "ad_tracking_enabled": "boolean",
    },
    "purchases": _COUNTED,
    "push_tokens": {
        "app": "string",
        "platform": "string",
        "token": "string",
        "device_id": "string",
        "notifications_enabled": "boolean",
    },
    "user_aliases": {"alias_name": "string", "alias_label": "string"},
}
