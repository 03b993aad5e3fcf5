"""Whether BlueConic holds what Braze's users brought: the other direction of :mod:`~.exported`.

For each field it is worked out in plain Python what a profile should hold after an import, and that is compared with
what BlueConic's side of the sandbox does hold. It shares nothing with the mapping.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from airflow_provider_braze_blueconic.sandbox.agreement.outcome import Agreement

__all__ = ["compare_import"]

_MOST_TEXT = 64_000
_NUMBERS = ("RANGE", "DECIMAL", "CURRENCY")
_LARGEST_NUMBER = 2_147_483_647

_EDGES = re.compile("^[\\s\u200b-\u200f\u2060\ufeff]+|[\\s\u200b-\u200f\u2060\ufeff]+$")
"""Space at an edge as Unicode knows it, and characters without a width: pasted with a value, and seen by nobody."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Texts = list[str] | None


def compare_import(
    users: Iterable[Mapping[str, Any]],
    profiles: Iterable[Mapping[str, Any]],
    fields: Sequence[Mapping[str, Any]],
    types: Mapping[str, str],
    *,
    identifier: str,
) -> Agreement:
    """Compare the users of a segment with the profiles of BlueConic.

    :param users: as Braze exports them.
    :param profiles: as BlueConic's API shows them.
    :param fields: rows of a goal file (``from``, ``to``, ``merge``); ``sum`` is taken to have begun at nothing.
    :param types: property id → ``filterType``.
    :param identifier: property that holds the external id. Of several profiles that have it, this tenant writes the one
        with the lowest id. A profile that has several is left out: its own changes never reach Braze.
    """
    held: dict[str, dict[str, list[str]]] = {}
    for profile in sorted(profiles, key=lambda profile: str(profile["id"])):
        values = {entry["id"]: entry["values"] for entry in profile["properties"]}
        for external_id in values.get(identifier, ()):
            held.setdefault(external_id.strip(), values)
    agreement = Agreement()
    for user in users:
        if "external_id" not in user:
            continue
        agreement.people += 1
        holds = held.get(user["external_id"])
        if holds is None:
            agreement.absent += 1
        elif len({value.strip() for value in holds[identifier]}) == 1:
            for row in fields:
                _compare_field(agreement, row, user, holds, types.get(row["to"], "SELECT"))
    return agreement


def _compare_field(
    agreement: Agreement, row: Mapping[str, Any], user: Mapping[str, Any], values: Mapping[str, list[str]], kind: str
) -> None:
    source, there = _source(user, row["from"]), _held(values.get(row["to"], []), kind)
    merge = row.get("merge", "set")
    if source is None:
        if merge != "set_or_clear":
            return
        expected: _Texts = []
    else:
        expected = _stored(source, kind)
    if expected is None:
        agreement.left_out += 1
        return
    agreement.values += 1
    holds = {
        "set": there == expected,
        "set_or_clear": there == expected,
        "set_if_empty": bool(there),
        "add": set(expected) <= set(there),
        "remove": not set(expected) & set(there),
        "sum": there == expected,
    }[merge]
    if not holds:
        agreement.differences[row["to"]] += 1


def _held(texts: Sequence[str], kind: str) -> list[str]:
    """Return the texts that a property holds; of a number it does not matter how it is written."""
    return sorted({(_value(text, kind) if kind in _NUMBERS else None) or text for text in texts})


def _source(user: Mapping[str, Any], path: str) -> _Texts:
    """Read a field: a standard one, a custom attribute, a part of one, or the names of campaigns."""
    if path == "campaigns_received":
        return [each["name"] for each in user.get(path, ())] or None
    value: Any = user
    for step in re.findall(r'\["[^"]*"\]|[^.\[]+', path):
        if not isinstance(value, Mapping):
            return None
        value = value.get(json.loads(step[1:-1]) if step.startswith("[") else step)
    texts = [_text(each) for each in (value if isinstance(value, list) else [value]) if each is not None]
    return [trimmed for text in texts if (trimmed := _EDGES.sub("", text))] or None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{Decimal(repr(value)).normalize():f}"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return str(value)


def _stored(texts: Sequence[str], kind: str) -> _Texts:
    """Return the texts as a property of this type holds them; ``None`` if one of them can't be held."""
    stored = [_value(text, kind) for text in texts]
    return None if None in stored else sorted({text for text in stored if text is not None})


def _value(text: str, kind: str) -> str | None:
    if kind in _NUMBERS:
        return _number(text, whole=kind == "RANGE")
    if kind == "DATETIME":
        return _milliseconds(text)
    if kind == "EMAIL":
        return text if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]{2,}", text) else None
    return text if len(text.encode()) <= _MOST_TEXT else None


def _number(text: str, *, whole: bool) -> str | None:
    if not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", text):
        return None
    number = Decimal(text)
    if whole:
        return f"{number:.0f}" if number == number.to_integral_value() and abs(number) <= _LARGEST_NUMBER else None
    return f"{number.quantize(Decimal('0.0001'), ROUND_HALF_UP).normalize():f}"


def _milliseconds(text: str) -> str | None:
    try:
        moment = datetime.fromisoformat(text.replace(" UTC", "+00:00"))
    except ValueError:
        return None
    return str((moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // timedelta(milliseconds=1))
