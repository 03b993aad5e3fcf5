"""The REST API keys of the sandbox's Braze."""

from __future__ import annotations

__all__ = ["API_KEY", "READ_ONLY_API_KEY"]

API_KEY = "sandbox-braze-key"
READ_ONLY_API_KEY = "sandbox-braze-key-read-only"
