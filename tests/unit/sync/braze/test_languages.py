"""Which of Braze's languages a text means."""

from __future__ import annotations

import pytest

from airflow_provider_braze_blueconic.sync.braze.languages import language_text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nl", "nl"),
        ("nl_BE", "nl"),
        ("zh-Hant-TW", "zh"),
        ("en_US.UTF-8", "en"),
        ("sr-Latn", "sr"),
        ("de-CH", "de"),
        ("no", "nb"),
        ("nb-NO", "nb"),
        ("nor", "nb"),
        ("nn", "nn"),
        ("iw", "he"),
        ("in", "id"),
        ("ji", "yi"),
        ("jw", "jv"),
        ("mo", "mo"),
        ("tl", "tl"),
        ("fil", "fil"),
        ("gsw", "gsw"),
        ("haw", "haw"),
        ("ger", "de"),
        ("deu", "de"),
        ("Dutch", "nl"),
        ("Nederlands", "nl"),
        ("français", "fr"),
        ("Francais", "fr"),
        ("Norwegian", "nb"),
        ("Norwegian Bokmål", "nb"),
        ("Farsi", "fa"),
        ("Flemish", "nl"),
        ("Русский", "ru"),
        ("中文", "zh"),
        ("English (United States)", "en"),
        ("Portuguese, Brazil", "pt"),
        ("Simplified Chinese", "zh"),
    ],
)
def test_codes_locales_and_names_are_found(text: str, code: str) -> None:
    assert language_text(text) == (f'"{code}"', None)


@pytest.mark.parametrize("text", ["fy", "ht", "wo", "mi", "xx", "Frisian", "Klingon", "-", "n/a", "english-ish"])
def test_what_braze_does_not_list_is_left_out(text: str) -> None:
    assert language_text(text) == (None, "unknown_language")
