"""The kinds of values seen in a field of a segment export, which a property for it has to hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_braze_blueconic.sync.values.moments import is_time
from airflow_provider_braze_blueconic.vendors.blueconic_properties import DECIMALS, LARGEST_NUMBER
from airflow_provider_braze_blueconic.vendors.braze_path_values import value_texts

__all__ = ["KINDS", "note_kind"]

KINDS = ("integer", "big_integer", "float", "long_float", "boolean", "time", "text", "object")
"""Kinds of values, in the order in which ``fields.json`` lists them."""


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
