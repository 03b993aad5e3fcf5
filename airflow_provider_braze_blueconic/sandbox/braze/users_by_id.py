"""``POST /users/export/ids`` of the sandbox's Braze."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from fastapi.responses import JSONResponse, Response

from airflow_provider_braze_blueconic.sandbox.braze.requests import refuse
from airflow_provider_braze_blueconic.sandbox.braze.settings import BrazeSettings
from airflow_provider_braze_blueconic.sandbox.braze.state import BrazeState

__all__ = ["export_ids"]

_EXPORT_IDS = 50  # external ids or aliases in a request: docs "POST /users/export/ids", read 2026-11
_SINGLE = {"braze_id": "braze_id", "email_address": "email", "phone": "phone"}


def export_ids(
    document: Mapping[str, Any], headers: Mapping[str, str], state: BrazeState, settings: BrazeSettings
) -> Response:
    """Answer a request that was let in.

    :param document: the JSON of the body.
    :param headers: of the answer.
    """
    fields = document.get("fields_to_export")
    if fields is None and settings.export_needs_fields:
        refuse(400, "fields_to_export is required")
    found = [(each, state.export(each)) for each in _wanted(document)]
    users = [_only(user, fields) for _, user in found if user is not None]
    unknown = [next(iter(each.values())) for each, user in found if user is None]
    answer: dict[str, Any] = {"message": "success", "users": users}
    if unknown:
        answer["invalid_user_ids"] = unknown
    return JSONResponse(answer, status_code=201, headers=dict(headers))


def _wanted(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return who is asked for, each as the identifiers of an object."""
    external_ids, aliases = document.get("external_ids") or [], document.get("user_aliases") or []
    if len(external_ids) + len(aliases) > _EXPORT_IDS:
        refuse(400, "The max number of external_ids and aliases per request was exceeded")
    single = {_SINGLE[name]: document[name] for name in _SINGLE if document.get(name) is not None}
    wanted = [
        *({"external_id": each} for each in external_ids),
        *({"user_alias": each} for each in aliases),
        *({name: each} for name, each in single.items()),
    ]
    if not wanted:
        refuse(400, "One of external_ids, user_aliases, braze_id, email_address or phone is required")
    return wanted


def _only(user: Mapping[str, Any], fields: Collection[str] | None) -> dict[str, Any]:
    return {name: value for name, value in user.items() if fields is None or name in fields}
