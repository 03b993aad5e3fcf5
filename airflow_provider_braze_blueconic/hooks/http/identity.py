"""What identifies us to a vendor: user agent, keys and tokens."""

from __future__ import annotations

from typing import Protocol

import requests
from requests.auth import AuthBase

from airflow_provider_braze_blueconic import __version__
from airflow_provider_braze_blueconic.exceptions import AccessError

__all__ = ["USER_AGENT", "Bearer", "BearerAuth", "FixedKey", "usable_key"]

USER_AGENT = f"airflow-provider-braze-blueconic/{__version__}"


class Bearer(Protocol):
    """Hands out what goes behind ``Authorization: Bearer``."""

    def token(self) -> str:
        """Return a token that is valid now."""
        ...

    def renew(self) -> bool:
        """Get a fresh token after a 401; ``False`` if there can't be one."""
        ...


class BearerAuth(AuthBase):
    # An auth object of our own also keeps requests from reading a .netrc file.
    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def usable_key(value: str | None, *, name: str, conn_id: str) -> str:
    """Return a key that fits into a header, without the blanks that copying leaves round it.

    :raises AccessError: there is none, or it holds a character that no header can carry.
    """
    key = (value or "").strip()
    if not key:
        raise AccessError(f'Connection "{conn_id}" has no {name}. Set it in the password field.')
    # Checked here, since the HTTP library would put the whole header into its error.
    if not key.isascii() or not key.isprintable() or " " in key or key[0] in "'\"":
        raise AccessError(
            f'The {name} of connection "{conn_id}" contains quotes, spaces or line breaks. Paste it again.'
        )
    return key


class FixedKey:
    def __init__(self, key: str) -> None:
        self._key = key

    def token(self) -> str:
        return self._key

    def renew(self) -> bool:
        return False
