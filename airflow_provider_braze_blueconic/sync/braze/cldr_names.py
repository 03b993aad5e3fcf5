"""Names of countries and languages in every language that CLDR knows, and the codes that they stand for.

CLDR is Unicode's own collection; Babel carries it. Read only where a value is met that is no code and no English name:
it takes a second, once in a process.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Literal

__all__ = ["CldrNames", "folded", "territory_codes"]

_WORD = re.compile(r"\w+")
_MARKS = str.maketrans({"&": " and ", **dict.fromkeys(".'`\u2018\u2019\u02bb\u02bc", "")})
_SHORTEST_NAME = 4
"""Letters of a name in ASCII: a shorter one in some language is more likely meant as a code."""


def folded(text: str) -> str:
    """Return a name in one spelling: without capitals, accents, punctuation and "the", ``St.`` written out."""
    bare = text.casefold()
    if not bare.isascii():
        bare = "".join(c for c in unicodedata.normalize("NFKD", bare) if not unicodedata.combining(c))
    words = ["saint" if word == "st" else word for word in _WORD.findall(bare.translate(_MARKS))]
    return " ".join(words[1:] if words[:1] == ["the"] and len(words) > 1 else words)


class CldrNames:
    """Names → codes of one kind, in the order in which they are trusted: English, then all languages.

    A name that is two things in two languages (``Kongo``) is none.

    :param kind: what is named.
    :param code: CLDR's code → ours; ``None`` for one that is not wanted.
    :param more: names that CLDR does not have → our code.
    """

    def __init__(
        self,
        kind: Literal["territories", "languages"],
        code: Callable[[str], str | None],
        more: Mapping[str, str],
    ) -> None:
        self._kind: Literal["territories", "languages"] = kind
        self._code = code
        self._more = {folded(name): value for name, value in more.items()}

    def find(self, text: str) -> str | None:
        """Find the code of a name; ``None`` if there is none, or more than one."""
        written, name = text.casefold(), folded(text)
        if name in self._more:
            return self._more[name]
        for english in (True, False):
            for key, spelling in ((written, str.casefold), (name, folded)):
                index = _index(self, spelling, english=english)
                if key in index:
                    return index[key]
        return None

    def names(self, *, english: bool) -> Iterator[tuple[str, str]]:
        """Yield the names of one language, or of all, with our code of each."""
        from babel import Locale
        from babel.localedata import locale_identifiers

        # A locale of a region differs from that of its language in a few words.
        locales: Iterable[str] = ["en"] if english else (name for name in locale_identifiers() if "_" not in name)
        for locale in locales:
            for cldr_code, name in getattr(Locale.parse(locale), self._kind).items():
                code = self._code(cldr_code)
                if code is not None and (english or not name.isascii() or len(name) >= _SHORTEST_NAME):
                    yield name, code


@cache
def _index(names: CldrNames, spelling: Callable[[str], str], *, english: bool) -> Mapping[str, str | None]:
    """Return the names in a spelling → code; ``None`` for a name of several."""
    found: dict[str, set[str]] = {}
    for name, code in names.names(english=english):
        found.setdefault(spelling(name), set()).add(code)
    return _settled(found)


def _settled(found: Mapping[str, set[str]]) -> Mapping[str, str | None]:
    return {name: next(iter(codes)) if len(codes) == 1 else None for name, codes in found.items()}


@cache
def territory_codes() -> Mapping[str, str]:
    """Return other codes of territories, of three letters or digits and former ones → the code of two letters."""
    from babel.core import get_global

    aliases: Mapping[str, list[str]] = get_global("territory_aliases")
    return {alias.upper(): codes[0] for alias, codes in aliases.items() if len(codes) == 1}
