"""The sandbox's Braze: the REST API over :class:`~.users.BrazeState`.

Written from Braze's docs and from measured answers that others published, read 2026-11. What no document states is
marked UNVERIFIED where it is decided.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from .exports import EXPORT_FIELDS, MAX_ATTRIBUTES, ExportRefused, ExportRequest, SegmentExports
from .faults import BrazeSettings, Fault, Faults
from .people import REFERENCE
from .rate_limits import RateLimits
from .users import KINDS, BrazeState, Kind
from .workspace import CAMPAIGNS, SEGMENTS, Segment, campaign_id, segment_id

__all__ = ["API_KEY", "READ_ONLY_API_KEY", "campaign_id", "make_app", "segment_id"]

API_KEY = "sandbox-braze-key"
READ_ONLY_API_KEY = "sandbox-braze-key-read-only"

_LIST_PAGE = 100  # segments and campaigns in a page: docs "GET /segments/list", read 2026-11
_ATTRIBUTE_PAGE = 50  # docs "GET /custom_attributes", read 2026-11
_EXPORT_IDS = 50  # external ids or aliases in a request: docs "POST /users/export/ids", read 2026-11
_MAX_DAYS = 100  # of /segments/data_series: docs, read 2026-11
_NO_VALID_DATA = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."


def make_app(state: BrazeState, *, faults: Faults, exports: SegmentExports) -> FastAPI:
    """Return the application that serves a workspace."""
    api = _Api(state, faults=faults, exports=exports)
    app = FastAPI(title="Braze sandbox", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    for method, path, handler in (
        ("POST", "/users/track", api.track),
        ("POST", "/users/track/bulk", api.track_bulk),
        ("POST", "/users/export/ids", api.export_ids),
        ("POST", "/users/export/segment", api.export_segment),
        ("GET", "/downloads/{name}", api.download),
        ("GET", "/segments/list", api.list_segments),
        ("GET", "/segments/details", api.segment_details),
        ("GET", "/segments/data_series", api.segment_sizes),
        ("GET", "/campaigns/list", api.list_campaigns),
        ("GET", "/campaigns/details", api.campaign_details),
        ("GET", "/custom_attributes", api.list_custom_attributes),
    ):
        app.add_api_route(path, handler, methods=[method])
    return app


class _Api:
    """The endpoints, one method each."""

    def __init__(self, state: BrazeState, *, faults: Faults, exports: SegmentExports) -> None:
        self._state = state
        self._faults = faults
        self._exports = exports
        self._limits = RateLimits()

    async def track(self, request: Request) -> Response:
        headers = self._admit(request, "users.track", bucket="track")
        return await _track(request, headers, state=self._state, settings=self._faults.braze, bulk=False)

    async def track_bulk(self, request: Request) -> Response:
        headers = self._admit(request, "users.track.bulk", bucket="track_bulk")
        return await _track(request, headers, state=self._state, settings=self._faults.braze, bulk=True)

    async def export_ids(self, request: Request) -> Response:
        headers = self._admit(request, "users.export.ids", bucket="export_ids")
        settings = self._faults.braze
        return _export_ids(await _json_body(request, settings.body_bytes), headers, self._state, settings)

    async def export_segment(self, request: Request) -> Response:
        headers = self._admit(request, "users.export.segment")
        settings = self._faults.braze
        wanted = _read_export(await _json_body(request, settings.body_bytes))
        try:
            prefix = self._exports.start(wanted)
        except ExportRefused as refusal:
            # The limits' headers say that requests are left: this 429 is no rate limit.
            raise HTTPException(429, str(refusal), headers=headers) from refusal
        answer = {"message": "success", "object_prefix": prefix}
        if not settings.own_storage:
            answer["url"] = f"{request.base_url}downloads/{prefix}.zip"
        return JSONResponse(answer, status_code=201, headers=headers)

    async def download(self, name: str) -> Response:
        """Serve what ``url`` points to: in reality an address of the storage, which knows no key of Braze."""
        found = self._exports.download(name.removesuffix(".zip"))
        if isinstance(found, bytes):
            return Response(found, media_type="application/zip")
        document = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{found}</Code></Error>\n'
        return Response(document, status_code=403, media_type="application/xml")

    async def list_segments(self, request: Request) -> Response:
        headers = self._admit(request, "segments.list")
        segments = [
            {"id": each.id, "name": each.name, "analytics_tracking_enabled": True, "tags": list(each.tags)}
            for each in SEGMENTS
        ]
        return _page(request, "segments", segments, headers)

    async def segment_details(self, request: Request) -> Response:
        headers = self._admit(request, "segments.details")
        segment = _find_segment(request.query_params.get("segment_id"))
        return JSONResponse(
            {
                "message": "success",
                "created_at": REFERENCE.isoformat(),
                "updated_at": REFERENCE.isoformat(),
                "name": segment.name,
                "description": segment.description,
                "text_description": segment.description,
                "tags": list(segment.tags),
                "teams": [],
            },
            headers=headers,
        )

    async def segment_sizes(self, request: Request) -> Response:
        headers = self._admit(request, "segments.data_series")
        members = self._state.members(_find_segment(request.query_params.get("segment_id")))
        size = round(len(members) * (1 + self._faults.braze.size_error))
        return JSONResponse(_data_series(request, size=size), headers=headers)

    async def list_campaigns(self, request: Request) -> Response:
        headers = self._admit(request, "campaigns.list")
        with_archived = request.query_params.get("include_archived", "false").lower() == "true"
        campaigns = [
            {
                "id": each.id,
                "last_edited": REFERENCE.isoformat(),
                "name": each.name,
                "is_api_campaign": False,
                "tags": ["sandbox"],
            }
            for each in CAMPAIGNS
            if with_archived or not each.is_archived
        ]
        return _page(request, "campaigns", campaigns, headers)

    async def campaign_details(self, request: Request) -> Response:
        headers = self._admit(request, "campaigns.details")
        return JSONResponse(_describe_campaign(request), headers=headers)

    async def list_custom_attributes(self, request: Request) -> Response:
        headers = self._admit(request, "custom_attributes.get", bucket="custom_attributes")
        start = _decode_cursor(request.query_params.get("cursor"))
        attributes = self._state.attributes.describe(array_length=self._faults.braze.array_length)
        if start + _ATTRIBUTE_PAGE < len(attributes):
            following = request.url.replace(query=f"cursor={_encode_cursor(start + _ATTRIBUTE_PAGE)}")
            headers["link"] = f'<{following}>; rel="next"'
        page = attributes[start : start + _ATTRIBUTE_PAGE]
        return JSONResponse({"message": "success", "attributes": page}, headers=headers)

    def _admit(self, request: Request, permission: str, *, bucket: str = "shared") -> dict[str, str]:
        """Check key, permission and rate limit; return the rate limit's headers."""
        fault: Fault | None = request.scope.get("sandbox.fault")
        if fault is not None and fault.kind == "key_revoked":
            revoked = _key(request)
            keys = {key: rights for key, rights in self._faults.braze.keys.items() if key != revoked}
            self._faults.braze = replace(self._faults.braze, keys=keys)
        _authorise(request, permission, self._faults.braze)
        passes, headers = self._limits.take(bucket, self._faults.braze)
        if not passes:
            raise HTTPException(429, "Rate Limited", headers=headers)
        return headers


