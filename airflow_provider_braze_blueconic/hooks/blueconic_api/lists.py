"""Lists that BlueConic pages by ``startIndex``."""

from __future__ import annotations

from typing import Any

from airflow_provider_braze_blueconic.exceptions import TransientError
from airflow_provider_braze_blueconic.hooks.blueconic_api.definitions import entry_id, whole_number
from airflow_provider_braze_blueconic.hooks.http.caller import Caller
from airflow_provider_braze_blueconic.hooks.http.calls import Answer, Call

__all__ = ["read_list"]

_LIST_PAGE = 100
"""Entries per page of a list. No maximum is published (UNVERIFIED); a server that gives fewer is followed."""


def read_list(caller: Caller, path: str, name: str, scope: str) -> list[dict[str, Any]]:
    """Read a list to its end, and follow pages that are shorter than asked for.

    :param name: of the list in the answer.
    :raises TransientError: fewer entries came than were announced.
    """
    entries: dict[str, dict[str, Any]] = {}
    start = 0

    def why_again(answer: Answer) -> str | None:
        ids = {entry_id(entry) for entry in answer.body[name]}
        return "gave the same page twice" if ids and ids <= entries.keys() else None

    while True:
        params: dict[str, str | int | list[str]] = {"startIndex": start, "count": _LIST_PAGE}
        body = caller.call(Call("GET", path, scope, params=params, list_of=name, why_again=why_again)).body
        total = whole_number(body.get("totalResults"))
        entries |= {entry_id(entry): entry for entry in body[name]}
        start += len(body[name])
        if total is not None and start >= total:
            return list(entries.values())
        if not body[name]:
            if total is not None:
                raise TransientError(f"GET {path} of BlueConic changed during the read: {start} of {total} came.")
            return list(entries.values())
