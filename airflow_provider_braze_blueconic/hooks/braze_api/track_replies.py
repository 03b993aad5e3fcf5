"""What an answer of ``/users/track`` means for its batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_braze_blueconic.hooks.braze_api.track_objects import (
    ARRAYS,
    count_objects,
    json_object,
    locate,
    read_refusals,
)
from airflow_provider_braze_blueconic.hooks.http.lost_attempts import lost_reply
from airflow_provider_braze_blueconic.sync.sending.seam import Refusal, Reply, Verdict

__all__ = ["TRACK_VERDICTS", "TrackReplies", "verdict_for"]

# Docs "API errors", read 2026-11. A status that is not here is UNKNOWN.
TRACK_VERDICTS: Mapping[int, Verdict] = {
    200: Verdict.READ_ENTRIES,  # the community's specification lists it beside 201
    201: Verdict.READ_ENTRIES,  # queued; errors[] still names refused objects, by index inside their array
    202: Verdict.READ_ENTRIES,  # taken for later during maintenance: older docs "Queued responses", read 2026-11
    400: Verdict.SPLIT,  # one bad object can refuse the other 74: read the entries, else halve
    401: Verdict.STOP,  # the body is reported to repeat the key: never quote it
    403: Verdict.STOP,
    404: Verdict.STOP,
    413: Verdict.SPLIT,  # too many bytes: halves may pass
    415: Verdict.STOP,
    429: Verdict.WAIT,
    500: Verdict.RETRY,
    502: Verdict.RETRY,  # "failed before reaching the server"
    503: Verdict.RETRY,  # "capacity or network"
    504: Verdict.UNKNOWN,  # may have been applied; only repeatable operations go again
}

_ACCEPTED_MESSAGES = frozenset({"success", "queued"})
"""``success`` of 201, ``queued`` of 202: docs of both, read 2026-11. Any other text is no known yes."""


def verdict_for(status: int) -> Verdict:
    """Classify a status; one that the table does not hold is unknown."""
    return TRACK_VERDICTS.get(status, Verdict.UNKNOWN)


@dataclass(frozen=True)
class TrackReplies:
    """Turns answers into replies; knows no network.

    :param place: vendor, host and connection, for sentences.
    :param title: method and path, for sentences.
    :param right: the permission that the endpoint needs.
    """

    place: str
    title: str
    right: str

    def read(self, status: int, headers: Mapping[str, str], sent: bytes, answer: bytes | None) -> Reply:
        """Classify an answer.

        :param headers: what pacing needs, lower-case names.
        :param sent: the body that it answers.
        :param answer: its body where the status says that it matters; ``None`` if too large or not read.
        :return: a reply whose positions count attributes, then events, then purchases.
        """
        verdict = verdict_for(status)
        if verdict is Verdict.READ_ENTRIES:
            return self._read_success(status, headers, sent, json_object(answer))
        refusals: tuple[Refusal, ...] = ()
        if status == 400:
            refusals = read_refusals(json_object(answer), count_objects(sent))
        return Reply(verdict, status, refusals, headers, self._sentence(verdict, status))

    def _read_success(self, status: int, headers: Mapping[str, str], sent: bytes, answer: dict[str, Any]) -> Reply:
        """Believe a 2xx only as far as it accounts for every object: an unclear one counts as unknown."""
        if answer.get("message") not in _ACCEPTED_MESSAGES:
            return self._unclear(status, headers, "has no known message")
        entries = answer.get("errors", [])
        if entries is None:
            entries = []
        if not isinstance(entries, list):
            return self._unclear(status, headers, "names its errors in an unknown form")
        refusals: dict[int, Refusal] = {}
        if entries:
            refusals, complete = locate(entries, count_objects(sent))
            if not complete:
                return self._unclear(status, headers, "names refused objects in a way that can't be matched")
        if _falls_short(answer, refusals, sent):
            return self._unclear(status, headers, "counts fewer objects than the request had")
        return Reply(Verdict.READ_ENTRIES, status, tuple(refusals.values()), headers)

    def lost(self, error: Exception, status: int | None, headers: Mapping[str, str]) -> Reply:
        """Classify what came instead of a whole answer."""
        if status is not None and verdict_for(status) is not Verdict.READ_ENTRIES:
            return self.read(status, headers, b"", None)  # the status alone tells enough
        return lost_reply(error, place=self.place, title=self.title, headers=headers, status=status)

    def _unclear(self, status: int, headers: Mapping[str, str], what: str) -> Reply:
        text = (
            f"{self.place} answered {self.title} with {status}, but the answer {what}, so it doesn't count as success."
        )
        return Reply(Verdict.UNKNOWN, status, (), headers, text)

    def _sentence(self, verdict: Verdict, status: int) -> str:
        place, title = self.place, self.title
        by_status = {
            400: f"{place} refused the batch (400 to {title}).",
            401: f"{place} refused the key (401 to {title}). Check the key, that the REST endpoint is the key's own "
            f'instance, and that the key has the permission "{self.right}".',
            403: f'{place} denied {title} (403): the key lacks the permission "{self.right}", or the contract '
            "doesn't include it. A key's permissions can't be changed: create a new key.",
            404: f"{place} has no {title} (404). Check the host.",
            413: f"{place} refused the body of {title} as too large (413).",
        }
        by_verdict = {
            Verdict.WAIT: f"{place} is over its rate limit ({status} to {title}).",
            Verdict.RETRY: f"{place} failed or is overloaded ({status} to {title}); it didn't process the batch.",
            Verdict.STOP: f"{place} refused {title} with {status}; no batch of this run can succeed.",
            Verdict.UNKNOWN: f"{place} answered {title} with {status}; the batch may have been applied.",
        }
        return by_status.get(status) or by_verdict[verdict]


def _falls_short(answer: Mapping[str, Any], refusals: Mapping[int, Refusal], sent: bytes) -> bool:
    """Check that queued and refused objects are all that were sent, where the answer counts them.

    In the one measured answer they were (2 + 3 = 5); no page says that it is a rule, so only too few is taken
    for a contradiction. A batch that falls short is unknown: some of it may have been dropped without a word.
    """
    processed = {name: answer.get(f"{name}_processed") for name in ARRAYS}
    told = {name: count for name, count in processed.items() if isinstance(count, int) and not isinstance(count, bool)}
    if not told:
        return False
    # Each object opens a brace and so does the body round them, whatever else there is in it. If as many are
    # accounted for, none is missing, and the body need not be parsed: that would cost more than sending it.
    if len(told) == 1 and sum(told.values()) + len(refusals) >= sent.count(b"{") - 1:
        return False
    counts = count_objects(sent)
    offset = 0
    for name in ARRAYS:
        size = counts.get(name, 0)
        refused = sum(1 for position in refusals if offset <= position < offset + size)
        offset += size
        if name in told and told[name] + refused < size:
            return True
    return False
