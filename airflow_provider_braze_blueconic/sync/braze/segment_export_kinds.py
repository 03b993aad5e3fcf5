"""The kinds of values seen in a field of a segment export, which a property for it has to hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.sync.braze.segment_export_texts import element_types
from airflow_provider_braze_blueconic.sync.values.moments import is_time
from airflow_provider_braze_blueconic.vendors.blueconic_properties import DECIMALS, LARGEST_NUMBER
from airflow_provider_braze_blueconic.vendors.braze_path_values import value_texts

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["KINDS", "note_kind", "note_kinds"]

KINDS = ("integer", "big_integer", "float", "long_float", "boolean", "time", "text", "object")
"""Kinds of values, in the order in which ``fields.json`` lists them."""

_SURELY_TIME = (
    "^(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]"
    "(?::[0-5][0-9](?:[.,:][0-9]{1,9})?)?(?: ?(?:Z|z|UTC|GMT))?$"
)
"""RE2: most texts that :func:`~.moments.is_time` says yes to, and no other."""
_MAY_BE_TIME = "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:"
"""RE2: all texts that it says yes to, and some others."""
_SHORTEST_TIME = len("2026-11-30T12:00")
_LONG_DECIMALS = rf"\.[0-9]{{{DECIMALS + 1}}}"


def note_kinds(values: Sequence[Any], types: frozenset[type], lists: pa.Array, kinds: set[str]) -> None:
    """Add the kinds of a column of values: what :func:`note_kind` adds for each, looked up in Arrow where that is one.

    :param types: of the values that are not null.
    :param lists: their texts.
    """
    kind = next(iter(types)) if len(types) == 1 else None
    elements = element_types(values) if kind is list else types
    if kind is bool:
        kinds.add("boolean")
    elif kind is dict or (kind is list and elements == {dict}):
        kinds.add("object")
    elif elements == {str}:
        _note_texts(lists.values, kinds)
    elif kind is float:
        _note_floats(lists.values, kinds)
    elif kind is int:
        numbers = [value for value in values if value is not None]
        kinds.update(map(_integer_kind, (min(numbers), max(numbers), min(numbers, key=abs))))
    else:
        for value in values:
            if value is not None:
                note_kind(value, kinds)


def _note_texts(texts: pa.Array, kinds: set[str]) -> None:
    import pyarrow.compute as pc

    if "text" in kinds and (pc.max(pc.binary_length(texts)).as_py() or 0) < _SHORTEST_TIME:
        return
    if "text" not in kinds:
        is_time = pc.match_substring_regex(texts, _SURELY_TIME)
        if pc.any(is_time).as_py():
            kinds.add("time")
        texts = texts.filter(pc.invert(is_time))
    elif "time" not in kinds:
        texts = texts.filter(pc.match_substring_regex(texts, _MAY_BE_TIME))
    for text in texts:
        if {"text", "time"} <= kinds:
            return
        note_kind(text.as_py(), kinds)


def _note_floats(texts: pa.Array, kinds: set[str]) -> None:
    import pyarrow.compute as pc

    is_long = pc.match_substring_regex(texts, _LONG_DECIMALS)
    if pc.any(is_long).as_py():
        kinds.add("long_float")
    if pc.any(pc.invert(is_long)).as_py():
        kinds.add("float")


def note_kind(value: object, kinds: set[str]) -> None:
    """Add the kind of a value, or of each element of a list."""
    if type(value) is list:
        for element in value:
            if type(element) is list:
                kinds.add("object")
            elif element is not None:
                note_kind(element, kinds)
        return
    read = _KIND_OF.get(type(value))
    kind = "object" if read is None else read(value)
    if kind is not None:
        kinds.add(kind)


def _text_kind(text: str) -> str | None:
    """Return the kind of a text. An empty one fits every kind and is none."""
    if not text or text.isspace():
        return None
    return "time" if is_time(text.strip()) else "text"


def _integer_kind(number: int) -> str:
    return "integer" if abs(number) <= LARGEST_NUMBER else "big_integer"


def _float_kind(number: float) -> str:
    _, _, decimals = (value_texts(number) or [""])[0].partition(".")
    return "float" if len(decimals) <= DECIMALS else "long_float"


_KIND_OF: Mapping[type, Callable[[Any], str | None]] = {
    str: _text_kind,
    bool: lambda _: "boolean",
    int: _integer_kind,
    float: _float_kind,
}
