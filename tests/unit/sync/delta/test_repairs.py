"""Values that the target does not hold any more are put right, and not for ever."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.sync.state.ledger import Ledger
from tests.support.core import day, ledger_rows, run_delta, stored_ledger, write_seen
from tests.support.deltas import A, B, C, committed, drifted, plan, sent


@pytest.mark.promise(5)
def test_exactly_the_fields_that_drifted_are_sent_and_counted(tmp_path: Path) -> None:
    known = [{"identifier": name, "field_x": '"a"', "field_y": '"1"'} for name in (A, B, C)]
    ledger = stored_ledger(tmp_path, known)
    mapped = [{**row, "field_y": '"2"'} if row["identifier"] == B else row for row in known]
    look = drifted(tmp_path, A, B, x='"z"', y='"1"')

    counts, delta = run_delta(tmp_path, mapped, ledger, plan("x", "y"), seen=[look])

    assert {name: sent(row) for name, row in delta.items()} == {A: {"x": '"a"'}, B: {"x": '"a"', "y": '"2"'}}
    assert (counts.drifted, counts.unstuck, counts.data_points) == (2, 0, 3)
    assert counts.drift == {"x": 2}


@pytest.mark.promise(5)
def test_a_value_that_did_not_stick_twice_is_not_sent_a_third_time(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": '"a"', "field_y": '"1"'}])
    mapped = [{"identifier": A, "field_x": '"a"', "field_y": '"1"'}]
    look = drifted(tmp_path, A, x='"z"', y='"1"')
    _, delta = run_delta(tmp_path, mapped, Ledger(str(tmp_path / "ledger"), {}), plan("x", "y"), seen=[look])
    ledger = committed(tmp_path, delta, (A, "accepted"))
    assert ledger_rows(tmp_path)[A]["as_of"] == day(3)
    later = dataclasses.replace(look, file=drifted_on(tmp_path, day(4)))

    rests, nothing = run_delta(tmp_path, mapped, ledger, plan("x", "y", max_attempts=5, as_of=day(5)), seen=[later])
    other = [{**mapped[0], "field_y": '"2"'}]
    moves, moved = run_delta(tmp_path, other, ledger, plan("x", "y", max_attempts=5, as_of=day(5)), seen=[later])
    asked, again = run_delta(tmp_path, mapped, ledger, plan("x", "y", as_of=day(5)), seen=[later])

    assert (nothing, rests.drifted, rests.unstuck, rests.to_send) == ({}, 1, 1, 0)
    assert (sent(moved[A]), moves.unstuck) == ({"y": '"2"'}, 1)
    assert (sent(again[A]), asked.unstuck) == ({"x": '"a"'}, 0)


@pytest.mark.promise(5)
def test_a_value_is_put_right_only_for_those_of_whom_a_look_is_certain(tmp_path: Path) -> None:
    known = [{"identifier": name, "field_x": '"a"'} for name in (A, B)]
    ledger = stored_ledger(tmp_path, known)
    rows = [{"identifier": name, "field_x": '"z"', "certain_x": name == A} for name in (A, B)]
    look = write_seen(tmp_path / "look.parquet", rows, as_of=day(2), certain=["x"])

    _, delta = run_delta(tmp_path, known, ledger, plan("x"), seen=[look])

    assert {name: sent(row) for name, row in delta.items()} == {A: {"x": '"a"'}}


@pytest.mark.promise(5)
def test_what_one_look_is_certain_of_does_not_make_another_certain(tmp_path: Path) -> None:
    known = [{"identifier": name, "field_x": '"a"'} for name in (A, B)]
    ledger = stored_ledger(tmp_path, known)
    certain = write_seen(tmp_path / "1.parquet", [{"identifier": A, "field_x": '"z"'}], as_of=day(2), certain=["x"])
    other = write_seen(tmp_path / "2.parquet", [{"identifier": B, "field_x": '"z"'}], as_of=day(2))

    _, delta = run_delta(tmp_path, known, ledger, plan("x"), seen=[certain, other])

    assert {name: sent(row) for name, row in delta.items()} == {A: {"x": '"a"'}}


def drifted_on(folder: Path, moment: dt.datetime) -> Path:
    rows = [{"identifier": A, "field_x": '"z"', "field_y": '"1"'}]
    return write_seen(folder / "later.parquet", rows, as_of=moment).file


@pytest.mark.promise(5)
def test_what_is_put_right_is_told_to_the_ledger_from_the_first_time_on(tmp_path: Path) -> None:
    known = [{"identifier": name, "field_x": '"a"', "field_y": '"1"'} for name in (A, B)]
    ledger = stored_ledger(tmp_path, known)

    counts, delta = run_delta(
        tmp_path, known, ledger, plan("x", "y", max_attempts=5), seen=[drifted(tmp_path, A, B, x='"z"', y='"1"')]
    )

    assert (counts.drifted, counts.unstuck, counts.to_send) == (2, 0, 2)
    assert delta[A]["repair_hash"] is not None
    assert delta[A]["repair_hash"] == delta[B]["repair_hash"]


@pytest.mark.promise(5)
def test_a_value_that_stuck_may_be_put_right_again_when_it_drifts_later(tmp_path: Path) -> None:
    row = {"identifier": A, "field_x": '"a"', "as_of": day(1), "unstuck": 1, "unstuck_hash": "whatever"}
    ledger = stored_ledger(tmp_path, [row])
    look = write_seen(
        tmp_path / "look.parquet", [{"identifier": A, "field_x": '"a"'}], as_of=day(2), certain=["x"]
    )  # fmt: skip

    counts, delta = run_delta(
        tmp_path, [{"identifier": A, "field_x": '"a"'}], ledger, plan("x", max_attempts=5), seen=[look]
    )  # fmt: skip
    committed(tmp_path, delta)

    assert (counts.to_send, counts.drifted) == (0, 0)
    assert ledger_rows(tmp_path)[A]["unstuck"] is None
    assert ledger_rows(tmp_path)[A]["field_x"] == '"a"'
