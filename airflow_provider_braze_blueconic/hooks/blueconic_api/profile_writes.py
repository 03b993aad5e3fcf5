"""One attempt to write a batch of profiles with BlueConic's ``PUT /profiles``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.hooks.blueconic_api.profile_replies import ProfileReplies
from airflow_provider_braze_blueconic.hooks.blueconic_api.sum_words import INCREMENT_RULE, SUM_RULE, SUM_WORDS, SumWord
from airflow_provider_braze_blueconic.hooks.blueconic_api.tokens import SharedTokens
from airflow_provider_braze_blueconic.hooks.http.identity import Bearer
from airflow_provider_braze_blueconic.hooks.http.once_only import once_only
from airflow_provider_braze_blueconic.hooks.http.sessions import open_session, pacing_headers, read_limited
from airflow_provider_braze_blueconic.hooks.http.sites import Site
from airflow_provider_braze_blueconic.sync.sending.pacing import Rate
from airflow_provider_braze_blueconic.sync.sending.seam import BatchLimits, Reply, Sender

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

__all__ = ["PROFILES_IN_FLIGHT", "PROFILES_LIMITS", "PROFILES_RATE", "open_profiles_sender"]

PROFILES_LIMITS = BatchLimits(
    objects=1_000,  # REST API v2, release 103, "PUT /profiles", read 2026-11; of more, only these are processed
    body_bytes=2_000_000,  # UNVERIFIED: no limit of the body is published, so what Braze allows for as many objects
)

PROFILES_RATE = Rate(10, 1.0, counted=False)
"""Careful, where a goal sets no cap: no rate is published (UNVERIFIED), only that too many requests at once get 429."""

PROFILES_IN_FLIGHT = 4
"""Requests without an answer at most. How many are too many is not published (UNVERIFIED): a 429 halves them."""

_REPLY_BYTES = 16 << 20
"""Bytes of an answer that are read: a thousand entries that are all refused for several reasons fit in."""


@asynccontextmanager
async def open_profiles_sender(
    site: Site,
    bearer: Bearer,
    *,
    objectives: Sequence[str] = (),
    seconds: float,
    max_in_flight: int = PROFILES_IN_FLIGHT,
    sums: SumWord | None = None,
) -> AsyncIterator[Sender]:
    """Open a pool of connections and yield a sender that uses it.

    :param site: where; its path is that of the API.
    :param bearer: gives tokens; it is asked in a thread of its own.
    :param objectives: ids; people who consented to none of them are left alone.
    :param seconds: silence, while connecting and while reading, after which a request is lost.
    :param max_in_flight: connections at most.
    :param sums: which word for adding to a number to try first; it knows the right one afterwards, if any was added to.
    :raises AccessError: the CA file can't be read.
    """
    from yarl import URL

    url = URL(site.base_url + "/profiles")
    if objectives:
        url = url.with_query(objectiveIds=",".join(objectives))
    gzip = {"Accept-Encoding": "gzip"}
    async with open_session(site, seconds=seconds, max_in_flight=max_in_flight, headers=gzip) as session:
        yield _ProfilesSender(session, url, SharedTokens(bearer), ProfileReplies(site.place, sums or SumWord()))


class _ProfilesSender:
    def __init__(self, session: aiohttp.ClientSession, url: URL, tokens: SharedTokens, replies: ProfileReplies) -> None:
        self._session = session
        self._url = url
        self._tokens = tokens
        self._replies = replies

    def __repr__(self) -> str:
        return f"<sender: {self._replies.title} to {self._replies.place}>"

    async def send(self, body: bytes) -> Reply:
        """Send one body and classify the answer."""
        word = self._replies.sums.choose(body) if INCREMENT_RULE in body else None
        data = body.replace(INCREMENT_RULE, SUM_RULE) if word == SUM_WORDS[1] else body
        try:
            token = await self._tokens.current()
        except Exception as error:  # noqa: BLE001  the edge of the network: nothing was sent, whatever it is
            return self._replies.no_token(error)
        reply = await self._attempt(body, data, word, token)
        if reply.status != 401:
            return reply
        # Nothing was done with a request that was not let in, so it goes once more under a fresh token.
        try:
            fresh = await self._tokens.another(token)
        except Exception as error:  # noqa: BLE001  the same edge
            return replace(self._replies.no_token(error), requests=1)
        return replace(await self._attempt(body, data, word, fresh), requests=2)

    async def _attempt(self, body: bytes, data: bytes, word: str | None, token: str) -> Reply:
        status: int | None = None
        headers: Mapping[str, str] = {}
        own = {"Authorization": f"Bearer {token}"}
        try:
            request = self._session.put(self._url, data=once_only(data), headers=own, allow_redirects=False)
            async with request as response:
                status = response.status
                headers = pacing_headers(response.headers)
                answer = await read_limited(response.content, _REPLY_BYTES) if status in (200, 400, 413) else None
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  the edge of the network: whatever it is, the batch gets a verdict
            return self._replies.lost(error, status, headers, body, word=word)
        return self._replies.read(status, headers, body, answer, word=word)
