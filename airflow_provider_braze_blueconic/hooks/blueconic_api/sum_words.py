"""The word by which a tenant adds to a number."""

from __future__ import annotations

__all__ = ["INCREMENT_RULE", "SUM_RULE", "SUM_WORDS", "SumWord", "other_word"]

SUM_WORDS = ("INCREMENT", "SUM")
"""The strategy that adds to a number: the definition's schema says the first, its text the second (read 2026-11)."""

INCREMENT_RULE = b'"strategy":"INCREMENT"'
SUM_RULE = b'"strategy":"SUM"'


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
        words = [word for word in (self.word, other_word(self.word)) if word not in refused] or [self.word]
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
        other = other_word(word)
        return other not in self._ignored and other not in self._refused.get(hash(body), ())


def other_word(word: str) -> str:
    return SUM_WORDS[1 - SUM_WORDS.index(word)]