async def _answer_http_exception(request: Request, exception: Exception) -> Response:
    assert isinstance(exception, HTTPException)  # noqa: S101 - registered for this class only
    if exception.status_code == 404 and request.url.path.endswith("/"):
        # The docs list a trailing slash among the causes of "Access Denied".
        return JSONResponse({"message": "Access Denied"}, status_code=403)
    return JSONResponse({"message": exception.detail}, status_code=exception.status_code, headers=exception.headers)


def _refuse(status: int, message: str) -> NoReturn:
    raise HTTPException(status, message)


def _key(request: Request) -> str:
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    return key if kind == "Bearer" else ""


def _authorise(request: Request, permission: str, settings: BrazeSettings) -> None:
    key = _key(request)
    permissions = settings.keys.get(key)
    if permissions is None:
        # A third party reports that the real body repeats the key: whoever logs it leaks it.
        _refuse(401, f"Invalid API key: {key}")
    if permission not in permissions:
        _refuse(403, f"Access Denied: the API key lacks the permission {permission}")


async def _json_body(request: Request, most: int, *, too_large: int = 413) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        _refuse(415, "Unsupported Media Type")
    body = await request.body()
    if len(body) > most:
        _refuse(too_large, "Request Entity Too Large")
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        _refuse(400, "Bad Request: the body is not valid JSON")
    if not isinstance(document, dict):
        _refuse(400, "Bad Request: the body must be a JSON object")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


