"""The paths by which other processes look at the sandbox and steer it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, Protocol

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from airflow_provider_braze_blueconic.sandbox.blueconic.days import DaySummary
from airflow_provider_braze_blueconic.sandbox.braze.days import BrazeDay
from airflow_provider_braze_blueconic.sandbox.braze.state import BrazeState
from airflow_provider_braze_blueconic.sandbox.in_force import Faults

__all__ = ["add_controls"]


class _Steered(Protocol):
    """What the paths need of a sandbox."""

    braze: BrazeState
    faults: Faults

    def summary(self) -> dict[str, Any]: ...

    def counters(self) -> dict[str, Any]: ...

    def next_day(
        self, *, changed: float = ..., entered: float = ..., left: float = ..., apart_from: Collection[str] = ...
    ) -> DaySummary: ...

    def next_day_in_braze(self, *, changed: float = ..., apart_from: Collection[str] = ...) -> BrazeDay: ...


def add_controls(app: FastAPI, box: _Steered) -> None:
    """Add the paths by which other processes look at the sandbox and steer it; both services answer them."""

    @app.get("/sandbox/state")
    async def state() -> Response:
        return JSONResponse(box.summary())

    @app.get("/sandbox/requests")
    async def requests() -> Response:
        return JSONResponse(box.counters())

    @app.get("/sandbox/users")
    async def users() -> Response:
        async def lines() -> AsyncIterator[bytes]:
            for user in box.braze.users():
                yield json.dumps(user, ensure_ascii=False).encode() + b"\n"

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    @app.post("/sandbox/next-day")
    async def next_day(request: Request) -> Response:
        return await _let_a_day_pass(request, box.next_day)

    @app.post("/sandbox/next-day-in-braze")
    async def next_day_in_braze(request: Request) -> Response:
        return await _let_a_day_pass(request, box.next_day_in_braze)

    @app.post("/sandbox/faults")
    async def set_faults(request: Request) -> Response:
        try:
            box.faults.configure(json.loads(await request.body()))
        except ValueError as error:
            return JSONResponse({"message": str(error)}, status_code=400)
        return JSONResponse({"faults": box.faults.describe()})


async def _let_a_day_pass(request: Request, pass_day: Callable[..., DaySummary | BrazeDay]) -> Response:
    body = await request.body()
    try:
        return JSONResponse(pass_day(**(json.loads(body) if body else {})).counts())
    except (TypeError, ValueError) as error:
        return JSONResponse({"message": str(error)}, status_code=400)
