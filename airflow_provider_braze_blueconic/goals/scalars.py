"""Which value a plain text of YAML is: one without quotes."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["plain_value"]

# The core schema of YAML 1.2.2, section 10.3.2, except that a number with leading zeros stays text: who writes 007
# means those three characters.
_CORE_SCHEMA: tuple[tuple[re.Pattern[str], Callable[[str], int | float | bool | None]], ...] = (
    (re.compile(r"~|null|Null|NULL|"), lambda _: None),
    (re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.casefold() == "true"),
    (re.compile(r"[-+]?(0|[1-9][0-9]{0,999})"), int),  # Python refuses to convert thousands of digits
    (re.compile(r"0o[0-7]{1,1000}|0x[0-9a-fA-F]{1,800}"), lambda text: int(text, 0)),
    (re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), lambda text: float(text.replace(".", ""))),
)
_FIRST_CHARACTERS = frozenset("~nNtTfF-+.0123456789")


def plain_value(text: str) -> str | int | float | bool | None:
    """Give the value that a plain text has in YAML 1.2."""
    if text and text[0] not in _FIRST_CHARACTERS:
        return text
    return next((read(text) for form, read in _CORE_SCHEMA if form.fullmatch(text)), text)
