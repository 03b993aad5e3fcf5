"""What a receipt does to a row of the ledger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.commits import DOUBT, A, B, C, D, commit, hash_of, ledger_of
from tests.support.core import acknowledged, day, engine, ledger_rows, stored_ledger


@pytest.mark.promise(1)
def test_only_accepted_records_move_the_ledger(tmp_path: Path) -> None:
    delta = [{"identifier": name, "field_x": "1", "field_y": None} for name in (A, B, C, D)]

    moved = commit(
        tmp_path, {0: delta}, [(A, "accepted"), (B, "rejected", "no good"), (C, "unknown", "timeout")], run_key="r1"
    )

    assert moved
    assert ledger_rows(tmp_path) == {
        A: {
            "partition": 0, "as_of": day(1), "in_segment": True, "run_key": "r1", "rejection": None, "attempts": 0,
            "refused_hash": None, "refused_as": None, "tried_at": None, "unstuck": None, "unstuck_hash": None,
            "unproven": None, "field_x": "1", "field_y": None,
        },
        B: {
            "partition": 0, "as_of": None, "in_segment": True, "run_key": "r1", "rejection": "no good", "attempts": 1,
            "refused_hash": hash_of("|field_x:1"), "refused_as": "rejected", "tried_at": day(1), "unstuck": None,
            "unstuck_hash": None, "unproven": None, "field_x": None, "field_y": None,
        },
        C: {
            "partition": 0, "as_of": None, "in_segment": True, "run_key": None, "rejection": None, "attempts": 0,
            "refused_hash": None, "refused_as": None, "tried_at": None, "unstuck": None, "unstuck_hash": None,
            "unproven": None, "field_x": DOUBT, "field_y": None,
        },
    }  # fmt: skip


@pytest.mark.promise(1)
def test_rows_that_were_rejected_or_not_sent_keep_what_was_acknowledged_before_and_unknown_ones_are_in_doubt(
    tmp_path: Path,
) -> None:
    names = (A, B, C, D)
    stored_ledger(tmp_path, [{"identifier": name, "field_x": "1", "field_y": "1"} for name in names])
    delta = [{"identifier": name, "kind": "change", "as_of": day(2), "field_x": "2"} for name in names]

    commit(tmp_path, {0: delta}, [(A, "accepted"), (B, "rejected", "no good"), (C, "unknown", "timeout")])

    rows = ledger_rows(tmp_path)
    assert {name: (rows[name]["field_x"], rows[name]["field_y"], rows[name]["as_of"]) for name in names} == {
        A: ("2", "1", day(2)),
        B: ("1", "1", day(1)),
        C: (DOUBT, "1", day(1)),
        D: ("1", "1", day(1)),
    }
    assert {name: (rows[name]["run_key"], rows[name]["rejection"], rows[name]["attempts"]) for name in names} == {
        A: ("run", None, 0),
        B: ("run", "no good", 1),
        C: ("earlier", None, 0),
        D: ("earlier", None, 0),
    }


def test_people_outside_of_the_delta_are_untouched(tmp_path: Path) -> None:
    books = {
        "rejection": "no good", "attempts": 3, "refused_hash": "h", "refused_as": "rejected", "tried_at": day(1),
        "unstuck": 1, "unstuck_hash": "u", "unproven": True, "known_by": "[]",
    }  # fmt: skip
    stored_ledger(
        tmp_path,
        [{"identifier": A, "field_x": "1", **books}, {"identifier": B, "partition": 1, "field_x": "1"}],
        partitions=2,
    )
    before = ledger_rows(tmp_path)

    commit(tmp_path, {0: [{"identifier": C, "field_x": "9"}]}, [(C, "accepted")], partitions=2)

    after = ledger_rows(tmp_path)
    assert after.pop(C)["field_x"] == "9"
    assert after == before


@pytest.mark.parametrize(
    ("outcomes", "value"),
    [
        pytest.param(["unknown", "accepted"], "2", id="unknown, then accepted"),
        pytest.param(["accepted", "unknown"], "2", id="accepted, then unknown"),
        pytest.param(["rejected", "accepted"], "2", id="rejected, then accepted"),
        pytest.param(["unknown", "rejected"], "1", id="unknown, then rejected"),
    ],
)
def test_of_several_receipts_of_a_person_the_best_counts(outcomes: list[str], value: str, tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1"}])

    commit(tmp_path, {0: [{"identifier": A, "kind": "change", "field_x": "2"}]}, [(A, outcome) for outcome in outcomes])

    assert ledger_rows(tmp_path)[A]["field_x"] == value


def test_a_cleared_field_is_known_to_be_empty(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1"}])

    commit(tmp_path, {0: [{"identifier": A, "kind": "change", "field_x": "null"}]}, [(A, "accepted")])

    assert ledger_rows(tmp_path)[A]["field_x"] == "null"


def test_a_new_field_becomes_a_new_column(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1"}, {"identifier": B, "field_x": "1"}])

    commit(
        tmp_path, {0: [{"identifier": A, "kind": "change", "field__x50_oints_x20_now": "7"}]}, [(A, "accepted")]
    )  # fmt: skip

    rows = ledger_rows(tmp_path)
    assert (rows[A]["field_x"], rows[A]["field__x50_oints_x20_now"]) == ("1", "7")
    assert (rows[B]["field_x"], rows[B]["field__x50_oints_x20_now"]) == ("1", None)


def test_partitions_of_one_delta_may_have_different_columns(tmp_path: Path) -> None:
    delta = {0: [{"identifier": A, "field_x": "1"}], 1: [{"identifier": B, "field_y": "2"}]}

    commit(tmp_path, delta, [(A, "accepted"), (B, "accepted")], partitions=2)

    rows = ledger_rows(tmp_path)
    assert (rows[A]["field_x"], rows[A]["field_y"]) == ("1", None)
    assert (rows[B]["field_x"], rows[B]["field_y"]) == (None, "2")


def test_who_left_and_who_came_back_is_noted_without_a_receipt(tmp_path: Path) -> None:
    stored_ledger(
        tmp_path,
        [{"identifier": A, "field_x": "1"}, {"identifier": B, "field_x": "1", "in_segment": False}],
    )
    delta = [
        {"identifier": A, "kind": "leave", "as_of": day(2), "to_send": False},
        {"identifier": B, "kind": "return", "as_of": day(2), "to_send": False},
    ]

    commit(tmp_path, {0: delta}, [])

    rows = ledger_rows(tmp_path)
    assert {name: (row["in_segment"], row["field_x"], row["as_of"]) for name, row in rows.items()} == {
        A: (False, "1", day(1)),
        B: (True, "1", day(1)),
    }


@pytest.mark.parametrize(
    ("receipts", "in_segment", "value"),
    [
        pytest.param([(A, "accepted")], False, "null", id="accepted"),
        pytest.param([(A, "rejected", "no good")], True, "1", id="rejected"),
        pytest.param([(A, "unknown", "timeout")], True, DOUBT, id="unknown"),
        pytest.param([], True, "1", id="not sent"),
    ],
)
@pytest.mark.promise(1)
def test_a_leaver_who_was_to_be_told_is_only_gone_when_the_target_said_yes(
    receipts: list[tuple[str, str]], in_segment: bool, value: str, tmp_path: Path
) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1"}])

    commit(tmp_path, {0: [{"identifier": A, "kind": "leave", "field_x": "null"}]}, receipts)

    row = ledger_rows(tmp_path)[A]
    assert (row["in_segment"], row["field_x"]) == (in_segment, value)


@pytest.mark.parametrize(("killed", "value"), [(True, DOUBT), (False, "1")])
@pytest.mark.promise(1)
def test_who_has_no_receipt_after_a_kill_is_in_doubt_and_after_an_end_was_not_sent(
    killed: bool, value: str, tmp_path: Path
) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1"}])
    delta = {0: [{"identifier": name, "kind": "change", "field_x": "2"} for name in (A, B)]}
    outcome = acknowledged(tmp_path, delta, [(B, "accepted")])

    ledger_of(tmp_path).commit(
        engine(tmp_path), replace(outcome, broken_off=frozenset({0} if killed else {1}))
    )  # fmt: skip

    assert [ledger_rows(tmp_path)[name]["field_x"] for name in (A, B)] == [value, "2"]


@pytest.mark.parametrize(
    ("creates", "kind", "outcome", "before", "after"),
    [
        pytest.param(0, "insert", "accepted", None, True, id="nobody is created, so an answer proves nothing"),
        pytest.param(0, "change", "accepted", False, False, id="proven before"),
        pytest.param(1, "change", "accepted", True, False, id="created"),
        pytest.param(1, "change", "rejected", True, True, id="refused"),
        pytest.param(0, "change", "rejected", True, True, id="refused where nobody is created"),
        pytest.param(1, "leave", "accepted", True, True, id="a leaver is never created"),
        pytest.param(1, "leave", "accepted", False, False, id="a leaver who was proven"),
        pytest.param(None, "change", "accepted", True, True, id="a target that tells whom it does not know"),
    ],
)
@pytest.mark.promise(1)
def test_that_the_target_has_somebody_is_proven_by_what_creates_them(
    creates: int | None, kind: str, outcome: str, before: bool | None, after: bool, tmp_path: Path
) -> None:
    settings = {} if creates is None else {"creates": creates}
    stored_ledger(tmp_path, [{"identifier": name, "field_x": "1", "unproven": before} for name in (A, B)])

    commit(tmp_path, {0: [{"identifier": A, "kind": kind, "field_x": "2"}]}, [(A, outcome)], settings=settings)

    assert [ledger_rows(tmp_path)[name]["unproven"] for name in (A, B)] == [after, before]


def repair(folder: Path, run: int, repair_hash: str | None, outcome: str = "accepted", **how: Any) -> tuple[Any, Any]:
    """Commit a run that put a value right, and say what is remembered of it."""
    row = {"identifier": A, "kind": "change", "as_of": day(run), "field_x": "1", "repair_hash": repair_hash, **how}
    commit(folder, {0: [row]}, [(A, outcome)], delta_id=f"d{run}", run_key=f"r{run}")
    after = ledger_rows(folder)[A]
    return after["unstuck"], after["unstuck_hash"]


@pytest.mark.promise(5)
def test_how_often_the_same_values_were_put_right_is_remembered(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1"}])

    assert repair(tmp_path, 1, "h1", "rejected") == (None, None)
    assert repair(tmp_path, 2, "h1") == (1, "h1")
    assert repair(tmp_path, 3, "h1") == (2, "h1")
    assert repair(tmp_path, 4, None) == (2, "h1")
    assert repair(tmp_path, 5, "h2") == (1, "h2")
    assert repair(tmp_path, 6, None, sticks=True) == (None, None)


def test_committing_a_repair_twice_counts_it_once(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "unstuck": 1, "unstuck_hash": "h1"}])
    row = {"identifier": A, "kind": "change", "field_x": "1", "repair_hash": "h1"}

    commit(tmp_path, {0: [row]}, [(A, "accepted")], run_key="r9")
    commit(tmp_path, {0: [row]}, [(A, "unknown"), (A, "accepted")], run_key="r9")

    assert ledger_rows(tmp_path)[A]["unstuck"] == 2
