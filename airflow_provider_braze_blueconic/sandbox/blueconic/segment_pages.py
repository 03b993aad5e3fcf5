"""``GET /segments/{segment}/profiles`` of the sandbox's BlueConic."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.exceptions import HTTPException

from airflow_provider_braze_blueconic.sandbox.blueconic.profile import Profile
from airflow_provider_braze_blueconic.sandbox.blueconic.refinement import Refinement, RefinementError
from airflow_provider_braze_blueconic.sandbox.blueconic.requests import whole_number
from airflow_provider_braze_blueconic.sandbox.blueconic.state import BlueConicState
from airflow_provider_braze_blueconic.sandbox.faults import Fault
from airflow_provider_braze_blueconic.sandbox.in_force import Faults

__all__ = ["stream_profiles"]

_MAX_PAGE = 1_000_000  # profiles in a page of a segment: definition of GET /segments/{segment}/profiles, read 2026-11
_DEFAULT_PROFILES = 20  # its default is not declared; the page of the vendor's example
_STREAM_STEP = 100  # profiles rendered at a time while a page streams

_EXPANSIONS = {
    "profiles.profile.permissions": "permissions",
    "profiles.profile.segments": "segments",
    "profiles.profile.replace": "replace",
}


def stream_profiles(request: Request, segment_id: str, *, state: BlueConicState, faults: Faults) -> Response:
    """Answer a request for a page of a segment that exists."""
    parameters = request.query_params
    count = _count(request)
    most = whole_number(request, "maxHitsAllowed", default=0) or None
    refinement = _refinement(parameters.get("refinement"), faults)
    cursor = parameters.get("cursor") or "*"
    page, total, next_cursor = _segment_page(
        state, segment_id, refinement, cursor=cursor, count=count, most=most, fault=request.scope.get("sandbox.fault")
    )
    only = _only(request)
    expand = frozenset(_EXPANSIONS[each] for each in parameters.getlist("expand") if each in _EXPANSIONS)
    head = json.dumps(_head(request, count=count, total=total, cursor=cursor, next_cursor=next_cursor))

    async def stream() -> AsyncIterator[bytes]:
        # The cursor comes before the profiles, as in the vendor's example: a page that breaks off has shown it already.
        yield head[:-1].encode() + b', "profiles": ['
        for start in range(0, len(page), _STREAM_STEP):
            step = page[start : start + _STREAM_STEP]
            yield (b", " if start else b"") + _render_step(state, step, only=only, expand=expand)
        yield b"]}"

    return StreamingResponse(stream(), media_type="application/json")


def _count(request: Request) -> int:
    count = whole_number(request, "count", default=_DEFAULT_PROFILES)
    if not 0 < count <= _MAX_PAGE:  # refusing 0 is UNVERIFIED
        raise HTTPException(400, f"count must be between 1 and {_MAX_PAGE}")
    if "audienceId" in request.query_params:  # ignoring it would show a delta that is none
        raise HTTPException(400, "the sandbox keeps no audiences")
    return count


def _only(request: Request) -> list[str] | None:
    """Return the ids of the properties that are asked for; ``None`` for all."""
    only = request.query_params.getlist("profileProperty") or None
    if only is None and "properties" in request.query_params:  # deprecated, still served
        only = request.query_params["properties"].split(",")
    return only


def _head(request: Request, *, count: int, total: int, cursor: str, next_cursor: str | None) -> dict[str, Any]:
    """Return everything of a page but its profiles."""
    links = [_link(request, "first", "*", count)]
    following: dict[str, str] = {}
    if next_cursor is not None:
        links.append(_link(request, "next", next_cursor, count))
        following["nextCursor"] = next_cursor
    return {
        "itemsPerPage": count,
        "totalPages": math.ceil(total / count),
        "totalResults": total,
        "cursor": cursor,
        **following,
        "links": links,
    }


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
