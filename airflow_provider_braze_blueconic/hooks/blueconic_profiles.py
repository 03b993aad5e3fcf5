"""One attempt to write a batch of profiles with BlueConic's ``PUT /profiles``."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.exceptions import SyncError, TransientError
from airflow_provider_braze_blueconic.hooks.attempts import (
    lost_reply,
    once_only,
    open_session,
    pacing_headers,
    read_limited,
)
from airflow_provider_braze_blueconic.hooks.http import Bearer, Site, read_json
from airflow_provider_braze_blueconic.sync.pacing import Rate
from airflow_provider_braze_blueconic.sync.sending import BatchLimits, NotTaken, Refusal, Reply, Sender, Verdict

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

__all__ = [
    "PROFILES_IN_FLIGHT",
    "PROFILES_LIMITS",
    "PROFILES_RATE",
    "PROFILES_RIGHT",
    "PROFILES_VERDICTS",
    "SUM_WORDS",
    "ProfileReplies",
    "SumWord",
    "open_profiles_sender",
    "verdict_for",
]

PROFILES_LIMITS = BatchLimits(
    objects=1_000,  # REST API v2, release 103, "PUT /profiles", read 2026-11; of more, only these are processed
    body_bytes=2_000_000,  # UNVERIFIED: no limit of the body is published, so what Braze allows for as many objects
)

PROFILES_RATE = Rate(10, 1.0)
"""Careful, where a goal sets no cap: no rate is published (UNVERIFIED), only that too many requests at once get 429."""

PROFILES_IN_FLIGHT = 4
"""Requests without an answer at most. How many are too many is not published (UNVERIFIED): a 429 halves them."""

PROFILES_RIGHT = "write:profiles"

# REST API v2, release 103, "PUT /profiles", read 2026-11. A status that is not here is UNKNOWN.
PROFILES_VERDICTS: Mapping[int, Verdict] = {
    200: Verdict.READ_ENTRIES,  # never means that every entry worked
    400: Verdict.SPLIT,  # a parameter is missing or invalid; nothing was applied
    401: Verdict.STOP,  # after a fresh token
    403: Verdict.STOP,
    404: Verdict.STOP,
    413: Verdict.SPLIT,  # the first 1,000 entries are applied all the same: see ProfileReplies.read
    429: Verdict.WAIT,  # too many requests at the same time
    # The page says no more of 503 than that the server is too busy, and a batch is not applied as one: entries before
    # the one at which it gave up may be in. So sums are held, and all else goes again, as after any other failure.
    503: Verdict.UNKNOWN,
}

SUM_WORDS = ("INCREMENT", "SUM")
"""The strategy that adds to a number: the definition's schema says the first, its text the second (read 2026-11)."""

_NOT_ADDED = "BlueConic says that the profile is unchanged, so nothing was added"
"""Why a number was not taken."""

_ACCEPTED_STATES = frozenset({"CREATED", "MODIFIED", "UNCHANGED"})

# State → how the entry was not taken, and why. Any other state, and DELETED, which no entry of ours asks for, tells
# nothing that could be believed.
_NOT_TAKEN: Mapping[str, tuple[NotTaken, str]] = {
    "NOTFOUND": ("not_found", "BlueConic has no profile that matches"),
    "CONSENT_MISMATCH": ("no_consent", "the person consented to none of the objectives"),
    # UNVERIFIED what it covers; a consent that is missing has a state of its own.
    "SKIPPED": ("rejected", "skipped by BlueConic, which does not say why"),
    "RESTRICTION_MISMATCH": (
        "rejected",
        "restriction mismatch: the profile is outside of what the entry is restricted to",
    ),
    "UNAUTHORIZED": (
        "rejected",
        "unauthorized: the user as whom the application runs lacks the right to write properties marked as PII",
    ),
}

_REPLY_BYTES = 16 << 20
"""Bytes of an answer that are read: a thousand entries that are all refused for several reasons fit in."""

_OTHER = "another property"

