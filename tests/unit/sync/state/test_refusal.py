"""What the ledger remembers of records that the target did not take, or not whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commits import DOUBT, A, commit, hash_of
from tests.support.core import day, ledger_rows, stored_ledger


def test_attempts_count_the_runs_in_which_the_same_values_were_refused(tmp_path: Path) -> None:
    def refuse(run: int, **fields: str) -> tuple[int, str]:
        delta = {0: [{"identifier": A, "kind": "change", **fields}]}
        commit(tmp_path, delta, [(A, "rejected", "no good")], delta_id=f"d{run}", run_key=f"r{run}")
        row = ledger_rows(tmp_path)[A]
        return row["attempts"], row["refused_hash"]

    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "field_y": "1"}])

    assert refuse(1, field_x="2") == (1, hash_of("|field_x:2"))
    assert refuse(2, field_x="2") == (2, hash_of("|field_x:2"))
    assert refuse(3, field_y="2") == (1, hash_of("|field_y:2"))
    assert refuse(4, field_x="2", field_y="3") == (1, hash_of("|field_x:2|field_y:3"))


def test_acceptance_ends_the_count_of_attempts(tmp_path: Path) -> None:
    stored_ledger(
        tmp_path, [{"identifier": A, "field_x": "1", "rejection": "no good", "attempts": 3, "refused_hash": "abc"}]
    )

    commit(tmp_path, {0: [{"identifier": A, "kind": "change", "field_x": "2"}]}, [(A, "accepted")])

    row = ledger_rows(tmp_path)[A]
    assert (row["rejection"], row["attempts"], row["refused_hash"]) == (None, 0, None)


@pytest.mark.parametrize("outcome", ["rejected", "not_found", "no_consent"])
@pytest.mark.promise(3)
def test_how_and_when_a_record_was_not_taken_is_remembered(outcome: str, tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1"}])
    delta = {0: [{"identifier": A, "kind": "change", "as_of": day(2), "field_x": "2"}]}

    commit(tmp_path, delta, [(A, outcome, "no good")], policy="p1")

    row = ledger_rows(tmp_path)[A]
    assert (row["field_x"], row["as_of"], row["run_key"], row["in_segment"]) == ("1", day(1), "run", True)
    assert (row["rejection"], row["refused_as"], row["tried_at"], row["attempts"]) == ("no good", outcome, day(2), 1)
    assert row["refused_hash"] == hash_of("p1|field_x:2")


@pytest.mark.promise(3)
def test_fields_that_were_refused_do_not_move_and_are_remembered(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "field_y": "1", "field__x50_oints": "1"}])
    delta = {
        0: [
            {
                "identifier": A,
                "kind": "change",
                "as_of": day(2),
                "field_x": "2",
                "field_y": "2",
                "field__x50_oints": "2",
            }
        ]
    }

    commit(tmp_path, delta, [(A, "accepted", "Points, y: no good", ["Points", "y"])])

    row = ledger_rows(tmp_path)[A]
    assert (row["field_x"], row["field_y"], row["field__x50_oints"], row["as_of"]) == ("2", "1", "1", day(2))
    assert (row["refused_as"], row["rejection"], row["attempts"]) == ("fields", "Points, y: no good", 1)
    assert (row["tried_at"], row["refused_hash"]) == (day(2), hash_of("|field__x50_oints:2|field_y:2"))


def test_a_record_that_is_taken_whole_at_last_is_no_longer_remembered_as_refused(tmp_path: Path) -> None:
    commit(tmp_path, {0: [{"identifier": A, "field_x": "2"}]}, [(A, "accepted", "no good", ["x"])], delta_id="d1")
    assert ledger_rows(tmp_path)[A]["refused_as"] == "fields"

    commit(tmp_path, {0: [{"identifier": A, "field_x": "2"}]}, [(A, "accepted", "", [])], delta_id="d2")

    row = ledger_rows(tmp_path)[A]
    assert (row["field_x"], row["rejection"], row["refused_as"], row["refused_hash"], row["tried_at"]) == (
        "2", None, None, None, None,
    )  # fmt: skip
    assert row["attempts"] == 0


def test_another_policy_makes_the_same_values_another_attempt(tmp_path: Path) -> None:
    for number, policy in enumerate(["p1", "p1", "p2"]):
        commit(
            tmp_path, {0: [{"identifier": A, "field_x": "2"}]}, [(A, "not_found")],
            delta_id=f"d{number}", run_key=f"r{number}", policy=policy,
        )  # fmt: skip

    row = ledger_rows(tmp_path)[A]
    assert (row["attempts"], row["refused_hash"]) == (1, hash_of("p2|field_x:2"))


def test_an_unknown_outcome_leaves_what_is_remembered_of_a_refusal(tmp_path: Path) -> None:
    delta = {0: [{"identifier": A, "as_of": day(2), "field_x": "2"}]}
    commit(tmp_path, delta, [(A, "not_found")], delta_id="d1")
    before = ledger_rows(tmp_path)

    commit(tmp_path, delta, [(A, "unknown", "timeout")], delta_id="d2")

    assert ledger_rows(tmp_path) == {A: {**before[A], "field_x": DOUBT}}


@pytest.mark.parametrize(("status", "attempts"), [(201, 1), (500, 0), (None, 0)])
@pytest.mark.promise(1)
def test_an_answer_that_does_not_tell_is_an_attempt_and_no_answer_is_none(
    status: int | None, attempts: int, tmp_path: Path
) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1"}])
    delta = {0: [{"identifier": A, "kind": "change", "as_of": day(2), "field_x": "2"}]}

    commit(tmp_path, delta, [(A, "unknown", "2 of 3 processed", None, status)])

    row = ledger_rows(tmp_path)[A]
    assert (row["field_x"], row["as_of"], row["attempts"]) == (DOUBT, day(1), attempts)
    assert (row["refused_as"], row["refused_hash"]) == (
        ("unknown", hash_of("|field_x:2")) if attempts else (None, None)
    )  # fmt: skip
