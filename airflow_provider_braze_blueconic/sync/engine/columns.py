"""Column names for target fields, reversibly encoded.

Braze allows spaces and tells ``Points`` from ``points``; Delta Lake, Spark and DuckDB allow neither.
So every byte except ``a-z``, ``0-9`` and ``_`` is written as ``_x<hex>_``, and an underscore that would read as
the start of such a code is written so too. ``first_name`` becomes ``field_first_name``,
``Points now`` becomes ``field__x50_oints_x20_now``.
"""

from __future__ import annotations

import re

__all__ = [
    "CERTAIN_PREFIX",
    "ECHO_PREFIX",
    "FIELD_PREFIX",
    "INCREASE_PREFIX",
    "NOTED_PREFIX",
    "certain_column",
    "echo_column",
    "field_column",
    "field_name",
    "increase_column",
    "noted_column",
    "property_column",
    "source_column",
]

FIELD_PREFIX = "field_"
INCREASE_PREFIX = "increase_"
"""What is added to a number in the target; the field's own column then says what the counter stands at."""
CERTAIN_PREFIX = "certain_"
"""Whether what was seen of a field is the target's own, and not one that is still on its way to it."""
ECHO_PREFIX = "echo_"
"""What would be mapped of a field if the source held just what the other goal sends there."""
NOTED_PREFIX = "noted_"
"""What the ledger learns of a field without anything being sent."""
_PROPERTY_PREFIX = "property_"
_SOURCE_PREFIX = "source_"
_CODE = re.compile(r"_x((?:[0-9a-f]{2})+)_")


def _encode(name: str) -> str:
    parts: list[str] = []
    for position, character in enumerate(name):
        plain = character.isascii() and (character.islower() or character.isdigit() or character == "_")
        if plain and not (character == "_" and name[position + 1 : position + 2] == "x"):
            parts.append(character)
        else:
            parts.append(f"_x{character.encode().hex()}_")
    return "".join(parts)


def field_column(target: str) -> str:
    """Name the ledger's column for a target field."""
    return FIELD_PREFIX + _encode(target)


def increase_column(target: str) -> str:
    """Name the delta's column for what is added to a target field."""
    return INCREASE_PREFIX + _encode(target)


def certain_column(target: str) -> str:
    """Name the column that tells whether what was seen of a target field is the target's own."""
    return CERTAIN_PREFIX + _encode(target)


def echo_column(target: str) -> str:
    """Name the column that holds what a target field would be if the source held what the other goal sends there."""
    return ECHO_PREFIX + _encode(target)


def noted_column(target: str) -> str:
    """Name the delta's column for what the ledger learns of a target field although it is not sent."""
    return NOTED_PREFIX + _encode(target)


def field_name(column: str) -> str:
    """Name the target field of a ledger column: the inverse of :func:`field_column`.

    :raises ValueError: if the column does not hold a field.
    """
    if not column.startswith(FIELD_PREFIX):
        raise ValueError(f"{column!r} is not a field column")
    return _CODE.sub(lambda code: bytes.fromhex(code[1]).decode(), column.removeprefix(FIELD_PREFIX))


def property_column(property_id: str) -> str:
    """Name the snapshot's column for a source property."""
    return _PROPERTY_PREFIX + _encode(property_id)


def source_column(path: str) -> str:
    """Name the snapshot's column for a path into an exported Braze user."""
    return _SOURCE_PREFIX + _encode(path)
