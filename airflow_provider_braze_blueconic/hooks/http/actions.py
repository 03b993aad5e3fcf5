"""What an HTTP status means for an ordinary call."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

__all__ = ["CALL_ACTIONS", "Action", "action_for"]


class Action(StrEnum):
    """What an HTTP status means for an ordinary call."""

    READ = "read"
    """The body is the answer."""
    WAIT = "wait"
    """The server says that it did not do it: any call may go again."""
    AGAIN = "again"
    """It may or may not have been done: only a call that can be repeated goes again."""
    RENEW = "renew"
    """The key or token is refused: one fresh token if there can be one, else the owner has to act."""
    DENIED = "denied"
    """The key lacks a right."""
    MISSING = "missing"
    """There is nothing at that address."""
    MOVED = "moved"
    """The address sends us elsewhere; a key never follows."""
    ODD = "odd"
    """No rule covers it."""


CALL_ACTIONS: Mapping[int, Action] = {
    200: Action.READ,
    201: Action.READ,
    202: Action.READ,
    301: Action.MOVED,
    302: Action.MOVED,
    303: Action.MOVED,
    307: Action.MOVED,
    308: Action.MOVED,
    401: Action.RENEW,  # Braze also answers so on the wrong instance: docs "API errors", read 2026-11
    403: Action.DENIED,
    404: Action.MISSING,
    408: Action.WAIT,  # BlueConic, reading profiles
    429: Action.WAIT,
    500: Action.AGAIN,
    502: Action.AGAIN,
    503: Action.WAIT,  # both vendors: busy
    504: Action.AGAIN,
}


def action_for(status: int) -> Action:
    """Classify a status; one that the table does not hold is :attr:`Action.ODD`, never a success."""
    return CALL_ACTIONS.get(status, Action.ODD)
