"""Fixed values of a goal, in the form in which Braze stores them.

They go through the rule of mapped values: what Braze is seen to hold is compared with them, and in any other form they
would differ every night.
"""

from __future__ import annotations

import json
from functools import lru_cache

from airflow_provider_braze_blueconic.sync.braze.values import braze_rule
from airflow_provider_braze_blueconic.sync.values.space import trimmed
from airflow_provider_braze_blueconic.sync.values.texts import CLEAR
from airflow_provider_braze_blueconic.vendors.braze_attributes import (
    BRAZE_STRING_CHARACTERS,
    FieldType,
    Scalar,
    is_standard,
)

__all__ = ["constant_text", "constant_type"]

_LARGEST = 10**15


def constant_type(value: str | int | float | bool, type_: FieldType | None) -> FieldType:
    """Return the type of a fixed value: the goal's, or the value's own."""
    if type_ is not None:
        return type_
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    return "integer" if isinstance(value, int) else "float"


@lru_cache(maxsize=1024, typed=True)
def constant_text(target: str, value: Scalar, type_: FieldType | None) -> tuple[str | None, str | None]:
    """Bring a fixed value into the form in which an attribute stores it.

    :param type_: the goal's type for the attribute.
    :return: (JSON text, None), (None, reason), or (None, None) for a text of which nothing is left.
    """
    if value is None:
        return CLEAR, None
    kind = constant_type(value, type_)
    if not is_standard(target) and (text := _plain_text(value, kind)):
        return text, None
    from airflow_provider_braze_blueconic.sync.mapping.snapshot import map_text

    try:
        source = value if isinstance(value, str) else json.dumps(value)
        source.encode()
    except UnicodeEncodeError:
        return None, "not_text"
    except ValueError:  # more digits than Python writes out
        return None, "not_an_integer"
    return map_text(braze_rule(target, kind), source)


def _plain_text(value: str | int | float | bool, kind: FieldType) -> str | None:
    """Return the JSON text of what a rule leaves as it is: most goals then parse without a database."""
    if isinstance(value, bool):
        return json.dumps(value) if kind == "boolean" else None
    if isinstance(value, str):
        is_plain = (
            kind == "string"
            and 0 < len(value) <= BRAZE_STRING_CHARACTERS
            and value.isprintable()
            and trimmed(value) == value
        )
        return json.dumps(value, ensure_ascii=False) if is_plain else None
    is_whole = isinstance(value, int) and kind == "integer" and abs(value) < _LARGEST
    return str(value) if is_whole else None
