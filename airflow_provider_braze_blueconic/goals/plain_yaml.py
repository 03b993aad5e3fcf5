"""YAML that libyaml and ruamel.yaml read alike, read by libyaml in a tenth of the time.

Airflow reads all goal files of a folder every half minute. ruamel.yaml is written in Python; it knows YAML 1.2 and says
what is wrong with a text. libyaml knows YAML 1.1, so only its events are used here, not its idea of what a number is,
and only of texts in which both find the same ones. Of any other text, well-formed or not, nothing is said here:
:mod:`~airflow_provider_braze_blueconic.goals.document` reads it with ruamel.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from airflow_provider_braze_blueconic.goals.scalars import plain_value

__all__ = ["read_plain_yaml"]

# What the two scanners take for different things, as far as one can see it before they begin.
_DIVISIVE = re.compile(
    # Tabs, escapes, line breaks of YAML 1.1, what can't be printed.
    r"[^\n\r\x20-\x5b\x5d-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|\r(?!\n)"
    # Directives, the end of a document, and its begin unless that is the first line.
    r"|^%|^\.\.\.|\n---|\A---(?!\r?\n)"
    # In a block text: lines of spaces, and a comment that begins too early.
    r"|^ +\r?$|[|>][-+0-9]*#",
    re.MULTILINE,
)
_KEY = re.compile(r"[^\W\d][\w .-]{0,59}")
# A text without quotes in which nothing could end a key, in brackets or out of them.
_PLAIN_TEXT = re.compile(r"([^:?#-][^:?#]*(://[^:?#]*)?|-[^:?#\s]+)?")
# A number that is one for ruamel.yaml as well. Some that it takes for texts are left to it, such as .5e3.
_PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})(\.[0-9]+)?")
_BLOCKS = ("|", ">")

_LONGEST_LINE = 1_000  # characters; neither scanner takes a key of more than 1,024, but they count in two ways
_MOST_VALUES = 10_000  # a goal has some hundred
_DEEPEST = 20  # levels of lists and mappings; a goal has six


class _NotPlainError(Exception):
    """Says that the text has to be read with more care."""


def read_plain_yaml(text: str) -> tuple[Any, dict[str, int]] | None:
    """Read one YAML document, if it is of the plain kind.

    :return: what it holds, and path → 1-based line for each key and list item, with ``""`` for the whole; ``None`` of
        a text that has to be read with more care, if only because something is wrong with it.
    """
    import yaml

    if not yaml.__with_libyaml__ or _DIVISIVE.search(text) or max(map(len, text.split("\n"))) > _LONGEST_LINE:
        return None
    try:
        return _Reader(text, yaml.parse(text, Loader=yaml.CBaseLoader)).read()
    except (yaml.YAMLError, _NotPlainError):
        return None


class _Reader:
    def __init__(self, text: str, events: Iterator[Any]) -> None:
        from yaml import MappingEndEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent

        self._scalar, self._mapping_start = ScalarEvent, MappingStartEvent
        self._mapping_end, self._sequence_end = MappingEndEvent, SequenceEndEvent
        self._text = text
        self._events = events
        self._lines: dict[str, int] = {}
        self._values = 0
        self._level = 0

    def read(self) -> tuple[Any, dict[str, int]]:
        next(self._events)  # the stream begins
        next(self._events)  # the document begins, or the stream ends
        root = next(self._events, None)
        if root is None or type(root) is self._scalar:
            raise _NotPlainError
        self._lines[""] = root.start_mark.line + 1
        value = self._value(root, "")
        list(self._events)  # what follows may be a mistake
        return value, self._lines

    def _value(self, event: Any, path: str) -> Any:
        self._values += 1
        if self._values > _MOST_VALUES or self._level > _DEEPEST or event.anchor is not None or event.tag is not None:
            raise _NotPlainError
        if type(event) is self._scalar:
            return self._scalar_value(event)
        self._level += 1
        value = self._mapping(event, path) if type(event) is self._mapping_start else self._sequence(path)
        self._level -= 1
        return value

    def _scalar_value(self, event: Any) -> Any:
        text = event.value
        if event.style:  # in quotes, or a block
            return text
        value = plain_value(text)
        odd = type(value) in (int, float) and not _PLAIN_NUMBER.fullmatch(text)
        if odd or not _PLAIN_TEXT.fullmatch(text):
            raise _NotPlainError
        return value

    def _mapping(self, start: Any, path: str) -> dict[str, Any]:
        if start.flow_style and self._text[start.start_mark.index] != "{":
            raise _NotPlainError  # a pair without braces, as in [a: b]
        built: dict[str, Any] = {}
        while type(event := next(self._events)) is not self._mapping_end:
            key = self._key(event)
            if key in built:
                raise _NotPlainError
            below = f"{path}.{key}" if path else key
            self._lines[below] = event.start_mark.line + 1
            built[key] = self._value(next(self._events), below)
        return built

    def _key(self, event: Any) -> str:
        if type(event) is not self._scalar or event.anchor is not None or event.tag is not None:
            raise _NotPlainError
        if event.style in _BLOCKS or not _KEY.fullmatch(event.value):
            raise _NotPlainError
        return str(event.value)

    def _sequence(self, path: str) -> list[Any]:
        built: list[Any] = []
        while type(event := next(self._events)) is not self._sequence_end:
            if type(event) is self._scalar and event.start_mark.index == event.end_mark.index:
                raise _NotPlainError  # nothing at all, whose line is where the one or the other parser stopped looking
            below = f"{path}[{len(built)}]"
            self._lines[below] = event.start_mark.line + 1
            built.append(self._value(event, below))
        return built
