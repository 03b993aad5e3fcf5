"""What a changed goal puts in doubt: settings of before and of now in, a ledger out."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import pytest

from airflow_provider_braze_blueconic.sync.blueconic.values import Merge
from airflow_provider_braze_blueconic.sync.state.changed_settings import doubts_of
from airflow_provider_braze_blueconic.sync.state.settings import (
    creation_setting,
    merge_settings,
    source_settings,
    target_settings,
)

DOUBT = '["in doubt" ]'


KNOWN = [("a", "1", "5", None), ("b", None, None, True), ("c", "null", "6", True), ("d", "2", "7", False)]
"""Rows of a ledger: identifier, what is known of x and of the counter n, and whether somebody is not proven."""


def goal(
    x: Merge = "set",
    n: Merge = "sum",
    source: str = "visits",
    creates: bool | None = True,
    connection: str | None = "c",
) -> dict[str, int]:
    """The settings of a goal with a field and a counter."""
    return {
        **merge_settings({"x": x, "n": n}),
        **(source_settings({"n": source}) if n == "sum" else {}),
        **creation_setting(creates),
        **target_settings(connection, imports=False),
    }


def after(before: Mapping[str, int], now: Mapping[str, int]) -> list[tuple[str | bool | None, ...]]:
    """The ledger of a goal whose settings changed."""
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE ledger (identifier TEXT, field_x TEXT, field_n TEXT, unproven BOOLEAN)")
        connection.executemany("INSERT INTO ledger VALUES (?, ?, ?, ?)", KNOWN)
        doubts_of(now, known=before.get).apply(connection)
        return connection.execute("FROM ledger ORDER BY identifier").fetchall()


@pytest.mark.parametrize(
    ("before", "now"),
    [
        pytest.param(goal(), goal(), id="nothing changed"),
        pytest.param({}, goal(), id="a ledger of before the settings were kept"),
        pytest.param(goal(creates=False), goal(creates=False), id="nobody is created still"),
        pytest.param(goal(creates=True), goal(creates=None), id="a target that tells whom it does not know"),
        pytest.param(goal(creates=False), {}, id="stale data, of which nothing is sent"),
        pytest.param(goal(x="set"), goal(x="set_or_clear"), id="a merge that leaves the same"),
        pytest.param(goal(n="set"), goal(n="sum"), id="a number that is added to from now on"),
    ],
)
def test_what_does_not_change_the_outcome_puts_nothing_in_doubt(before: dict[str, int], now: dict[str, int]) -> None:
    assert not doubts_of(now, known=before.get)
    assert after(before, now) == KNOWN


@pytest.mark.promise(2)
def test_another_merge_puts_what_was_acknowledged_of_that_field_in_doubt_and_nothing_that_was_not() -> None:
    assert doubts_of(goal(x="add"), known=goal().get)
    assert after(goal(), goal(x="add")) == [
        ("a", DOUBT, "5", None), ("b", None, None, True), ("c", DOUBT, "6", True), ("d", DOUBT, "7", False),
    ]  # fmt: skip


@pytest.mark.promise(2)
def test_a_counter_that_comes_from_elsewhere_starts_anew_and_one_that_is_set_does_not() -> None:
    assert doubts_of(goal(source="orders"), known=goal().get)
    assert after(goal(), goal(source="orders")) == [(who, x, None, unproven) for who, x, _, unproven in KNOWN]
    assert after({**goal(n="set"), **source_settings({"n": "visits"})}, goal(n="set")) == KNOWN


@pytest.mark.promise(1)
def test_who_is_not_proven_to_be_there_is_in_doubt_once_people_are_created() -> None:
    assert doubts_of(goal(creates=True), known=goal(creates=False).get)
    assert after(goal(creates=False), goal(creates=True)) == [
        ("a", DOUBT, DOUBT, None), ("b", None, None, True), ("c", DOUBT, DOUBT, True), ("d", "2", "7", False),
    ]  # fmt: skip


def test_who_was_acknowledged_while_people_were_created_is_proven_once_they_are_not() -> None:
    assert doubts_of(goal(creates=False), known=goal(creates=True).get)
    assert after(goal(creates=True), goal(creates=False)) == [
        ("a", "1", "5", False), ("b", None, None, True), ("c", "null", "6", True), ("d", "2", "7", False),
    ]  # fmt: skip


@pytest.mark.promise(2)
def test_another_connection_puts_everything_in_doubt_but_what_might_be_added_twice() -> None:
    assert doubts_of(goal(connection="other"), known=goal().get)
    assert after(goal(), goal(connection="other")) == [
        ("a", DOUBT, "5", None), ("b", None, None, True), ("c", DOUBT, "6", True), ("d", DOUBT, "7", False),
    ]  # fmt: skip
    assert after(goal(n="set"), goal(n="set", connection="other"))[0] == ("a", DOUBT, DOUBT, None)
