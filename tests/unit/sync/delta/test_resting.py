"""Who would be refused again rests."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_braze_blueconic.sync.delta.counts import DeltaCounts
from airflow_provider_braze_blueconic.sync.state.ledger import Ledger
from tests.support.core import day, ledger_rows, run_delta, stored_ledger
from tests.support.deltas import A, committed, import_plan, kinds, plan, refused, seen_plan, sent

HOLDING: dict[str, Any] = {"holds_back": True, "policy": "p1"}


@pytest.mark.parametrize("outcome", ["not_found", "no_consent", "fields"])
def test_who_could_not_be_taken_rests_while_nothing_changes(outcome: str, tmp_path: Path) -> None:
    ledger = refused(tmp_path, outcome)

    counts, delta = run_delta(tmp_path, [{"identifier": A, "field_x": '["a"]'}], ledger, seen_plan(**HOLDING))

    assert (counts, delta) == (DeltaCounts(held=1, members=1), {})


@pytest.mark.parametrize("outcome", ["not_found", "no_consent", "fields"])
@pytest.mark.parametrize(
    ("value", "how"),
    [
        pytest.param('["b"]', {}, id="another value"),
        pytest.param('["a"]', {"policy": "p2"}, id="another policy"),
        pytest.param('["a"]', {"as_of": day(9)}, id="a week later"),
        pytest.param('["a"]', {"holds_back": False}, id="the run asks for it"),
    ],
)
@pytest.mark.promise(1)
def test_who_could_not_be_taken_is_tried_again_when_something_changed(
    outcome: str, value: str, how: dict[str, Any], tmp_path: Path
) -> None:
    ledger = refused(tmp_path, outcome)

    counts, delta = run_delta(
        tmp_path, [{"identifier": A, "field_x": value}], ledger, seen_plan(**{**HOLDING, **how})
    )  # fmt: skip

    assert sent(delta[A]) == {"x": value}
    assert (counts.to_send, counts.held) == (1, 0)


@pytest.mark.promise(1)
def test_who_was_rejected_comes_back_every_run(tmp_path: Path) -> None:
    ledger = refused(tmp_path, "rejected")

    counts, _ = run_delta(tmp_path, [{"identifier": A, "field_x": '["a"]'}], ledger, seen_plan(**HOLDING))

    assert (counts.to_send, counts.held) == (1, 0)


def test_a_rest_of_almost_a_week_is_not_over(tmp_path: Path) -> None:
    ledger = refused(tmp_path, "not_found")
    late = day(9) - dt.timedelta(seconds=1)

    counts, _ = run_delta(
        tmp_path, [{"identifier": A, "field_x": '["a"]'}], ledger, seen_plan(**{**HOLDING, "as_of": late})
    )  # fmt: skip

    assert counts.held == 1


def test_a_refused_field_holds_back_no_other_field(tmp_path: Path) -> None:
    both = dataclasses.replace(import_plan(x="set", y="set"), **HOLDING)
    delta = {A: {"as_of": day(2), "field_x": '["a"]', "field_y": '["1"]'}}
    ledger = committed(tmp_path, delta, (A, "accepted", "x: no good", ["x"]), as_of=day(2), policy="p1")

    resting, _ = run_delta(tmp_path, [{"identifier": A, "field_x": '["a"]', "field_y": '["1"]'}], ledger, both)
    moving, changed = run_delta(tmp_path, [{"identifier": A, "field_x": '["a"]', "field_y": '["2"]'}], ledger, both)

    assert resting == DeltaCounts(held=1, members=1)
    assert sent(changed[A]) == {"x": '["a"]', "y": '["2"]'}
    assert moving.held == 0


def test_a_refused_field_of_a_whole_profile_rests_while_nothing_else_changes(tmp_path: Path) -> None:
    whole = dataclasses.replace(import_plan(x="set", y="set", z="set"), send="whole_profile", **HOLDING)
    told = {"field_x": '["a"]', "field_y": '["1"]', "field_z": None}
    ledger = committed(tmp_path, {A: told}, (A, "accepted", "x: no good", ["x"]), as_of=day(2), policy="p1")

    resting, nothing = run_delta(tmp_path, [{"identifier": A, **told}], ledger, whole)
    moving, changed = run_delta(tmp_path, [{"identifier": A, **told, "field_y": '["2"]'}], ledger, whole)

    assert (resting, nothing) == (DeltaCounts(held=1, members=1), {})
    assert (sent(changed[A]), moving.held) == ({"x": '["a"]', "y": '["2"]'}, 0)
    assert "differs_hash" not in changed[A]


@pytest.mark.promise(1)
def test_a_whole_profile_that_was_not_taken_as_single_fields_is_tried_whole(tmp_path: Path) -> None:
    """A goal may come to send whole profiles: that is another record than the one that was not taken."""
    stored_ledger(tmp_path, [{"identifier": A, "field_x": '["a"]', "field_y": '["1"]'}])
    ledger = committed(
        tmp_path, {A: {"kind": "change", "as_of": day(2), "field_x": '["b"]'}}, (A, "no_consent"), policy="p1"
    )  # fmt: skip
    whole = dataclasses.replace(import_plan(x="set", y="set"), send="whole_profile", **HOLDING)
    mapped = [{"identifier": A, "field_x": '["b"]', "field_y": '["1"]'}]

    counts, delta = run_delta(tmp_path, mapped, ledger, whole)

    assert (counts.held, sent(delta[A])) == (0, {"x": '["b"]', "y": '["1"]'})


@pytest.mark.promise(2)
def test_a_counter_that_fell_while_its_person_rests_grows_from_where_it_fell_to(tmp_path: Path) -> None:
    plan_ = dataclasses.replace(import_plan(n="sum_increase", x="set"), **HOLDING)
    stored_ledger(tmp_path, [{"identifier": A, "field_n": '["10"]'}])
    ledger = committed(
        tmp_path, {A: {"as_of": day(2), "field_x": '["a"]', "field_n": None}}, (A, "not_found"), policy="p1"
    )  # fmt: skip

    held, delta = run_delta(tmp_path, [{"identifier": A, "field_x": '["a"]', "field_n": '["4"]'}], ledger, plan_)
    ledger = committed(tmp_path, delta, delta_id="d2")
    _, grown = run_delta(tmp_path, [{"identifier": A, "field_x": '["b"]', "field_n": '["6"]'}], ledger, plan_)

    assert kinds(delta) == {A: ("return", False, {})}
    assert (held.held, held.to_send, held.fields, held.unchanged) == (1, 0, 0, 0)
    assert grown[A]["increase_n"] == '["2"]'


def test_a_held_person_who_came_back_is_in_the_segment_again(tmp_path: Path) -> None:
    refused(tmp_path, "not_found")
    ledger = committed(tmp_path, {A: {"kind": "leave", "to_send": False, "as_of": day(2)}}, delta_id="d2")
    assert ledger_rows(tmp_path)[A]["in_segment"] is False

    counts, delta = run_delta(tmp_path, [{"identifier": A, "field_x": '["a"]'}], ledger, seen_plan(**HOLDING))
    committed(tmp_path, delta, delta_id="d3")

    assert kinds(delta) == {A: ("return", False, {})}
    assert counts == DeltaCounts(held=1)
    assert ledger_rows(tmp_path)[A]["in_segment"] is True


def test_of_somebody_who_rests_it_is_learnt_by_what_they_are_found(tmp_path: Path) -> None:
    """A ledger of before does not know it, and another value must not be taken for the first one."""
    ledger = refused(tmp_path, "not_found")
    mapped = [{"identifier": A, "matching": '[[{"id":"crm_id","value":"7"}]]', "field_x": '["a"]'}]

    counts, delta = run_delta(tmp_path, mapped, ledger, seen_plan(**HOLDING))
    ledger = committed(tmp_path, delta, delta_id="d2")
    again, nothing = run_delta(tmp_path, mapped, ledger, seen_plan(**HOLDING))

    assert kinds(delta) == {A: ("return", False, {})}
    assert ledger_rows(tmp_path)[A]["known_by"] == mapped[0]["matching"]
    assert (counts, nothing, again) == (DeltaCounts(held=1, members=1), {}, DeltaCounts(held=1, members=1))


def refused_often(folder: Path, outcome: str, times: int, **fields: str) -> Ledger:
    """The ledger after a person was refused in several runs, each with the same values."""
    for run in range(1, times + 1):
        delta = {A: {"as_of": day(1), **{f"field_{name}": text for name, text in (fields or {"x": '"a"'}).items()}}}
        receipt = (A, outcome, "no good", None, 201)
        ledger = committed(folder, delta, receipt, delta_id=f"r{run}", run_key=f"r{run}", as_of=day(1))
    return ledger


@pytest.mark.parametrize("outcome", ["rejected", "unknown"])
@pytest.mark.promise(1)
def test_who_was_refused_too_often_with_the_same_values_rests(outcome: str, tmp_path: Path) -> None:
    ledger = refused_often(tmp_path, outcome, 3)
    mapped = [{"identifier": A, "field_x": '"a"'}]

    again, _ = run_delta(tmp_path, mapped, ledger, plan("x", max_attempts=4))
    counts, delta = run_delta(tmp_path, mapped, ledger, plan("x", max_attempts=3))

    assert (again.to_send, again.quarantined) == (1, 0)
    assert (counts.to_send, counts.quarantined, counts.held, counts.unchanged) == (0, 1, 0, 0)
    assert not [row for row in delta.values() if row["to_send"]]


@pytest.mark.parametrize(
    ("value", "how"),
    [
        pytest.param('"b"', {"max_attempts": 1}, id="another value"),
        pytest.param('"a"', {"max_attempts": 1, "policy": "p2"}, id="another policy"),
        pytest.param('"a"', {"max_attempts": None}, id="the run asks for it"),
    ],
)
@pytest.mark.promise(1)
def test_who_rests_is_tried_again_when_something_changed(value: str, how: dict[str, Any], tmp_path: Path) -> None:
    ledger = refused_often(tmp_path, "rejected", 3)

    counts, delta = run_delta(tmp_path, [{"identifier": A, "field_x": value}], ledger, plan("x", **how))

    assert sent(delta[A]) == {"x": value}
    assert (counts.to_send, counts.quarantined) == (1, 0)


def test_a_quarantined_leaver_is_not_told_again_and_did_not_leave_in_silence(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": '"a"'}])
    gone = {A: {"kind": "leave", "as_of": day(2), "field_x": "null"}}
    ledger = committed(tmp_path, gone, (A, "rejected", "no good"), as_of=day(2))
    leavers: dict[str, Any] = {"leavers": {"x": "null"}, "complete": True}

    counts, _ = run_delta(tmp_path, [], ledger, plan("x", max_attempts=1, **leavers))
    again, _ = run_delta(tmp_path, [], ledger, plan("x", max_attempts=None, **leavers))

    assert (counts.to_send, counts.quarantined, counts.unchanged, counts.leavers) == (0, 1, 0, 0)
    assert (again.to_send, again.leavers) == (1, 1)
    assert ledger_rows(tmp_path)[A]["in_segment"] is True
