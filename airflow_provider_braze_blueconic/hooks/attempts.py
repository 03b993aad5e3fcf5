"""One attempt to deliver a body, the same for both vendors: the pool of connections, and what an exception means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_braze_blueconic.exceptions import AccessError
from airflow_provider_braze_blueconic.hooks.http import USER_AGENT, Site
from airflow_provider_braze_blueconic.sync.sending import Reply, Verdict

if TYPE_CHECKING:
    import ssl

    import aiohttp

__all__ = [
    "exception_verdicts",
    "lost_reply",
    "once_only",
    "open_session",
    "pacing_headers",
    "read_limited",
    "verdict_for_exception",
]

_KEEPALIVE = 4.0
"""Seconds that an idle connection is kept: less than usual servers keep it (uvicorn 5 s, nginx and AWS 60 s or more).
A request on a connection that the server is just closing has an unknown outcome, and that costs a repeat."""

_CHUNK_BYTES = 1 << 16

_TOTAL_TIMEOUTS = 4
"""An answer that trickles is given up after so many times the timeout."""

_PACING_HEADERS = (
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-retry-after",
    "retry-after",
)


def exception_verdicts() -> tuple[tuple[type[BaseException], Verdict], ...]:
    """Return what each exception of aiohttp means; the first row that fits holds.

    What tells the rows apart is whether anything of the request can have been sent.
    """
    import aiohttp

    return (
        (aiohttp.ClientConnectorCertificateError, Verdict.STOP),
        (aiohttp.ServerFingerprintMismatch, Verdict.STOP),
        (aiohttp.InvalidURL, Verdict.STOP),
        (aiohttp.NonHttpUrlClientError, Verdict.STOP),
        (aiohttp.ConnectionTimeoutError, Verdict.RETRY),  # while connecting
        (aiohttp.ClientConnectorError, Verdict.RETRY),  # refused, no such name, no TLS, no proxy
        (aiohttp.ClientHttpProxyError, Verdict.RETRY),  # the proxy did not open the way
        # From here on the request may have been sent, in part or whole.
        (aiohttp.ClientPayloadError, Verdict.UNKNOWN),  # the answer broke off
        (aiohttp.ClientResponseError, Verdict.UNKNOWN),  # the answer is not HTTP
        (aiohttp.ServerTimeoutError, Verdict.UNKNOWN),
        (aiohttp.ServerConnectionError, Verdict.UNKNOWN),
        (aiohttp.ClientOSError, Verdict.UNKNOWN),  # reset while writing or reading
        (aiohttp.ClientConnectionError, Verdict.UNKNOWN),
        (aiohttp.RedirectClientError, Verdict.UNKNOWN),  # redirects are not followed
        (aiohttp.ClientError, Verdict.UNKNOWN),
        (TimeoutError, Verdict.UNKNOWN),
        (OSError, Verdict.UNKNOWN),
    )


def verdict_for_exception(error: BaseException) -> Verdict:
    """Classify what was raised instead of an answer; what no row holds is unknown."""
    return next((verdict for kind, verdict in exception_verdicts() if isinstance(error, kind)), Verdict.UNKNOWN)


def lost_reply(error: Exception, *, place: str, title: str, headers: Mapping[str, str], status: int | None) -> Reply:
    """Classify an attempt that ended in an exception.

    :param place: vendor, host and connection, for the sentence.
    :param title: method and path, for the sentence.
    :param status: of an answer whose body did not come whole: it was sent, whatever the exception says of connecting.
    """
    verdict = Verdict.UNKNOWN if status is not None else verdict_for_exception(error)
    kind = type(error).__name__  # its text could hold a proxy's password
    if verdict is Verdict.STOP:
        text = (
            f"{place} can't be used for {title} ({kind}). "
            "Check the host and, behind a proxy that opens TLS connections, the connection's CA file."
        )
    elif verdict is Verdict.RETRY:
        text = f"{place} can't be reached for {title} ({kind}); nothing was sent."
    else:
        text = f"{place} gave no whole answer to {title} ({kind}); the batch may have been applied."
    return Reply(verdict, status, (), headers, text)


@asynccontextmanager
async def open_session(
    site: Site, *, seconds: float, max_in_flight: int, headers: Mapping[str, str]
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a pool of connections to a site.

    :param site: where.
    :param seconds: silence, while connecting and while reading, after which a request is lost.
    :param max_in_flight: connections at most.
    :param headers: of each request, beside those that say who we are and that bodies are JSON.
    :raises AccessError: the CA file can't be read.
    """
    import aiohttp

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=max_in_flight, keepalive_timeout=_KEEPALIVE, ssl=_trust(site)),
        timeout=aiohttp.ClientTimeout(total=_TOTAL_TIMEOUTS * seconds, sock_connect=seconds, sock_read=seconds),
        headers={
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            **headers,
        },
        cookie_jar=aiohttp.DummyCookieJar(),
        # With trust_env aiohttp would read the environment and .netrc for each request. The proxy is looked up once.
        trust_env=False,
        proxy=_proxy_for(site),
    ) as session:
        yield session


def _trust(site: Site) -> ssl.SSLContext | bool:
    if site.ca_file is None:
        return True
    import ssl

    try:
        return ssl.create_default_context(cafile=site.ca_file)
    except OSError as error:  # ssl.SSLError is one
        kind = type(error).__name__
        raise AccessError(f'The CA file of connection "{site.conn_id}" can\'t be read ({kind}).') from None


def _proxy_for(site: Site) -> str | None:
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(site.base_url)
    proxy = getproxies().get(parts.scheme)
    if not proxy or proxy_bypass(parts.netloc):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


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
                raise RuntimeError("this body was sent before")
            self._is_used_up = True
            for start in range(0, len(self._body), _CHUNK_BYTES):
                await writer.write(self._body[start : start + _CHUNK_BYTES])

    return OnceOnly


def pacing_headers(found: Mapping[str, str]) -> dict[str, str]:
    """Pick what pacing reads out of an answer's headers, with lower-case names."""
    return {name: found[name] for name in _PACING_HEADERS if name in found}


async def read_limited(stream: aiohttp.StreamReader, limit: int) -> bytes | None:
    """Read a body to its end; ``None`` if it is larger than a limit."""
    chunks: list[bytes] = []
    left = limit
    async for chunk in stream.iter_any():
        left -= len(chunk)
        if left < 0:
            return None
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
