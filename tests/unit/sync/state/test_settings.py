"""A goal's settings as numbers that never change."""

from __future__ import annotations

import pytest

from airflow_provider_braze_blueconic.sync.blueconic.values import Merge
from airflow_provider_braze_blueconic.sync.state.settings import (
    creation_setting,
    is_added_to,
    merge_settings,
    source_settings,
    target_settings,
)


@pytest.mark.parametrize(("merge", "added_to"), [("sum", True), ("set", False), (None, None)])
def test_whether_a_field_was_added_to_is_known_from_its_last_merge(merge: Merge | None, added_to: bool | None) -> None:
    known = merge_settings({"n": merge}) if merge else {}

    assert is_added_to("field_n", known=known.get) is added_to


def test_the_numbers_of_settings_never_change() -> None:
    """They are kept in ledgers: another number would send everybody everything once more."""
    merges: dict[str, Merge] = {
        "a": "set", "b": "set_or_clear", "c": "add", "d": "sum", "e": "set_if_empty", "f": "remove",
    }  # fmt: skip

    assert merge_settings(merges) == {
        "merge:field_a": 1, "merge:field_b": 1, "merge:field_c": 2, "merge:field_d": 3, "merge:field_e": 4,
        "merge:field_f": 5,
    }  # fmt: skip
    assert source_settings({"n": "visits"}) == {"source:field_n": 52147668941989010}
    assert [creation_setting(creates) for creates in (True, False, None)] == [{"creates": 1}, {"creates": 0}, {}]
    assert target_settings(None, imports=True) == {"direction": 2}
    assert target_settings("c", imports=False) == {"direction": 1, "target": 13085476922151034}
