"""A body that is sent at most once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import aiohttp

__all__ = ["once_only"]

_CHUNK_BYTES = 1 << 16


def once_only(body: bytes) -> aiohttp.Payload:
    """Make a JSON body that can be sent only once.

    aiohttp sends a ``PUT`` a second time by itself when the connection breaks, and has no setting against it
    (aio-libs/aiohttp#10790, read 2026-11): with ``PUT`` as HTTP means it that does no harm, with one that adds to
    numbers it does. Newer versions don't repeat a body that says that it is used up; older ones, which don't ask, find
    that it can't be written again.
    """
    return _once_only_class()(body, content_type="application/json")


@cache
def _once_only_class() -> type[aiohttp.Payload]:
    import aiohttp

    class OnceOnly(aiohttp.Payload):
        def __init__(self, body: bytes, **kwargs: Any) -> None:
            super().__init__(body, **kwargs)
            self._body = body
            self._is_used_up = False

        @property
        def size(self) -> int:
            return len(self._body)

        @property
        def consumed(self) -> bool:
            return self._is_used_up

        def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
            return self._body.decode(encoding, errors)

        async def write(self, writer: Any) -> None:
            if self._is_used_up:
                raise RuntimeError("this body was already sent")
            self._is_used_up = True
            for start in range(0, len(self._body), _CHUNK_BYTES):
                await writer.write(self._body[start : start + _CHUNK_BYTES])

    return OnceOnly
