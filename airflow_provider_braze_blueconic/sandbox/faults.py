"""Faults: what a test may let go wrong in the sandbox, as typed values.

In process::

    box.faults.add(Fault("braze", "status", path="/users/track", status=429, times=3))
    box.faults.braze = replace(box.faults.braze, reset_form="seconds")

From another process, the same as JSON::

    POST /sandbox/faults
    {"faults": [{"service": "braze", "kind": "reset_after", "path": "/users/track", "every": 7}],
     "braze": {"reset_form": "seconds"}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

__all__ = ["Fault", "FaultKind", "Service"]

Service = Literal["braze", "blueconic", "s3"]

FaultKind = Literal[
    "latency",
    "status",
    "status_after",
    "html",
    "cut_body",
    "reset_before",
    "reset_during",
    "reset_after",
    "timeout_before",
    "timeout_after",
    "entry_errors",
    "poison",
    "key_revoked",
    "token_expired",
    "entry_state",
    "broken_stream",
    "truncated_stream",
    "repeated_page",
    "missing_profiles",
    "empty_index",
    "lost_put",
    "list_delay",
    "unconditional_put",
]
"""What goes wrong.

``latency``           the answer comes ``delay_s`` (plus up to ``jitter_s``) later; combines with every other kind.
``status``            answered with ``status`` and the service's own error body; nothing is applied.
``status_after``      applied in full, and yet answered with ``status``.
``html``              answered with ``status`` and an HTML page, as proxies do (``status=200`` too); nothing is applied.
``cut_body``          applied; the answer says 2xx, but its JSON body ends in the middle.
``reset_before``      the connection is reset before anything is applied.
``reset_during``      the first half of the objects is applied, then the connection is reset (Braze writes, BlueConic's
                      bulk writes; elsewhere as ``reset_after``).
``reset_after``       applied in full, then the connection is reset without an answer.
``timeout_before``    nothing is applied and nothing is answered for ``delay_s``; then 504.
``timeout_after``     applied in full, but nothing is answered for ``delay_s``; then 504.
``entry_errors``      Braze writes: ``entry_share`` of the objects, and every object that names one of
                      ``identifiers``, is refused with ``text`` in ``errors``; without ``index`` where ``indexed`` is
                      false.
``poison``            Braze writes: a request in which one of ``identifiers`` occurs is refused whole (400, ``text``,
                      no entries).
``key_revoked``       Braze: the key of the request is taken out of the workspace, so it and all later ones are
                      answered 401.
``token_expired``     BlueConic: the token of the request is thrown away, so the answer is 401.
``entry_state``       BlueConic's bulk writes: ``entry_share`` of the entries, and every entry that one of
                      ``identifiers`` means, is answered with ``state`` and not applied.
``broken_stream``     the connection is closed after ``at_bytes`` bytes of the body.
``truncated_stream``  the body ends after ``at_bytes`` bytes as if it were complete.
``repeated_page``     BlueConic profiles: the answer's ``nextCursor`` leads to the same page again.
``missing_profiles``  BlueConic profiles: the last ``entry_share`` of a page's profiles are not sent, though announced.
``empty_index``       BlueConic profiles: the segment is announced and sent as if nobody were in it.
``lost_put``          S3, a PUT with ``If-None-Match: *``: another writer puts an object there first, so the answer is
                      412. In the log of a Delta table that is a commit without data (where ours makes the table, with
                      the same schema), elsewhere an object with the same content.
``list_delay``        S3, listings: objects that first appeared in the last ``delay_s`` seconds are missing. Amazon's S3
                      lists what was written since 2020-12 ("Amazon S3 data consistency model", read 2026-11).

``unconditional_put`` S3, a PUT with ``If-None-Match``: the condition is ignored, as some stores do, so what is there is
                      replaced.

S3 has ``latency``, ``status`` (503 is its ``SlowDown``), the two timeouts, ``reset_before``, ``reset_after`` and these
last three.
"""

S3_KINDS: frozenset[FaultKind] = frozenset(
    {
        "latency",
        "status",
        "reset_before",
        "reset_after",
        "timeout_before",
        "timeout_after",
        "lost_put",
        "list_delay",
        "unconditional_put",
    }
)

_S3_ALONE: Mapping[FaultKind, str] = {"lost_put": "PUT", "list_delay": "LIST", "unconditional_put": "PUT"}
"""Kinds that S3 alone has, and the method of the requests that they are about."""


@dataclass(frozen=True)
class Fault:
    """One fault and the requests that it hits.

    Which requests: those of ``service`` whose path matches, counted from 0 in order of arrival; the first ``skip``
    pass, then every ``every``-th is hit, ``times`` at most, each with probability ``share`` (drawn from the seed and
    the count, so the same requests are hit in every run that sends them in the same order).

    :param service: ``braze``, ``blueconic`` or ``s3``.
    :param kind: see :data:`FaultKind`.
    :param path: pattern of the path, such as ``/users/track`` or ``/rest/v2/segments/*/profiles``. Of S3 it is
        ``/<bucket>/<key>``, of its listings ``/<bucket>/<prefix>``.
    :param method: HTTP method, ``*`` for any. S3's listings have the method ``LIST``.
    :param skip: number of matching requests that pass first.
    :param every: 1 hits each of them, 7 every seventh.
    :param times: most requests hit in total; ``None`` without end.
    :param share: probability with which a chosen request is hit.
    :param status: HTTP status of ``status``, ``status_after`` and ``html``.
    :param retry_after_s: seconds that a 429 of Braze asks to wait.
    :param headers: response headers of ``status``, ``status_after`` and ``html``.
    :param delay_s: seconds of ``latency``, of the two timeouts and of ``list_delay``.
    :param jitter_s: seconds, at most, on top of ``delay_s``; drawn from the seed.
    :param at_bytes: bytes of the body after which a stream breaks; a shorter body loses its last two bytes.
    :param entry_share: share of objects that ``entry_errors`` refuses, of entries that ``entry_state`` answers, or of
        profiles that ``missing_profiles`` leaves out.
    :param identifiers: external ids, e-mail addresses, braze ids, phone numbers or alias names of
        ``entry_errors`` and ``poison``; values that an entry matches on, its key or profile of ``entry_state``.
    :param text: the error text of ``entry_errors`` and ``poison``.
    :param indexed: whether an error of ``entry_errors`` says which object it means.
    :param state: what ``entry_state`` answers, such as ``SKIPPED``, or a word that the definition does not have.
    """

    service: Service
    kind: FaultKind
    path: str = "*"
    method: str = "*"
    skip: int = 0
    every: int = 1
    times: int | None = None
    share: float = 1.0
    status: int = 500
    retry_after_s: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    jitter_s: float = 0.0
    at_bytes: int = 2000
    entry_share: float = 0.0
    identifiers: tuple[str, ...] = ()
    text: str = "The sandbox refuses this object"
    indexed: bool = True
    state: str = "SKIPPED"

    def __post_init__(self) -> None:
        if self.service not in get_args(Service):
            raise ValueError(f"service is {self.service!r}; it must be one of {', '.join(get_args(Service))}")
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"kind is {self.kind!r}; it must be one of {', '.join(get_args(FaultKind))}")
        if (self.service == "s3" and self.kind not in S3_KINDS) or (self.service != "s3" and self.kind in _S3_ALONE):
            raise ValueError(f"kind is {self.kind!r}, which {self.service} does not have")
        if self.every < 1:
            raise ValueError(f"every is {self.every}; it must be 1 or more")
        object.__setattr__(self, "identifiers", tuple(self.identifiers))
        object.__setattr__(self, "method", _S3_ALONE.get(self.kind, self.method))
