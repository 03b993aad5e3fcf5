"""Who the person of a row is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.commits import DOUBT, A, B, C, commit, divide, hash_of, known, ledger_of
from tests.support.core import acknowledged, day, engine, ledger_rows, stored_ledger

MOVED = {"identifier": A, "kind": "move", "to_send": False, "known_by": "[]", "noted_x": DOUBT}


TAKEN = {
    "identifier": B,
    "kind": "change",
    "known_by": f'["{B}"]',
    "takes_over": True,
    "noted_x": DOUBT,
    "field_x": "2",
}


@pytest.mark.promise(1)
def test_who_moved_is_off_the_list_and_in_doubt_and_nothing_is_held_against_them(tmp_path: Path) -> None:
    refusal = {"rejection": "bad", "attempts": 3, "refused_hash": "h", "refused_as": "rejected", "tried_at": day(1)}
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", **refusal}])

    commit(tmp_path, {0: [MOVED, TAKEN]}, [])
    commit(tmp_path, {0: [MOVED, TAKEN]}, [])

    assert known(tmp_path) == {A: (False, "[]", DOUBT), B: (True, f'["{B}"]', DOUBT)}
    row = ledger_rows(tmp_path)[A]
    assert (row["refused_as"], row["refused_hash"], row["attempts"]) == (None, None, 0)


@pytest.mark.parametrize("noted", [None, DOUBT], ids=["the same values", "other values"])
@pytest.mark.promise(6)
def test_who_takes_another_row_s_place_is_on_the_list_before_anything_is_sent(
    noted: str | None, tmp_path: Path
) -> None:
    """The other row is off the list by then, so a person who is on neither could never leave."""
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1"}])
    somebody_new = {**TAKEN, "identifier": C, "takes_over": False, "noted_x": None}

    commit(tmp_path, {0: [{**MOVED, "noted_x": noted}, {**TAKEN, "noted_x": noted}, somebody_new]}, [])

    assert known(tmp_path) == {A: (False, "[]", noted or "1"), B: (True, f'["{B}"]', noted)}


@pytest.mark.promise(1)
def test_what_stays_in_doubt_is_in_doubt_once_it_is_accepted(tmp_path: Path) -> None:
    row = {**TAKEN, "crossed": ["field_x"], "field_y": "3"}

    commit(tmp_path, {0: [row]}, [(B, "accepted")])

    assert (ledger_rows(tmp_path)[B]["field_x"], ledger_rows(tmp_path)[B]["field_y"]) == (DOUBT, "3")


@pytest.mark.promise(1)
def test_a_move_that_is_committed_after_another_run_takes_nobody_off_the_list(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "known_by": f'["{A}"]'}])
    late = acknowledged(tmp_path, {0: [MOVED, TAKEN]}, [(B, "accepted")], delta_id="late", last_delta=1)
    divide(tmp_path, 1)

    ledger_of(tmp_path).commit(engine(tmp_path), late)

    assert known(tmp_path) == {A: (True, f'["{A}"]', DOUBT), B: (True, f'["{B}"]', "2")}


@pytest.mark.parametrize(
    ("row", "receipts"),
    [
        pytest.param({"kind": "leave", "field_x": "null"}, [(A, "rejected", "no good")], id="a leaver was not told"),
        pytest.param({"kind": "leave", "field_x": "null"}, [(A, "unknown", "timeout")], id="a leaver was told or not"),
        pytest.param(MOVED, [], id="somebody moved"),
        pytest.param({"kind": "known", "to_send": False, "known_by": f'["{A}"]'}, [], id="somebody was skipped"),
    ],
)
def test_what_comes_late_puts_nobody_on_the_list_who_was_to_leave_it(
    row: dict[str, Any], receipts: list[tuple[str, str]], tmp_path: Path
) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "in_segment": False, "known_by": f'["{A}"]'}])
    late = acknowledged(tmp_path, {0: [{"identifier": A, **row}]}, receipts, delta_id="late", last_delta=1)
    divide(tmp_path, 1)

    ledger_of(tmp_path).commit(engine(tmp_path), late)

    assert ledger_rows(tmp_path)[A]["in_segment"] is False


@pytest.mark.promise(1)
def test_a_late_answer_of_somebody_who_moved_says_something_again(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": DOUBT, "in_segment": False, "known_by": "[]"}])
    late = acknowledged(
        tmp_path, {0: [{"identifier": A, "kind": "change", "field_x": "2", "known_by": None}]}, [(A, "accepted")],
        delta_id="late", last_delta=1,
    )  # fmt: skip
    divide(tmp_path, 1)

    ledger_of(tmp_path).commit(engine(tmp_path), late)

    assert ledger_rows(tmp_path)[A]["known_by"] is None


def test_a_row_that_is_not_there_can_not_move(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": B, "field_x": "1"}])

    commit(tmp_path, {0: [MOVED]}, [])

    assert list(ledger_rows(tmp_path)) == [B]


@pytest.mark.promise(1)
@pytest.mark.parametrize(
    ("outcome", "known_by", "attempts"),
    [("accepted", "new", 0), ("rejected", "new", 1), ("not_found", "new", 1), ("unknown", "old", 2)],
)
def test_by_what_somebody_is_found_counts_once_the_target_was_asked(
    outcome: str, known_by: str, attempts: int, tmp_path: Path
) -> None:
    books = {"refused_hash": hash_of("|field_x:2"), "refused_as": "rejected", "attempts": 2, "known_by": "old"}
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", **books}])

    commit(
        tmp_path, {0: [{"identifier": A, "kind": "change", "field_x": "2", "matching": "new", "known_by": None}]},
        [(A, outcome)],
    )  # fmt: skip

    row = ledger_rows(tmp_path)[A]
    assert (row["known_by"], row["attempts"]) == (known_by, attempts)


@pytest.mark.parametrize(("known_by", "after"), [("newer", "newer"), (None, "older")])
def test_by_what_a_newer_run_found_somebody_counts_more_than_a_late_answer(
    known_by: str | None, after: str, tmp_path: Path
) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "known_by": known_by}])
    row = {"identifier": A, "kind": "change", "field_x": "2", "matching": "older", "known_by": None}
    late = acknowledged(tmp_path, {0: [row]}, [(A, "accepted")], delta_id="late", last_delta=1)
    divide(tmp_path, 1)

    ledger_of(tmp_path).commit(engine(tmp_path), late)

    assert ledger_rows(tmp_path)[A]["known_by"] == after


def test_who_moved_is_not_missing_in_the_target_any_more(tmp_path: Path) -> None:
    absent = {"rejection": "is not there", "refused_as": "absent", "tried_at": day(1)}
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", **absent}])

    commit(tmp_path, {0: [MOVED]}, [])

    row = ledger_rows(tmp_path)[A]
    assert (row["rejection"], row["refused_as"], row["tried_at"]) == (None, None, None)


def test_attempts_are_counted_on_where_it_was_not_known_by_what_somebody_is_found(tmp_path: Path) -> None:
    books = {"refused_hash": hash_of("|field_x:2"), "refused_as": "rejected", "attempts": 2, "known_by": None}
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", **books}])

    commit(tmp_path, {0: [{"identifier": A, "field_x": "2", "matching": "new", "known_by": "new"}]}, [(A, "rejected")])

    assert (ledger_rows(tmp_path)[A]["known_by"], ledger_rows(tmp_path)[A]["attempts"]) == ("new", 3)
