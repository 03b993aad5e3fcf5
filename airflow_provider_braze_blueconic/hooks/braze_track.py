"""One attempt to deliver a body to Braze's ``/users/track`` or ``/users/track/bulk``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.hooks.attempts import lost_reply, open_session, pacing_headers, read_limited
from airflow_provider_braze_blueconic.hooks.http import Site, read_json
from airflow_provider_braze_blueconic.sync.pacing import Rate
from airflow_provider_braze_blueconic.sync.sending import BatchLimits, Refusal, Reply, Sender, Verdict

if TYPE_CHECKING:
    import aiohttp

__all__ = [
    "TRACK_BULK_LIMITS",
    "TRACK_BULK_RATE",
    "TRACK_LIMITS",
    "TRACK_RATE",
    "TRACK_VERDICTS",
    "TrackReplies",
    "open_sender",
    "verdict_for",
]

TRACK_LIMITS = BatchLimits(
    objects=75,  # attributes, events and purchases together: docs "POST /users/track", read 2026-11
    body_bytes=4_000_000,  # 413 above "4 MB", docs "User data"; MB or MiB is UNVERIFIED, so the smaller
)
TRACK_BULK_LIMITS = BatchLimits(
    objects=1_000,  # docs "POST /users/track/bulk", read 2026-11; "depending on the account's bulk policy"
    body_bytes=2_000_000,  # "2 MB", same page; MB or MiB is UNVERIFIED, so the smaller
)

TRACK_RATE = Rate(3_000, 3.0)
"""Requests in seconds, contracts priced by data points: docs "API limits", read 2026-11."""

TRACK_BULK_RATE = Rate(50, 1.0)
"""Base limit of most customers: docs "POST /users/track/bulk", read 2026-11."""

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

_REPLY_BYTES = 1 << 20
"""Bytes of an answer that are read: a thousand refusals of a bulk request fit in several times over."""

_ARRAYS = ("attributes", "events", "purchases")
"""In this order Braze begins with them, and in this order positions count: docs "API limits", read 2026-11."""


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
            return self._read_success(status, headers, sent, _object(answer))
        refusals: tuple[Refusal, ...] = ()
        if status == 400:
            refusals = _read_refusals(_object(answer), _counts(sent))
        return Reply(verdict, status, refusals, headers, self._sentence(verdict, status))

    def _read_success(self, status: int, headers: Mapping[str, str], sent: bytes, answer: dict[str, Any]) -> Reply:
        """Believe a 2xx only as far as it accounts for every object: an unclear one counts as unknown."""
        if answer.get("message") not in _ACCEPTED_MESSAGES:
            return self._unclear(status, headers, "holds no known message")
        entries = answer.get("errors", [])
        if entries is None:
            entries = []
        if not isinstance(entries, list):
            return self._unclear(status, headers, "names its errors in an unknown form")
        refusals: dict[int, Refusal] = {}
        if entries:
            refusals, complete = _locate(entries, _counts(sent))
            if not complete:
                return self._unclear(status, headers, "names refused objects in a way that can't be followed")
        if _falls_short(answer, refusals, sent):
            return self._unclear(status, headers, "counts fewer objects than were sent")
        return Reply(Verdict.READ_ENTRIES, status, tuple(refusals.values()), headers)

    def lost(self, error: Exception, status: int | None, headers: Mapping[str, str]) -> Reply:
        """Classify what came instead of a whole answer."""
        if status is not None and verdict_for(status) is not Verdict.READ_ENTRIES:
            return self.read(status, headers, b"", None)  # the status alone tells enough
        return lost_reply(error, place=self.place, title=self.title, headers=headers, status=status)

    def _unclear(self, status: int, headers: Mapping[str, str], what: str) -> Reply:
        text = f"{self.place} answered {self.title} with {status}, but the answer {what}. It is not taken for success."
        return Reply(Verdict.UNKNOWN, status, (), headers, text)

    def _sentence(self, verdict: Verdict, status: int) -> str:
        place, title = self.place, self.title
        by_status = {
            400: f"{place} refused the batch (400 to {title}).",
            401: f"{place} refused the key (401 to {title}). Check the key, that the REST endpoint is the key's own "
            f'instance, and that the key has the permission "{self.right}".',
            403: f'{place} denied {title} (403): the key lacks the permission "{self.right}", or the contract does not '
            "hold it. A key's permissions can't be changed: make a new key.",
            404: f"{place} has no {title} (404). Check the host.",
            413: f"{place} found the body of {title} too large (413).",
        }
        by_verdict = {
            Verdict.WAIT: f"{place} is over its rate limit ({status} to {title}).",
            Verdict.RETRY: f"{place} failed or is busy ({status} to {title}); it did not process the batch.",
            Verdict.STOP: f"{place} refused {title} with {status}; no batch of this run can succeed.",
            Verdict.UNKNOWN: f"{place} answered {title} with {status}; the batch may have been applied.",
        }
        return by_status.get(status) or by_verdict[verdict]


def _object(answer: bytes | None) -> dict[str, Any]:
    parsed = read_json(answer)
    return parsed if isinstance(parsed, dict) else {}


def _counts(sent: bytes) -> dict[str, int]:
    """Count the objects of each array of a body."""
    body = _object(sent)
    return {name: len(body[name]) for name in _ARRAYS if isinstance(body.get(name), list) and body[name]}


def _locate(entries: Sequence[object], counts: Mapping[str, int]) -> tuple[dict[int, Refusal], bool]:
    """Find the object that each error entry means.

    Measured (one workspace, 2026-09): ``{"index": 3, "input_array": "attributes", "type": "<sentence>"}``,
    the index from 0 inside the named array. Where the body has a single array, an entry may leave its name out.

    :return: the refusals by position, and whether every entry was located.
    """
    offsets: dict[str, int] = {}
    total = 0
    for name in _ARRAYS:
        offsets[name] = total
        total += counts.get(name, 0)
    only = next(iter(counts)) if len(counts) == 1 else None
    found: dict[int, Refusal] = {}
    complete = True
    for entry in entries:
        position = _position(entry, only, counts, offsets) if isinstance(entry, dict) else None
        if isinstance(entry, dict) and position is not None:
            found.setdefault(position, Refusal(position, _reason(entry)))
        else:
            complete = False
    return found, complete


def _read_refusals(answer: Mapping[str, Any], counts: Mapping[str, int]) -> tuple[Refusal, ...]:
    """Read whom a refused request means. Where it held a single object, all that it says is said of that one."""
    listed = answer.get("errors")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    located = tuple(_locate(entries, counts)[0].values())
    if located or sum(counts.values()) != 1:
        return located
    message = answer.get("message")
    reasons = [_reason(entry) for entry in entries] or [message if isinstance(message, str) else ""]
    return (Refusal(0, reasons[0]),) if reasons[0] else ()


def _position(
    entry: Mapping[str, Any], only: str | None, counts: Mapping[str, int], offsets: Mapping[str, int]
) -> int | None:
    index, array = entry.get("index"), entry.get("input_array", only)
    if not isinstance(array, str) or not isinstance(index, int) or isinstance(index, bool):
        return None
    return offsets[array] + index if 0 <= index < counts.get(array, 0) else None


def _reason(entry: Mapping[str, Any]) -> str:
    reason = entry.get("type")
    return reason if isinstance(reason, str) and reason else json.dumps(entry, ensure_ascii=False)


def _falls_short(answer: Mapping[str, Any], refusals: Mapping[int, Refusal], sent: bytes) -> bool:
    """Check that queued and refused objects are all that were sent, where the answer counts them.

    In the one measured answer they were (2 + 3 = 5); no page says that it is a rule, so only too few is taken
    for a contradiction. A batch that falls short is unknown: some of it may have been dropped without a word.
    """
    processed = {name: answer.get(f"{name}_processed") for name in _ARRAYS}
    told = {name: count for name, count in processed.items() if isinstance(count, int) and not isinstance(count, bool)}
    if not told:
        return False
    # Each object opens a brace and so does the body round them, whatever else there is in it. If as many are
    # accounted for, none is missing, and the body need not be parsed: that would cost more than sending it.
    if len(told) == 1 and sum(told.values()) + len(refusals) >= sent.count(b"{") - 1:
        return False
    counts = _counts(sent)
    offset = 0
    for name in _ARRAYS:
        size = counts.get(name, 0)
        refused = sum(1 for position in refusals if offset <= position < offset + size)
        offset += size
        if name in told and told[name] + refused < size:
            return True
    return False


@asynccontextmanager
async def open_sender(
    site: Site, key: str, path: str, right: str, *, seconds: float, max_in_flight: int
) -> AsyncIterator[Sender]:
    """Open a pool of connections and yield a sender that uses it.

    :param site: where.
    :param key: the REST API key.
    :param path: below the site.
    :param right: the permission that the path needs.
    :param seconds: silence, while connecting and while reading, after which a request is lost.
    :param max_in_flight: connections at most.
    :raises AccessError: the CA file can't be read.
    """
    # Answers are small: unpacking would cost more than carrying them whole.
    own = {"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"}
    async with open_session(site, seconds=seconds, max_in_flight=max_in_flight, headers=own) as session:
        yield _TrackSender(session, site.base_url + path, TrackReplies(site.place, f"POST {path}", right))


class _TrackSender:
    def __init__(self, session: aiohttp.ClientSession, url: str, replies: TrackReplies) -> None:
        from yarl import URL

        self._session = session
        self._url = URL(url)
        self._replies = replies

    def __repr__(self) -> str:
        return f"<sender: {self._replies.title} to {self._replies.place}>"

    async def send(self, body: bytes) -> Reply:
        """Send one body and classify the answer."""
        status: int | None = None
        headers: Mapping[str, str] = {}
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as response:
                status = response.status
                headers = pacing_headers(response.headers)
                # Only these bodies say something, and that of 401 is reported to repeat the key.
                telling = status == 400 or verdict_for(status) is Verdict.READ_ENTRIES
                answer = await read_limited(response.content, _REPLY_BYTES) if telling else None
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  the edge of the network: whatever it is, the batch gets a verdict
            return self._replies.lost(error, status, headers)
        return self._replies.read(status, headers, body, answer)
