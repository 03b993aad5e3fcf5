"""What the ledger learns whatever became of the sending: numbers that may have been added, and what was seen."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_braze_blueconic.sync.state.doubt import IN_DOUBT
from tests.support.commits import COUNTED, DOUBT, A, B, commit, divide, ledger_of
from tests.support.core import acknowledged, day, engine, ledger_rows, stored_ledger


def counted(folder: Path, *receipts: tuple[Any, ...]) -> dict[str, Any]:
    """Commit what was told of a person whose counter went from 5 to 7 and whose field went from a to b."""
    stored_ledger(folder, [{"identifier": A, "field_n": '["5"]', "field_x": '["a"]'}])
    commit(folder, {0: [{"identifier": A, "kind": "change", "as_of": day(2), **COUNTED}]}, list(receipts))
    return ledger_rows(folder)[A]


@pytest.mark.parametrize(
    ("receipts", "counter", "field"),
    [
        pytest.param([(A, "accepted")], '["7"]', '["b"]', id="accepted"),
        pytest.param([(A, "rejected", "no good")], '["5"]', '["a"]', id="rejected"),
        pytest.param([(A, "not_found")], '["5"]', '["a"]', id="nobody to add to"),
        pytest.param([], '["5"]', '["a"]', id="not sent"),
        pytest.param([(A, "accepted", "no good", ["n"])], '["5"]', '["b"]', id="the number was refused"),
        pytest.param([(A, "accepted", "no good", ["x"])], '["7"]', '["a"]', id="the other field was refused"),
    ],
)
@pytest.mark.promise(1)
def test_the_counter_s_last_stand_is_what_was_added_up_to(
    receipts: list[tuple[Any, ...]], counter: str, field: str, tmp_path: Path
) -> None:
    row = counted(tmp_path, *receipts)

    assert (row["field_n"], row["field_x"]) == (counter, field)


@pytest.mark.promise(2)
def test_a_number_that_may_have_been_added_is_not_added_again_and_the_other_fields_come_back(tmp_path: Path) -> None:
    row = counted(tmp_path, (A, "unknown", "timeout"))

    assert (row["field_n"], row["field_x"]) == ('["7"]', DOUBT)
    assert (row["as_of"], row["run_key"], row["in_segment"]) == (day(1), "earlier", True)


@pytest.mark.promise(2)
def test_a_number_that_may_have_been_added_to_somebody_new_is_held_too(tmp_path: Path) -> None:
    commit(tmp_path, {0: [{"identifier": A, **COUNTED}]}, [(A, "unknown", "timeout")])

    row = ledger_rows(tmp_path)[A]
    assert (row["field_n"], row["field_x"], row["as_of"]) == ('["7"]', DOUBT, None)


def test_a_field_of_which_nothing_was_added_is_not_held(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_n": '["5"]', "field_x": '["a"]'}])
    row = {"identifier": A, "kind": "change", "field_n": '["7"]', "increase_n": None, "field_x": '["b"]'}

    commit(tmp_path, {0: [row]}, [(A, "unknown", "timeout")])

    after = ledger_rows(tmp_path)[A]
    assert (after["field_n"], after["field_x"]) == ('["5"]', DOUBT)


@pytest.mark.parametrize(
    ("outcome", "known", "counter"),
    [
        pytest.param("accepted", '["9"]', '["9"]', id="a newer run knows more"),
        pytest.param("accepted", None, '["7"]', id="a newer run knows nothing"),
        pytest.param("unknown", '["9"]', '["9"]', id="in doubt, and a newer run knows more"),
        pytest.param("unknown", None, '["7"]', id="in doubt, and a newer run knows nothing"),
        pytest.param("rejected", None, None, id="rejected"),
    ],
)
@pytest.mark.promise(2)
def test_a_late_answer_does_not_set_a_counter_back(
    outcome: str, known: str | None, counter: str | None, tmp_path: Path
) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_n": known, "field_x": None}])
    late = acknowledged(tmp_path, {0: [{"identifier": A, **COUNTED}]}, [(A, outcome)], delta_id="late", last_delta=1)
    divide(tmp_path, 1)

    ledger_of(tmp_path).commit(engine(tmp_path), late)

    assert ledger_rows(tmp_path)[A]["field_n"] == counter


@pytest.mark.promise(2)
def test_a_run_that_is_committed_late_by_other_settings_puts_only_its_own_people_in_doubt(tmp_path: Path) -> None:
    """It began before the goal got another connection, and ended after the first run by it: the others are not paid
    for again."""
    new = {"target": 2}
    rows = [{"identifier": name, "field_x": '"1"'} for name in (A, B)]
    receipts = [(A, "accepted"), (B, "accepted")]
    stored_ledger(tmp_path, [{**row, "field_x": None} for row in rows])
    before = acknowledged(tmp_path, {0: rows[:1]}, receipts[:1], delta_id="late", last_delta=1, settings={"target": 1})
    after = acknowledged(tmp_path, {0: rows}, receipts, delta_id="d2", settings=new)
    ledger_of(tmp_path).commit(engine(tmp_path), dataclasses.replace(after, links=2))

    ledger_of(tmp_path).commit(engine(tmp_path), dataclasses.replace(before, links=1))

    found, ledger = ledger_rows(tmp_path), ledger_of(tmp_path)
    assert (found[A]["field_x"], found[B]["field_x"]) == (IN_DOUBT, '"1"')
    assert (ledger.transaction("target"), ledger.links) == (2, 2)
    assert not ledger.doubts(new)


@pytest.mark.parametrize(
    ("to_send", "receipts"),
    [
        pytest.param(False, [], id="nothing to send"),
        pytest.param(True, [], id="not sent"),
        pytest.param(True, [(A, "unknown", "timeout")], id="unknown"),
        pytest.param(True, [(A, "rejected", "no good")], id="rejected"),
        pytest.param(True, [(A, "not_found")], id="not found"),
        pytest.param(True, [(A, "accepted")], id="accepted"),
    ],
)
def test_what_was_seen_is_noted_whatever_became_of_the_sending(
    to_send: bool, receipts: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "field_y": "1"}])
    row = {
        "identifier": A, "kind": "change", "to_send": to_send, "as_of": day(2), "field_x": "2" if to_send else None,
        "field_y": None, "noted_y": "9", "seen_as_of": day(3),
    }  # fmt: skip

    commit(tmp_path, {0: [row]}, receipts)

    after = ledger_rows(tmp_path)[A]
    assert (after["field_y"], after["as_of"]) == ("9", day(3))
    assert after["field_x"] == {"accepted": "2", "unknown": DOUBT}.get(receipts[0][1] if receipts else "", "1")


@pytest.mark.parametrize(
    ("receipts", "in_segment"),
    [
        pytest.param([], False, id="not sent"),
        pytest.param([(A, "rejected", "no good")], True, id="rejected"),
        pytest.param([(A, "unknown", "timeout")], True, id="unknown"),
        pytest.param([(A, "accepted")], True, id="accepted"),
    ],
)
def test_who_comes_back_is_on_the_list_once_something_was_sent_and_not_by_what_was_seen(
    receipts: list[tuple[Any, ...]], in_segment: bool, tmp_path: Path
) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "in_segment": False}])
    row = {"identifier": A, "kind": "change", "field_x": "2", "noted_y": "9", "field_y": None, "seen_as_of": day(3)}

    commit(tmp_path, {0: [row]}, receipts)

    after = ledger_rows(tmp_path)[A]
    assert (after["in_segment"], after["field_y"]) == (in_segment, "9")


def test_a_look_that_is_older_than_the_row_does_not_set_it_back(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_y": "1", "as_of": day(4)}])
    row = {"identifier": A, "kind": "return", "to_send": False, "field_y": None, "noted_y": "9", "seen_as_of": day(3)}

    commit(tmp_path, {0: [row]}, [])

    assert (ledger_rows(tmp_path)[A]["field_y"], ledger_rows(tmp_path)[A]["as_of"]) == ("9", day(4))


def test_a_counter_that_fell_is_noted_without_a_look(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_n": '["9"]'}])
    row = {
        "identifier": A, "kind": "return", "to_send": False, "as_of": day(2), "field_n": None, "increase_n": None,
        "noted_n": '["4"]', "seen_as_of": None,
    }  # fmt: skip

    commit(tmp_path, {0: [row]}, [])

    after = ledger_rows(tmp_path)[A]
    assert (after["field_n"], after["as_of"], after["run_key"]) == ('["4"]', day(1), "earlier")


def test_what_is_sent_and_noted_at_once_is_what_was_sent(tmp_path: Path) -> None:
    row = {"identifier": A, "field_x": "sent", "noted_x": "noted", "seen_as_of": day(1)}

    commit(tmp_path, {0: [row]}, [(A, "accepted")])

    assert ledger_rows(tmp_path)[A]["field_x"] == "sent"
