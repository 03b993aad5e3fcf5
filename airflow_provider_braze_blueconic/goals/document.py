"""YAML 1.2 text as plain values, with the line of each.

Built in one pass from the parser's nodes: the library's own round-trip objects take longer, and its
constructors would turn ``007`` into 7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.exceptions import Problem
from airflow_provider_braze_blueconic.goals.findings import join_path
from airflow_provider_braze_blueconic.goals.plain_yaml import read_plain_yaml
from airflow_provider_braze_blueconic.goals.scalars import plain_value
from airflow_provider_braze_blueconic.goals.shown_values import quoted, short
from airflow_provider_braze_blueconic.goals.syntax import syntax_problem

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

__all__ = ["Document", "read_any_document", "read_document"]

_MOST_VALUES = 20_000
"""Values in one file, aliases expanded; a goal has some hundred. It keeps nested aliases from filling the memory."""

_DEEPEST = 50
"""Levels of lists and mappings; a goal has six."""

_TAG = "tag:yaml.org,2002:"
# The parser gives the last three to texts such as a date, "=" and "<<".
_PLAIN_TAGS = frozenset(
    _TAG + name for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "value", "merge")
)

_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass
class Document:
    """What a file holds.

    :param value: mappings, lists, texts, numbers, booleans and ``None``; ``None`` if the text can't be read as YAML.
    :param lines: path → 1-based line, for each key and list item; ``""`` is the whole.
    :param problems: mistakes of the writing: syntax, a key twice, a tag.
    """

    value: Any = None
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_document(text: str, *, file: str) -> Document:
    """Read one YAML document; mistakes of the writing are listed, not raised.

    :param file: the name that problems carry.
    """
    plain = read_plain_yaml(text)
    return Document(*plain) if plain is not None else read_any_document(text, file=file)


def read_any_document(text: str, *, file: str) -> Document:
    """Read one YAML document as :func:`read_document` does, without the short way of plain ones."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.reader import ReaderError

    document = Document()
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _composer()
    try:
        node = yaml.compose(text)
    except (_TooManyValuesError, RecursionError):
        document.problems.append(_too_much(file))
    except MarkedYAMLError as error:
        document.problems.append(syntax_problem(error, file))
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else None
        document.problems.append(Problem("", "contains a control character that YAML doesn't allow.", file, line))
    except Exception as error:  # noqa: BLE001  the parser's edge: of odd texts it raises what Python raises
        document.problems.append(Problem("", f"can't be read as YAML ({type(error).__name__}).", file))
    else:
        if node is not None:
            _Builder(document, file).build_root(node)
    return document


class _TooManyValuesError(Exception):
    pass


def _too_much(file: str) -> Problem:
    return Problem("", f"holds more than {_MOST_VALUES:,} values, or values that are nested too deeply.", file)


@cache
def _composer() -> type[Any]:
    from ruamel.yaml.composer import Composer

    class Bounded(Composer):
        """Stops early at what is no goal: the parser takes up to a minute for a megabyte of brackets or commas."""

        def __init__(self, loader: Any = None) -> None:
            super().__init__(loader)
            self.warn_double_anchors = False  # YAML 1.2 allows them
            self._nodes = 0
            self._level = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            self._nodes += 1
            self._level += 1
            if self._nodes > _MOST_VALUES or self._level > _DEEPEST:
                raise _TooManyValuesError
            node = super().compose_node(parent, index)
            self._level -= 1
            return node

    return Bounded


class _Builder:
    def __init__(self, document: Document, file: str) -> None:
        from ruamel.yaml.nodes import SequenceNode

        self._list = SequenceNode
        self._document = document
        self._file = file
        self._values = 0
        self._open: set[int] = set()

    def build_root(self, node: Node) -> None:
        self._document.lines[""] = _line(node)
        try:
            self._document.value = self._build(node, "")
        except (_TooManyValuesError, RecursionError):
            self._document.value = None
            self._document.problems = [_too_much(self._file)]

    def _build(self, node: Node, path: str) -> Any:
        self._values += 1
        if self._values > _MOST_VALUES:
            raise _TooManyValuesError
        if id(node) in self._open:
            self._report(path, node, "is an alias for something that contains it.")
            return None
        tag = str(node.tag)
        if tag not in _PLAIN_TAGS:
            self._report(path, node, f"has the tag {quoted(tag.removeprefix(_TAG))}; tags are not used in goal files.")
        if isinstance(node.value, str):
            text = self._text(node, path)
            return text if tag == f"{_TAG}str" else plain_value(text)
        self._open.add(id(node))
        value = self._sequence(node, path) if isinstance(node, self._list) else self._mapping(node, path)
        self._open.discard(id(node))
        return value

    def _mapping(self, node: Node, path: str) -> dict[str, Any]:
        built: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node.value, str):
                self._report(path, key_node, "has a list or a mapping as a key; expected text.")
                continue
            key = self._text(key_node, path)
            below = join_path([path, short(key)])
            if key in first:
                self._report(below, key_node, f"is there twice; the first one is in line {first[key]}.")
                continue
            first[key] = _line(key_node)
            self._document.lines[below] = first[key]
            built[key] = self._build(value_node, below)
        return built

    def _sequence(self, node: Node, path: str) -> list[Any]:
        built = []
        for index, item in enumerate(node.value):
            below = join_path([path, index])
            self._document.lines[below] = _line(item)
            built.append(self._build(item, below))
        return built

    def _text(self, node: Node, path: str) -> str:
        """Give the text of a node. What an escape can write and no database or file can hold is a mistake."""
        text = str(node.value)
        if not _UNWRITABLE.search(text):
            return text
        self._report(path, node, "contains half a character or a NUL, written as an escape; neither can be stored.")
        return _UNWRITABLE.sub("\ufffd", text)

    def _report(self, path: str, node: Node, message: str) -> None:
        self._document.problems.append(Problem(path, message, self._file, _line(node)))


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1
