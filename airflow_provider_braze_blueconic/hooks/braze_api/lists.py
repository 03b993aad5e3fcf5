"""Lists of Braze, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer
from airflow_provider_braze_blueconic.hooks.braze_api.definitions import entry_id
from airflow_provider_braze_blueconic.hooks.http.caller import Caller
from airflow_provider_braze_blueconic.hooks.http.calls import Answer, Call

__all__ = ["LIST_PAGE", "list_call", "read_custom_attributes", "read_list"]

LIST_PAGE = 100
"""Entries per page of ``/segments/list`` and ``/campaigns/list``: docs of both, read 2026-11."""

_LIST_PAGES = 10_000


def list_call(path: str, name: str, page: int, extra: Mapping[str, str] | None = None) -> Call:
    """Make the call for one page, counted from 0."""
    # Oldest first, so that what is made while the list is read comes at its end.
    params: dict[str, str | int | list[str]] = {"page": page, "sort_direction": "asc", **(extra or {})}
    return Call("GET", path, f"{name}.list", params=params, list_of=name)


def read_list(caller: Caller, path: str, name: str, extra: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """Read pages until one has fewer than 100 entries; no count and no next link is documented."""
    seen: set[str] = set()

    def why_again(answer: Answer) -> str | None:
        ids = {entry_id(entry) for entry in answer.body[name]}
        return "returned the same page twice" if ids and ids <= seen else None

    for page in range(_LIST_PAGES):
        call = replace(list_call(path, name, page, extra), why_again=why_again)
        entries = caller.call(call).body[name]
        yield from (entry for entry in entries if entry["id"] not in seen)
        seen |= {entry_id(entry) for entry in entries}
        if len(entries) < LIST_PAGE:
            return
    raise UnexpectedAnswer(f"GET {path} of Braze never ends.")


def read_custom_attributes(caller: Caller) -> Iterator[dict[str, Any]]:
    """Read all custom attributes, whose pages are linked by a cursor."""
    params: dict[str, str | int | list[str]] = {}
    seen: set[str] = set()

    def why_again(answer: Answer) -> str | None:
        return "linked to a page that was already read" if _next_cursor(answer) in seen else None

    while True:
        answer = caller.call(
            Call(
                "GET",
                "/custom_attributes",
                "custom_attributes.get",
                params=params,
                list_of="attributes",
                why_again=why_again,
            )
        )
        yield from answer.body["attributes"]
        if answer.next_link is None:
            return
        cursor = _next_cursor(answer)
        if not cursor:
            raise UnexpectedAnswer("Braze's link to the next page of GET /custom_attributes can't be followed.")
        seen.add(cursor)
        params = {"cursor": cursor}


def _next_cursor(answer: Answer) -> str:
    # Only the cursor is taken from the link: the key never goes to an address that an answer names.
    return parse_qs(urlsplit(answer.next_link or "").query).get("cursor", [""])[0]
