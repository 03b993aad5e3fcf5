"""The connection form of Airflow 3.0 and 3.1, which comes from methods of the hook instead of the metadata."""

from __future__ import annotations

from typing import Any, TypeVar

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import BaseHook
from packaging.version import Version

from airflow_provider_braze_blueconic.get_provider_info import get_provider_info

__all__ = ["DRAWN_FROM_METADATA", "field_behaviour", "form_widgets", "with_connection_form"]

DRAWN_FROM_METADATA = Version(airflow_version).release >= (3, 2)
"""From 3.2 on the metadata is used, and these methods are deprecated."""

_Hook = TypeVar("_Hook", bound=type[BaseHook])


def _entry(conn_type: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        entry for entry in get_provider_info()["connection-types"] if entry["connection-type"] == conn_type
    )
    return found


def field_behaviour(conn_type: str) -> dict[str, Any]:
    """Return which standard fields the form hides and how it labels the others."""
    behaviour = _entry(conn_type)["ui-field-behaviour"]
    return {
        "hidden_fields": behaviour["hidden-fields"],
        "relabeling": behaviour["relabeling"],
        "placeholders": behaviour["placeholders"],
    }


def form_widgets(conn_type: str) -> dict[str, Any]:
    """Return the form's extra fields, all of them text."""
    from wtforms import StringField  # type: ignore[import-not-found,import-untyped,unused-ignore]

    fields = _entry(conn_type)["conn-fields"]
    return {name: StringField(field["label"], description=field["description"]) for name, field in fields.items()}


def with_connection_form(hook: _Hook) -> _Hook:
    """Add the two methods to a hook, if this Airflow version builds the form from them."""
    if not DRAWN_FROM_METADATA:
        conn_type: str = hook.conn_type  # type: ignore[attr-defined]
        # Airflow looks for both in the class itself, not in its parents.
        hook.get_ui_field_behaviour = classmethod(lambda _: field_behaviour(conn_type))  # type: ignore[assignment]
        hook.get_connection_form_widgets = classmethod(lambda _: form_widgets(conn_type))  # type: ignore[assignment]
    return hook
