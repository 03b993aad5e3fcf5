"""From where a read of changes begins, and why it does not."""

from __future__ import annotations

import json

import pytest

from airflow_provider_braze_blueconic.sync.state.windows import Window, decided, fingerprint, goes_on, next_window
from tests.support.core import day

SETTINGS = {"segment": "s1", "fields": [{"from": "a", "to": "x"}], "when_missing": "keep", "objectives": []}
LAST = (day(3), json.dumps(fingerprint(SETTINGS)))


def test_a_window_begins_where_the_last_good_read_began() -> None:
    assert next_window(LAST, fingerprint(dict(reversed(SETTINGS.items())))) == Window(day(3))


@pytest.mark.promise(1)
@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"segment": "s2"}, "segment"),
        ({"fields": [{"from": "b", "to": "x"}]}, "fields"),
        ({"when_missing": "clear", "objectives": ["news"]}, "objectives, when_missing"),
        ({"connections": {"braze": "other"}}, "connections"),
    ],
)
def test_whatever_decides_who_is_read_makes_one_whole_read_that_says_why(
    changed: dict[str, object], named: str
) -> None:
    window = next_window(LAST, fingerprint({**SETTINGS, **changed}))

    assert window == Window(None, f"changed since the last run: {named}")


@pytest.mark.promise(1)
def test_a_setting_that_is_gone_counts_as_changed() -> None:
    window = next_window(LAST, fingerprint({"segment": "s1", "when_missing": "keep", "objectives": []}))

    assert window == Window(None, "changed since the last run: fields")


def test_before_the_first_good_read_and_after_one_of_an_earlier_version_the_whole_segment_is_read() -> None:
    now = fingerprint(SETTINGS)

    assert next_window(None, now) == Window(
        None, "no earlier run had everybody accepted, or a later one sent older data or used other settings"
    )
    assert next_window((day(3), "0a1b2c3d4e5f6071"), now) == Window(None, "an earlier package version did the last run")
    assert next_window((day(3), ""), now) == Window(None, "an earlier package version did the last run")


@pytest.mark.promise(1)
def test_people_who_were_released_are_met_by_one_whole_read() -> None:
    now = fingerprint(SETTINGS)

    assert next_window(LAST, now, released=day(4)) == Window(None, "people were released since the last run")
    assert next_window(LAST, now, released=day(2)) == Window(day(3))


@pytest.mark.parametrize(
    ("began", "settings", "is_so"),
    [
        (4, SETTINGS, True),
        (4, {**SETTINGS, "when_missing": "clear"}, False),
        (3, SETTINGS, False),
        (2, SETTINGS, False),
    ],
    ids=["what-changed-since", "by-other-settings", "the-same-read-again", "older"],
)
def test_only_what_changed_since_the_last_good_read_goes_on_from_it(
    began: int, settings: dict[str, object], is_so: bool
) -> None:
    assert goes_on(LAST, day(began), json.dumps(fingerprint(settings))) == is_so


def test_what_is_mapped_by_other_settings_than_it_was_read_by_is_decided_by_neither() -> None:
    later = {**SETTINGS, "when_missing": "clear"}
    read = json.dumps(fingerprint({**SETTINGS, "tenant": "t"}))

    by = decided(read, later)

    assert decided(read, SETTINGS) == read
    for now in (SETTINGS, later):
        window = next_window((day(3), by), fingerprint({**now, "tenant": "t"}))
        assert window.since is None
        assert "settings between a read and its mapping" in window.why
    assert not goes_on((day(3), read), day(4), by)
