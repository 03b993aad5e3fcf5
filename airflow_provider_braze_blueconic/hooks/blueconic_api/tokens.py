"""The tokens with which BlueConic lets us in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from airflow.providers.common.compat.sdk import mask_secret

from airflow_provider_braze_blueconic.exceptions import AccessError, UnexpectedAnswer
from airflow_provider_braze_blueconic.hooks.blueconic_api.definitions import whole_number
from airflow_provider_braze_blueconic.hooks.http.caller import Caller
from airflow_provider_braze_blueconic.hooks.http.calls import Call
from airflow_provider_braze_blueconic.hooks.http.identity import Bearer

__all__ = ["ClientCredentials", "SharedTokens"]

TOKEN_LIFE_USED = 0.9
"""Share of a token's life after which it is renewed, as in the vendor's own client, read 2026-11."""

TOKEN_LIFE = 3600.0
"""Seconds that a token lives where the answer does not say; the vendor's example says 3600, read 2026-11."""


class ClientCredentials:
    """OAuth 2 client credentials: in the form, without a scope; the application's own scopes hold.

    Several threads may ask at once.

    :param clock: monotonic seconds.
    """

    def __init__(self, caller: Caller, *, client_id: str, client_secret: str, clock: Callable[[], float]) -> None:
        self._caller = caller
        self._client_id = client_id
        self._client_secret = client_secret
        self._clock = clock
        self._token = ""
        self._renew_at = 0.0
        self._one_fetches = threading.Lock()

    def token(self) -> str:
        with self._one_fetches:
            if not self._token or self._clock() >= self._renew_at:
                self._fetch()
            return self._token

    def renew(self) -> bool:
        with self._one_fetches:
            self._fetch()
        return True

    def _fetch(self) -> None:
        site = self._caller.site
        wrong = AccessError(
            f"{site.place} refused the client id and secret. Check both, that the application uses the client "
            "credentials flow, and that its allowed addresses include this worker's."
        )
        asked_at = self._clock()
        body = self._caller.call(
            Call(
                "POST",
                "/oauth/token",
                "client credentials",
                form={
                    "grant_type": "client_credentials",
                    "client_id": self._client_id,
                    "client_secret": self._client_secret,
                },
                errors={400: wrong, 401: wrong, 403: wrong},
            )
        ).body
        token = body.get("access_token")
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise UnexpectedAnswer(f"{site.place} returned no usable token.")
        mask_secret(token)
        self._token = token
        self._renew_at = asked_at + TOKEN_LIFE_USED * (whole_number(body.get("expires_in")) or TOKEN_LIFE)


class SharedTokens:
    """Hands tokens out inside of an event loop, and renews them without keeping it waiting; many askers renew once."""

    def __init__(self, bearer: Bearer) -> None:
        self._bearer = bearer
        self._one_asks = asyncio.Lock()
        self._last = ""

    async def current(self) -> str:
        """Return a token that is good now, as far as its announced life tells."""
        async with self._one_asks:
            self._last = await asyncio.to_thread(self._bearer.token)
            return self._last

    async def another(self, refused: str) -> str:
        """Return a token for one that was refused: a fresh one, unless somebody has got it already."""
        async with self._one_asks:
            if refused == self._last:
                await asyncio.to_thread(self._bearer.renew)
                self._last = await asyncio.to_thread(self._bearer.token)
            return self._last
