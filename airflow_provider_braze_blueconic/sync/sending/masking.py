"""Masking a person's values in a server's text, so that the text can be kept and shown.

A server repeats values as it likes: in capitals, as an escape of JSON, of a URL or of HTML, a number with other marks
between its digits, a long text cut short. So both sides are compared folded, and numbers by their digits. The text is
masked as a whole and cut last: what is cut before can end in half a value, which nothing would find.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from airflow_provider_braze_blueconic.sync.values.characters import repaired_text

__all__ = ["mask_texts", "mask_values"]

_MASK = "***"
_SHOWN_CHARACTERS = 300

_READ_CHARACTERS = 2_000
"""Characters of a text in which something to show is looked for; a value that begins in them is followed to its end."""

_LONGEST_VALUE = 500
"""Characters of a value that are compared; what begins as a longer one does is hidden to the end of the text."""

_LONGEST_ESCAPE = 12
"""Characters that may stand for one, as ``\\ud83d\\ude00`` does."""

_UNIT = re.compile(
    r"(?:\\u[0-9a-fA-F]{4})+|\\x[0-9a-fA-F]{2}|\\[\"'/\\nrtbf]|(?:%[0-9a-fA-F]{2})+"
    r"|&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});|.",
    re.DOTALL,
)
_CONTROL = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}

_CHUNK = re.compile(r"[^\s'\"<>]+")
_WORD = re.compile(r"[^\s]+")
_NUMBER = re.compile(r"[0-9](?:[.,'/-]?[0-9])*")
_LONG_NUMBER = re.compile(r"[0-9](?:[\s().,'/+-]{0,3}[0-9])*")
_PHONE_DIGITS = 9
"""So many digits in a row may be a phone number, whoever's it is."""
_COMMON_DIGITS = 7
"""Digits in common that make a number the person's own: a phone number is written with and without its country."""
_PART_CHARACTERS = 6
"""Characters of a word that make it a part of the person's value, if the value holds it."""
_NAME_WORDS = 4
"""Words of a value each of which may name somebody; a longer text is found as a whole, or by its long words."""
_EDGES = "'\"`()[]{}<>.,:;!?*…"


def mask_values(reason: str, body: bytes, *, shown_keys: frozenset[str] = frozenset()) -> str:
    """Hide the person's own values in a text of the server, and cut it to a length that can be shown.

    :param body: the record as it was sent.
    :param shown_keys: keys under which there is never a value of the person.
    """
    try:
        texts = set(_own_texts(json.loads(body), shown_keys))
    except (ValueError, RecursionError):
        return "refused; the server's text isn't shown, because the record couldn't be read"
    return mask_texts(reason, texts)


def mask_texts(text: str, own: Iterable[str]) -> str:
    """Hide values in a text, as well as whatever looks like an e-mail address or a phone number, and cut it.

    :param own: the person's values.
    """
    window = repaired_text(text[: _READ_CHARACTERS + _LONGEST_ESCAPE * _LONGEST_VALUE])
    folded = _fold_with_places(window)
    spans = _merged(folded.span(begin, end) for begin, end in _found(folded.text, own))
    masked, last = [], 0
    for begin, end in spans:
        if begin >= _READ_CHARACTERS:
            break
        masked += [window[last:begin], _MASK]
        last = end
    masked.append(window[last:_READ_CHARACTERS])
    return "".join(masked)[:_SHOWN_CHARACTERS]


