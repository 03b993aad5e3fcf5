"""The connection pool for sending bodies, the same for both vendors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_braze_blueconic.exceptions import AccessError
from airflow_provider_braze_blueconic.hooks.http.identity import USER_AGENT
from airflow_provider_braze_blueconic.hooks.http.sites import Site

if TYPE_CHECKING:
    import ssl

    import aiohttp

__all__ = ["open_session", "pacing_headers", "read_limited"]

_KEEPALIVE = 4.0
"""Seconds that an idle connection is kept: less than usual servers keep it (uvicorn 5 s, nginx and AWS 60 s or more).
A request on a connection that the server is just closing has an unknown outcome, and that costs a repeat."""

_TOTAL_TIMEOUTS = 4
"""An answer that trickles is given up after so many times the timeout."""

_PACING_HEADERS = (
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-retry-after",
    "retry-after",
)


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
