"""Of whom anything differs: the mapped snapshot against the ledger, a table in and a table out."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.sync.delta.counts import DeltaCounts
from tests.support.core import day, ledger_rows, run_delta, stored_ledger, write_seen
from tests.support.deltas import A, B, C, D, committed, empty_ledger, import_plan, kinds, plan, sent

# New, changed, unchanged


def test_a_first_run_inserts_everybody_with_every_value(tmp_path: Path) -> None:
    mapped = [
        {"identifier": A, "field_x": '"1"', "field_y": "2"},
        {"identifier": B, "field_x": '"1"', "field_y": None},
    ]

    counts, delta = run_delta(tmp_path, mapped, empty_ledger(tmp_path), plan("x", "y"))

    assert delta == {
        A: {"kind": "insert", "as_of": day(3), "to_send": True, "data_points": 2, "field_x": '"1"', "field_y": "2"},
        B: {"kind": "insert", "as_of": day(3), "to_send": True, "data_points": 1, "field_x": '"1"', "field_y": None},
    }
    assert counts == DeltaCounts(inserts=2, to_send=2, fields=3, data_points=3)


def test_only_what_differs_is_sent(tmp_path: Path) -> None:
    ledger = stored_ledger(
        tmp_path,
        [
            {"identifier": A, "field_x": '"1"', "field_y": "2"},
            {"identifier": B, "field_x": '"1"', "field_y": "2"},
            {"identifier": C, "field_x": '"1"', "field_y": "2"},
            {"identifier": D, "field_x": '"1"', "field_y": None},
        ],
    )
    mapped = [
        {"identifier": A, "field_x": '"1"', "field_y": "2"},
        {"identifier": B, "field_x": '"9"', "field_y": "2"},
        {"identifier": C, "field_x": None, "field_y": "null"},
        {"identifier": D, "field_x": '"1"', "field_y": "2"},
    ]

    counts, delta = run_delta(tmp_path, mapped, ledger, plan("x", "y"))

    assert kinds(delta) == {
        B: ("change", True, {"x": '"9"'}),
        C: ("change", True, {"y": "null"}),
        D: ("change", True, {"y": "2"}),
    }
    assert counts == DeltaCounts(changes=3, to_send=3, unchanged=1, fields=3, clears=1, data_points=3, members=4)


@pytest.mark.promise(2)
def test_nothing_is_sent_when_nothing_changed(tmp_path: Path) -> None:
    rows = [{"identifier": A, "field_x": '"1"'}, {"identifier": B, "field_x": "null"}]
    ledger = stored_ledger(tmp_path, rows)

    counts, delta = run_delta(tmp_path, rows, ledger, plan("x"))

    assert (counts, delta) == (DeltaCounts(unchanged=2, members=2), {})
    assert not (tmp_path / "delta.parquet").exists()


def test_a_field_without_a_value_is_not_compared(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_x": '"1"'}])

    counts, delta = run_delta(tmp_path, [{"identifier": A, "field_x": None}], ledger, plan("x"))

    assert (counts, delta) == (DeltaCounts(unchanged=1, members=1), {})


def test_texts_are_compared_to_the_letter(tmp_path: Path) -> None:
    rows = {A: ('"a"', '"A"'), B: ("1", '"1"'), C: ("1", "1.0"), D: ('"é"', '"e\u0301"')}
    ledger = stored_ledger(tmp_path, [{"identifier": name, "field_x": old} for name, (old, _) in rows.items()])
    mapped = [{"identifier": name, "field_x": new} for name, (_, new) in rows.items()]

    counts, _ = run_delta(tmp_path, mapped, ledger, plan("x"))

    assert counts.changes == 4


def test_values_that_changed_places_are_seen(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "field_y": "2"}])

    _, delta = run_delta(tmp_path, [{"identifier": A, "field_x": "2", "field_y": "1"}], ledger, plan("x", "y"))

    assert sent(delta[A]) == {"x": "2", "y": "1"}


def test_a_new_field_of_the_goal_is_sent_alone(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "field_gone": "5"}])
    mapped = [{"identifier": A, "field_x": "1", "field_new": "7"}]

    counts, delta = run_delta(tmp_path, mapped, ledger, plan("x", "new"))

    assert kinds(delta) == {A: ("change", True, {"new": "7"})}
    assert counts.data_points == 1


def test_a_change_of_an_unmapped_field_moves_nothing(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "field_gone": "5"}])

    _, delta = run_delta(tmp_path, [{"identifier": A, "field_x": "1", "field_gone": "6"}], ledger, plan("x"))

    assert delta == {}


def test_whole_profile_sends_all_fields_of_who_changed_and_nothing_of_others(tmp_path: Path) -> None:
    ledger = stored_ledger(
        tmp_path,
        [
            {"identifier": A, "field_x": "1", "field_y": "2", "field_z": "3"},
            {"identifier": B, "field_x": "1", "field_y": "2", "field_z": "3"},
        ],
    )
    mapped = [
        {"identifier": A, "field_x": "9", "field_y": "2", "field_z": None},
        {"identifier": B, "field_x": "1", "field_y": "2", "field_z": None},
    ]

    counts, delta = run_delta(tmp_path, mapped, ledger, plan("x", "y", "z", send="whole_profile"))

    assert kinds(delta) == {A: ("change", True, {"x": "9", "y": "2"})}
    assert counts == DeltaCounts(changes=1, to_send=1, unchanged=1, fields=2, data_points=2, members=2)


@pytest.mark.promise(1)
def test_a_rejected_person_comes_back_next_run(tmp_path: Path) -> None:
    ledger = stored_ledger(
        tmp_path,
        [
            {"identifier": A, "as_of": None, "rejection": "no good", "attempts": 1, "field_x": None},
            {"identifier": B, "rejection": "no good", "attempts": 3, "field_x": "1"},
        ],
        newest=day(2),
    )

    _, delta = run_delta(
        tmp_path, [{"identifier": A, "field_x": "1"}, {"identifier": B, "field_x": "2"}], ledger, plan("x")
    )

    assert kinds(delta) == {A: ("insert", True, {"x": "1"}), B: ("change", True, {"x": "2"})}


# Older than what is known


@pytest.mark.promise(4)
def test_rows_older_than_the_ledger_are_stale_and_not_sent(tmp_path: Path) -> None:
    ledger = stored_ledger(
        tmp_path,
        [
            {"identifier": A, "field_x": "1", "as_of": day(2)},
            {"identifier": B, "field_x": "1", "as_of": day(3)},
            {"identifier": C, "field_x": "1", "as_of": day(4)},
            {"identifier": D, "field_x": "9", "as_of": day(4)},
        ],
    )
    mapped = [{"identifier": name, "field_x": "9"} for name in (A, B, C, D)]

    counts, delta = run_delta(tmp_path, mapped, ledger, plan("x"))

    assert sorted(delta) == [A, B]
    assert counts == DeltaCounts(
        changes=2, to_send=2, stale=1, unchanged=1, fields=2, data_points=2, members=4
    )  # fmt: skip


@pytest.mark.promise(4)
def test_a_snapshot_older_than_the_last_committed_one_sends_nothing(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "as_of": day(1)}], newest=day(4))
    mapped = [{"identifier": A, "field_x": "old"}, {"identifier": B, "field_x": "old"}]

    counts, delta = run_delta(tmp_path, mapped, ledger, plan("x"))

    assert (counts, delta) == (DeltaCounts(stale=2, members=1), {})


@pytest.mark.promise(4)
def test_a_snapshot_as_old_as_the_last_committed_one_is_not_stale(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "as_of": day(3)}], newest=day(3))

    counts, _ = run_delta(tmp_path, [{"identifier": A, "field_x": "2"}], ledger, plan("x"))

    assert (counts.changes, counts.stale) == (1, 0)


def test_stale_rows_are_sent_when_the_run_asks_for_it(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "as_of": day(4)}], newest=day(4))
    mapped = [{"identifier": A, "field_x": "old"}, {"identifier": B, "field_x": "old"}]

    counts, delta = run_delta(tmp_path, mapped, ledger, plan("x", allow_stale=True))

    assert kinds(delta) == {A: ("change", True, {"x": "old"}), B: ("insert", True, {"x": "old"})}
    assert (counts.stale, delta[A]["as_of"]) == (0, day(3))


# What it costs


def test_a_moment_between_two_days_is_kept(tmp_path: Path) -> None:
    moment = dt.datetime(2026, 11, 3, 1, 2, 3, 456789, tzinfo=dt.UTC)

    _, delta = run_delta(
        tmp_path, [{"identifier": A, "field_x": "1", "as_of": moment}], empty_ledger(tmp_path), plan("x")
    )

    assert delta[A]["as_of"] == moment


# What the target adds to, fills or takes away from


@pytest.mark.parametrize("merge", ["set", "add", "remove", "set_if_empty", "set_or_clear"])
def test_whatever_the_merge_a_value_is_sent_when_it_differs_from_what_was_sent(merge: str, tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": name, "field_x": '["a"]'} for name in (A, B)])
    mapped = [{"identifier": A, "field_x": '["a"]'}, {"identifier": B, "field_x": '["a","b"]'}]

    counts, delta = run_delta(tmp_path, mapped, ledger, import_plan(x=merge))

    assert kinds(delta) == {B: ("change", True, {"x": '["a","b"]'})}
    assert counts == DeltaCounts(changes=1, to_send=1, unchanged=1, fields=1, members=2)


@pytest.mark.parametrize(("at", "again"), [(2, {}), (3, {"x": '["a"]'}), (4, {"x": '["a"]'})])
@pytest.mark.promise(2)
def test_another_merge_sends_values_again_from_the_same_snapshot_and_not_from_an_older_one(
    at: int, again: dict[str, str], tmp_path: Path
) -> None:
    added = {A: {"as_of": day(3), "field_x": '["a"]'}}
    ledger = committed(
        tmp_path, added, (A, "accepted"), as_of=day(3), settings=import_plan(x="add").settings(None)
    )  # fmt: skip

    _, delta = run_delta(
        tmp_path, [{"identifier": A, "field_x": '["a"]'}], ledger, dataclasses.replace(import_plan(x="set"), as_of=day(at))
    )  # fmt: skip

    assert {name: sent(row) for name, row in delta.items()} == ({A: again} if again else {})


def test_clearing_is_told_once(tmp_path: Path) -> None:
    ledger = stored_ledger(
        tmp_path, [{"identifier": A, "field_x": '["a"]'}, {"identifier": B, "field_x": "null"}]
    )  # fmt: skip
    mapped = [{"identifier": A, "field_x": "null"}, {"identifier": B, "field_x": "null"}]

    counts, delta = run_delta(tmp_path, mapped, ledger, import_plan(x="set_or_clear"))

    assert kinds(delta) == {A: ("change", True, {"x": "null"})}
    assert (counts.fields, counts.clears) == (1, 1)


# Files of changes


@pytest.mark.promise(1)
def test_a_late_file_brings_what_nothing_newer_is_known_of(tmp_path: Path) -> None:
    rows = [{"identifier": A, "field_x": '"1"', "as_of": day(2)}, {"identifier": B, "field_x": '"1"', "as_of": day(4)}]
    ledger = stored_ledger(tmp_path, rows, newest=day(5))
    mapped = [{"identifier": name, "field_x": '"late"'} for name in (A, B, C)]

    counts, delta = run_delta(tmp_path, mapped, ledger, plan("x", confirms=False))

    assert sorted(delta) == [A, C]
    assert (counts.changes, counts.inserts, counts.stale) == (1, 1, 1)


@pytest.mark.promise(4)
def test_a_file_that_says_the_same_again_makes_it_true_for_longer(tmp_path: Path) -> None:
    """Of two files that are read in the wrong order the later one counts, also where it brought nothing new."""
    rows = [{"identifier": A, "field_x": '"1"', "as_of": day(1)}, {"identifier": B, "field_x": '"1"', "as_of": day(4)}]
    ledger = stored_ledger(tmp_path, rows)
    same = [{"identifier": name, "field_x": '"1"'} for name in (A, B)]

    counts, delta = run_delta(tmp_path, same, ledger, plan("x", confirms=False))
    ledger = committed(tmp_path, delta)
    late, nothing = run_delta(
        tmp_path, [{"identifier": A, "field_x": '"0"'}], ledger, plan("x", confirms=False, as_of=day(2))
    )  # fmt: skip

    assert kinds(delta) == {A: ("return", False, {})}
    assert (counts.to_send, counts.unchanged, counts.stale) == (0, 2, 0)
    assert (nothing, late.stale) == ({}, 1)
    assert {name: row["as_of"] for name, row in ledger_rows(tmp_path).items()} == {A: day(3), B: day(4)}


@pytest.mark.parametrize(("looked_on", "as_new_as"), [(2, 3), (4, 4)])
@pytest.mark.promise(4)
def test_what_a_file_says_again_is_as_new_as_the_file_or_the_last_look(
    looked_on: int, as_new_as: int, tmp_path: Path
) -> None:
    same = [{"identifier": A, "field_x": '"1"'}]
    ledger = stored_ledger(tmp_path, [{**same[0], "as_of": day(1)}])
    look = write_seen(tmp_path / "seen.parquet", same, as_of=day(looked_on))

    _, delta = run_delta(tmp_path, same, ledger, plan("x", confirms=False), seen=[look])

    assert (delta[A]["to_send"], delta[A]["seen_as_of"]) == (False, day(as_new_as))


@pytest.mark.promise(4)
def test_a_read_of_everybody_makes_older_data_stale_for_all(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_x": '"1"', "as_of": day(2)}], newest=day(5))

    counts, delta = run_delta(
        tmp_path, [{"identifier": name, "field_x": '"late"'} for name in (A, C)], ledger, plan("x")
    )  # fmt: skip

    assert (counts.stale, delta) == (2, {})
