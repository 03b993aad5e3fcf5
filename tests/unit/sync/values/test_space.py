"""What counts as space, by Python and by SQL alike."""

from __future__ import annotations

import unicodedata

import duckdb
import pytest

from airflow_provider_braze_blueconic.sync.values.space import SPACE, SPACE_CLASS, edge_space_sql, trim_sql, trimmed

WHITE_SPACE = [chr(code) for code in range(0x110000) if chr(code).isspace()]
WITHOUT_WIDTH = [*"\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202c\u2060\u2066\u2069\ufeff"]


@pytest.mark.parametrize("character", [*WHITE_SPACE, *WITHOUT_WIDTH], ids=lambda character: f"{ord(character):04x}")
def test_every_white_space_and_what_has_no_width_is_space(character: str) -> None:
    text = f"{character}Ann Lee{character}"

    assert trimmed(text) == "Ann Lee"
    assert duckdb.execute(
        f"SELECT {edge_space_sql('v')}, {trim_sql('v')}, regexp_full_match(c, '[{SPACE_CLASS}]') "
        "FROM (SELECT ?::VARCHAR AS v, ?::VARCHAR AS c)",
        [text, character],
    ).fetchall() == [(True, "Ann Lee", True)]


@pytest.mark.parametrize(
    "text", ["Ann", "é", "Zoë", "中文", "~", "!", "\u2764\ufe0f", "a\u0301", "👨\u200d👩", "\x7f", "\ue000"]
)
def test_what_can_be_seen_or_changes_what_is_seen_is_no_space(text: str) -> None:
    looked = duckdb.execute(f"SELECT {edge_space_sql('v')} FROM (SELECT ?::VARCHAR AS v)", [text]).fetchall()

    assert trimmed(text) == text
    assert looked == [(False,)]


def test_no_letter_number_mark_or_sign_is_space() -> None:
    assert {unicodedata.category(character)[0] for character in SPACE} == {"Z", "C"}
    assert "\x00" not in SPACE
