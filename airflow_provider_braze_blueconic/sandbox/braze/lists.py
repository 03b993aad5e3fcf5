"""Lists of the sandbox's Braze, page by page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from airflow_provider_braze_blueconic.sandbox.braze.requests import refuse, whole_number

__all__ = ["decode_cursor", "encode_cursor", "list_page"]

_LIST_PAGE = 100  # segments and campaigns in a page: docs "GET /segments/list", read 2026-11


def list_page(request: Request, name: str, items: list[dict[str, Any]], headers: Mapping[str, str]) -> Response:
    page = whole_number(request, "page", default=0)
    if request.query_params.get("sort_direction", "asc") == "desc":
        items.reverse()
    shown = items[page * _LIST_PAGE : (page + 1) * _LIST_PAGE]
    return JSONResponse({"message": "success", name: shown}, headers=dict(headers))


def encode_cursor(start: int) -> str:
    return base64.urlsafe_b64encode(f"skip:{start}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        return int(text.removeprefix("skip:"))
    except (binascii.Error, ValueError):
        refuse(400, "Invalid cursor")
