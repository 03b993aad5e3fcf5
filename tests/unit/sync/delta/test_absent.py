"""People whom a read of everybody did not meet in the target."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.sync.state.ledger import Ledger
from tests.support.core import day, ledger_rows, run_delta, stored_ledger, write_seen
from tests.support.deltas import A, B, C, committed, drifted, empty_ledger, plan


def test_who_a_read_of_everybody_did_not_meet_is_counted_and_listed_and_not_sent(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": name, "field_x": '"a"'} for name in (A, B)])
    mapped = [{"identifier": name, "field_x": '"a"'} for name in (A, B)] + [{"identifier": C, "field_x": '"a"'}]

    counts, delta = run_delta(tmp_path, mapped, ledger, plan("x"), seen=[drifted(tmp_path, A, whole=True, x='"a"')])

    assert counts.absent == 1
    assert {name: (row["to_send"], row["absent"]) for name, row in delta.items()} == {
        B: (False, True),
        C: (True, False),
    }


def reconciled(folder: Path, ledger: Ledger, *met: str, creates: bool, at: int, refused: bool = False) -> list[str]:
    """Compare with a look that met some people, commit what Braze took, and say who was sent."""
    look = write_seen(
        folder / f"look-{at}.parquet", [{"identifier": name, "field_x": '"a"'} for name in met],
        as_of=day(at), certain=["x"], whole=True,
    )  # fmt: skip
    wanted = plan("x", creates=creates, as_of=day(at))
    mapped = [{"identifier": name, "field_x": '"a"'} for name in (A, B)]
    _, delta = run_delta(folder, mapped, ledger, wanted, seen=[look])
    told = [name for name, row in delta.items() if row["to_send"]]
    receipts = [(name, "rejected", "no good") if refused else (name, "accepted") for name in told]
    how = {"delta_id": f"d{at}", "as_of": day(at), "run_key": f"r{at}", "settings": wanted.settings(None)}
    committed(folder, delta, *receipts, **how)
    return told


@pytest.mark.promise(1)
def test_whom_braze_does_not_have_any_more_is_sent_once_where_people_are_created(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": name, "field_x": '"a"'} for name in (A, B)])

    sent_to = [reconciled(tmp_path, empty_ledger(tmp_path), A, creates=True, at=at) for at in (3, 4)]
    listed = ledger_rows(tmp_path)[B]["refused_as"]
    back = reconciled(tmp_path, empty_ledger(tmp_path), A, B, creates=True, at=5)
    gone_again = reconciled(tmp_path, empty_ledger(tmp_path), A, creates=True, at=6)

    assert (sent_to, listed, back, gone_again) == ([[B], []], "absent", [], [B])


@pytest.mark.promise(1)
def test_who_is_created_again_and_refused_stays_in_doubt(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": name, "field_x": '"a"'} for name in (A, B)])

    reconciled(tmp_path, empty_ledger(tmp_path), A, creates=True, at=3, refused=True)

    assert ledger_rows(tmp_path)[B]["field_x"] == '["in doubt" ]'


def test_whom_braze_does_not_have_is_listed_where_nobody_is_created_until_a_look_meets_them(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": name, "field_x": '"a"'} for name in (A, B)])

    first = reconciled(tmp_path, empty_ledger(tmp_path), A, creates=False, at=3)
    absent = {name: (row["refused_as"], row["tried_at"]) for name, row in ledger_rows(tmp_path).items()}
    second = reconciled(tmp_path, empty_ledger(tmp_path), A, creates=False, at=4)
    third = reconciled(tmp_path, empty_ledger(tmp_path), A, B, creates=False, at=5)

    assert (first, second, third) == ([], [], [])
    assert absent == {A: (None, None), B: ("absent", day(3))}
    assert {name: (row["refused_as"], row["rejection"]) for name, row in ledger_rows(tmp_path).items()} == {
        A: (None, None), B: (None, None)
    }  # fmt: skip


def test_an_acceptance_that_proves_nothing_leaves_somebody_on_the_list_of_absent_people(tmp_path: Path) -> None:
    row = {"refused_as": "absent", "rejection": "is not there", "tried_at": day(1)}
    stored_ledger(tmp_path, [{"identifier": name, "field_x": '"a"', **row} for name in (A, B)])
    delta = {name: {"kind": "change", "field_x": '"b"'} for name in (A, B)}

    committed(tmp_path, {A: delta[A]}, (A, "accepted"), settings={"creates": 0})
    committed(tmp_path, {B: delta[B]}, (B, "accepted"), settings={"creates": 1}, delta_id="d2")

    books = {
        name: (row["refused_as"], row["rejection"], row["tried_at"]) for name, row in ledger_rows(tmp_path).items()
    }
    assert books == {A: ("absent", "is not there", day(1)), B: (None, None, None)}
