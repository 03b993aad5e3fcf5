"""A page of profiles, cut into whole profiles while it arrives, so that nobody has to hold a page.

``{"nextCursor": "…", "profiles": [{…}, {…}], …}`` becomes blocks, each the text of a list of profiles, and the page
without them. A cut is only believed once its block is read as JSON: what is a list by itself ends between two profiles.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

__all__ = ["BLOCK_BYTES", "BrokenPage", "PageCutter"]

BLOCK_BYTES = 256 << 10
"""Bytes from which on a block is cut: larger ones leave the processor's cache, smaller ones cost more for each."""

_HEAD_BYTES = 1 << 20
"""Bytes without a list of profiles after which a page is no longer cut, but taken as a whole at its end."""

_CANDIDATES = 3
"""Likely ends of a block to try; after them the text is walked through sign by sign, at a fifth of the speed."""

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SIGN = re.compile(rb"(?s)" + _STRING + rb'|["\[\]{}]')
"""A text, or what opens or closes something; a quotation mark alone is a text whose end hasn't arrived."""
_LIST = b'"profiles"'
_COLON_LIST = re.compile(rb"\s*:\s*\[")
_COMMA = re.compile(rb"\s*,\s*")
_FIRST_KEYS = re.compile(
    rb'(?s)\s*\{\s*("[^"\\]*+")\s*:(?:\s*' + _STRING + rb'\s*,\s*("[^"\\]*+")\s*:)?',
)
"""The names with which a profile begins: the second as well, since whatever a profile lists may begin with ``id``."""


class BrokenPage(Exception):
    """The text is not a whole page.

    :param is_web_page: it looks like one for people.
    """

    def __init__(self, *, is_web_page: bool = False) -> None:
        self.is_web_page = is_web_page
        super().__init__()


class PageCutter:
    """Cuts one page.

    :param take: reads a block and keeps what it says; raises :class:`ValueError`, and keeps nothing, if it is not JSON.
    :param block_bytes: bytes of a block, at least.
    """

    def __init__(self, take: Callable[[bytes], None], *, block_bytes: int = BLOCK_BYTES) -> None:
        self._take = take
        self._block_bytes = block_bytes
        self._text = bytearray()
        self._head: bytes | None = None
        self._at = 0
        """Where the next block begins."""
        self._walk_from = 2 * block_bytes
        self._begins: re.Pattern[bytes] | None = None
        self._blocks = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the page."""
        self._text += chunk
        if self._head is None and not self._find_list():
            return
        while len(self._text) - self._at > self._block_bytes and self._cut():
            pass
        del self._text[: self._at]
        self._at = 0

    def head(self) -> dict[str, Any] | None:
        """Return what the page says before its profiles; ``None`` if they haven't begun."""
        return _json_object(self._head + b"]}") if self._head is not None else None

    def finish(self) -> dict[str, Any]:
        """Take the end of the page, and return the page without the profiles that were taken.

        :raises BrokenPage: it isn't whole.
        """
        if self._head is None:
            body = _json_object(self._text)
            is_web_page = self._text.lstrip()[:1] == b"<"
        else:
            body, is_web_page = self._finish(self._head), False
        if body is None:
            raise BrokenPage(is_web_page=is_web_page)
        return body

    def _find_list(self) -> bool:
        """Look for the beginning of the profiles, at the top of the page and nowhere else."""
        if len(self._text) > _HEAD_BYTES:
            return False
        for end, depth, sign in _signs(self._text, 0):
            if depth == 1 and sign == _LIST and (begun := _COLON_LIST.match(self._text, end)):
                self._head, self._at = bytes(self._text[: begun.end()]), begun.end()
                return True
        return False

    def _cut(self) -> bool:
        """Take the next block, if its end has arrived."""
        start = self._at
        for end, following in islice(self._likely_ends(start + self._block_bytes), _CANDIDATES):
            if self._took(end):
                self._at = following
                return True
        if len(self._text) - start < self._walk_from:
            return False  # the end may be about to arrive
        last = None
        for end, depth, sign in _signs(self._text, start):
            if depth < 0:
                break  # the list ends here: this is the rest of the page
            if depth == 0 and sign == b"}" and (comma := _COMMA.match(self._text, end)):
                last = end, comma.end()
                if end > start + self._block_bytes:
                    break
        if last is None:
            self._walk_from = 2 * (len(self._text) - start)
            return False
        if not self._took(last[0]):
            raise BrokenPage
        self._at = last[1]
        return True

    def _likely_ends(self, start: int) -> Iterator[tuple[int, int]]:
        """Look for what the first profile begins with: (end of a profile, beginning of the next)."""
        if self._begins is None:
            names = _FIRST_KEYS.match(self._text, self._at)
            if names is None:
                return
            first, second = names.groups()
            more = rb"\s*" + _STRING + rb"\s*,\s*" + re.escape(second) + rb"\s*:" if second else b""
            self._begins = re.compile(rb"(?s)\}(\s*,\s*)\{\s*" + re.escape(first) + rb"\s*:" + more)
        for found in self._begins.finditer(self._text, start):
            yield found.span(1)

    def _took(self, end: int) -> bool:
        try:
            self._take(b"".join((b"[", memoryview(self._text)[self._at : end], b"]")))
        except ValueError:
            return False
        self._blocks += 1
        return True

    def _finish(self, head: bytes) -> dict[str, Any] | None:
        end = len(self._text)
        for _ in range(_CANDIDATES):
            end = self._text.rfind(b"]", self._at, end)
            if end < 0:
                return None
            body = self._ended_at(end, head)
            if body is not None:
                return body
        for after, depth, _sign in _signs(self._text, self._at):
            if depth < 0:
                return self._ended_at(after - 1, head)
        return None

    def _ended_at(self, end: int, head: bytes) -> dict[str, Any] | None:
        """Take the rest as if the list ended there; ``None`` if it doesn't."""
        body = _json_object(head + self._text[end:], once="profiles")
        if body is None:
            return None
        is_empty = not self._text[self._at : end].strip()
        if is_empty:
            return None if self._blocks else body  # a comma would have been the last thing in the list
        return body if self._took(end) else None


def _signs(text: bytearray, start: int) -> Iterator[tuple[int, int, bytes]]:
    """Walk through a text: the end of each sign, how deep we are behind it, and the sign."""
    depth = 0
    for found in _SIGN.finditer(text, start):
        sign = found[0]
        if sign == b'"':
            return
        depth += (sign in (b"[", b"{")) - (sign in (b"]", b"}"))
        yield found.end(), depth, sign


def _json_object(text: bytes | bytearray, once: str | None = None) -> dict[str, Any] | None:
    """Read a JSON object; ``None`` if it is none.

    :param once: a name that must not be there twice.
    """
    is_twice = False

    def gather(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal is_twice
        is_twice = is_twice or (once is not None and [name for name, _ in pairs].count(once) > 1)
        return dict(pairs)

    try:
        value = json.loads(text, object_pairs_hook=gather)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and not is_twice else None
