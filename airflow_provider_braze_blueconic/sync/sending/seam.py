"""The seam between the send loop and a vendor: one request in, one classified reply out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

__all__ = ["BatchLimits", "NotTaken", "Refusal", "Reply", "Sender", "Verdict"]

NotTaken = Literal["rejected", "not_found", "no_consent"]
"""How a server can fail to take a record: it is bad; nobody is there to write to; the person did not consent."""


class Verdict(StrEnum):
    """What a reply means for the batch that was sent."""

    READ_ENTRIES = "read_entries"
    """The server took the batch, except for the objects that ``Reply.refusals`` names."""
    SPLIT = "split"
    """The server took nothing; the named objects are bad, or if none is named, one is (but ``Reply.doubtful``)."""
    WAIT = "wait"
    """Over a rate limit: nothing was taken, go on when the pacing headers allow."""
    RETRY = "retry"
    """The server did not process the batch and may do so later."""
    UNKNOWN = "unknown"
    """The batch may or may not have been applied."""
    STOP = "stop"
    """No batch of this run can succeed (key, permission, host): end the run with ``Reply.sentence``."""


@dataclass(frozen=True)
class Refusal:
    """One object that the server did not take.

    :param position: 0-based place of the object in the batch.
    :param reason: of one that is ``rejected`` the server's text, which may hold a person's values and is masked before
        it is shown; of the others a text of our own without any.
    :param outcome: how it was not taken.
    """

    position: int
    reason: str
    outcome: NotTaken = "rejected"


@dataclass(frozen=True)
class Reply:
    """A vendor's answer to one batch, read once and classified.

    :param verdict: what it means for the batch.
    :param status: the HTTP status, or ``None`` when there was no answer (timeout, lost connection).
    :param refusals: objects that the server named as not taken.
    :param headers: response headers with lower-case names, for pacing.
    :param sentence: for people: what happened and what to do next; free of secrets and personal values.
    :param unanswered: positions of objects of which the answer says nothing: each may have been applied or not.
    :param partial: position → target field → the server's reason, of objects that were taken except for these fields.
    :param again: positions of objects with which nothing was done, and which are worth another try in another form.
    :param doubtful: with ``SPLIT``: some of the batch may have been applied all the same, so that only what can be
        repeated is sent again.
    :param requests: requests that the attempt took: none if it did not come so far, two if the first was not let in.
    """

    verdict: Verdict
    status: int | None
    refusals: tuple[Refusal, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    sentence: str = ""
    unanswered: tuple[int, ...] = ()
    partial: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    again: tuple[int, ...] = ()
    doubtful: bool = False
    requests: int = 1


@dataclass(frozen=True)
class BatchLimits:
    """How much fits into one request.

    :param objects: objects, at most.
    :param body_bytes: size of the whole body in bytes, at most.
    """

    objects: int
    body_bytes: int


class Sender(Protocol):
    """Makes exactly one attempt to deliver a body and never raises for what the server answers."""

    async def send(self, body: bytes) -> Reply:
        """Send one request body.

        :raises asyncio.CancelledError: when the run is being stopped; nothing else.
        """
        ...
