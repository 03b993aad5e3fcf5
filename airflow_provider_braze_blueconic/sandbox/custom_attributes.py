"""What the sandbox's Braze makes of the value of a custom attribute: its type, its form, its price."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

__all__ = ["MAX_CHARACTERS", "AttributeType", "AttributeTypes", "parse_time", "stored_time"]

AttributeType = Literal["string", "number", "boolean", "time", "array", "object", "object_array"]

# Docs "Custom attribute data types" and "User attributes object", read 2026-11.
MAX_CHARACTERS = 255  # of a string; a longer one is not applied although the call succeeds
MAX_OBJECT_BYTES = 100_000  # 100 KB of an object or an array of objects; over it the update is dropped
LAST_YEAR = 3000  # a later date is kept as a string
_NAME_CHARACTERS, _NAME_BYTES = 255, 479  # of an attribute's name; a longer one is cut off: docs "Custom attributes"
_OPERATORS = frozenset({"inc", "add", "remove", "$add", "$remove", "$update"})

_TIME = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})"
    r"(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.:](\d{1,9}))?)?)?"
    r"(Z|[+-]\d{2}:?\d{2})?"
)
_AMERICAN_DATE = re.compile(r"(\d{2})/(\d{2})/(\d{4})")
_SHOWN = {
    "string": "String",
    "number": "Number",
    "boolean": "Boolean",
    "time": "Time",
    "array": "Array",
    "object": "Object",
    "object_array": "Object Array",
}
_NOTHING = object()  # "not applied": None is a value


def parse_time(text: str) -> datetime | None:
    """Read a time in one of the forms that Braze takes; without an offset it is UTC.

    The form with names of days (``ddd MM dd HH:mm:ss.TZD YYYY``) is not read.
    """
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            american = _AMERICAN_DATE.fullmatch(text)
            if american is None:
                return None
            month, day, year = map(int, american.groups())
            return datetime(year, month, day, tzinfo=UTC)
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
        micro = int((match[7] or "0").ljust(6, "0")[:6])
        moment = datetime(year, month, day, hour, minute, second, micro, tzinfo=UTC)
        return moment - _offset(match[8])
    except (ValueError, OverflowError):
        return None


def _offset(text: str | None) -> timedelta:
    if text is None or text == "Z":
        return timedelta()
    digits = text[1:].replace(":", "")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -size if text.startswith("-") else size


def stored_time(moment: datetime) -> str:
    """Return the form in which a time is kept. How Braze exports one is UNVERIFIED; this is that of its events."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


class AttributeTypes:
    """The custom attributes that a workspace knows; the first value that it receives fixes the type of each."""

    def __init__(self) -> None:
        self._types: dict[str, AttributeType] = {}

    def fix(self, name: str, kind: AttributeType) -> None:
        """Declare an attribute, as a marketer does in the dashboard."""
        self._types[name] = kind

    def known(self) -> Mapping[str, AttributeType]:
        return self._types

    def describe(self, *, array_length: int) -> list[dict[str, Any]]:
        """Return all attributes as ``GET /custom_attributes`` shows them, alphabetically."""
        return [
            {
                "name": name,
                "description": None,
                "data_type": _SHOWN[kind],
                "array_length": array_length if kind == "array" else None,
                "status": "Active",
                "tag_names": [],
            }
            for name, kind in sorted(self._types.items())
        ]

    def write(self, stored: dict[str, Any], name: str, value: Any, *, merge: bool, array_length: int) -> int:
        """Write one attribute of one user as Braze would, which may be not at all.

        :param stored: the user's attributes.
        :param merge: ``_merge_objects`` of the object that held the value.
        :returns: the data points that the write costs, applied or not.
        """
        name = _cut(name)
        if value is None:
            stored.pop(name, None)
            return 1
        kind = self._types.get(name) or _detect(value)
        if kind == "string" and type(value) is str and len(value) <= MAX_CHARACTERS:  # the common case, kept quick
            stored[name] = value
            self._types.setdefault(name, kind)
            return 1
        applied = _convert(kind, value, old=stored.get(name), merge=merge, array_length=array_length)
        if applied is not _NOTHING:
            stored[name] = applied
            self._types.setdefault(name, kind)
        return _points(kind, value)


def _cut(name: str) -> str:
    return name if name.isascii() and len(name) <= _NAME_CHARACTERS else _cut_bytes(name[:_NAME_CHARACTERS])


def _cut_bytes(name: str) -> str:
    return name.encode()[:_NAME_BYTES].decode(errors="ignore")


def _detect(value: Any) -> AttributeType:
    if isinstance(value, str):
        moment = parse_time(value) if value[:1].isdigit() else None
        return "string" if moment is None or moment.year > LAST_YEAR else "time"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, list):
        return "object_array" if any(isinstance(each, dict) for each in value) else "array"
    return _detect_object(value)


def _detect_object(value: Mapping[str, Any]) -> AttributeType:
    keys = value.keys()
    if not keys:
        return "object"
    if keys <= {"add", "remove"} and all(isinstance(each, list) for each in value.values()):
        return "array"
    if keys == {"inc"}:
        return "number"
    if keys <= {"$add", "$remove", "$update"}:
        return "object_array"
    return "object"


def _convert(kind: AttributeType, value: Any, *, old: Any, merge: bool, array_length: int) -> Any:
    if kind == "number":
        return _number(value, old)
    if kind == "array":
        return _array(value, old, array_length)
    if kind == "object":
        return _object(value, old, merge)
    if kind == "object_array":
        return _object_array(value, old, merge)
    return _PLAIN[kind](value)


