"""The pattern by which a goal names its CSV files.

A pattern such as ``s3://bucket/out/profiles_%Y-%m-%d*.csv`` means several files: ``*`` stands for any characters but
``/``, and the codes for the date of the data.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["DONE_SUFFIX", "FilePattern"]

DONE_SUFFIX = ".done"
"""What BlueConic's own S3 connection adds to a file that it has read: support article "Amazon Web Services S3",
read 2026-11."""

_FOLDER_MARKERS = ("/", "_$folder$")  # Amazon's console and SDKs; Hadoop and what is built on it
_CODES: Mapping[str, str] = {
    "Y": r"\d{4}",
    "m": r"\d{2}",
    "d": r"\d{2}",
    "H": r"\d{2}",
    "M": r"\d{2}",
    "S": r"\d{2}",
}
_TOKEN = re.compile(r"%(.?)|\*+|[^%*]+", re.DOTALL)


@dataclass(frozen=True)
class FilePattern:
    """A pattern of file names.

    :param text: as in the goal.
    :param prefix: what all names begin with.
    :param is_dated: the names tell the date of the data.
    """

    text: str
    prefix: str
    is_dated: bool
    _expression: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> FilePattern:
        """Read a pattern.

        :raises ValueError: with a sentence that says what is wrong.
        """
        parts: list[str] = []
        named: list[str] = []
        prefix, is_literal_so_far = "", True
        for token in _TOKEN.finditer(text):
            literal = _literal(token)
            if literal is None:
                parts.append(_expression(token, named))
                is_literal_so_far = False
            else:
                parts.append(re.escape(literal))
                prefix += literal if is_literal_so_far else ""
        missing = [f"%{code}" for code in "Ymd" if code not in named]
        if named and missing:
            raise ValueError(f"a date needs %Y, %m and %d; {' and '.join(missing)} is missing.")
        return cls(text, prefix, bool(named), re.compile("".join(parts), re.DOTALL))

    def means(self, uri: str) -> bool:
        """Tell whether a file is meant, whatever the date in its name.

        The empty object by which a console or a tool marks a folder is no file.
        """
        return self._expression.fullmatch(uri) is not None and not uri.endswith((DONE_SUFFIX, *_FOLDER_MARKERS))

    def match(self, uri: str) -> tuple[bool, dt.datetime | None]:
        """Tell whether a file is meant, and the date in its name.

        :raises ValueError: the name has digits in the place of the date that are no date.
        """
        found = self._expression.fullmatch(uri)
        if found is None or not self.means(uri):
            return False, None
        if not self.is_dated:
            return True, None
        part = {code: int(digits) for code, digits in found.groupdict().items()}
        return True, dt.datetime(  # noqa: DTZ001  the name tells no zone
            part["Y"], part["m"], part["d"], part.get("H", 0), part.get("M", 0), part.get("S", 0)
        )


def _literal(token: re.Match[str]) -> str | None:
    """Return what a token of a pattern stands for, if that is one text only."""
    if token[0] == "%%":
        return "%"
    return None if token[0].startswith(("%", "*")) else token[0]


def _expression(token: re.Match[str], named: list[str]) -> str:
    """Return the expression of a token that stands for several texts.

    :param named: codes that came before; gets this one.
    :raises ValueError: it is no code of a date.
    """
    code = token[1]
    if code is None:
        return "[^/]*"
    if code not in _CODES:
        raise ValueError(
            f'"%{code}" isn\'t a part of a date. Possible: {", ".join(f"%{known}" for known in _CODES)}; write '
            '"%%" for a percent sign.'
        )
    if code in named:
        return f"(?P={code})"
    named.append(code)
    return f"(?P<{code}>{_CODES[code]})"
