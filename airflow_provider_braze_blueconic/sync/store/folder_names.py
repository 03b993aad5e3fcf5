"""Folder names that boto and delta-rs, which both keep state there, would read as different ones."""

from __future__ import annotations

import re

__all__ = ["folder_problem"]


def folder_problem(uri: str) -> str | None:
    """Say why boto and delta-rs would not write to one folder; ``None`` if they do.

    boto takes a key as it is written. delta-rs reads a URL: it decodes ``%20``, resolves ``..``, drops tabs, and stops
    at what no URL may hold (seen with deltalake 1.6.6).

    :param uri: of a folder, or a part of one.
    """
    path = uri.removeprefix("s3://").removeprefix("s3a://").rstrip("/")
    for segment in path.split("/") if path else ():
        if segment in ("", ".", ".."):
            what = f'a part "{segment}"' if segment else 'two "/" in a row'
            return f"has {what}. {_WRITE_PLAINLY}"
    odd = _TWO_READINGS.search(path)
    if odd is None:
        return None
    found = odd[0] if odd[0].isprintable() else f"U+{ord(odd[0]):04X}"
    return f'contains "{found}". {_WRITE_PLAINLY}'


_TWO_READINGS = re.compile(r"%[0-9A-Fa-f]{2}|[\\|^\[\]?#\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_WRITE_PLAINLY = (
    "Boto and delta-rs, which both keep state there, would read it as different folders. Choose another one, of "
    'letters, digits, "-", "_", "." and "/".'
)