async def _track(
    request: Request, headers: Mapping[str, str], *, state: BrazeState, settings: BrazeSettings, bulk: bool
) -> Response:
    most = settings.bulk_body_bytes if bulk else settings.body_bytes
    document = await _json_body(request, most, too_large=400 if bulk else 413)
    arrays: dict[Kind, Sequence[Any]] = {kind: document[kind] for kind in KINDS if document.get(kind) is not None}
    if not all(isinstance(each, list) for each in arrays.values()):
        _refuse(400, _NO_VALID_DATA)
    objects = sum(map(len, arrays.values()))
    if objects == 0:
        _refuse(400, _NO_VALID_DATA)
    if objects > (settings.bulk_objects if bulk else settings.objects):
        state.count_refused_request(objects)
        _refuse(400, "Max Input Length Exceeded")
    if bulk:
        _check_objects_per_user(arrays, settings)
    fault: Fault | None = request.scope.get("sandbox.fault")
    if fault is not None and fault.kind == "poison" and _names_any(arrays, fault):
        state.count_refused_request(objects)
        _refuse(400, fault.text)
    at_most = objects // 2 if fault is not None and fault.kind == "reset_during" else None
    outcome = state.track(arrays, refuse=_refusal(fault, objects), at_most=at_most)
    errors = list(outcome.errors)
    if fault is not None and not fault.indexed:
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
        _refuse(400, f"At most {settings.bulk_objects_per_user} objects are allowed per user")  # text UNVERIFIED


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


def _export_ids(
    document: Mapping[str, Any], headers: Mapping[str, str], state: BrazeState, settings: BrazeSettings
) -> Response:
    fields = document.get("fields_to_export")
    if fields is None and settings.export_needs_fields:
        _refuse(400, "fields_to_export is required")
    external_ids, aliases = document.get("external_ids") or [], document.get("user_aliases") or []
    if len(external_ids) + len(aliases) > _EXPORT_IDS:
        _refuse(400, "The max number of external_ids and aliases per request was exceeded")
    wanted = [
        *({"external_id": each} for each in external_ids),
        *({"user_alias": each} for each in aliases),
        *(
            {name: document[given]}
            for name, given in (("braze_id", "braze_id"), ("email", "email_address"), ("phone", "phone"))
            if document.get(given) is not None
        ),
    ]
    if not wanted:
        _refuse(400, "One of external_ids, user_aliases, braze_id, email_address or phone is required")
    found = [(each, state.export(each)) for each in wanted]
    users = [
        {name: value for name, value in user.items() if fields is None or name in fields}
        for _, user in found
        if user is not None
    ]
    unknown = [next(iter(each.values())) for each, user in found if user is None]
    answer: dict[str, Any] = {"message": "success", "users": users}
    if unknown:
        answer["invalid_user_ids"] = unknown
    return JSONResponse(answer, status_code=201, headers=dict(headers))


