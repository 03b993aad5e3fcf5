"""What the sandbox's Braze asks of every request."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from airflow_provider_braze_blueconic.sandbox.braze.settings import BrazeSettings

__all__ = ["answer_http_exception", "authorise", "json_body", "key_of", "refuse", "whole_number"]


async def answer_http_exception(request: Request, exception: Exception) -> Response:
    assert isinstance(exception, HTTPException)  # noqa: S101 - registered for this class only
    if exception.status_code == 404 and request.url.path.endswith("/"):
        # The docs list a trailing slash among the causes of "Access Denied".
        return JSONResponse({"message": "Access Denied"}, status_code=403)
    return JSONResponse({"message": exception.detail}, status_code=exception.status_code, headers=exception.headers)


def refuse(status: int, message: str) -> NoReturn:
    raise HTTPException(status, message)


def key_of(request: Request) -> str:
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    return key if kind == "Bearer" else ""


def authorise(request: Request, permission: str, settings: BrazeSettings) -> None:
    key = key_of(request)
    permissions = settings.keys.get(key)
    if permissions is None:
        # A third party reports that the real body repeats the key: whoever logs it leaks it.
        refuse(401, f"Invalid API key: {key}")
    if permission not in permissions:
        refuse(403, f"Access Denied: the API key lacks the permission {permission}")


async def json_body(request: Request, most: int, *, too_large: int = 413) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        refuse(415, "Unsupported Media Type")
    body = await request.body()
    if len(body) > most:
        refuse(too_large, "Request Entity Too Large")
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        refuse(400, "Bad Request: the body is not valid JSON")
    if not isinstance(document, dict):
        refuse(400, "Bad Request: the body must be a JSON object")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def whole_number(request: Request, name: str, *, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isdigit():
        refuse(400, f"{name} must be a whole number")
    return int(text)
