"""The sandbox's Braze: the REST API over :class:`~.state.BrazeState`.

Written from Braze's docs and from measured answers that others published, read 2026-11. What no document states is
marked UNVERIFIED where it is decided.
"""

from __future__ import annotations

from dataclasses import replace

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from airflow_provider_braze_blueconic.sandbox.braze.descriptions import (
    data_series,
    describe_campaign,
    describe_campaigns,
    describe_segment,
    describe_segments,
    find_segment,
)
from airflow_provider_braze_blueconic.sandbox.braze.export_requests import read_export
from airflow_provider_braze_blueconic.sandbox.braze.exports import ExportRefused, SegmentExports
from airflow_provider_braze_blueconic.sandbox.braze.lists import decode_cursor, encode_cursor, list_page
from airflow_provider_braze_blueconic.sandbox.braze.rate_limits import RateLimits
from airflow_provider_braze_blueconic.sandbox.braze.requests import answer_http_exception, authorise, json_body, key_of
from airflow_provider_braze_blueconic.sandbox.braze.state import BrazeState
from airflow_provider_braze_blueconic.sandbox.braze.track import track
from airflow_provider_braze_blueconic.sandbox.braze.users_by_id import export_ids
from airflow_provider_braze_blueconic.sandbox.faults import Fault
from airflow_provider_braze_blueconic.sandbox.in_force import Faults

__all__ = ["make_app"]

_ATTRIBUTE_PAGE = 50  # docs "GET /custom_attributes", read 2026-11


def make_app(state: BrazeState, *, faults: Faults, exports: SegmentExports) -> FastAPI:
    """Return the application that serves a workspace."""
    api = _Api(state, faults=faults, exports=exports)
    app = FastAPI(title="Braze sandbox", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.add_exception_handler(HTTPException, answer_http_exception)
    for method, path, handler in (
        ("POST", "/users/track", api.track),
        ("POST", "/users/track/bulk", api.track_bulk),
        ("POST", "/users/export/ids", api.export_ids),
        ("POST", "/users/export/segment", api.export_segment),
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
        return await track(request, headers, state=self._state, settings=self._faults.braze, bulk=False)

    async def track_bulk(self, request: Request) -> Response:
        headers = self._admit(request, "users.track.bulk", bucket="track_bulk")
        return await track(request, headers, state=self._state, settings=self._faults.braze, bulk=True)

    async def export_ids(self, request: Request) -> Response:
        headers = self._admit(request, "users.export.ids", bucket="export_ids")
        settings = self._faults.braze
        return export_ids(await json_body(request, settings.body_bytes), headers, self._state, settings)

    async def export_segment(self, request: Request) -> Response:
        headers = self._admit(request, "users.export.segment")
        settings = self._faults.braze
        wanted = read_export(await json_body(request, settings.body_bytes))
        try:
            prefix = self._exports.start(wanted)
        except ExportRefused as refusal:
            # The limits' headers say that requests are left: this 429 is no rate limit.
            raise HTTPException(429, str(refusal), headers=headers) from refusal
        answer = {"message": "success", "object_prefix": prefix}
        if not settings.own_storage:
            # In reality an address of the storage with a signature; nobody fetches it here.
            answer["url"] = f"{request.base_url}downloads/{prefix}.zip?signature=planted-signature"
        return JSONResponse(answer, status_code=201, headers=headers)

    async def list_segments(self, request: Request) -> Response:
        headers = self._admit(request, "segments.list")
        return list_page(request, "segments", describe_segments(), headers)

    async def segment_details(self, request: Request) -> Response:
        headers = self._admit(request, "segments.details")
        segment = find_segment(request.query_params.get("segment_id"))
        return JSONResponse(describe_segment(segment), headers=headers)

    async def segment_sizes(self, request: Request) -> Response:
        headers = self._admit(request, "segments.data_series")
        members = self._state.members(find_segment(request.query_params.get("segment_id")))
        size = round(len(members) * (1 + self._faults.braze.size_error))
        return JSONResponse(data_series(request, size=size), headers=headers)

    async def list_campaigns(self, request: Request) -> Response:
        headers = self._admit(request, "campaigns.list")
        with_archived = request.query_params.get("include_archived", "false").lower() == "true"
        return list_page(request, "campaigns", describe_campaigns(with_archived=with_archived), headers)

    async def campaign_details(self, request: Request) -> Response:
        headers = self._admit(request, "campaigns.details")
        return JSONResponse(describe_campaign(request), headers=headers)

    async def list_custom_attributes(self, request: Request) -> Response:
        headers = self._admit(request, "custom_attributes.get", bucket="custom_attributes")
        start = decode_cursor(request.query_params.get("cursor"))
        attributes = self._state.attributes.describe(array_length=self._faults.braze.array_length)
        if start + _ATTRIBUTE_PAGE < len(attributes):
            following = request.url.replace(query=f"cursor={encode_cursor(start + _ATTRIBUTE_PAGE)}")
            headers["link"] = f'<{following}>; rel="next"'
        page = attributes[start : start + _ATTRIBUTE_PAGE]
        return JSONResponse({"message": "success", "attributes": page}, headers=headers)

    def _admit(self, request: Request, permission: str, *, bucket: str = "shared") -> dict[str, str]:
        """Check key, permission and rate limit; return the rate limit's headers."""
        fault: Fault | None = request.scope.get("sandbox.fault")
        if fault is not None and fault.kind == "key_revoked":
            revoked = key_of(request)
            keys = {key: rights for key, rights in self._faults.braze.keys.items() if key != revoked}
            self._faults.braze = replace(self._faults.braze, keys=keys)
        authorise(request, permission, self._faults.braze)
        passes, headers = self._limits.take(bucket, self._faults.braze)
        if not passes:
            raise HTTPException(429, "Rate Limited", headers=headers)
        return headers
