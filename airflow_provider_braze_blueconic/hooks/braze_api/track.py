"""One attempt to deliver a body to Braze's ``/users/track`` or ``/users/track/bulk``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.hooks.braze_api.track_replies import TrackReplies, verdict_for
from airflow_provider_braze_blueconic.hooks.http.sessions import open_session, pacing_headers, read_limited
from airflow_provider_braze_blueconic.hooks.http.sites import Site
from airflow_provider_braze_blueconic.sync.sending.pacing import Rate
from airflow_provider_braze_blueconic.sync.sending.seam import BatchLimits, Reply, Sender, Verdict

if TYPE_CHECKING:
    import aiohttp

__all__ = ["TRACK_BULK_LIMITS", "TRACK_BULK_RATE", "TRACK_LIMITS", "TRACK_RATE", "open_sender"]

TRACK_LIMITS = BatchLimits(
    objects=75,  # attributes, events and purchases together: docs "POST /users/track", read 2026-11
    body_bytes=4_000_000,  # 413 above "4 MB", docs "User data"; MB or MiB is UNVERIFIED, so the smaller
)

TRACK_BULK_LIMITS = BatchLimits(
    objects=1_000,  # docs "POST /users/track/bulk", read 2026-11; "depending on the account's bulk policy"
    body_bytes=2_000_000,  # "2 MB", same page; MB or MiB is UNVERIFIED, so the smaller
)

TRACK_RATE = Rate(3_000, 3.0)
"""Requests in seconds, contracts priced by data points: docs "API limits", read 2026-11."""

TRACK_BULK_RATE = Rate(50, 1.0, counted=False)
"""Base limit of most customers: docs "POST /users/track/bulk", read 2026-11."""

_REPLY_BYTES = 1 << 20
"""Bytes of an answer that are read: a thousand refusals of a bulk request fit in several times over."""


@asynccontextmanager
async def open_sender(
    site: Site, key: str, path: str, right: str, *, seconds: float, max_in_flight: int
) -> AsyncIterator[Sender]:
    """Open a pool of connections and yield a sender that uses it.

    :param site: where.
    :param key: the REST API key.
    :param path: below the site.
    :param right: the permission that the path needs.
    :param seconds: silence, while connecting and while reading, after which a request is lost.
    :param max_in_flight: connections at most.
    :raises AccessError: the CA file can't be read.
    """
    # Answers are small: unpacking would cost more than carrying them whole.
    own = {"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"}
    async with open_session(site, seconds=seconds, max_in_flight=max_in_flight, headers=own) as session:
        yield _TrackSender(session, site.base_url + path, TrackReplies(site.place, f"POST {path}", right))


class _TrackSender:
    def __init__(self, session: aiohttp.ClientSession, url: str, replies: TrackReplies) -> None:
        from yarl import URL

        self._session = session
        self._url = URL(url)
        self._replies = replies

    def __repr__(self) -> str:
        return f"<sender: {self._replies.title} to {self._replies.place}>"

    async def send(self, body: bytes) -> Reply:
        """Send one body and classify the answer."""
        status: int | None = None
        headers: Mapping[str, str] = {}
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as response:
                status = response.status
                headers = pacing_headers(response.headers)
                # Only these bodies say something, and that of 401 is reported to repeat the key.
                telling = status == 400 or verdict_for(status) is Verdict.READ_ENTRIES
                answer = await read_limited(response.content, _REPLY_BYTES) if telling else None
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  the edge of the network: whatever it is, the batch gets a verdict
            return self._replies.lost(error, status, headers)
        return self._replies.read(status, headers, body, answer)