_SENT_KEY = re.compile(rb'\{\s*"identifier"\s*:\s*"([^"\\]+)"')
"""The name at the beginning of each entry. In a value every quote has a backslash, so it can't be found there."""

_INCREMENT = b'"strategy":"INCREMENT"'
_SUM = b'"strategy":"SUM"'

_log = logging.getLogger(__name__)


def verdict_for(status: int) -> Verdict:
    """Classify a status; one that the table does not hold is unknown."""
    return PROFILES_VERDICTS.get(status, Verdict.UNKNOWN)


class SumWord:
    """Which word a tenant takes for adding to a number, found out by sending and worth remembering.

    As long as no batch went through, a refusal may be the word's fault or that of a bad entry. So each body is tried
    with both words before it counts as bad; from the first success on the word is known.

    A tenant may also leave out a word that it does not know, without a word of its own (UNVERIFIED). Then a profile to
    which something was to be added is said to be unchanged, which adding can't leave it. So the word is proven only by
    a profile that changed although nothing but a number was to be added.

    :param first: the word to try first; ``None`` or anything else for the one of the schema.
    """

    def __init__(self, first: str | None = None) -> None:
        self.word = first if first in SUM_WORDS else SUM_WORDS[0]
        self.is_known = False
        self._is_proven = False
        self._first = first
        self._refused: dict[int, set[str]] = {}
        self._ignored: set[str] = set()

    @property
    def was_learnt(self) -> bool:
        """Whether the word is known now and is not the one that was given."""
        return self.is_known and self.word != self._first

    def choose(self, body: bytes) -> str:
        """Choose the word for a body."""
        if self.is_known:
            return self.word
        refused = self._refused.get(hash(body), ())
        words = [word for word in (self.word, _other_word(self.word)) if word not in refused] or [self.word]
        return min(words, key=self._ignored.__contains__)

    def is_doubted(self, word: str) -> bool:
        """Tell whether numbers may not have been added to under this word, though their profiles changed."""
        return word in self._ignored and not (self._is_proven and word == self.word)

    def taken(self, word: str, *, proven: bool = False) -> None:
        """Note that a number was added to under this word, as far as an answer tells.

        :param proven: nothing else could have changed the profile.
        """
        if self._is_proven or (not proven and (self.is_known or word in self._ignored)):
            return
        self.word, self.is_known, self._is_proven = word, True, proven
        self._refused.clear()

    def refused(self, body: bytes, word: str) -> bool:
        """Note that a body was refused under a word, and say whether it is worth another try under the other."""
        if self.is_known:
            return word != self.word  # it was under way when the word was found out
        refused = self._refused.setdefault(hash(body), set())
        refused.add(word)
        return len(refused) < len(SUM_WORDS)

    def ignored(self, body: bytes, word: str) -> bool:
        """Note that nothing was added under a word, and say whether that is worth another try under the other."""
        if self._is_proven:
            return word != self.word
        self.is_known = False
        self._ignored.add(word)
        other = _other_word(word)
        return other not in self._ignored and other not in self._refused.get(hash(body), ())


def _other_word(word: str) -> str:
    return SUM_WORDS[1 - SUM_WORDS.index(word)]


@dataclass(frozen=True)
class _Judged:
    """What an answer says of the entries of a batch, by position.

    :param taken: → property → why it alone was not taken; empty for an entry that was taken as a whole.
    :param changed: those whose profile was created or modified.
    :param idle: those with a number to which something was to be added, and whose profile is said to be unchanged.
    """

    refusals: list[Refusal]
    taken: dict[int, Mapping[str, str]]
    unanswered: list[int]
    changed: list[int]
    idle: list[int]

    def drop(self, positions: Collection[int]) -> None:
        """Forget what an answer says of some entries."""
        self.refusals[:] = [refusal for refusal in self.refusals if refusal.position not in positions]
        for position in positions:
            self.taken.pop(position, None)


