"""The user in a line: what the fast parser takes is what the careful one would have given."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.braze import segment_export_users
from airflow_provider_braze_blueconic.sync.braze.segment_export_users import BrokenLine, read_user

_TEXTS = st.text(max_size=5) | st.sampled_from(
    ["\ud83d", "\ude00", "\ud83d\ude00", "a\ud83d", "\x00", "\x7f", "é", "1e5"]
)
_NUMBERS = (
    st.integers() | st.floats() | st.sampled_from([-0.0, 5e-324, 2**63, 2**64, -(2**63) - 1, 1e22, 9007199254740993])
)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)
_MARKS = st.sampled_from(
    [b"", b" ", b"\xff", b"\xed\xa0\xbd", b"\\u", b"\\ud83d", b",", b"1", b"-", b"e999", b"NaN", b'"', b"\x00"]
)


@st.composite
def _lines(draw: st.DrawFn) -> bytes:
    """A user as JSON may write it, and sometimes with a few bytes in it that do not belong there."""
    user = {"braze_id": "b-1", **draw(st.dictionaries(_TEXTS, _VALUES, max_size=4))}
    text = json.dumps(user, ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(_MARKS) + text[at:]


def _read(line: bytes) -> tuple[str, bool] | str:
    try:
        user, is_repaired = read_user(line)
    except BrokenLine as broken:
        return str(broken)
    return repr(user), is_repaired


def _refuse(line: bytes) -> Any:
    raise UnicodeDecodeError("utf-8", line, 0, 1, "")


@given(line=_lines())
@example(line=b'{"braze_id":"b","a":1,"a":2}')
@example(line=b'{"braze_id":"b","a":1e999}')
@example(line=b'{"braze_id":"b","a":Infinity}')
@example(line=b'\xef\xbb\xbf{"braze_id":"b"}')
@example(line=b'{"braze_id":"b","a":' + b"9" * 5_000 + b"}")
@example(line=b'{"braze_id":"b","a":"\xed\xa0\xbd\xed\xb8\x80"}')
@settings(max_examples=300, deadline=None)
def test_both_parsers_read_every_line_alike(line: bytes) -> None:
    fast = _read(line)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(segment_export_users, "_parse_fast", _refuse)
        careful = _read(line)

    assert fast == careful


def test_half_a_character_is_repaired_and_told() -> None:
    assert read_user(b'{"braze_id":"b","a":"x\\ud83d"}') == ({"braze_id": "b", "a": "x\ufffd"}, True)
