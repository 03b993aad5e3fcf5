"""The access tokens of the sandbox's BlueConic."""

from __future__ import annotations

import base64
import binascii
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from fastapi.responses import JSONResponse, Response

from airflow_provider_braze_blueconic.sandbox.blueconic.keys import CLIENT_ID, CLIENT_SECRET
from airflow_provider_braze_blueconic.sandbox.in_force import Faults

__all__ = ["Tokens", "give_token"]


@dataclass(frozen=True)
class _Token:
    dies_at: float
    scopes: frozenset[str]


class Tokens:
    """Access tokens that are alive."""

    def __init__(self) -> None:
        self._tokens: dict[str, _Token] = {}
        self._lock = threading.Lock()

    def give(self, *, seconds: float, scopes: frozenset[str]) -> str:
        text = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[text] = _Token(time.monotonic() + seconds, scopes)
        return text

    def revoke(self, text: str) -> None:
        with self._lock:
            self._tokens.pop(text, None)

    def revoke_all(self) -> None:
        """Throw every token away: the next call of each client is answered 401."""
        with self._lock:
            self._tokens.clear()

    def scopes(self, text: str) -> frozenset[str] | None:
        """Return the scopes of a living token, else ``None``."""
        token = self._tokens.get(text)
        return token.scopes if token is not None and time.monotonic() < token.dies_at else None


def give_token(body: bytes, headers: Mapping[str, str], *, faults: Faults, tokens: Tokens) -> Response:
    def refuse(status: int, error: str, description: str) -> Response:
        return JSONResponse({"error": error, "error_description": description}, status_code=status)

    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return refuse(400, "invalid_request", "The body must be form-encoded")
    form = {name: texts[0] for name, texts in parse_qs(body.decode("utf-8", "replace")).items()}
    # The definition wants id and secret in the form; the vendor's own client sends them as HTTP Basic. Both are taken.
    client_id, client_secret = form.get("client_id", ""), form.get("client_secret", "")
    if not client_id and headers.get("authorization", "").lower().startswith("basic "):
        client_id, client_secret = _basic(headers["authorization"])
    grant_type = form.get("grant_type")
    if not grant_type or not client_id or not client_secret:
        return refuse(400, "invalid_request", "grant_type, client_id and client_secret are required")
    if grant_type != "client_credentials":
        return refuse(400, "unsupported_grant_type", "This grant type is not supported")
    if (client_id, client_secret) != (CLIENT_ID, CLIENT_SECRET):
        return refuse(401, "invalid_client", "The client id or the secret is wrong")
    scopes = frozenset(faults.blueconic.scopes)
    wanted = frozenset(form.get("scope", "").split())
    if wanted - scopes:
        return refuse(400, "invalid_scope", "Scope not granted")
    seconds = faults.blueconic.token_seconds
    token = tokens.give(seconds=seconds, scopes=wanted or scopes)
    return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": seconds})


def _basic(header: str) -> tuple[str, str]:
    try:
        client_id, _, secret = base64.b64decode(header.split(" ", 1)[1]).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return client_id, secret
