"""``GET /profiles`` of the sandbox's BlueConic: profiles by a unique identifier."""

from __future__ import annotations

import math

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from airflow_provider_braze_blueconic.sandbox.blueconic.state import BlueConicState

__all__ = ["search_profiles"]

_SEARCH_PAGE = 5  # profiles that a search shows: its example, read 2026-11; no parameter for another page is declared


def search_profiles(request: Request, state: BlueConicState) -> Response:
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
