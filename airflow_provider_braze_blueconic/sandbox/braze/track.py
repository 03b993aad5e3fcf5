"""``POST /users/track`` and ``/users/track/bulk`` of the sandbox's Braze."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from airflow_provider_braze_blueconic.sandbox.braze.objects import KINDS, Kind
from airflow_provider_braze_blueconic.sandbox.braze.requests import json_body, refuse
from airflow_provider_braze_blueconic.sandbox.braze.settings import BrazeSettings
from airflow_provider_braze_blueconic.sandbox.braze.state import BrazeState
from airflow_provider_braze_blueconic.sandbox.braze.traffic import Outcome
from airflow_provider_braze_blueconic.sandbox.faults import Fault

__all__ = ["track"]

_NO_VALID_DATA = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."


async def track(
    request: Request, headers: Mapping[str, str], *, state: BrazeState, settings: BrazeSettings, bulk: bool
) -> Response:
    """Answer a request that was let in.

    :param headers: of the answer.
    """
    arrays = await _read_arrays(request, settings, bulk=bulk)
    objects = sum(map(len, arrays.values()))
    if objects > (settings.bulk_objects if bulk else settings.objects):
        state.count_refused_request(objects)
        refuse(400, "Max Input Length Exceeded")
    if bulk:
        _check_objects_per_user(arrays, settings)
    fault: Fault | None = request.scope.get("sandbox.fault")
    kind = None if fault is None else fault.kind
    if fault is not None and kind == "poison" and _names_any(arrays, fault):
        state.count_refused_request(objects)
        refuse(400, fault.text)
    at_most = objects // 2 if kind == "reset_during" else None
    outcome = state.track(arrays, refuse=_refusal(fault, objects), at_most=at_most)
    return _answer(outcome, headers, indexed=fault is None or fault.indexed)


async def _read_arrays(request: Request, settings: BrazeSettings, *, bulk: bool) -> dict[Kind, Sequence[Any]]:
    most = settings.bulk_body_bytes if bulk else settings.body_bytes
    document = await json_body(request, most, too_large=400 if bulk else 413)
    arrays: dict[Kind, Sequence[Any]] = {kind: document[kind] for kind in KINDS if document.get(kind) is not None}
    if not all(isinstance(each, list) for each in arrays.values()) or not any(arrays.values()):
        refuse(400, _NO_VALID_DATA)
    return arrays


def _answer(outcome: Outcome, headers: Mapping[str, str], *, indexed: bool) -> Response:
    errors = list(outcome.errors)
    if not indexed:
        errors = [{name: each for name, each in error.items() if name != "index"} for error in errors]
    if errors and not any(outcome.accepted.values()):
        return JSONResponse({"message": _NO_VALID_DATA, "errors": errors}, status_code=400, headers=dict(headers))
    answer: dict[str, Any] = {f"{kind}_processed": count for kind, count in outcome.accepted.items()}
    answer["message"] = "success"
    if errors:
        answer["errors"] = errors
    return JSONResponse(answer, status_code=201, headers=dict(headers))


def _check_objects_per_user(arrays: Mapping[Kind, Sequence[Any]], settings: BrazeSettings) -> None:
    counted = Counter(
        item["external_id"]
        for items in arrays.values()
        for item in items
        if isinstance(item, dict) and isinstance(item.get("external_id"), str)
    )
    if counted and max(counted.values()) > settings.bulk_objects_per_user:
        refuse(400, f"At most {settings.bulk_objects_per_user} objects are allowed per user")  # text UNVERIFIED


def _names(item: Any) -> set[str]:
    """Return everything by which an object names its user."""
    if not isinstance(item, dict):
        return set()
    names = {str(item[each]) for each in ("external_id", "email", "braze_id", "phone") if each in item}
    alias = item.get("user_alias")
    return names | {str(alias.get("alias_name"))} if isinstance(alias, dict) else names


def _names_any(arrays: Mapping[Kind, Sequence[Any]], fault: Fault) -> bool:
    wanted = set(fault.identifiers)
    return any(_names(item) & wanted for items in arrays.values() for item in items)


def _refusal(fault: Fault | None, objects: int) -> Callable[[Kind, int, Any], str | None] | None:
    """Return the rule of an ``entry_errors`` fault: evenly spread objects, and those of the named people."""
    if fault is None or fault.kind != "entry_errors":
        return None
    wanted = set(fault.identifiers)
    chosen = round(objects * fault.entry_share)

    def refuse(_kind: Kind, index: int, item: Any) -> str | None:
        is_chosen = (index + 1) * chosen // objects > index * chosen // objects
        return fault.text if is_chosen or _names(item) & wanted else None

    return refuse
