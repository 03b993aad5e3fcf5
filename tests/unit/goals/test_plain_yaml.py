"""The short way of reading a goal file says what the careful one says, or nothing."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.goals.document import read_any_document, read_document
from airflow_provider_braze_blueconic.goals.plain_yaml import read_plain_yaml

from .conftest import EXPORT, IMPORT

ROOT = Path(__file__).parents[3]

GOAL = """\
---
# A comment: with a colon
goal: export   # and one behind
id: 'vip'
name: "VIPs: \u00e9\U0001f600 'x'"
description: >-
  Keeps Braze
  current.

  Daily.
labels: [crm, "a, b", 'it''s',
  nightly]
staging: s3://acme-sync/tests
source: {segment: VIP customers, export: s3://acme-exports, n: -5}
empty:
many words: that go
  on here
fields:
- {from: property.x, to: x}
-
  from: property.y
  to: y
- [1, 2.50, true, ~, 007, 1_000, NO, 2026-11-30]
text: |
  one
    two

end: 7
"""


def agree(text: str) -> bool:
    """Check that a text which is read the short way is read alike, and tell whether it is."""
    plain = read_plain_yaml(text)
    if plain is None:
        return False
    careful = read_any_document(text, file="goal.yaml")
    assert careful.problems == []
    assert repr(plain[0]) == repr(careful.value)
    assert plain[1] == careful.lines
    return True


@pytest.mark.parametrize("text", [GOAL, EXPORT, IMPORT, GOAL.replace("\n", "\r\n")], ids=["all", "out", "in", "crlf"])
def test_an_ordinary_goal_is_read_the_short_way(text: str) -> None:
    assert agree(text)


def test_the_example_goals_are_read_the_short_way() -> None:
    pages = (ROOT / "docs" / "goal-file.md").read_text()
    examples = [text for text in re.findall(r"```yaml\n(.*?)```", pages, re.DOTALL) if "goal:" in text]
    examples += [file.read_text() for file in (ROOT / "dags" / "goals").glob("*.yaml")]

    assert len(examples) > 5
    assert [text for text in examples if not agree(text)] == []


_CHARACTERS = " \n:,[]{}#-?|>'\"&*!%@`~.+=<\r\t0179Eexonat_/é\\"
_LAYOUT = (": ", "- ", "\n- ", "\n  ", "\n    ", "# ", " #x", "\n...\n", "\n---\n", "? ", "\r\n", "\n \n", "\n\n", "  ")
_TEXTS = ("{}", "[]", "{a: b}", "[a, b]", "[a: b]", "['a':]", "''", '""', "null", "true", "1e3", ".5", "0x1f", "007")
_BLOCKS = ("s3://a/b", "|\n  ", ">\n  ", "|-", "|+", ">2", "a: b\n")
_ODD = ("\u2028", "\x85", "\ufeff", "\U0001f600", "\x00", "%YAML 1.1\n", "!!str ", "&a ", "*a", "<<")
_PIECES = st.sampled_from([*_CHARACTERS, *_LAYOUT, *_TEXTS, *_BLOCKS, *_ODD])


@given(st.lists(_PIECES, max_size=14).map("".join))
@example("|# a\n  b")
@example("x: >\n \n  b\n")
@example("- [e, 'f':]\n")
@example("---\n# nothing\n")
@example("- # nothing\n- b\n")
@settings(max_examples=500, deadline=None)
def test_whatever_is_written_is_read_alike_or_with_care(text: str) -> None:
    agree(text)


@given(
    st.lists(st.tuples(st.integers(0, len(GOAL)), st.integers(0, 4), _PIECES), min_size=1, max_size=3),
    st.sampled_from([GOAL, EXPORT]),
)
@settings(max_examples=500, deadline=None)
def test_a_goal_with_slips_of_the_pen_is_read_alike_or_with_care(slips: list[tuple[int, int, str]], text: str) -> None:
    for place, gone, piece in slips:
        text = text[:place] + piece + text[place + gone :]

    agree(text)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_what_is_a_number_does_not_depend_on_the_way(length: int) -> None:
    texts = ["".join(characters) for characters in itertools.product("01.-+eExo_~n", repeat=length)]

    read = [text for text in texts if agree(f"a: {text}\n")]

    assert len(read) > len(texts) / 4


@pytest.mark.parametrize(
    ("written", "value"),
    [("NO", "NO"), ("on", "on"), ("007", "007"), ("1_000", "1_000"), ("0o17", 15), ("1e3", 1000.0), (".inf", math.inf)],
)
def test_yaml_1_1_has_no_say_in_what_a_value_is(written: str, value: object) -> None:
    document = read_document(f"value: {written}\n", file="goal.yaml")

    assert document.value == {"value": value}
    assert type(document.value["value"]) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2\n",
        "a: &x 1\nb: *x\n",
        "a: !!str 1\n",
        '"a\\tb": 1\n',
        "a:\t1\n",
        "a: 1\n---\nb: 1\n",
        "? [a]\n: 1\n",
        "",
        "# nothing\n",
        "a: " + "[" * 30 + "]" * 30,
        "[" + "1, " * 11_000 + "]",
        "a" * 1_001 + ": 1",
    ],
    ids=["twice", "anchor", "tag", "escape", "tab", "documents", "key", "empty", "comment", "deep", "long", "wide"],
)
def test_what_needs_care_or_is_a_mistake_is_left_to_the_careful_way(text: str) -> None:
    assert read_plain_yaml(text) is None


def test_without_libyaml_every_file_is_read_with_care(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "__with_libyaml__", False)

    assert read_plain_yaml(EXPORT) is None
    assert read_document(EXPORT, file="goal.yaml").value["id"] == "vip_to_braze"
