"""The sandbox's BlueConic: REST API v2 over :class:`~.state.BlueConicState`.

Written from BlueConic's public pages and API definition, read 2026-11. What no document states is marked
UNVERIFIED where it is decided.
"""

from __future__ import annotations

import json

from fastapi import FastAPI, Request
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from airflow_provider_braze_blueconic.sandbox.blueconic.bulk import write_profiles
from airflow_provider_braze_blueconic.sandbox.blueconic.bulk_entries import RequestRefused
from airflow_provider_braze_blueconic.sandbox.blueconic.requests import answer_http_exception, page_of
from airflow_provider_braze_blueconic.sandbox.blueconic.searches import search_profiles
from airflow_provider_braze_blueconic.sandbox.blueconic.segment_pages import stream_profiles
from airflow_provider_braze_blueconic.sandbox.blueconic.state import BlueConicState
from airflow_provider_braze_blueconic.sandbox.blueconic.tokens import Tokens, give_token
from airflow_provider_braze_blueconic.sandbox.in_force import Faults

__all__ = ["make_app"]

_PREFIX = "/rest/v2"
_DEFAULT_SEGMENTS = 10  # not declared either; the same
_DEFAULT_LIST = 20  # profile properties, objectives, dialogues: definition, read 2026-11


def make_app(state: BlueConicState, *, faults: Faults, tokens: Tokens) -> FastAPI:
    """Return the application that serves a tenant."""
    api = _Api(state, faults=faults, tokens=tokens)
    app = FastAPI(title="BlueConic sandbox", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.add_middleware(GZipMiddleware, minimum_size=500, compresslevel=1)
    app.add_exception_handler(HTTPException, answer_http_exception)
    for method, path, handler in (
        ("POST", "/oauth/token", api.give_token),
        ("GET", "/segments", api.list_segments),
        ("GET", "/segments/{segment_id}/profiles", api.list_profiles),
        ("GET", "/profiles", api.search_profiles),
        ("PUT", "/profiles", api.put_profiles),
        ("GET", "/profiles/{profile_id}", api.get_profile),
        ("GET", "/profileProperties", api.list_properties),
        ("GET", "/profileProperties/{property_id}", api.get_property),
        ("PUT", "/profileProperties/{property_id}", api.put_property),
        ("GET", "/objectives", api.list_objectives),
        ("GET", "/dialogues", api.list_dialogues),
    ):
        app.add_api_route(f"{_PREFIX}{path}", handler, methods=[method])
    return app


class _Api:
    """The endpoints, one method each."""

    def __init__(self, state: BlueConicState, *, faults: Faults, tokens: Tokens) -> None:
        self._state = state
        self._faults = faults
        self._tokens = tokens

    async def give_token(self, request: Request) -> Response:
        return give_token(await request.body(), request.headers, faults=self._faults, tokens=self._tokens)

    async def list_segments(self, request: Request) -> Response:
        self._authorise(request, "read:segments")
        wanted = set(request.query_params.getlist("filterTag"))
        segments = [each for each in self._state.describe_segments() if not wanted or wanted & set(each["tags"])]
        return page_of(request, "segments", segments, default=_DEFAULT_SEGMENTS)

    async def list_profiles(self, request: Request, segment_id: str) -> Response:
        self._authorise(request, "read:segments")
        if segment_id not in self._state.segments:
            raise HTTPException(404, "Not Found")
        return stream_profiles(request, segment_id, state=self._state, faults=self._faults)

    async def search_profiles(self, request: Request) -> Response:
        self._authorise(request, "read:profiles")
        return search_profiles(request, self._state)

    async def put_profiles(self, request: Request) -> Response:
        self._authorise(request, "write:profiles")
        most = self._faults.blueconic.concurrent_bulks
        if most is not None and request.scope["sandbox.in_flight"] > most:
            raise HTTPException(429, "Too Many Requests")
        return _put_profiles(request, await request.body(), state=self._state, faults=self._faults)

    async def get_profile(self, request: Request, profile_id: str) -> Response:
        self._authorise(request, "read:profiles")
        profile = self._state.find(profile_id)
        if profile is None:
            raise HTTPException(404, "Not Found")
        parameters = request.query_params
        expand = {"permissions", "replace"}
        if "profile.segments" not in parameters.getlist("collapse"):
            expand.add("segments")
        only = parameters.getlist("profileProperty") or None
        return JSONResponse(self._state.render(profile, only=only, expand=frozenset(expand)))

    async def list_properties(self, request: Request) -> Response:
        self._authorise(request, "read:profile-properties")
        types = set(request.query_params.getlist("filterType"))
        text = request.query_params.get("filterValue", "").lower()
        found = [
            each
            for each in self._state.describe_properties()
            if (not types or each["filterType"] in types) and text in each["name"].lower()
        ]
        return page_of(request, "profileProperties", found, default=_DEFAULT_LIST)

    async def get_property(self, request: Request, property_id: str) -> Response:
        self._authorise(request, "read:profile-properties")
        found = [each for each in self._state.describe_properties() if each["id"] == property_id]
        if not found:
            raise HTTPException(404, "Not Found")
        return JSONResponse(found[0])

    async def put_property(self, request: Request, property_id: str) -> Response:
        self._authorise(request, "write:profile-properties")
        try:
            document = json.loads(await request.body())
        except ValueError:
            raise HTTPException(400, "the body is not valid JSON") from None
        if not isinstance(document, dict):
            raise HTTPException(400, "the body must be a JSON object")
        try:
            return JSONResponse(self._state.save_property(property_id, document))
        except ValueError as error:
            raise HTTPException(400, str(error)) from error

    async def list_objectives(self, request: Request) -> Response:
        self._authorise(request, "read:objectives")
        return page_of(request, "objectives", self._state.describe_objectives(), default=_DEFAULT_LIST)

    async def list_dialogues(self, request: Request) -> Response:
        self._authorise(request, "read:dialogues")
        return page_of(request, "dialogues", self._state.describe_dialogues(), default=_DEFAULT_LIST)

    def _authorise(self, request: Request, scope: str) -> None:
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        fault = request.scope.get("sandbox.fault")
        if fault is not None and fault.kind == "token_expired":
            self._tokens.revoke(text)
        granted = self._tokens.scopes(text) if kind.lower() == "bearer" else None
        if granted is None:
            raise HTTPException(401, "Unauthorized")
        if scope not in granted:
            raise HTTPException(403, f"The application lacks the scope {scope}")


def _put_profiles(request: Request, body: bytes, *, state: BlueConicState, faults: Faults) -> Response:
    try:
        document = json.loads(body)
    except ValueError:
        raise HTTPException(400, "the body is not valid JSON") from None
    objectives = {each for each in request.query_params.get("objectiveIds", "").split(",") if each}
    fault = request.scope.get("sandbox.fault")
    breaks_off = fault is not None and fault.kind == "reset_during" and isinstance(document, list)
    try:
        answer = write_profiles(
            state,
            document,
            objectives=objectives,
            settings=faults.blueconic,
            at_most=len(document) // 2 if breaks_off else None,
            fault=fault if fault is not None and fault.kind == "entry_state" else None,
        )
    except RequestRefused as refused:
        errors = [{"field": place, "message": text} for place, text in refused.faults.items()]
        return JSONResponse({"code": 400, "message": str(refused), "errors": errors}, status_code=400)
    return JSONResponse(list(answer.results), status_code=413 if answer.too_many else 200)