def _own_texts(value: object, shown_keys: frozenset[str]) -> Iterator[str]:
    """Walk through the values of a record, as texts. A key counts as one where it could be an address or a number."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in shown_keys:
                yield from [key] if _may_name_somebody(key) else []
                yield from _own_texts(inner, shown_keys)
    elif isinstance(value, list):
        for inner in value:
            yield from _own_texts(inner, shown_keys)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
        if isinstance(value, float) and value.is_integer():
            yield str(int(value))


def _may_name_somebody(key: str) -> bool:
    return "@" in key or sum(character.isdecimal() for character in key) >= _PHONE_DIGITS


@dataclass(frozen=True)
class _Folded:
    """A folded text, and where in the original each of its characters comes from."""

    text: str
    begins: list[int]
    ends: list[int]

    def span(self, begin: int, end: int) -> tuple[int, int]:
        return self.begins[begin], self.ends[end - 1]


def _fold_with_places(text: str) -> _Folded:
    folded: list[str] = []
    begins: list[int] = []
    ends: list[int] = []
    for unit in _UNIT.finditer(text):
        for character in _folded_characters(_decoded(unit[0])):
            if character == " " and folded and folded[-1] == " ":
                ends[-1] = unit.end()
                continue
            folded.append(character)
            begins.append(unit.start())
            ends.append(unit.end())
    return _Folded("".join(folded), begins, ends)


def _decoded(unit: str) -> str:
    if len(unit) == 1:
        return unit
    if unit[0] == "%":
        return unquote(unit, errors="replace")
    if unit[0] == "&":
        return html.unescape(unit)
    if unit[1] == "u":
        return repaired_text("".join(chr(int(code, 16)) for code in unit.split("\\u")[1:]))
    return chr(int(f"0{unit[1:]}", 0)) if unit[1] == "x" else _CONTROL.get(unit[1], unit[1])


def _folded_characters(text: str) -> Iterator[str]:
    """Take away what differs between two spellings of one text: case, accents, width, kinds of space and of digits."""
    if text.isascii():
        yield from (" " if character.isspace() else character for character in text.casefold())
        return
    # Upper case first: a dotless i in capitals is the I of everybody else, and folding alone keeps the two apart.
    for character in unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).upper().casefold()):
        if character.isspace():
            yield " "
        elif character.isdecimal():
            yield str(unicodedata.decimal(character))
        elif not unicodedata.combining(character) and unicodedata.category(character) not in ("Cf", "Cc"):
            yield character


def _fold(text: str) -> str:
    return re.sub(" +", " ", "".join(_folded_characters(repaired_text(text)))).strip()


def _found(text: str, values: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Find what must not be shown in a folded text."""
    # A value may itself look like an escape: it is looked for as it is, and as it would be read.
    wanted = {form for value in values for form in (_fold(value), _fold_with_places(value).text.strip()) if form}
    for match in _CHUNK.finditer(text):
        if "@" in match[0].strip("@"):
            yield match.span()
    if pattern := _as_they_are(wanted):
        for match in pattern.finditer(text):
            yield match.span()
    numbers = {"".join(filter(str.isdigit, form)) for form in wanted} - {""}
    for shape in (_NUMBER, _LONG_NUMBER):
        for match in shape.finditer(text):
            if _is_own_number("".join(filter(str.isdigit, match[0])), numbers):
                yield match.span()
    yield from _parts(text, wanted)


def _as_they_are(wanted: Iterable[str]) -> re.Pattern[str] | None:
    """Build what finds values, the longest first; one of two characters must stand alone."""
    listed = []
    for form in sorted(wanted, key=len, reverse=True):
        if len(form) > _LONGEST_VALUE:
            listed.append(f"{re.escape(form[:_LONGEST_VALUE])}.*")
        else:
            listed.append(re.escape(form) if len(form) > 2 else rf"(?<!\w){re.escape(form)}(?!\w)")
    return re.compile("|".join(listed), re.DOTALL) if listed else None


def _parts(text: str, wanted: Collection[str]) -> Iterator[tuple[int, int]]:
    """Find words, and pairs of words, that a value holds: a server may show its beginning only."""
    names = _names(wanted)
    last: int | None = None
    for match in _WORD.finditer(text):
        word = match[0].strip(_EDGES)
        begin = match.start() + match[0].index(word)
        end = begin + len(word)
        if len(word) > 2 and (word in names or _is_part(word, wanted)):
            yield begin, end
        if last is not None and word and _is_part(text[last:end], wanted):
            yield last, end
        last = begin if word else None


def _names(wanted: Iterable[str]) -> set[str]:
    """Collect the words each of which may name somebody: of short values, and of addresses what stands before the @."""
    short = [form for form in wanted if form.count(" ") < _NAME_WORDS]
    names = {word.strip(_EDGES) for form in short for word in form.split(" ")}
    return names | {part for form in short if "@" in form for part in re.split(r"[._+-]", form.partition("@")[0])}


def _is_part(text: str, wanted: Iterable[str]) -> bool:
    return len(text) >= _PART_CHARACTERS and any(text in form for form in wanted)


def _is_own_number(digits: str, numbers: Iterable[str]) -> bool:
    if len(digits) >= _PHONE_DIGITS:
        return True
    for own in numbers:
        if digits == own and len(own) > 2:
            return True
        if len(own) > 4 and len(digits) > 4 and (own in digits or digits in own):
            return True
        if any(digits[at : at + _COMMON_DIGITS] in own for at in range(len(digits) - _COMMON_DIGITS + 1)):
            return True
    return False


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged
