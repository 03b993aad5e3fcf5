"""What an answer of ``PUT /profiles`` means for its batch."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_braze_blueconic.exceptions import SyncError, TransientError
from airflow_provider_braze_blueconic.hooks.blueconic_api.judging import Judged, judge
from airflow_provider_braze_blueconic.hooks.blueconic_api.plain_answers import odd_positions
from airflow_provider_braze_blueconic.hooks.blueconic_api.sent_entries import SentEntries, count_entries
from airflow_provider_braze_blueconic.hooks.blueconic_api.sum_words import SumWord, other_word
from airflow_provider_braze_blueconic.hooks.http.bodies import read_json
from airflow_provider_braze_blueconic.hooks.http.lost_attempts import lost_reply
from airflow_provider_braze_blueconic.sync.sending.seam import Refusal, Reply, Verdict

__all__ = ["PROFILES_RIGHT", "PROFILES_VERDICTS", "ProfileReplies", "verdict_for"]

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

_log = logging.getLogger(__name__)


def verdict_for(status: int) -> Verdict:
    """Classify a status; one that the table does not hold is unknown."""
    return PROFILES_VERDICTS.get(status, Verdict.UNKNOWN)


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
            reply = self._read_entries(status, headers, sent, answer, word)
            if reply is not None:
                return reply
        if status == 200:
            return self._unclear(status, headers)
        if status == 400:
            return self._read_refusal(headers, sent, read_json(answer), word)
        return Reply(verdict, status, (), headers, self._sentence(verdict, status), doubtful=status == 413)

    def _read_entries(
        self, status: int, headers: Mapping[str, str], sent: bytes, answer: bytes | None, word: str | None
    ) -> Reply | None:
        """Believe an answer only entry by entry; ``None`` if it tells of none."""
        entries = SentEntries(sent)
        odd = odd_positions(answer, entries.keys) if word is None else None
        if odd is not None and not odd:
            return Reply(Verdict.READ_ENTRIES, status, (), headers)
        results = read_json(answer)
        if not isinstance(results, list):
            return None
        judged = judge(entries, results, odd)
        has_plain = odd is not None and len(odd) < len(entries.keys)
        if not judged.refusals and not judged.taken and not has_plain:
            return None
        again = self._learn(entries, judged, sent, word) if word is not None else ()
        open_ones = (
            f"{self.place} answered {self.title} with {status}, but the answer is unclear about this entry, "
            "which may have been applied."
        )
        not_added = f'{self.place} left numbers unchanged under "{word}"; they are sent again under the other word.'
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

    def _learn(self, entries: SentEntries, judged: Judged, sent: bytes, word: str) -> Sequence[int]:
        """Learn from an answer whether a word adds, and return who is worth another try under the other word.

        If it seems not to add, nothing tells of an entry that changed something else as well whether its number was
        added to: such ones are held.
        """
        # Those whose profile changed, of which a number was to be added to, and was not refused.
        added = [each for each in judged.changed if entries.sums(each) - judged.taken[each].keys()]
        if added:
            self.sums.taken(word, proven=any(map(entries.only_adds, added)))
        is_worth_it = bool(judged.idle) and self.sums.ignored(sent, word)
        if self.sums.is_doubted(word):
            judged.unanswered.extend(added)
            judged.drop(added)
        if not is_worth_it:
            return ()
        judged.drop(judged.idle)
        _log.info("%s didn't add to a number under \"%s\"; the record is sent again under \"%s\".",
                  self.place, word, other_word(word))  # fmt: skip
        return judged.idle

    def _read_refusal(self, headers: Mapping[str, str], sent: bytes, answer: object, word: str | None) -> Reply:
        if word is not None and self.sums.refused(sent, word):
            other = other_word(word)
            text = f'{self.place} refused a batch in which "{word}" adds to a number (400 to {self.title}).'
            _log.info('%s It applied nothing of the batch, which is sent again with "%s".', text, other)
            return Reply(Verdict.RETRY, 400, (), headers, text)
        refusals: tuple[Refusal, ...] = ()
        if count_entries(sent) == 1:
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
        text = f"{self.place} returned no token ({kind}); nothing was sent."
        return Reply(Verdict.RETRY, None, (), {}, text, requests=0)

    def _unclear(self, status: int, headers: Mapping[str, str]) -> Reply:
        text = (
            f"{self.place} answered {self.title} with {status}, but the answer mentions no entry, so it doesn't "
            "count as success."
        )
        return Reply(Verdict.UNKNOWN, status, (), headers, text)

    def _sentence(self, verdict: Verdict, status: int) -> str:
        place, title = self.place, self.title
        by_status = {
            400: f"{place} refused the batch (400 to {title}).",
            401: f"{place} refused a fresh token (401 to {title}). Check the host, that the application still "
            "exists, and that its allowed addresses include this worker's.",
            403: f'{place} denied {title} (403): the application lacks the scope "{PROFILES_RIGHT}", or its user '
            "lacks the right.",
            404: f"{place} has no {title} (404). Check the host.",
            413: f"{place} refused {title} as too large (413).",
            429: f"{place} gets too many requests at the same time (429 to {title}).",
            503: f"{place} is too busy (503 to {title}); some of the batch may have been applied.",
        }
        by_verdict = {
            Verdict.STOP: f"{place} refused {title} with {status}; no batch of this run can succeed.",
            Verdict.UNKNOWN: f"{place} answered {title} with {status}; the batch may have been applied.",
        }
        return by_status.get(status) or by_verdict[verdict]


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