def _string(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = json.dumps(value)
    return value if isinstance(value, str) and len(value) <= MAX_CHARACTERS else _NOTHING


def _number(value: Any, old: Any) -> Any:
    if isinstance(value, dict) and isinstance(value.get("inc"), int):
        return (old if isinstance(old, (int, float)) else 0) + value["inc"]
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            try:
                return float(value)
            except ValueError:
                return _NOTHING
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else _NOTHING


def _boolean(value: Any) -> Any:
    text = value.lower() if isinstance(value, str) else value
    if text in (True, 1, "true", "t", "1"):
        return True
    if text in (False, 0, "false", "f", "0"):
        return False
    return _NOTHING


def _time(value: Any) -> Any:
    moment = parse_time(value) if isinstance(value, str) else None
    if moment is None:
        return _NOTHING
    return value if moment.year > LAST_YEAR else stored_time(moment)


_PLAIN: Mapping[AttributeType, Callable[[Any], Any]] = {"string": _string, "boolean": _boolean, "time": _time}


def _array(value: Any, old: Any, array_length: int) -> Any:
    if isinstance(value, dict) and value and value.keys() <= {"add", "remove"}:
        removed = value.get("remove", [])
        elements = [*(each for each in old or [] if each not in removed), *value.get("add", [])]
    elif isinstance(value, list):
        elements = value
    else:
        return _NOTHING
    if not all(_is_scalar(each) for each in elements):
        return _NOTHING
    return _unique(elements)[-array_length:]


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (int, float)) or (isinstance(value, str) and len(value) <= MAX_CHARACTERS)


def _unique(elements: list[Any]) -> list[Any]:
    """Keep each element once, at its last place: adding one again moves it to the end."""
    kept = {(type(each), each): each for each in reversed(elements)}
    return list(kept.values())[::-1]


def _object(value: Any, old: Any, merge: bool) -> Any:
    # What Braze makes of an object with an operator among other keys is UNVERIFIED: here it spoils the whole.
    if not isinstance(value, dict) or not _OPERATORS.isdisjoint(value):
        return _NOTHING
    clean = _nested(value)
    if clean is _NOTHING:
        return _NOTHING
    if merge and isinstance(old, dict):
        clean = _merged(old, clean)
    return clean if _fits(clean) else _NOTHING


def _object_array(value: Any, old: Any, merge: bool) -> Any:
    if isinstance(value, list):
        items: Any = [_nested(each) for each in value if isinstance(each, dict)]
        items = items if len(items) == len(value) else _NOTHING
    elif isinstance(value, dict):
        items = _edited(list(old or []), value, merge)
    else:
        return _NOTHING
    if items is _NOTHING or any(each is _NOTHING for each in items):
        return _NOTHING
    return items if _fits(items) else _NOTHING


def _edited(items: list[Any], operators: Mapping[str, Any], merge: bool) -> Any:
    """Apply ``$add``, then ``$remove``, then ``$update``: always in this order."""
    try:
        items += [_nested(each) for each in operators.get("$add", [])]
        for rule in operators.get("$remove", []):
            items = [each for each in items if not _is_named(each, rule)]
        for rule in operators.get("$update", []):
            new = _nested(rule["$new_object"])
            items = [(_merged(each, new) if merge else new) if _is_named(each, rule) else each for each in items]
    except (KeyError, TypeError, AttributeError):
        return _NOTHING
    return items


def _is_named(item: Mapping[str, Any], rule: Mapping[str, Any]) -> bool:
    return bool(item.get(rule["$identifier_key"]) == rule["$identifier_value"])


def _nested(value: Any) -> Any:
    """Return a value inside an object in its stored form; one bad value spoils the whole."""
    if isinstance(value, dict):
        return _nested_object(value)
    if isinstance(value, list):
        clean = [_nested(each) for each in value]
        return _NOTHING if any(each is _NOTHING for each in clean) else clean
    if isinstance(value, str):
        return value if len(value) <= MAX_CHARACTERS else _NOTHING
    return _NOTHING if value is None else value


def _nested_object(value: Mapping[str, Any]) -> Any:
    if value.keys() == {"$time"}:
        moment = parse_time(value["$time"]) if isinstance(value["$time"], str) else None
        return _NOTHING if moment is None or moment.year > LAST_YEAR else stored_time(moment)
    clean = {}
    for key, each in value.items():
        if len(key) > MAX_CHARACTERS or not key or any(letter in key for letter in " .$"):
            return _NOTHING
        clean[key] = _nested(each)
        if clean[key] is _NOTHING:
            return _NOTHING
    return clean


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        merged[key] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def _fits(value: Any) -> bool:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()) <= MAX_OBJECT_BYTES


def _points(kind: AttributeType, value: Any) -> int:
    """Return what a write costs: docs "Data points", read 2026-11."""
    if kind == "array" and isinstance(value, dict):
        return max(len(value.get("add", [])) + (1 if "remove" in value else 0), 1)
    if kind in {"object", "object_array"}:
        return max(_leaves(value), 1)
    return 1


def _leaves(value: Any) -> int:
    """Count the keys that hold a value; containers are free, a ``$time`` is one value."""
    if isinstance(value, dict) and value.keys() != {"$time"}:
        return sum(
            _leaves(each)
            for key, each in value.items()
            if key not in {"$identifier_key", "$identifier_value"} or len(value) == 2
        )
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return sum(_leaves(each) for each in value)
    return 1
