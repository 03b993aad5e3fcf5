"""What a gate answers where a fault hits."""

from __future__ import annotations

import json
import math
import time
from http import HTTPStatus
from typing import Any

from airflow_provider_braze_blueconic.sandbox.faults import Fault
from airflow_provider_braze_blueconic.sandbox.in_force import Faults
from airflow_provider_braze_blueconic.sandbox.passages import App, Passage

__all__ = ["answer_faulty"]

_HTML = b"<!DOCTYPE html>\n<html><head><title>Sorry</title></head><body><h1>Try again later</h1></body></html>\n"


async def answer_faulty(app: App, passage: Passage, fault: Fault, *, settings: Faults) -> None:
    match fault.kind:
        case "reset_before":
            await passage.reset()
        case "reset_during" | "reset_after":
            await passage.answer_silently(app)
            await passage.reset()
        case "timeout_before":
            await _time_out(passage, fault, settings)
        case "timeout_after":
            await passage.answer_silently(app)
            await _time_out(passage, fault, settings)
        case "status":
            await _refuse(passage, fault, fault.status, settings)
        case "status_after":
            await passage.answer_silently(app)
            await _refuse(passage, fault, fault.status, settings)
        case "html":
            await passage.answer_with(fault.status, _HTML, {"content-type": "text/html", **fault.headers})
        case "cut_body" | "broken_stream" | "truncated_stream":
            await _answer_cut(app, passage, fault)
        case _:  # made by the service itself, which finds the fault in the scope
            await passage.answer(app)


async def _time_out(passage: Passage, fault: Fault, settings: Faults) -> None:
    if await passage.hang(fault.delay_s):
        await _refuse(passage, fault, 504, settings)


async def _refuse(passage: Passage, fault: Fault, status: int, settings: Faults) -> None:
    phrase = HTTPStatus(status).phrase
    headers = {"content-type": "application/json"}
    if fault.service == "braze":
        document: dict[str, Any] = {"message": "Rate Limited" if status == 429 else phrase}
        if status == 429 and settings.braze.limited_form == "retry_after":
            headers["x-ratelimit-retry-after"] = str(fault.retry_after_s)
        elif status == 429:
            reset = fault.retry_after_s + (time.time() if settings.braze.reset_form == "epoch" else 0)
            headers["x-ratelimit-limit"] = str(settings.braze.track_requests)
            headers["x-ratelimit-remaining"] = "0"
            headers["x-ratelimit-reset"] = str(math.ceil(reset))
    else:  # BlueConic declares no header to wait by
        document = {"code": status, "message": phrase, "errors": []}
    await passage.answer_with(status, json.dumps(document).encode(), {**headers, **fault.headers})


async def _answer_cut(app: App, passage: Passage, fault: Fault) -> None:
    """Answer with a body that stops early: by a broken connection, or as if it were complete."""
    # A cut compressed body would be a fault of another layer.
    passage.scope["headers"] = [pair for pair in passage.scope["headers"] if pair[0] != b"accept-encoding"]
    answer = await passage.answer_silently(app)
    keep = len(answer.body) // 2 if fault.kind == "cut_body" else min(fault.at_bytes, len(answer.body) - 2)
    kept = answer.body[: max(keep, 0)]
    headers = {**answer.headers, "content-length": str(len(kept))} if fault.kind == "cut_body" else answer.headers
    encoded = [(name.encode(), text.encode()) for name, text in headers.items()]
    await passage.send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await passage.send({"type": "http.response.body", "body": kept, "more_body": fault.kind == "broken_stream"})
    if fault.kind == "broken_stream":
        await passage.close()
