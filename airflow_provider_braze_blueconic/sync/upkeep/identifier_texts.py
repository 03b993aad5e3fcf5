"""The texts of identifiers, whose values alone identify a person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

__all__ = ["identifier_values", "mask_identifier"]

_NAMES_NOBODY = frozenset({"id", "alias_label"})
"""Keys of an identifier that say which kind it is: the same for everybody."""


def mask_identifier(identifier: str) -> str:
    """Write an identifier so that it can be told from others and names nobody: ``{"external_id":"u…7 (5)"}``.

    :param identifier: JSON text.
    """

    def masked(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: part if key in _NAMES_NOBODY else masked(part) for key, part in value.items()}
        if isinstance(value, list):
            return [masked(part) for part in value]
        text = str(value)
        shown = f"{text[0]}…{text[-1]}" if len(text) > 4 else "…"
        return f"{shown} ({len(text)})"

    return "\n".join(
        json.dumps(masked(json.loads(line)), ensure_ascii=False, separators=(",", ":"))
        for line in identifier.split("\n")
    )


def identifier_values(identifier: str) -> set[str]:
    """Collect the values of an identifier that belong to the person."""

    def parts(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for key, part in value.items():
                if key not in _NAMES_NOBODY:
                    yield from parts(part)
        elif isinstance(value, list):
            for part in value:
                yield from parts(part)
        else:
            yield str(value)

    return {text for line in identifier.split("\n") for text in parts(json.loads(line))}
