"""The client id and secret of the sandbox's BlueConic."""

from __future__ import annotations

__all__ = ["CLIENT_ID", "CLIENT_SECRET"]

CLIENT_ID = "sandbox-client"
CLIENT_SECRET = "sandbox-secret"  # noqa: S105 - a documented constant of the sandbox
