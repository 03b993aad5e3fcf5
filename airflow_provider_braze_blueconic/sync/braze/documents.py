"""Nested values in the form in which Braze stores them: one canonical JSON text for one content.

All pages read 2026-11.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

from airflow_provider_braze_blueconic.sync.values.moments import read_moment
from airflow_provider_braze_blueconic.vendors.braze_attributes import BRAZE_STRING_CHARACTERS

__all__ = ["DOCUMENT_BYTES", "check_document"]

_LAST_YEAR = 3000  # docs "Nested custom attributes": later dates are not stored
DOCUMENT_BYTES = 100_000  # docs "Nested custom attributes" say 100 KB; KB or KiB is UNVERIFIED, so the smaller

_OPERATORS = frozenset({"inc", "add", "remove", "$add", "$remove", "$update"})
"""Keys that make an object an operation on what the attribute holds: docs "User attributes object"."""


def check_document(text: str) -> tuple[str | None, str | None]:
    """Bring a nested value into canonical form.

    Nulls are left out, wherever they stand: one of them makes Braze drop the attribute's update. What remains is sent,
    an empty object included. A missing key and a null are the same to Braze, which replaces the object.

    :param text: source text.
    :return: (canonical JSON text, None), or (None, reason).
    """
    try:
        return _check_document(text)
    except RecursionError:
        return None, "too_deep"


def _check_document(text: str) -> tuple[str | None, str | None]:
    try:
        value = _without_nulls(json.loads(text, parse_float=_plain_float, object_hook=_stored_object))
        canonical = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        size = len(canonical.encode())
    except ValueError:  # also half of a surrogate pair, which UTF-8 can't hold
        return None, "not_json"
    if isinstance(value, dict):
        if not _OPERATORS.isdisjoint(value):
            return None, "operator_in_object"
        objects = [value]
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        objects = value
    else:
        return None, "not_an_object"
    for item in objects:
        reason = _document_fault(item)
        if reason:
            return None, reason
    if size > DOCUMENT_BYTES:
        return None, "too_large"
    return canonical, None


def _plain_float(text: str) -> float:
    return float(text) + 0.0  # minus zero equals zero and has another text


def _without_nulls(value: object) -> object:
    """Leave the nulls out of a list, and of the lists in it; of its objects they are gone already."""
    return [item for item in map(_without_nulls, value) if item is not None] if isinstance(value, list) else value


def _stored_object(item: dict[str, object]) -> dict[str, object] | None:
    """Leave the nulls out, and write the moment of a ``{"$time": …}`` as Braze does; one without a moment is a null."""
    kept = {key: _without_nulls(value) for key, value in item.items() if value is not None}
    if kept.keys() == {"$time"}:
        return {"$time": _stored_time(kept["$time"])}
    return None if item.keys() == {"$time"} else kept


def _stored_time(text: object) -> str | bool:
    """Return a moment as Braze stores it, ``False`` if it can't be read."""
    moment = read_moment(str(text))
    if moment is None or moment.year > _LAST_YEAR:
        return False
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _document_fault(value: object) -> str | None:
    """Find the first reason why Braze would drop a nested value; one drops every nested update of the attribute."""
    match value:
        case str() if len(value) > BRAZE_STRING_CHARACTERS:
            return "too_long"
        case float() if not math.isfinite(value):
            return "not_a_number"
        case {"$time": moment, **others} if others or not isinstance(moment, str):
            return "bad_date"
        case dict() if "$time" not in value and any(map(_is_bad_key, value)):
            return "bad_key_in_object"
    inner: Iterable[object] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((fault for fault in map(_document_fault, inner) if fault), None)


def _is_bad_key(key: str) -> bool:
    return not key or len(key) > BRAZE_STRING_CHARACTERS or any(character in " .$" for character in key)
