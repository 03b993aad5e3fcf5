"""Who left, who came back, and what leavers get."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.sync.delta.counts import DeltaCounts
from tests.support.core import day, run_delta, stored_ledger
from tests.support.deltas import A, B, C, D, empty_ledger, kinds, leaving, plan, sent


@pytest.mark.promise(6)
def test_absence_from_a_read_that_is_not_complete_is_not_departure(tmp_path: Path) -> None:
    counts, delta = leaving(tmp_path, {"x": "null"}, complete=False)

    assert (counts, delta) == (DeltaCounts(unchanged=1, members=2), {})


@pytest.mark.promise(6)
def test_leavers_are_noted_and_left_alone_unless_the_goal_asks(tmp_path: Path) -> None:
    counts, delta = leaving(tmp_path, None)

    assert kinds(delta) == {B: ("leave", False, {})}
    assert (delta[B]["as_of"], delta[B]["data_points"]) == (day(3), 0)
    assert counts == DeltaCounts(leavers=1, unchanged=1, members=2)


def test_leavers_lose_the_fields_that_are_known_to_be_set(tmp_path: Path) -> None:
    counts, delta = leaving(tmp_path, {"x": "null", "y": "null"})

    assert kinds(delta) == {B: ("leave", True, {"x": "null"})}
    assert counts == DeltaCounts(leavers=1, to_send=1, unchanged=1, fields=1, clears=1, data_points=1, members=2)


def test_leavers_are_marked_also_in_a_field_that_is_not_mapped(tmp_path: Path) -> None:
    counts, delta = leaving(tmp_path, {"vip": "false"})

    assert kinds(delta) == {B: ("leave", True, {"vip": "false"})}
    assert counts == DeltaCounts(leavers=1, to_send=1, unchanged=1, fields=1, data_points=1, members=2)


def test_a_field_that_a_leaver_already_has_so_is_not_sent_again(tmp_path: Path) -> None:
    ledger = stored_ledger(
        tmp_path,
        [
            {"identifier": A, "field_vip": "false", "field_x": "null"},
            {"identifier": B, "as_of": None, "rejection": "no good", "attempts": 1},
        ],
    )

    counts, delta = run_delta(
        tmp_path, [], ledger, plan("x", "vip", leavers={"vip": "false", "x": "null"}, complete=True), skipped=[]
    )

    # b was never accepted: there is nothing of ours at the target, and marking would create b there.
    assert kinds(delta) == {A: ("leave", False, {}), B: ("leave", False, {})}
    assert counts == DeltaCounts(leavers=2, members=2)


def test_what_no_row_of_the_goal_writes_is_told_at_each_departure(tmp_path: Path) -> None:
    ledger = stored_ledger(
        tmp_path,
        [
            {
                "identifier": A,
                "field_vip": "false",
                "field_promo": "null",
                "field_x": "1",
            },  # left before, and came back
            {"identifier": B, "field_x": "1"},
            {"identifier": C, "as_of": None, "rejection": "no good", "attempts": 1},
            {"identifier": D, "as_of": None, "field_x": '["in doubt" ]'},  # no answer came: d may be there
        ],
    )

    _, delta = run_delta(tmp_path, [], ledger, plan("x", leavers={"vip": "false", "promo": "null"}, complete=True))

    told = ("leave", True, {"vip": "false", "promo": "null"})
    assert kinds(delta) == {A: told, B: told, C: ("leave", False, {}), D: told}


def test_a_leaver_is_told_nothing_of_a_field_that_is_withheld_from_people_of_that_kind(tmp_path: Path) -> None:
    email = '{"email":"a@b"}'
    ledger = stored_ledger(tmp_path, [{"identifier": name, "field_x": "1"} for name in (A, email)])
    leavers = {"x": "null", "vip": "false"}
    withheld = {"vip": ('{"phone":', '{"email":')}

    _, delta = run_delta(
        tmp_path, [], ledger, plan("x", leavers=leavers, withheld=withheld, complete=True)
    )  # fmt: skip

    assert {name: sent(row) for name, row in delta.items()} == {A: leavers, email: {"x": "null"}}


@pytest.mark.promise(6)
@pytest.mark.parametrize(("missing", "left"), [(0, [A, B, C]), (1, [B, C]), (2, [C]), (3, []), (50, [])], ids=str)
def test_as_many_people_as_the_read_may_lack_did_not_leave(missing: int, left: list[str], tmp_path: Path) -> None:
    known = [(A, 3), (B, 2), (C, 1)]
    ledger = stored_ledger(tmp_path, [{"identifier": who, "field_x": "1", "as_of": day(at)} for who, at in known])

    counts, delta = run_delta(tmp_path, [], ledger, plan("x", leavers={"x": "null"}, complete=True, missing=missing))

    assert sorted(delta) == sorted(left)
    assert (counts.leavers, counts.spared) == (len(left), 3 - len(left))


@pytest.mark.promise(6)
def test_an_old_snapshot_that_is_sent_all_the_same_knows_of_nobody_who_left(tmp_path: Path) -> None:
    ledger = stored_ledger(
        tmp_path, [{"identifier": name, "field_x": "1", "as_of": day(5)} for name in (A, B)], newest=day(5)
    )

    counts, delta = run_delta(
        tmp_path,
        [{"identifier": A, "field_x": "2"}],
        ledger,
        plan("x", leavers={"x": "null"}, complete=True, allow_stale=True),
    )

    assert kinds(delta) == {A: ("change", True, {"x": "2"})}
    assert (counts.leavers, counts.to_send) == (0, 1)


@pytest.mark.promise(6)
def test_people_who_were_read_but_skipped_did_not_leave(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": name, "field_x": "1"} for name in (A, B, C)])
    skipped = [
        {"identifier": A, "reason": "no_consent"},
        {"identifier": B, "reason": "several_identifiers"},
        {"identifier": None, "reason": "no_identifier"},
    ]

    _, delta = run_delta(
        tmp_path, [], ledger, plan("x", leavers={"x": "null"}, complete=True), skipped=skipped
    )  # fmt: skip

    assert kinds(delta) == {C: ("leave", True, {"x": "null"})}


@pytest.mark.promise(4)
def test_an_old_snapshot_sends_nobody_away_who_came_since(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "as_of": day(4)}], newest=day(4))

    counts, delta = run_delta(tmp_path, [], ledger, plan("x", leavers={"x": "null"}, complete=True))

    assert (counts, delta) == (DeltaCounts(members=1), {})


def test_who_comes_back_is_sent_only_what_differs(tmp_path: Path) -> None:
    ledger = stored_ledger(
        tmp_path,
        [
            {"identifier": A, "field_x": "1", "in_segment": False},
            {"identifier": B, "field_x": "null", "in_segment": False},
            {"identifier": C, "field_x": "1", "in_segment": None},
        ],
    )
    mapped = [{"identifier": name, "field_x": "1"} for name in (A, B, C)]

    counts, delta = run_delta(tmp_path, mapped, ledger, plan("x"))

    assert kinds(delta) == {
        A: ("return", False, {}),
        B: ("change", True, {"x": "1"}),
        C: ("return", False, {}),
    }
    assert counts == DeltaCounts(changes=1, to_send=1, unchanged=2, fields=1, data_points=1)


def test_an_empty_segment_makes_everybody_a_leaver(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_x": "1"}, {"identifier": B, "field_x": None}])

    counts, delta = run_delta(tmp_path, [], ledger, plan("x", leavers={"x": "null"}, complete=True))

    assert kinds(delta) == {A: ("leave", True, {"x": "null"}), B: ("leave", False, {})}
    assert (counts.leavers, counts.to_send) == (2, 1)


def test_nobody_on_either_side_is_an_empty_delta(tmp_path: Path) -> None:
    counts, delta = run_delta(tmp_path, [], empty_ledger(tmp_path), plan("x", leavers={"x": "null"}, complete=True))

    assert (counts, delta) == (DeltaCounts(), {})


def test_only_people_of_the_partition_are_leavers(tmp_path: Path) -> None:
    rows = [{"identifier": A, "partition": 0, "field_x": "1"}, {"identifier": B, "partition": 1, "field_x": "1"}]
    ledger = stored_ledger(tmp_path, rows, partitions=2)

    _, delta = run_delta(
        tmp_path, [], ledger, plan("x", leavers={"x": "null"}, complete=True, partitions=2), partition=1
    )  # fmt: skip

    assert sorted(delta) == [B]