@dataclass(frozen=True)
class ProfileReplies:
    """Turns answers into replies; knows no network.

    :param place: vendor, host and connection, for sentences.
    :param sums: learns which word for adding is taken.
    """

    place: str
    sums: SumWord
    title: str = "PUT /profiles"

    def read(
        self, status: int, headers: Mapping[str, str], sent: bytes, answer: bytes | None, *, word: str | None = None
    ) -> Reply:
        """Classify an answer.

        :param headers: what pacing needs, lower-case names.
        :param sent: the body that it answers, with the word of the schema; each entry begins with its ``identifier``.
        :param answer: its body; ``None`` if too large or not read.
        :param word: under which numbers were to be added to, if any were.
        """
        verdict = verdict_for(status)
        if status in (200, 413):
            reply = self._read_entries(status, headers, sent, read_json(answer), word)
            if reply is not None:
                return reply
        if status == 200:
            return self._unclear(status, headers)
        if status == 400:
            return self._read_refusal(headers, sent, read_json(answer), word)
        return Reply(verdict, status, (), headers, self._sentence(verdict, status), doubtful=status == 413)

    def _read_entries(
        self, status: int, headers: Mapping[str, str], sent: bytes, answer: object, word: str | None
    ) -> Reply | None:
        """Believe an answer only entry by entry; ``None`` if it tells of none."""
        if not isinstance(answer, list):
            return None
        entries = _Entries(sent)
        judged = entries.judge(answer)
        if not judged.refusals and not judged.taken:
            return None
        again = self._learn(entries, judged, sent, word) if word is not None else ()
        open_ones = (
            f"{self.place} answered {self.title} with {status}, but says nothing clear of this entry; "
            "it may have been applied."
        )
        not_added = f'{self.place} left numbers as they were under "{word}"; they go again under the other word.'
        return Reply(
            Verdict.READ_ENTRIES,
            status,
            tuple(judged.refusals),
            headers,
            open_ones if judged.unanswered else not_added if again else "",
            unanswered=tuple(sorted(judged.unanswered)),
            partial={position: reasons for position, reasons in judged.taken.items() if reasons},
            again=tuple(again),
        )

    def _learn(self, entries: _Entries, judged: _Judged, sent: bytes, word: str) -> Sequence[int]:
        """Learn from an answer whether a word adds, and return who is worth another try under the other word.

        If it seems not to add, nothing tells of an entry that changed something else as well whether its number was
        added to: such ones are held.
        """
        added = entries.added(judged)
        if added:
            self.sums.taken(word, proven=any(map(entries.only_adds, added)))
        is_worth_it = bool(judged.idle) and self.sums.ignored(sent, word)
        if self.sums.is_doubted(word):
            judged.unanswered.extend(added)
            judged.drop(added)
        if not is_worth_it:
            return ()
        judged.drop(judged.idle)
        _log.info('%s did not add to a number under "%s"; it goes again under "%s".',
                  self.place, word, _other_word(word))  # fmt: skip
        return judged.idle

    def _read_refusal(self, headers: Mapping[str, str], sent: bytes, answer: object, word: str | None) -> Reply:
        if word is not None and self.sums.refused(sent, word):
            other = _other_word(word)
            text = f'{self.place} refused a batch in which "{word}" adds to a number (400 to {self.title}).'
            _log.info('%s Nothing of it was applied; it goes again with "%s".', text, other)
            return Reply(Verdict.RETRY, 400, (), headers, text)
        refusals: tuple[Refusal, ...] = ()
        if len(_SENT_KEY.findall(sent)) == 1:
            refusals = (Refusal(0, _refusal_text(answer)),)
        return Reply(Verdict.SPLIT, 400, refusals, headers, self._sentence(Verdict.SPLIT, 400))

    def lost(
        self,
        error: Exception,
        status: int | None,
        headers: Mapping[str, str],
        sent: bytes = b"",
        *,
        word: str | None = None,
    ) -> Reply:
        """Classify what came instead of a whole answer."""
        if status is not None and status != 200:
            return self.read(status, headers, sent, None, word=word)  # the status alone tells enough
        return lost_reply(error, place=self.place, title=self.title, headers=headers, status=status)

    def no_token(self, error: Exception) -> Reply:
        """Classify why there is no token; nothing was sent."""
        if isinstance(error, SyncError):
            verdict = Verdict.RETRY if isinstance(error, TransientError) else Verdict.STOP
            return Reply(verdict, None, (), {}, str(error), requests=0)
        kind = type(error).__name__
        text = f"{self.place} gave no token ({kind}); nothing was sent."
        return Reply(Verdict.RETRY, None, (), {}, text, requests=0)

    def _unclear(self, status: int, headers: Mapping[str, str]) -> Reply:
        text = (
            f"{self.place} answered {self.title} with {status}, but the answer tells of no entry. "
            "It is not taken for success."
        )
        return Reply(Verdict.UNKNOWN, status, (), headers, text)

    def _sentence(self, verdict: Verdict, status: int) -> str:
        place, title = self.place, self.title
        by_status = {
            400: f"{place} refused the batch (400 to {title}).",
            401: f"{place} refused a fresh token (401 to {title}). Check that the application still exists, that its "
            "list of allowed addresses holds this worker's, and the host.",
            403: f'{place} denied {title} (403): the application lacks the scope "{PROFILES_RIGHT}", or the user as '
            "whom it runs lacks the right.",
            404: f"{place} has no {title} (404). Check the host.",
            413: f"{place} found {title} too large (413).",
            429: f"{place} has too many requests at the same time (429 to {title}).",
            503: f"{place} is too busy (503 to {title}); some of the batch may have been applied.",
        }
        by_verdict = {
            Verdict.STOP: f"{place} refused {title} with {status}; no batch of this run can succeed.",
            Verdict.UNKNOWN: f"{place} answered {title} with {status}; the batch may have been applied.",
        }
        return by_status.get(status) or by_verdict[verdict]


