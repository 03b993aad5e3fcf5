"""What Braze stores of a value: normal forms, limits and why a value would be refused or silently dropped.

A value that Braze stores otherwise than sent is a difference every night, and each costs a data point;
so values are brought into Braze's own form before they are compared.
All pages read 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airflow_provider_braze_blueconic.sync.braze.documents import DOCUMENT_BYTES, check_document
from airflow_provider_braze_blueconic.sync.braze.standard_rules import standard_rule
from airflow_provider_braze_blueconic.sync.values.date_formats import AS_FOUND, TimeReading
from airflow_provider_braze_blueconic.sync.values.rules import ValueRule
from airflow_provider_braze_blueconic.sync.values.texts import (
    array_rule,
    boolean_rule,
    float_rule,
    integer_rule,
    object_rule,
    string_rule,
    time_rule,
)
from airflow_provider_braze_blueconic.vendors.braze_attributes import (
    BRAZE_STRING_CHARACTERS,
    FieldType,
    braze_attribute,
)

__all__ = ["braze_rule"]

_ARRAY_ELEMENTS = 500  # docs "User attributes object": default and maximum; the 501st drops the first

_TYPES = "Braze docs, Custom attribute data types"
_NESTED = "Braze docs, Nested custom attributes"


def braze_rule(target: str, type_: FieldType, reading: TimeReading = AS_FOUND) -> ValueRule:
    """Return how values of a Braze attribute are written.

    :param target: attribute name, or ``subscription_groups.<id>``.
    :param type_: the type that the goal or the source property gives; a standard attribute's own form comes first.
    :param reading: how the source writes times, where the attribute is one.
    """
    attribute = braze_attribute(target)
    if attribute is not None and attribute.writable:
        return standard_rule(attribute, reading)
    return _TYPE_RULES[type_](reading)


_TYPE_RULES: Mapping[FieldType, Callable[[TimeReading], ValueRule]] = {
    "string": lambda _: string_rule(longest=BRAZE_STRING_CHARACTERS, source=f"{_TYPES}: 255 characters"),
    "integer": lambda _: integer_rule(source=_TYPES),
    "float": lambda _: float_rule(source=_TYPES),
    "boolean": lambda _: boolean_rule(source=_TYPES),
    "time": lambda reading: time_rule(source=f"{_TYPES}: years 0 to 3000", reading=reading),
    "array": lambda _: array_rule(
        most=_ARRAY_ELEMENTS,
        longest=BRAZE_STRING_CHARACTERS,
        longest_bytes=DOCUMENT_BYTES,
        source=f"{_TYPES}: 500 elements, 255 characters each, 100 KB",
    ),
    "object": lambda _: object_rule(check_document, source=f"{_NESTED}: 100 KB, names without space, dot and dollar"),
}
