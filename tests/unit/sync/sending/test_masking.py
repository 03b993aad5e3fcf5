"""A person's values in what a server says."""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.sending.masking import mask_texts, mask_values

pytestmark = pytest.mark.promise(8)


@pytest.mark.parametrize(
    ("own", "text"),
    [
        ("+31612345678", "phone 31612345678 is taken"),
        ("+31612345678", "phone 0031 6 12 34 56 78 is taken"),
        ("+31612345678", "phone (06) 12-34-56-78 is taken"),
        ("06 12345678", "phone +31612345678 is taken"),
        ("+31612345678", "phone ٣١٦١٢٣٤٥٦٧٨ is taken"),
        ("Jane.Doe@X.example", "email jane.doe@x.example is taken"),
        ("Jane.Doe@X.example", "email jane.doe%40x.example is taken"),
        ("Jane.Doe@X.example", "email jane&#46;doe&#64;x.example is taken"),
        ("Jane.Doe@X.example", "email jane.doe@… is taken"),
        ("José Müller", "name Jose\u0301 Mu\u0308ller is taken"),
        ("José Müller", r"name Jos\u00e9 M\u00fcller is taken"),
        ("José Müller", "name JOSE MULLER is taken"),
        ("José Müller", "name José\u00a0\u200bMüller is taken"),
        ("José Müller", "name José is taken"),
        ("1234.5", "number 1,234.50 is taken"),
        ("😀 and more", r"text \ud83d\ude00 and more is taken"),
        ("planted secret street 5 in a long text", "text planted secret str... is taken"),
        ("50%20off", "code 50%20off is taken"),
        ("50%20off", "code 50%2520off is taken"),
    ],
)
def test_a_value_is_found_however_the_server_spells_it(own: str, text: str) -> None:
    masked = mask_texts(text, [own])

    kind, rest = text.split(" ", 1)[0], "is taken"
    assert masked.startswith(f"{kind} ")
    assert masked.endswith(rest)
    assert "***" in masked
    left = masked.removeprefix(kind).removesuffix(rest)
    assert not [c for c in left if c.isalnum()], masked


@pytest.mark.parametrize(
    "text",
    [
        "at most 75 objects and 255 characters; found 300",
        "the attribute loyalty_points must be a number",
        "limit of 250000 requests per hour",
        "",
    ],
)
def test_what_says_nothing_of_the_person_is_shown_as_it_is(text: str) -> None:
    assert mask_texts(text, ["+31612345678", "jane@x.example", "Jane Doe", "7", "12.5"]) == text


def test_what_looks_like_an_address_or_a_phone_number_is_hidden_whoevers_it_is() -> None:
    text = "taken by other%40y.example, call +31 20 1234567"

    assert mask_texts(text, []) == "taken by *** call +***"


@pytest.mark.parametrize("before", [280, 290, 299, 1_990, 5_000])
def test_a_text_is_masked_before_it_is_cut(before: int) -> None:
    text = "x" * before + " planted secret " + "y" * 9_000

    shown = mask_texts(text, ["planted secret"])

    assert len(shown) <= 300
    assert "plan" not in shown


def test_what_begins_as_a_very_long_value_does_is_hidden_to_its_end() -> None:
    own = " ".join(f"w{number}" for number in range(2_000))

    assert mask_texts(f"bad: {own}", [own]) == "bad: ***"


def test_keys_inside_of_a_value_are_hidden_where_they_name_somebody() -> None:
    body = json.dumps({"external_id": "c", "map": {"jane": 1, "+31612345678": 2, "a@x.example": 3}}).encode()

    assert mask_values("map has 31612345678", body) == "map has ***"


SPELLINGS: list[Callable[[str], str]] = [
    str,
    str.upper,
    str.lower,
    str.casefold,
    quote,
    quote_plus,
    html.escape,
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: unicodedata.normalize("NFD", text),
    lambda text: unicodedata.normalize("NFKC", text),
]
WORDS = st.text(st.characters(categories=["Ll", "Lu", "Nd", "Po", "Pd", "Sm", "So"]), min_size=3, max_size=30)


@given(WORDS, st.sampled_from(SPELLINGS), st.text("abc '\"().,:", max_size=20), st.text("abc '\"().,:", max_size=20))
@example("%00%", quote, "", "")
@example("&amp;", html.escape, "", "")
@example("\\u0041", str, "", "")
@example("00\u0131", str.upper, "", "")
def test_no_spelling_of_a_value_comes_through(own: str, spell: Callable[[str], str], before: str, after: str) -> None:
    shown = mask_texts(f"{before} {spell(own)} {after}", [own])

    letters = "".join(c for c in own.casefold() if c.isalnum())
    if len(letters) > 2:
        assert own.casefold() not in shown.casefold()
        assert spell(own).casefold() not in shown.casefold()


@given(
    st.from_regex(r"\+[1-9][0-9]{8,13}", fullmatch=True),
    st.lists(st.sampled_from(["", " ", "-", ".", " ("]), min_size=15),
)
def test_no_digits_of_a_phone_number_come_through(own: str, gaps: list[str]) -> None:
    spelt = "".join(digit + gap for digit, gap in zip(own[1:], gaps, strict=False))

    assert not [c for c in mask_texts(f"phone {spelt} is taken", [own]) if c.isdigit()]


@given(st.text(max_size=400), st.lists(st.text(max_size=20), max_size=4))
def test_masking_takes_any_text(text: str, own: list[str]) -> None:
    assert len(mask_texts(text, own)) <= 300
