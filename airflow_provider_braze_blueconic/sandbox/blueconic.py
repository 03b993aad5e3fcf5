"""The sandbox's BlueConic: REST API v2 over :class:`~.profiles.BlueConicState`.

Written from BlueConic's public pages and API definition, read 2026-11. What no document states is marked
UNVERIFIED where it is decided.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import secrets
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode

from fastapi import FastAPI, Request
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from .bulk import write_profiles
from .bulk_entries import RequestRefused
from .faults import Fault, Faults
from .profiles import BlueConicState, Profile
from .refinement import Refinement, RefinementError

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "Tokens", "make_app"]

CLIENT_ID = "sandbox-client"
CLIENT_SECRET = "sandbox-secret"  # noqa: S105 - a documented constant of the sandbox
_PREFIX = "/rest/v2"

_MAX_PAGE = 1_000_000  # profiles in a page of a segment: definition of GET /segments/{segment}/profiles, read 2026-11
_DEFAULT_PROFILES = 20  # its default is not declared; the page of the vendor's example
_DEFAULT_SEGMENTS = 10  # not declared either; the same
_DEFAULT_LIST = 20  # profile properties, objectives, dialogues: definition, read 2026-11
_SEARCH_PAGE = 5  # profiles that a search shows: its example, read 2026-11; no parameter for another page is declared
_STREAM_STEP = 100  # profiles rendered at a time while a page streams
_EXPANSIONS = {
    "profiles.profile.permissions": "permissions",
    "profiles.profile.segments": "segments",
    "profiles.profile.replace": "replace",
}


@dataclass(frozen=True)
class _Token:
    dies_at: float
    scopes: frozenset[str]


class Tokens:
    """Access tokens that are alive."""

    def __init__(self) -> None:
        self._tokens: dict[str, _Token] = {}
        self._lock = threading.Lock()

    def give(self, *, seconds: float, scopes: frozenset[str]) -> str:
        text = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[text] = _Token(time.monotonic() + seconds, scopes)
        return text

    def revoke(self, text: str) -> None:
        with self._lock:
            self._tokens.pop(text, None)

    def revoke_all(self) -> None:
        """Throw every token away: the next call of each client is answered 401."""
        with self._lock:
            self._tokens.clear()

    def scopes(self, text: str) -> frozenset[str] | None:
        """Return the scopes of a living token, else ``None``."""
        token = self._tokens.get(text)
        return token.scopes if token is not None and time.monotonic() < token.dies_at else None


def make_app(state: BlueConicState, *, faults: Faults, tokens: Tokens) -> FastAPI:
    """Return the application that serves a tenant."""
    api = _Api(state, faults=faults, tokens=tokens)
    app = FastAPI(title="BlueConic sandbox", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.add_middleware(GZipMiddleware, minimum_size=500, compresslevel=1)
    app.add_exception_handler(HTTPException, _answer_http_exception)
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
        return _give_token(await request.body(), request.headers, faults=self._faults, tokens=self._tokens)

    async def list_segments(self, request: Request) -> Response:
        self._authorise(request, "read:segments")
        wanted = set(request.query_params.getlist("filterTag"))
        segments = [each for each in self._state.describe_segments() if not wanted or wanted & set(each["tags"])]
        return _page_of(request, "segments", segments, default=_DEFAULT_SEGMENTS)

    async def list_profiles(self, request: Request, segment_id: str) -> Response:
        self._authorise(request, "read:segments")
        if segment_id not in self._state.segments:
            raise HTTPException(404, "Not Found")
        return _stream_profiles(request, segment_id, state=self._state, faults=self._faults)

    async def search_profiles(self, request: Request) -> Response:
        self._authorise(request, "read:profiles")
        return _search_profiles(request, self._state)

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
        return _page_of(request, "profileProperties", found, default=_DEFAULT_LIST)

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
        return _page_of(request, "objectives", self._state.describe_objectives(), default=_DEFAULT_LIST)

    async def list_dialogues(self, request: Request) -> Response:
        self._authorise(request, "read:dialogues")
        return _page_of(request, "dialogues", self._state.describe_dialogues(), default=_DEFAULT_LIST)

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


async def _answer_http_exception(_request: Request, exception: Exception) -> Response:
    assert isinstance(exception, HTTPException)  # noqa: S101 - registered for this class only
    # The definition gives no body for most refusals; {code, message, errors} is that of PUT /profiles.
    body = {"code": exception.status_code, "message": exception.detail, "errors": []}
    return JSONResponse(body, status_code=exception.status_code)


def _give_token(body: bytes, headers: Mapping[str, str], *, faults: Faults, tokens: Tokens) -> Response:
    def refuse(status: int, error: str, description: str) -> Response:
        return JSONResponse({"error": error, "error_description": description}, status_code=status)

    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return refuse(400, "invalid_request", "The body must be form-encoded")
    form = {name: texts[0] for name, texts in parse_qs(body.decode("utf-8", "replace")).items()}
    # The definition wants id and secret in the form; the vendor's own client sends them as HTTP Basic. Both are taken.
    client_id, client_secret = form.get("client_id", ""), form.get("client_secret", "")
    if not client_id and headers.get("authorization", "").lower().startswith("basic "):
        client_id, client_secret = _basic(headers["authorization"])
    grant_type = form.get("grant_type")
    if not grant_type or not client_id or not client_secret:
        return refuse(400, "invalid_request", "grant_type, client_id and client_secret are required")
    if grant_type != "client_credentials":
        return refuse(400, "unsupported_grant_type", "This grant type is not supported")
    if (client_id, client_secret) != (CLIENT_ID, CLIENT_SECRET):
        return refuse(401, "invalid_client", "The client id or the secret is wrong")
    scopes = frozenset(faults.blueconic.scopes)
    wanted = frozenset(form.get("scope", "").split())
    if wanted - scopes:
        return refuse(400, "invalid_scope", "Scope not granted")
    seconds = faults.blueconic.token_seconds
    token = tokens.give(seconds=seconds, scopes=wanted or scopes)
    return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": seconds})


def _basic(header: str) -> tuple[str, str]:
    try:
        client_id, _, secret = base64.b64decode(header.split(" ", 1)[1]).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return client_id, secret


def _whole_number(request: Request, name: str, *, default: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        number = int(text)
    except ValueError:
        raise HTTPException(400, f"{name} must be a whole number") from None
    if number < 0:
        raise HTTPException(400, f"{name} must not be negative")
    return number


def _page_of(request: Request, name: str, items: Sequence[Mapping[str, Any]], *, default: int) -> Response:
    start = _whole_number(request, "startIndex", default=0)
    count = _whole_number(request, "count", default=default)
    return JSONResponse(
        {
            "itemsPerPage": count,
            "startIndex": start,
            "totalPages": math.ceil(len(items) / count) if count else 0,
            "totalResults": len(items),
            name: list(items[start : start + count]),
        }
    )


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


def _search_profiles(request: Request, state: BlueConicState) -> Response:
    names, values = request.query_params.getlist("property"), request.query_params.getlist("value")
    properties = {each["id"]: each for each in state.describe_properties()}
    # Which of the parameters are invalid is not said; an unknown property could be "not indexed" just as well.
    if not names or len(names) != len(values) or not properties.keys() >= set(names):
        raise HTTPException(400, "property and value must come in pairs, and the property must exist")
    if not all(properties[name]["indexed"] for name in names):
        raise HTTPException(501, "the property is no unique identifier")
    found = sorted(set.intersection(*(state.look_up(*pair) for pair in zip(names, values, strict=True))))
    return JSONResponse(
        {
            "profiles": [{"id": profile_id} for profile_id in found[:_SEARCH_PAGE]],
            "itemsPerPage": _SEARCH_PAGE,
            "startIndex": 0,
            "totalPages": math.ceil(len(found) / _SEARCH_PAGE),
            "totalResults": len(found),
        }
    )


def _stream_profiles(request: Request, segment_id: str, *, state: BlueConicState, faults: Faults) -> Response:
    parameters = request.query_params
    count = _whole_number(request, "count", default=_DEFAULT_PROFILES)
    if not 0 < count <= _MAX_PAGE:  # refusing 0 is UNVERIFIED
        raise HTTPException(400, f"count must be between 1 and {_MAX_PAGE}")
    if "audienceId" in parameters:  # ignoring it would show a delta that is none
        raise HTTPException(400, "the sandbox keeps no audiences")
    most = _whole_number(request, "maxHitsAllowed", default=0) or None
    refinement = _refinement(parameters.get("refinement"), faults)
    cursor = parameters.get("cursor") or "*"
    page, total, next_cursor = _segment_page(
        state, segment_id, refinement, cursor=cursor, count=count, most=most, fault=request.scope.get("sandbox.fault")
    )
    only = parameters.getlist("profileProperty") or None
    if only is None and "properties" in parameters:  # deprecated, still served
        only = parameters["properties"].split(",")
    expand = frozenset(_EXPANSIONS[each] for each in parameters.getlist("expand") if each in _EXPANSIONS)
    head: dict[str, Any] = {
        "itemsPerPage": count,
        "totalPages": math.ceil(total / count),
        "totalResults": total,
        "cursor": cursor,
    }
    if next_cursor is not None:
        head["nextCursor"] = next_cursor
    head["links"] = [_link(request, "first", "*", count)]
    if next_cursor is not None:
        head["links"].append(_link(request, "next", next_cursor, count))

    async def stream() -> AsyncIterator[bytes]:
        # The cursor comes before the profiles, as in the vendor's example: a page that breaks off has shown it already.
        yield json.dumps(head)[:-1].encode() + b', "profiles": ['
        for start in range(0, len(page), _STREAM_STEP):
            step = page[start : start + _STREAM_STEP]
            yield (b", " if start else b"") + _render_step(state, step, only=only, expand=expand)
        yield b"]}"

    return StreamingResponse(stream(), media_type="application/json")


def _segment_page(
    state: BlueConicState,
    segment_id: str,
    refinement: Refinement | None,
    *,
    cursor: str,
    count: int,
    most: int | None,
    fault: Fault | None,
) -> tuple[Sequence[Profile], int, str | None]:
    """Return the profiles of a page, the announced size and the next cursor, as the fault lets them be."""
    page, total, has_more = state.page(
        segment_id, refinement=refinement, after=_decode_cursor(cursor), count=count, most=most
    )
    next_cursor = _encode_cursor(page[-1].id) if has_more else None
    match fault.kind if fault is not None else None:
        case "empty_index":
            return [], 0, None
        case "missing_profiles":
            assert fault is not None  # noqa: S101  for the type checker
            return page[: len(page) - round(len(page) * fault.entry_share)], total, next_cursor
        case "repeated_page":
            return page, total, cursor if has_more else None
        case _:
            return page, total, next_cursor


def _render_step(
    state: BlueConicState, step: Sequence[Profile], *, only: Sequence[str] | None, expand: frozenset[str]
) -> bytes:
    rendered = (json.dumps(state.render(profile, only=only, expand=expand), ensure_ascii=False) for profile in step)
    return ", ".join(rendered).encode()


def _refinement(text: str | None, faults: Faults) -> Refinement | None:
    if text is None:
        return None
    try:
        refinement = Refinement(text)
    except RefinementError as error:
        raise HTTPException(400, str(error)) from error
    refused = refinement.properties & set(faults.blueconic.refused_refinements)
    if refused:
        raise HTTPException(400, f"no refinement is possible on {', '.join(sorted(refused))}")
    return refinement


def _encode_cursor(profile_id: str) -> str:
    return "AoE" + base64.urlsafe_b64encode(profile_id.encode()).decode().rstrip("=")


def _decode_cursor(cursor: str) -> str:
    if cursor == "*":
        return ""
    coded = cursor.removeprefix("AoE")
    try:
        return base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise HTTPException(400, "the cursor is not valid") from None


def _link(request: Request, rel: str, cursor: str, count: int) -> dict[str, str]:
    query = urlencode({"cursor": cursor, "count": count})
    return {"href": f"{request.url.replace(query=query)}", "rel": rel, "type": "application/json"}