class _Entries:
    """The entries of a batch that was sent. They are parsed only where an answer asks for it: most never do."""

    def __init__(self, sent: bytes) -> None:
        self._sent = sent
        self._keys = [key.decode() for key in _SENT_KEY.findall(sent)]
        self._parsed: list[Any] | None = None

    def judge(self, answers: Sequence[object]) -> _Judged:
        """Find what an answer says of each entry by its key: that results come in the entries' order is UNVERIFIED."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for answer in answers:
            key = answer.get("identifier") if isinstance(answer, dict) else None
            if isinstance(answer, dict) and isinstance(key, str):
                found.setdefault(key.strip(), []).append(answer)
        doubled = {key for key, times in Counter(self._keys).items() if times > 1}
        judged = _Judged([], {}, [], [], [])
        for position, key in enumerate(self._keys):
            told = None if key in doubled else self._judge_all(position, found.get(key, []))
            if told is None:
                judged.unanswered.append(position)
                continue
            if isinstance(told, Refusal):
                judged.refusals.append(told)
            else:
                judged.taken[position] = told
                if any(answer["state"] != "UNCHANGED" for answer in found[key]):
                    judged.changed.append(position)
            if all(self._not_added(position, answer) for answer in found[key]):
                judged.idle.append(position)
        return judged

    def _judge_all(self, position: int, answers: Sequence[Mapping[str, Any]]) -> Refusal | Mapping[str, str] | None:
        """Judge all results of an entry. Several are only followed where each tells of another profile, and all agree.

        UNVERIFIED what BlueConic does with an entry that several profiles match. If some of them took it and others
        did not, it would go again, and a number would be added to twice in those that took it.
        """
        told = [self._judge_one(position, answer) for answer in answers]
        if len(told) == 1:
            return told[0]
        refusals = [each for each in told if isinstance(each, Refusal)]
        if told and len(refusals) == len(told) and len({refusal.outcome for refusal in refusals}) == 1:
            return refusals[0]
        taken = [reasons for reasons in told if isinstance(reasons, Mapping)]
        profiles = {str(answer.get("profileId") or "") for answer in answers} - {""}
        if not told or len(taken) < len(told) or len(profiles) < len(told):
            return None
        refused = Counter(name for reasons in taken for name in reasons)
        if any(0 < refused[name] < len(taken) for name in self._sums(position)):
            return None
        return {name: text for reasons in taken for name, text in reasons.items()}

    def _judge_one(self, position: int, answer: Mapping[str, Any]) -> Refusal | Mapping[str, str] | None:
        """Return why an entry was not taken, or why properties of it were not; ``None`` if it is not to be told."""
        state, errors = answer.get("state"), _errors(answer.get("validationErrors"))
        if not isinstance(state, str) or errors is None:
            return None
        listed = "; ".join(f"{name}: {text}" for name, text in errors.items())
        if state in _NOT_TAKEN:
            outcome, reason = _NOT_TAKEN[state]
            if listed and outcome == "rejected":
                reason = f"{reason}: {listed}"
            return Refusal(position, reason, outcome)
        if state not in _ACCEPTED_STATES:
            return None
        # Names are counted in the report: one that the entry does not have could be anything.
        errors = {name if name in self._properties(position) else _OTHER: text for name, text in errors.items()}
        for name in self._not_added(position, answer):
            errors[name] = _NOT_ADDED
            listed = "; ".join(f"{name}: {text}" for name, text in errors.items())
        # A profile that was created is there, whatever it lacks: rejected it would be created anew each time.
        if errors and state != "CREATED" and self._rules(position).keys() <= errors.keys():
            return Refusal(position, listed)
        return errors

    def _not_added(self, position: int, answer: Mapping[str, Any]) -> set[str]:
        """Return the numbers to which nothing was added although BlueConic refused nothing: it says so by the state."""
        if answer.get("state") != "UNCHANGED":
            return set()
        return self._sums(position) - (_errors(answer.get("validationErrors")) or {}).keys()

    def added(self, judged: _Judged) -> list[int]:
        """Return the entries whose profile changed, of which a number was to be added to, and was not refused."""
        return [position for position in judged.changed if self._sums(position) - judged.taken[position].keys()]

    def only_adds(self, position: int) -> bool:
        """Tell whether nothing but adding can have changed a profile."""
        return self._rules(position).keys() == self._sums(position)

    def _sums(self, position: int) -> set[str]:
        """Return the numbers to which an entry adds something; adding nothing says nothing."""
        if _INCREMENT not in self._sent:
            return set()
        return {
            rule["id"]
            for rule in self._entry(position).get("properties", ())
            if rule.get("strategy") == SUM_WORDS[0] and any(map(_is_not_zero, rule.get("values", ())))
        }

    def _rules(self, position: int) -> dict[str, str]:
        """Return property → strategy of what an entry does to a profile that exists."""
        rules = self._entry(position).get("properties", ())
        return {rule["id"]: rule.get("strategy") for rule in rules if rule.get("restriction") != "NEW_PROFILES_ONLY"}

    def _properties(self, position: int) -> set[str]:
        return {rule["id"] for rule in self._entry(position).get("properties", ())}

    def _entry(self, position: int) -> Mapping[str, Any]:
        if self._parsed is None:
            self._parsed = json.loads(self._sent)
        entry: Mapping[str, Any] = self._parsed[position]
        return entry


def _is_not_zero(number: str) -> bool:
    return any(digit in "123456789" for digit in number)


def _errors(told: object) -> dict[str, str] | None:
    """Read validation errors; ``None`` if they have an unknown form."""
    if not told:
        return {}
    if not isinstance(told, dict):
        return None
    return {
        str(name): "; ".join(map(str, texts)) if isinstance(texts, list) else str(texts)
        for name, texts in told.items()
        if texts != []
    }


def _refusal_text(answer: object) -> str:
    """Put the server's words for a refused request together; they may hold values and are masked where shown."""
    if not isinstance(answer, dict):
        return "refused (400)"
    listed = answer.get("errors")
    errors: Iterable[object] = listed if isinstance(listed, list) else ()
    texts = [answer.get("message")]
    texts += [f"{error.get('field')}: {error.get('message')}" for error in errors if isinstance(error, dict)]
    text = "; ".join(text for text in texts if isinstance(text, str) and text)
    return text or "refused (400)"


