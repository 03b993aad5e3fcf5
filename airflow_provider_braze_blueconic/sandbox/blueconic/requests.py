"""What the sandbox's BlueConic reads in the query of a request, and how it refuses one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

__all__ = ["answer_http_exception", "page_of", "whole_number"]


async def answer_http_exception(_request: Request, exception: Exception) -> Response:
    assert isinstance(exception, HTTPException)  # noqa: S101 - registered for this class only
    # The definition gives no body for most refusals; {code, message, errors} is that of PUT /profiles.
    body = {"code": exception.status_code, "message": exception.detail, "errors": []}
    return JSONResponse(body, status_code=exception.status_code)


def whole_number(request: Request, name: str, *, default: int) -> int:
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


def page_of(request: Request, name: str, items: Sequence[Mapping[str, Any]], *, default: int) -> Response:
    start = whole_number(request, "startIndex", default=0)
    count = whole_number(request, "count", default=default)
    return JSONResponse(
        {
            "itemsPerPage": count,
            "startIndex": start,
            "totalPages": math.ceil(len(items) / count) if count else 0,
            "totalResults": len(items),
            name: list(items[start : start + count]),
        }
    )
