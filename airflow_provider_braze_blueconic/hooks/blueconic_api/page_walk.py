"""The way from page to page, by cursors."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_braze_blueconic.exceptions import UnexpectedAnswer
from airflow_provider_braze_blueconic.hooks.http.calls import Answer
from airflow_provider_braze_blueconic.sync.values.characters import repaired_text

__all__ = ["EMPTY_PAGES", "Walk"]

EMPTY_PAGES = 100
"""After so many pages in a row without a profile, but with a next cursor, the read is given up."""


class Walk:
    """Where a read has come to.

    :param repeated: told of each page that is asked for again, since BlueConic led back to one that was read.
    :ivar cursor: where the page in hand starts.
    :ivar following: where the next one starts; ``None`` after the last page.
    """

    def __init__(self, repeated: Callable[[], None]) -> None:
        self._repeated = repeated
        self._read: set[str] = set()
        self._last_people: object = None
        self._empty = 0
        self.cursor = ""
        self.following: str | None = "*"

    def has_read(self, cursor: str) -> bool:
        """Tell whether a page was read, or is in hand."""
        return cursor in self._read

    def begin(self) -> str:
        """Go to the next page, and return where it starts."""
        self.cursor = self.following or ""
        self._read.add(self.cursor)
        return self.cursor

    def why_again(self, answer: Answer, people: object) -> str | None:
        """Find out whether an answer leads back, or is the page before once more. Following it would never end.

        :param people: who is on the page, to compare; falsy for nobody.
        """
        following = answer.body.get("nextCursor")
        leads_back = isinstance(following, str) and self.has_read(following)
        if leads_back or (people and people == self._last_people):
            self._repeated()
            return "returned the cursor of a page that was already read"
        return None

    def end(self, answer: Answer, people: object) -> None:
        """Leave a page that is whole.

        :raises UnexpectedAnswer: pages stay empty, or the cursor is none.
        """
        following = answer.body.get("nextCursor")
        if following is not None and (not isinstance(following, str) or repaired_text(following) != following):
            raise UnexpectedAnswer("BlueConic returned a cursor that isn't text.")
        self.following = following or None
        self._empty = 0 if people else self._empty + 1
        self._last_people = people
        if self._empty >= EMPTY_PAGES:
            raise UnexpectedAnswer(f"BlueConic gave {EMPTY_PAGES} empty pages in a row.")