class _Tokens:
    """Hands tokens out inside of an event loop, and renews them without keeping it waiting; many askers renew once."""

    def __init__(self, bearer: Bearer) -> None:
        self._bearer = bearer
        self._one_asks = asyncio.Lock()
        self._last = ""

    async def current(self) -> str:
        """Return a token that is good now, as far as its announced life tells."""
        async with self._one_asks:
            self._last = await asyncio.to_thread(self._bearer.token)
            return self._last

    async def another(self, refused: str) -> str:
        """Return a token for one that was refused: a fresh one, unless somebody has got it already."""
        async with self._one_asks:
            if refused == self._last:
                await asyncio.to_thread(self._bearer.renew)
                self._last = await asyncio.to_thread(self._bearer.token)
            return self._last


@asynccontextmanager
async def open_profiles_sender(
    site: Site,
    bearer: Bearer,
    *,
    objectives: Sequence[str] = (),
    seconds: float,
    max_in_flight: int = PROFILES_IN_FLIGHT,
    sums: SumWord | None = None,
) -> AsyncIterator[Sender]:
    """Open a pool of connections and yield a sender that uses it.

    :param site: where; its path is that of the API.
    :param bearer: gives tokens; it is asked in a thread of its own.
    :param objectives: ids; people who consented to none of them are left alone.
    :param seconds: silence, while connecting and while reading, after which a request is lost.
    :param max_in_flight: connections at most.
    :param sums: which word for adding to a number to try first; it knows the right one afterwards, if any was added to.
    :raises AccessError: the CA file can't be read.
    """
    from yarl import URL

    url = URL(site.base_url + "/profiles")
    if objectives:
        url = url.with_query(objectiveIds=",".join(objectives))
    gzip = {"Accept-Encoding": "gzip"}
    async with open_session(site, seconds=seconds, max_in_flight=max_in_flight, headers=gzip) as session:
        yield _ProfilesSender(session, url, _Tokens(bearer), ProfileReplies(site.place, sums or SumWord()))