def _read_export(document: Mapping[str, Any]) -> ExportRequest:
    """Read the body of ``POST /users/export/segment``. ``callback_endpoint`` is taken and never called.

    Status and text of the refusals are UNVERIFIED; so is that an unknown name of a field is refused at all.
    """
    segment = _find_segment(document.get("segment_id"))
    fields = document.get("fields_to_export")
    if not _is_list_of_texts(fields) or not fields:
        _refuse(400, "fields_to_export is required: a list of names")
    unknown = sorted(set(fields) - EXPORT_FIELDS)
    if unknown:
        _refuse(400, f"fields_to_export: {', '.join(unknown)} can not be exported")
    attributes = document.get("custom_attributes_to_export")
    if attributes is None or "custom_attributes" in fields:  # then all of them are exported, whatever stands here
        attributes = []
    if not _is_list_of_texts(attributes) or len(attributes) > MAX_ATTRIBUTES:
        _refuse(400, f"custom_attributes_to_export must be a list of at most {MAX_ATTRIBUTES} names")
    form = document.get("output_format", "zip")
    if form not in {"zip", "gzip"}:
        _refuse(400, "output_format must be zip or gzip")
    return ExportRequest(segment, tuple(dict.fromkeys(fields)), tuple(attributes), form)


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _page(request: Request, name: str, items: list[dict[str, Any]], headers: Mapping[str, str]) -> Response:
    page = _whole_number(request, "page", default=0)
    if request.query_params.get("sort_direction", "asc") == "desc":
        items.reverse()
    shown = items[page * _LIST_PAGE : (page + 1) * _LIST_PAGE]
    return JSONResponse({"message": "success", name: shown}, headers=dict(headers))


def _whole_number(request: Request, name: str, *, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isdigit():
        _refuse(400, f"{name} must be a whole number")
    return int(text)


def _find_segment(wanted: Any) -> Segment:
    for segment in SEGMENTS:
        if segment.id == wanted:
            return segment
    _refuse(400, "Invalid segment_id")  # status and text UNVERIFIED


def _data_series(request: Request, *, size: int) -> dict[str, Any]:
    days = _whole_number(request, "length", default=0)
    if not 1 <= days <= _MAX_DAYS:
        _refuse(400, f"length must be between 1 and {_MAX_DAYS}")
    try:
        ending = datetime.fromisoformat(request.query_params.get("ending_at", REFERENCE.isoformat()))
    except ValueError:
        _refuse(400, "ending_at must be an ISO 8601 time")
    data = [{"time": (ending - timedelta(days=days - 1 - day)).date().isoformat(), "size": size} for day in range(days)]
    return {"message": "success", "data": data}


def _describe_campaign(request: Request) -> dict[str, Any]:
    wanted = request.query_params.get("campaign_id", "")
    campaign = next((each for each in CAMPAIGNS if each.id == wanted), None)
    if campaign is None:
        _refuse(400, "Invalid Campaign ID")
    return {
        "message": "success",
        "created_at": REFERENCE.isoformat(),
        "updated_at": REFERENCE.isoformat(),
        "archived": campaign.is_archived,
        "draft": False,
        "enabled": not campaign.is_archived,
        "has_post_launch_draft": False,
        "name": campaign.name,
        "description": "",
        "schedule_type": "time_based",
        "channels": ["email"],
        "first_sent": REFERENCE.isoformat(),
        "last_sent": REFERENCE.isoformat(),
        "tags": ["sandbox"],
        "teams": [],
        "messages": {},
        "conversion_behaviors": [],
    }


def _encode_cursor(start: int) -> str:
    return base64.urlsafe_b64encode(f"skip:{start}".encode()).decode().rstrip("=")


def _decode_cursor(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        return int(text.removeprefix("skip:"))
    except (binascii.Error, ValueError):
        _refuse(400, "Invalid cursor")
