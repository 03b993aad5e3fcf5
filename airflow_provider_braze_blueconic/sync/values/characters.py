"""Halves of characters, such as of an emoji that was cut in two.

JSON and Python can hold one (``\\ud83d`` without its second half). UTF-8 can't, and with it Parquet, XCom and every
system that is written to. So each text that comes from outside is repaired before anything is done with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["may_hold_halves", "repaired", "repaired_text", "text_array"]

REPLACEMENT = "\ufffd"
"""What stands for a half whose other half is missing: Unicode's own sign for a character that can't be shown."""

_HALF = re.compile("[\ud800-\udfff]")
_HALF_IN_JSON = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""As an escape, or as bytes: Python's JSON reader takes both."""


def may_hold_halves(json_text: bytes | bytearray) -> bool:
    """Tell whether a JSON text has an escape or bytes that can be a half; most texts have none, and need no repair."""
    return _HALF_IN_JSON.search(json_text) is not None


def repaired_text(text: str) -> str:
    """Put halves that stand side by side together, and replace each that is alone by U+FFFD."""
    if text.isascii() or not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def repaired(value: Any) -> Any:
    """Repair all texts of a JSON value, names of keys included.

    :return: the value itself where nothing was to be repaired.
    """
    if type(value) is str:
        return repaired_text(value)
    if type(value) is list:
        elements = [repaired(element) for element in value]
        return value if all(new is old for new, old in zip(elements, value, strict=True)) else elements
    if type(value) is dict:
        entries = {repaired_text(name): repaired(element) for name, element in value.items()}
        if len(entries) == len(value) and all(
            new is name and entries[new] is value[name] for new, name in zip(entries, value, strict=True)
        ):
            return value
        return entries
    return value


def text_array(column: Sequence[Any], kind: pa.DataType) -> tuple[pa.Array, set[int]]:
    """Make an Arrow column of texts, or of lists of texts, and repair them where that fails.

    :return: the column, and which rows were repaired.
    """
    import pyarrow as pa

    try:
        return pa.array(column, kind), set()
    except UnicodeEncodeError:
        whole = [repaired(value) for value in column]
        rows = {row for row, (new, old) in enumerate(zip(whole, column, strict=True)) if new is not old}
        return pa.array(whole, kind), rows
