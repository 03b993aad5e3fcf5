"""The address at which Braze keeps an export."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
from airflow.providers.common.compat.sdk import mask_secret

from airflow_provider_braze_blueconic.exceptions import TransientError, UnexpectedAnswer
from airflow_provider_braze_blueconic.hooks.http.actions import Action, action_for
from airflow_provider_braze_blueconic.hooks.http.identity import USER_AGENT
from airflow_provider_braze_blueconic.hooks.http.sites import Site

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Download", "mask_address"]

_NOT_YET = frozenset({403, 404})
"""What the address of an export answers before it is ready, and after four hours: docs "POST /users/export/segment" and
"Export troubleshooting", read 2026-11, name 403; 404 is what S3 says to those who may list."""

_CHUNK_BYTES = 1 << 20


def mask_address(url: str) -> None:
    """Keep a signed address out of the logs, also where only its path and query are logged."""
    mask_secret(url)
    parts = urlsplit(url)
    mask_secret(parts.query or parts.path)


class Download:
    """An export that Braze keeps.

    :param url: where. No key is sent there: its signature is in the address.
    :param site: of the workspace; its CA file holds here too.
    :param timeout: seconds of silence before the request counts as lost.
    """

    def __init__(self, url: str, *, site: Site, timeout: float) -> None:
        self._url = url
        self._site = site
        self._timeout = timeout

    def is_ready(self) -> bool:
        """Look once whether it can be fetched.

        :raises TransientError: busy or unreachable.
        :raises UnexpectedAnswer: answered in a form that no rule covers.
        """
        with self._fetch() as response:
            if response.status_code in _NOT_YET:
                return False
            _check_fetched(response)
            return True

    def save(self, local: Path) -> int:
        """Fetch it; the file is there only when it is whole.

        :return: bytes.
        :raises TransientError: busy, unreachable, or not there, be it no longer or not yet.
        :raises UnexpectedAnswer: answered in a form that no rule covers.
        """
        part = local.with_name(f"{local.name}.part")
        with self._fetch() as response, part.open("wb") as file:
            if response.status_code in _NOT_YET:
                raise TransientError(
                    "The segment export can't be downloaded from the address that Braze gave "
                    f"({response.status_code}): it isn't ready yet, or has expired. Such an address is valid for "
                    "about four hours."
                )
            _check_fetched(response)
            for chunk in response.iter_content(_CHUNK_BYTES):
                file.write(chunk)
        part.replace(local)
        return local.stat().st_size

    @contextmanager
    def _fetch(self) -> Iterator[requests.Response]:
        # The library's texts quote the address with its signature, so only the class of an error is named.
        try:
            with requests.get(
                self._url,
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
                auth=lambda request: request,  # or requests would look for a password in a .netrc file
                timeout=self._timeout,
                verify=self._site.ca_file or True,
                stream=True,
            ) as response:
                yield response
        except requests.exceptions.RequestException as error:
            raise TransientError(
                f"The address that {self._site.vendor} gave for the segment export can't be reached, or the "
                f"connection broke ({type(error).__name__})."
            ) from None


def _check_fetched(response: requests.Response) -> None:
    status = response.status_code
    match action_for(status):
        case Action.READ:
            return
        case Action.WAIT | Action.AGAIN:
            raise TransientError(f"The address that Braze gave for the segment export answered {status}.")
        case _:
            raise UnexpectedAnswer(
                f"The address that Braze gave for the segment export answered {status}, which no rule covers."
            )
