"""What counts as space, for values, identifiers, lists, CSV cells, e-mail addresses and phone numbers alike.

``\\s`` of RE2, the engine of DuckDB, knows ASCII alone, and ``str.strip`` no zero-width characters; what people paste
from a web page, a phone's address book or Excel begins and ends with the others.
Standard library only.
"""

from __future__ import annotations

from airflow_provider_braze_blueconic.sync.engine.database import literal

__all__ = ["SPACE", "SPACE_CLASS", "edge_space_sql", "trim_sql", "trimmed"]

_RANGES = (
    (0x09, 0x0D),  # tab, line feed, vertical tab, form feed, carriage return
    (0x1C, 0x20),  # separators of files, groups, records and units; the space
    (0x85, 0x85),  # next line
    (0xA0, 0xA0),  # no-break space
    (0xAD, 0xAD),  # soft hyphen: shown only where a line breaks
    (0x061C, 0x061C),  # Arabic letter mark
    (0x1680, 0x1680),  # Ogham space mark
    (0x180E, 0x180E),  # Mongolian vowel separator
    (0x2000, 0x200F),  # spaces by width; zero-width space, non-joiner, joiner; marks of direction
    (0x2028, 0x202F),  # line and paragraph separator; embeddings of direction; narrow no-break space
    (0x205F, 0x2064),  # mathematical space; word joiner, invisible operators
    (0x2066, 0x2069),  # isolates of direction
    (0x3000, 0x3000),  # ideographic space
    (0xFEFF, 0xFEFF),  # byte order mark
)

SPACE = "".join(chr(code) for first, last in _RANGES for code in range(first, last + 1))
"""Unicode's White_Space, what ``str.isspace`` takes beside it, and characters without a width of their own. Those that
end an emoji (variation selectors, tags) are not among them."""

SPACE_CLASS = "".join(rf"\x{{{first:X}}}-\x{{{last:X}}}" for first, last in _RANGES)
"""The same as the inside of a character class of RE2."""


def trimmed(text: str) -> str:
    """Return a text without space at its edges."""
    return text.strip(SPACE)


def trim_sql(value: str) -> str:
    """SQL for a text without space at its edges. For a column, look with :func:`edge_space_sql` first."""
    return f"trim({value}, {literal(SPACE)})"


def edge_space_sql(value: str) -> str:
    """SQL that tells whether a text is empty or has space at an edge: forty times as fast as trimming it."""
    space = literal(SPACE)
    plain = f"{value} >= '!' AND {value} < e'\\x7f' AND ({value})[-1] BETWEEN '!' AND '~'"
    return f"(NOT ({plain}) AND (contains({space}, ({value})[1]) OR contains({space}, ({value})[-1])))"
