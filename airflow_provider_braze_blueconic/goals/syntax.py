"""Mistakes in YAML syntax, as our own messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow_provider_braze_blueconic.exceptions import Problem

__all__ = ["syntax_problem"]

# The parser's words, and ours for the mistakes that authors make.
_SYNTAX: Mapping[str, str] = {
    r"found character '\\t' that cannot start any token": "found a tab; expected spaces for the indentation.",
    r"found character '(.)' that cannot start any token": r'found text that begins with "\1"; put it in quotes.',
    r"mapping values are not allowed here": (
        'found a colon where none can be; expected another indentation, or quotes around text that contains ": ".'
    ),
    r"could not find expected ':'": 'found a line without a colon; expected "key: value".',
    r"found unexpected end of stream": "found the end of the file; expected a closing quote.",
    r"expected a single document|but found another document": "found a second document; expected one goal in a file.",
    r"expected <block end>, but found": "found an entry whose indentation differs from the lines above it.",
    r"expected ',' or '(.)', but got": r'expected "," or "\1" before this.',
    r"found undefined alias '(.{1,60}?)'": r'found "*\1" without an anchor "&\1"; put text with "*" in quotes.',
}


def syntax_problem(error: Any, file: str) -> Problem:
    """Say what the parser could not read.

    :param error: a ``MarkedYAMLError`` of ruamel.yaml.
    :param file: the name that the problem carries.
    """
    mark = error.problem_mark or error.context_mark
    line = None if mark is None else int(mark.line) + 1
    problem = " ".join(str(error.problem or error.context or "").split())
    matches = ((re.search(theirs, problem), ours) for theirs, ours in _SYNTAX.items())
    known = next((match.expand(ours) for match, ours in matches if match), None)
    message = known or f"can't be read as YAML: {problem[:120]}."
    opened = error.context_mark
    if opened is not None and line is not None and int(opened.line) + 1 != line:
        message = f"{message[:-1]} (in what begins in line {int(opened.line) + 1})."
    return Problem("", message, file, line)
