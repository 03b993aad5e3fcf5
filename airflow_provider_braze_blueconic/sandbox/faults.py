"""Faults and settings: everything about the sandbox that a test may turn, as typed values.

In process::

    box.faults.add(Fault("braze", "status", path="/users/track", status=429, times=3))
    box.faults.braze = replace(box.faults.braze, reset_form="seconds")

From another process, the same as JSON::

    POST /sandbox/faults
    {"faults": [{"service": "braze", "kind": "reset_after", "path": "/users/track", "every": 7}],
     "braze": {"reset_form": "seconds"}}
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

__all__ = ["BlueConicSettings", "BrazeSettings", "Fault", "FaultKind", "Faults", "Service"]

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


_BRAZE_PERMISSIONS = (
    "users.track",
    "users.track.bulk",
    "users.export.ids",
    "users.export.segment",
    "segments.list",
    "segments.details",
    "segments.data_series",
    "campaigns.list",
    "campaigns.details",
    "custom_attributes.get",
)


@dataclass(frozen=True)
class BrazeSettings:
    """How the sandbox's Braze workspace is set up: numbers of the Braze docs, read 2026-11, unless marked.

    :param keys: REST API keys and the permissions of each.
    :param track_requests: requests to ``/users/track`` in ``track_seconds`` (docs "API limits").
    :param track_seconds: length of that window in seconds.
    :param bulk_requests: requests to ``/users/track/bulk`` in a second (docs "POST /users/track/bulk").
    :param shared_requests: requests an hour to the endpoints that share the default limit.
    :param export_ids_requests: requests a minute to ``/users/export/ids`` (accounts before 2024-08-22; later ones 250).
    :param custom_attribute_requests: requests an hour to ``/custom_attributes``.
    :param reset_form: ``X-RateLimit-Reset`` as ``epoch`` seconds or as ``seconds`` that remain: the docs say both.
    :param limited_form: a 429 carries the three ``rate_limit`` headers, or ``retry_after`` alone (MAU contracts).
    :param objects: objects in a request to ``/users/track``, all arrays together.
    :param bulk_objects: the same for ``/users/track/bulk``.
    :param bulk_objects_per_user: objects of one user in a bulk request.
    :param body_bytes: bytes of a body; above it 413. MB or MiB is UNVERIFIED.
    :param bulk_body_bytes: the same for bulk; above it 400.
    :param array_length: elements that an array attribute keeps.
    :param bill_unmatched: whether an update-only object that matched nobody costs data points. UNVERIFIED.
    :param export_needs_fields: ``/users/export/ids`` without ``fields_to_export`` is refused (newer accounts).
    :param blocked_external_ids: ids of "dummy users" that Braze no longer takes data for.
    :param size_error: share by which ``/segments/data_series`` is off (0.1: a tenth too many): sizes are estimates.
    :param own_storage: whether the workspace has a bucket of its own connected: segment exports go there. Without one
        the answer carries a ``url`` at which one zip archive stands as soon as the export is done; 403 before that.
    :param export_seconds: seconds from the request to the last part; the parts appear evenly spread over them.
    :param export_users_per_part: users in a part (docs "POST /users/export/segment": about 5,000).
    :param export_zip_entries: JSON files in each zip part. Their number and names are UNVERIFIED.
    :param export_shuffled: the parts appear in an order drawn from the seed.
    :param export_across_midnight: the later half of the parts stands in the folder of the day after the request's.
    :param export_late_s: seconds by which the last part comes later than ``export_seconds``.
    :param export_grows: the last part first appears with half of its lines, and is then replaced by the whole.
    :param export_duplicates: users that occur twice: every other one with outdated values earlier in the same part,
        the rest as the same line in another part (docs "Export FAQs": possible though rare).
    :param export_broken_lines: broken lines on top of the good ones: in turn a line cut in half and one that is not
        UTF-8.
    :param export_lost_parts: parts, the last ones, that never appear: the export breaks off.
    :param export_never: an export is accepted and ends after ``export_seconds`` without having written anything, as
        with a bucket that Braze can't write to.
    :param export_empty_part: an empty segment gives one part without a line. What Braze does is UNVERIFIED.
    :param export_root: path in the bucket below which Braze writes, such as ``braze/eu``.
    :param exports_at_once: segment exports of a company that may run at the same time (docs, the same page).
    :param export_url_seconds: seconds for which a ``url`` works: "a few hours" and "four hours" say the docs.
    """

    keys: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {
            "sandbox-braze-key": _BRAZE_PERMISSIONS,
            "sandbox-braze-key-read-only": tuple(name for name in _BRAZE_PERMISSIONS if "track" not in name),
        }
    )
    track_requests: int = 3000
    track_seconds: float = 3.0
    bulk_requests: int = 50
    shared_requests: int = 250_000
    export_ids_requests: int = 2500
    custom_attribute_requests: int = 1000
    reset_form: Literal["epoch", "seconds"] = "epoch"
    limited_form: Literal["rate_limit", "retry_after"] = "rate_limit"
    objects: int = 75
    bulk_objects: int = 1000
    bulk_objects_per_user: int = 100
    body_bytes: int = 4_000_000
    bulk_body_bytes: int = 2_000_000
    array_length: int = 500
    bill_unmatched: bool = False
    export_needs_fields: bool = False
    blocked_external_ids: Sequence[str] = ("sandbox-dummy-user",)
    size_error: float = 0.0
    own_storage: bool = True
    export_seconds: float = 0.2
    export_users_per_part: int = 5000
    export_zip_entries: int = 1
    export_shuffled: bool = False
    export_across_midnight: bool = False
    export_late_s: float = 0.0
    export_grows: bool = False
    export_duplicates: int = 0
    export_broken_lines: int = 0
    export_lost_parts: int = 0
    export_never: bool = False
    export_empty_part: bool = False
    export_root: str = ""
    exports_at_once: int = 100
    export_url_seconds: float = 4 * 3600


@dataclass(frozen=True)
class BlueConicSettings:
    """How the sandbox's BlueConic tenant is set up.

    :param token_seconds: life of an access token.
    :param scopes: scopes of the sandbox's application; a call outside them is answered 403.
    :param index_lag_s: seconds until a change is found by a refinement; BlueConic says up to ten minutes.
    :param refused_refinements: properties on which a refinement is answered 400. That ``lastmodifieddate`` is accepted
        is UNVERIFIED, so a test can switch it off here.
    :param bulk_entries: entries of a bulk write that are processed; with more of them the answer is 413.
    :param concurrent_bulks: bulk writes in flight at once, above which they are answered 429; BlueConic publishes no
        number.
    :param sum_strategy: the word by which numbers are added: BlueConic's definition says ``INCREMENT`` in one place
        and ``SUM`` in another. The word that this tenant does not know is answered 400.
    :param unknown_sum: or, where this is ``ignored``, left out without a word, so that a profile of which nothing else
        changes is ``UNCHANGED``. UNVERIFIED which of the two a tenant does.
    :param empty_set_clears: whether ``SET`` with an empty list empties the property (else it says nothing). UNVERIFIED.
    :param stores_matching: whether a created profile gets the values that it was matched on. UNVERIFIED.
    :param several_matches: whether the ``first`` profile that matches is written (the one with the lowest id) or
        ``all`` of them, with a result each. UNVERIFIED.
    :param pii_rights: without them an entry that writes a PII property is ``UNAUTHORIZED``.
    :param skipped: entries that are answered ``SKIPPED``: their ``identifier``, ``profileId`` or a value they match on.
    :param unanswered: entries that are applied and yet have no result in the answer, named in the same way.
    :param shuffle_results: whether the results come in another order than the entries; the order is UNVERIFIED.
    """

    token_seconds: int = 3600
    scopes: Sequence[str] = (
        "read:segments",
        "read:profiles",
        "read:profile-properties",
        "read:objectives",
        "read:dialogues",
        "read:connections",
        "write:profiles",
        "write:profile-properties",
    )
    index_lag_s: float = 0.0
    refused_refinements: Sequence[str] = ()
    bulk_entries: int = 1000
    concurrent_bulks: int | None = None
    sum_strategy: Literal["INCREMENT", "SUM", "both"] = "both"
    unknown_sum: Literal["refused", "ignored"] = "refused"
    empty_set_clears: bool = True
    stores_matching: bool = False
    several_matches: Literal["first", "all"] = "first"
    pii_rights: bool = True
    skipped: Sequence[str] = ()
    unanswered: Sequence[str] = ()
    shuffle_results: bool = False


class _Watched:
    """A fault with its counters."""

    __slots__ = ("fault", "hits", "seen")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen = 0
        self.hits = 0


class Faults:
    """The faults in force and the settings of both services.

    :param seed: decides which requests a fault with a ``share`` hits.
    """

    def __init__(self, *, seed: int = 1) -> None:
        self.braze = BrazeSettings()
        self.blueconic = BlueConicSettings()
        self._seed = seed
        self._watched: list[_Watched] = []
        self._lock = threading.Lock()

    def add(self, *faults: Fault) -> None:
        """Put faults in force; their counts start at 0."""
        with self._lock:
            self._watched.extend(_Watched(fault) for fault in faults)

    def clear(self) -> None:
        """Take back all faults; the settings stay."""
        with self._lock:
            self._watched.clear()

    def restore(self) -> None:
        """Give both services the settings that they began with; the faults stay."""
        self.braze, self.blueconic = BrazeSettings(), BlueConicSettings()

    def hits(self, kind: FaultKind | None = None) -> int:
        """Return how many requests have been hit by the faults in force, or by those of one kind."""
        with self._lock:
            return sum(watched.hits for watched in self._watched if kind in {None, watched.fault.kind})

    def draw(self, service: Service, *, method: str, path: str) -> list[Fault]:
        """Count a request and return the faults that hit it: every latency, and the first of another kind."""
        if not self._watched:
            return []
        with self._lock:
            return self._draw(service, method, path)

    def _draw(self, service: Service, method: str, path: str) -> list[Fault]:
        drawn: list[Fault] = []
        taken = False
        for place, watched in enumerate(self._watched):
            fault = watched.fault
            if fault.service != service or fault.method not in {"*", method} or not fnmatchcase(path, fault.path):
                continue
            count = watched.seen
            watched.seen += 1
            if taken and fault.kind != "latency":
                continue
            if not self._is_hit(watched, count, place):
                continue
            watched.hits += 1
            drawn.append(fault)
            taken = taken or fault.kind != "latency"
        return drawn

    def _is_hit(self, watched: _Watched, count: int, place: int) -> bool:
        fault = watched.fault
        if fault.times is not None and watched.hits >= fault.times:
            return False
        if count < fault.skip or (count - fault.skip) % fault.every:
            return False
        return fault.share >= 1.0 or random.Random(f"{self._seed}:{place}:{count}").random() < fault.share

    def configure(self, document: Mapping[str, Any]) -> None:
        """Apply the JSON document of ``POST /sandbox/faults``.

        Keys: ``clear`` (true drops all faults first), ``faults`` (list of objects with the fields of :class:`Fault`),
        ``braze`` and ``blueconic`` (the settings to change).

        :raises ValueError: on an unknown key or value; nothing has changed then.
        """
        unknown = set(document) - {"clear", "faults", "braze", "blueconic"}
        if unknown:
            raise ValueError(f"unknown keys {', '.join(sorted(unknown))}; known are clear, faults, braze, blueconic")
        try:
            faults = [Fault(**fault) for fault in document.get("faults", [])]
            braze = replace(self.braze, **document.get("braze", {}))
            blueconic = replace(self.blueconic, **document.get("blueconic", {}))
        except TypeError as error:
            raise ValueError(str(error)) from error
        if document.get("clear"):
            self.clear()
        self.braze, self.blueconic = braze, blueconic
        self.add(*faults)

    def describe(self) -> list[dict[str, Any]]:
        """Return the faults in force with their counters, as plain values."""
        with self._lock:
            return [
                {
                    **{each.name: getattr(watched.fault, each.name) for each in fields(Fault)},
                    "seen": watched.seen,
                    "hits": watched.hits,
                }
                for watched in self._watched
            ]