class _ProfilesSender:
    def __init__(self, session: aiohttp.ClientSession, url: URL, tokens: _Tokens, replies: ProfileReplies) -> None:
        self._session = session
        self._url = url
        self._tokens = tokens
        self._replies = replies

    def __repr__(self) -> str:
        return f"<sender: {self._replies.title} to {self._replies.place}>"

    async def send(self, body: bytes) -> Reply:
        """Send one body and classify the answer."""
        word = self._replies.sums.choose(body) if _INCREMENT in body else None
        data = body.replace(_INCREMENT, _SUM) if word == SUM_WORDS[1] else body
        try:
            token = await self._tokens.current()
        except Exception as error:  # noqa: BLE001  the edge of the network: nothing was sent, whatever it is
            return self._replies.no_token(error)
        reply = await self._attempt(body, data, word, token)
        if reply.status != 401:
            return reply
        # Nothing was done with a request that was not let in, so it goes once more under a fresh token.
        try:
            fresh = await self._tokens.another(token)
        except Exception as error:  # noqa: BLE001  the same edge
            return replace(self._replies.no_token(error), requests=1)
        return replace(await self._attempt(body, data, word, fresh), requests=2)

    async def _attempt(self, body: bytes, data: bytes, word: str | None, token: str) -> Reply:
        status: int | None = None
        headers: Mapping[str, str] = {}
        own = {"Authorization": f"Bearer {token}"}
        try:
            request = self._session.put(self._url, data=once_only(data), headers=own, allow_redirects=False)
            async with request as response:
                status = response.status
                headers = pacing_headers(response.headers)
                answer = await read_limited(response.content, _REPLY_BYTES) if status in (200, 400, 413) else None
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  the edge of the network: whatever it is, the batch gets a verdict
            return self._replies.lost(error, status, headers, body, word=word)
        return self._replies.read(status, headers, body, answer, word=word)
