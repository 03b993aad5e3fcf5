"""The ledger moves only to what the target acknowledged, once, and never under another writer's feet."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest

from airflow_provider_braze_blueconic.exceptions import WriterConflict
from airflow_provider_braze_blueconic.sync.database import connect
from airflow_provider_braze_blueconic.sync.doubt import IN_DOUBT
from airflow_provider_braze_blueconic.sync.ledger import Ledger
from airflow_provider_braze_blueconic.sync.partitions import partition_of
from tests.support.core import acknowledged, day, engine, ledger_rows, person, stored_ledger

A, B, C, D = (person(name) for name in "abcd")
DOUBT = '["in doubt" ]'
"""What a field holds that may have been written: no value of a goal is written like this."""


def ledger_of(folder: Path) -> Ledger:
    return Ledger(str(folder / "ledger"), {})


def commit(folder: Path, *args: Any, **how: Any) -> bool:
    """Commit with a ledger that was opened for it, as each task does."""
    return ledger_of(folder).commit(engine(folder), acknowledged(folder, *args, **how))


def divide(folder: Path, partitions: int) -> bool:
    """Commit a run without anybody, whose goal has that many partitions."""
    ledger = ledger_of(folder)
    last = ledger.last_delta
    delta_id = f"divide-{partitions}-{ledger.version}"
    newest = ledger.newest_as_of()
    return ledger.commit(
        engine(folder),
        acknowledged(folder, {}, [], delta_id=delta_id, as_of=newest, partitions=partitions, last_delta=last),
    )


def loaded(folder: Path, partitions: int) -> dict[str, dict[str, Any]]:
    """Read all rows as a delta with that many partitions does, each with the partition in which it was met."""
    rows: dict[str, dict[str, Any]] = {}
    with connect(engine(folder)) as connection:
        for partition in range(partitions):
            ledger_of(folder).load(connection, partition, [], partitions=partitions)
            for row in connection.sql("SELECT * FROM ledger").to_arrow_table().to_pylist():
                name = row.pop("identifier")
                assert name not in rows
                rows[name] = {"partition": partition, **row}
    return rows


def hash_of(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


# What a receipt does to a row


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


# Not taken, or not whole


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


# Whether the target has somebody


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


# What was put right


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


# A number that is added to

COUNTED = {"field_n": '["7"]', "increase_n": '["2"]', "field_x": '["b"]'}


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


# What was seen in the target


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


@pytest.mark.promise(1)
def test_committing_what_was_noted_and_held_twice_changes_nothing(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": name, "field_n": '["5"]', "field_x": '["a"]'} for name in (A, B, C)])
    delta = {
        0: [
            {"identifier": A, "kind": "change", **COUNTED},
            {"identifier": B, "kind": "change", **COUNTED},
            {"identifier": C, "kind": "change", "to_send": False, "noted_x": '["c"]', "seen_as_of": day(3)},
        ]
    }
    receipts = [(A, "unknown", "timeout"), (B, "accepted", "no good", ["x"])]

    first = commit(tmp_path, delta, receipts)
    rows, version = ledger_rows(tmp_path), ledger_of(tmp_path).version
    second = commit(tmp_path, delta, receipts)

    assert (first, second) == (True, False)
    assert (ledger_rows(tmp_path), ledger_of(tmp_path).version) == (rows, version)


@pytest.mark.promise(1)
def test_attempts_do_not_grow_when_more_receipts_of_one_run_are_committed(tmp_path: Path) -> None:
    delta = {0: [{"identifier": name, "field_x": "1"} for name in (A, B)]}

    commit(tmp_path, delta, [(A, "accepted", "no good", ["x"])])
    commit(tmp_path, delta, [(A, "accepted", "no good", ["x"]), (B, "not_found")])

    assert {name: row["attempts"] for name, row in ledger_rows(tmp_path).items()} == {A: 1, B: 1}


def test_no_column_of_the_ledger_is_made_of_what_was_noted_or_added(tmp_path: Path) -> None:
    row = {"identifier": A, **COUNTED, "noted_n": None, "noted_x": None, "seen_as_of": None, "matching": "[]"}

    commit(tmp_path, {0: [row]}, [(A, "accepted")])

    assert [name for name in ledger_of(tmp_path).columns() if name.endswith(("_n", "_x"))] == ["field_n", "field_x"]
    assert "matching" not in ledger_of(tmp_path).columns()


@pytest.mark.promise(1)
def test_a_ledger_of_before_refusals_were_remembered_is_carried_on(tmp_path: Path) -> None:
    schema = pa.schema(
        [
            ("identifier", pa.string()), ("partition", pa.int32()), ("as_of", pa.timestamp("us", tz="UTC")),
            ("in_segment", pa.bool_()), ("run_key", pa.string()), ("rejection", pa.string()), ("attempts", pa.int32()),
            ("refused_hash", pa.string()), ("field_x", pa.string()),
        ]
    )  # fmt: skip
    plain = {"partition": 0, "as_of": day(1), "in_segment": True, "run_key": "earlier", "attempts": 0, "field_x": "1"}
    old = pa.Table.from_pylist([{"identifier": name, **plain} for name in (A, B)], schema=schema)
    ledger_of(tmp_path).replace_partitions(old.to_reader(), [0], transactions={"partitions": 1})

    commit(tmp_path, {0: [{"identifier": A, "kind": "change", "field_x": "2"}]}, [(A, "not_found")])

    rows = ledger_rows(tmp_path)
    assert (rows[A]["field_x"], rows[A]["refused_as"]) == ("1", "not_found")
    assert (rows[B]["field_x"], rows[B]["refused_as"], rows[B]["tried_at"]) == ("1", None, None)
    assert divide(tmp_path, 3)
    assert {name: row["refused_as"] for name, row in ledger_rows(tmp_path).items()} == {A: "not_found", B: None}


# Twice is once


@pytest.mark.promise(1)
def test_committing_twice_is_committing_once(tmp_path: Path) -> None:
    delta = {0: [{"identifier": A, "field_x": "1"}, {"identifier": B, "field_x": "1"}]}
    receipts = [(A, "accepted"), (B, "rejected", "no good")]

    first = commit(tmp_path, delta, receipts)
    rows, version = ledger_rows(tmp_path), ledger_of(tmp_path).version
    second = commit(tmp_path, delta, receipts)

    assert (first, second) == (True, False)
    assert ledger_rows(tmp_path) == rows
    assert ledger_of(tmp_path).version == version


@pytest.mark.promise(1)
def test_receipts_that_come_on_top_are_committed_and_the_others_not_again(tmp_path: Path) -> None:
    delta = {0: [{"identifier": name, "field_x": "1"} for name in (A, B, C)]}

    first = commit(tmp_path, delta, [(A, "accepted"), (B, "rejected", "no good")])
    only_two = ledger_rows(tmp_path)
    second = commit(tmp_path, delta, [(A, "accepted"), (B, "rejected", "no good"), (C, "accepted")])

    assert (first, second) == (True, True)
    assert sorted(only_two) == [A, B]
    rows = ledger_rows(tmp_path)
    assert rows.pop(C)["field_x"] == "1"
    assert rows == only_two


def test_a_delta_without_receipts_is_committed_once_too(tmp_path: Path) -> None:
    delta = {0: [{"identifier": A, "kind": "leave", "to_send": False}]}

    assert [commit(tmp_path, delta, []), commit(tmp_path, delta, [])] == [True, False]


@pytest.mark.promise(4)
def test_the_newest_committed_version_never_goes_back(tmp_path: Path) -> None:
    assert ledger_of(tmp_path).newest_as_of() is None

    for number, read_on in enumerate((2, 5, 3)):
        commit(tmp_path, {}, [], delta_id=f"d{number}", as_of=day(read_on))

    assert ledger_of(tmp_path).newest_as_of() == day(5)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({"merge:field_n": 1}, {"merge:field_n": 2}, id="another merge"),
        pytest.param({"merge:field_n": 3, "source:field_n": 7}, {"merge:field_n": 3, "source:field_n": 8}, id="source"),
    ],
)
def test_what_changes_of_a_field_that_nobody_has_yet_puts_nothing_in_doubt(
    before: dict[str, int], after: dict[str, int], tmp_path: Path
) -> None:
    delta = {0: [{"identifier": A, "field_x": "1"}]}
    commit(tmp_path, delta, [(A, "accepted")], settings=before)

    assert commit(tmp_path, delta, [(A, "accepted")], delta_id="d2", settings=after)

    assert ledger_rows(tmp_path)[A]["field_x"] == "1"


def test_a_first_run_without_anybody_makes_a_table_with_partitions(tmp_path: Path) -> None:
    commit(tmp_path, {}, [], partitions=4)

    table = deltalake.DeltaTable(str(tmp_path / "ledger"))
    assert table.metadata().partition_columns == ["partition"]
    assert ledger_rows(tmp_path) == {}


# Two writers


def outcome_of(folder: Path, name: str, identifier: str) -> Any:
    return acknowledged(
        folder / name, {0: [{"identifier": identifier, "field_x": f'"{name}"'}]}, [(identifier, "accepted")],
        delta_id=name,
    )  # fmt: skip


@pytest.mark.parametrize("there", [pytest.param(True, id="ledger exists"), pytest.param(False, id="first runs")])
@pytest.mark.promise(1)
def test_of_two_writers_the_slower_one_changes_nothing_and_may_try_again(there: bool, tmp_path: Path) -> None:
    if there:
        stored_ledger(tmp_path, [{"identifier": C, "field_x": "1"}])
    fast, slow = ledger_of(tmp_path), ledger_of(tmp_path)
    assert (fast.exists, slow.exists) == (there, there)

    fast.commit(engine(tmp_path), outcome_of(tmp_path, "fast", A))
    after_the_fast_one = ledger_rows(tmp_path)
    with pytest.raises(WriterConflict, match=r"this one changed nothing\. Run it again\."):
        slow.commit(engine(tmp_path), outcome_of(tmp_path, "slow", B))

    assert ledger_rows(tmp_path) == after_the_fast_one
    assert slow.commit(engine(tmp_path), outcome_of(tmp_path, "slow", B))
    assert {name: row["field_x"] for name, row in ledger_rows(tmp_path).items()} == {
        A: '"fast"',
        B: '"slow"',
        **({C: "1"} if there else {}),
    }


def test_a_ledger_that_moved_is_not_divided(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1"}])
    slow = ledger_of(tmp_path)
    assert slow.exists
    commit(tmp_path, {0: [{"identifier": B, "field_x": "1"}]}, [(B, "accepted")])

    with pytest.raises(WriterConflict):
        slow.commit(engine(tmp_path), acknowledged(tmp_path, {}, [], delta_id="d2", partitions=3))

    assert sorted(ledger_rows(tmp_path)) == [A, B]


def test_a_failed_commit_leaves_no_local_files_behind(tmp_path: Path) -> None:
    fast, slow = ledger_of(tmp_path), ledger_of(tmp_path)
    assert (fast.exists, slow.exists) == (False, False)
    fast.commit(engine(tmp_path), outcome_of(tmp_path, "fast", A))

    with pytest.raises(WriterConflict):
        slow.commit(engine(tmp_path), outcome_of(tmp_path, "slow", B))

    assert list(engine(tmp_path).folder.glob("ledger-*")) == []


# Partitions


@pytest.mark.parametrize("partitions", [1, 3, 7])
@pytest.mark.promise(1)
def test_another_number_of_partitions_keeps_every_row(partitions: int, tmp_path: Path) -> None:
    names = [person(str(number)) for number in range(40)]
    stored_ledger(
        tmp_path,
        [
            {
                "identifier": name, "partition": partition_of(name, 4), "field_x": f'"{name[-3]}"',
                "rejection": "no good" if number % 5 == 0 else None, "attempts": number, "as_of": day(number % 9 + 1),
            }
            for number, name in enumerate(names)
        ],
        newest=day(9),
        partitions=4,
    )  # fmt: skip
    before = ledger_rows(tmp_path)

    assert divide(tmp_path, partitions)

    after = ledger_rows(tmp_path)
    assert {name: row["partition"] for name, row in after.items()} == {
        name: partition_of(name, partitions) for name in names
    }
    assert [{**row, "partition": 0} for row in after.values()] == [{**before[name], "partition": 0} for name in after]
    assert sorted(after) == sorted(before)
    assert ledger_of(tmp_path).newest_as_of() == day(9)
    assert deltalake.DeltaTable(str(tmp_path / "ledger")).metadata().partition_columns == ["partition"]
    assert loaded(tmp_path, partitions) == after


@pytest.mark.promise(1)
def test_a_ledger_of_other_partitions_is_read_as_the_goal_divides_it_now(tmp_path: Path) -> None:
    names = [person(str(number)) for number in range(40)]
    stored_ledger(
        tmp_path,
        [{"identifier": name, "partition": partition_of(name, 4), "field_x": f'"{name[-3]}"'} for name in names],
        partitions=4,
    )
    version = ledger_of(tmp_path).version

    read = loaded(tmp_path, 7)

    assert {name: row["partition"] for name, row in read.items()} == {name: partition_of(name, 7) for name in names}
    assert ledger_of(tmp_path).version == version


@pytest.mark.promise(1)
def test_an_upload_that_ends_after_the_ledger_was_divided_anew_loses_nobody(tmp_path: Path) -> None:
    names = [person(str(number)) for number in range(20)]
    stored_ledger(
        tmp_path,
        [{"identifier": name, "partition": partition_of(name, 2), "field_x": "1"} for name in names],
        partitions=2,
    )
    delta: dict[int, list[dict[str, Any]]] = {0: [], 1: []}
    for name in names[:10]:
        delta[partition_of(name, 2)].append({"identifier": name, "kind": "change", "field_x": "2"})
    late = acknowledged(tmp_path, delta, [(name, "accepted") for name in names[:10]], partitions=2)
    divide(tmp_path, 5)

    assert ledger_of(tmp_path).commit(engine(tmp_path), late)

    assert {name: (row["field_x"], row["partition"]) for name, row in ledger_rows(tmp_path).items()} == {
        name: (DOUBT if number < 10 else "1", partition_of(name, 5)) for number, name in enumerate(names)
    }
    assert divide(tmp_path, 2)


def test_one_partition_is_loaded_with_the_fields_asked_for(tmp_path: Path) -> None:
    stored_ledger(
        tmp_path,
        [{"identifier": A, "field_x": "1"}, {"identifier": B, "partition": 1, "field_x": "2"}],
        partitions=2,
    )

    with connect(engine(tmp_path)) as connection:
        ledger_of(tmp_path).load(connection, 1, ["field_new"])
        rows = connection.execute("SELECT identifier, field_x, field_new FROM ledger").fetchall()

    assert rows == [(B, "2", None)]


# Who a row's person is


MOVED = {"identifier": A, "kind": "move", "to_send": False, "known_by": "[]", "noted_x": DOUBT}
TAKEN = {
    "identifier": B,
    "kind": "change",
    "known_by": f'["{B}"]',
    "takes_over": True,
    "noted_x": DOUBT,
    "field_x": "2",
}


def known(folder: Path) -> dict[str, tuple[Any, ...]]:
    return {who: (row["in_segment"], row["known_by"], row["field_x"]) for who, row in ledger_rows(folder).items()}


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


def test_released_people_are_tried_as_if_for_the_first_time_and_why_they_were_refused_stays(tmp_path: Path) -> None:
    books = {
        "rejection": "no good", "attempts": 5, "refused_hash": "h", "refused_as": "rejected", "tried_at": day(1),
        "unstuck": 1, "unstuck_hash": "u", "field_x": "1",
    }  # fmt: skip
    refused_as = {A: "rejected", B: "absent", C: "rejected", D: "absent"}
    rows = [
        {"identifier": name, "partition": partition_of(name, 3), **books, "refused_as": word}
        for name, word in refused_as.items()
    ]
    stored_ledger(tmp_path, rows, partitions=3)
    before, start = ledger_rows(tmp_path), dt.datetime.now(dt.UTC)
    assert ledger_of(tmp_path).released_at is None

    changed = ledger_of(tmp_path).release(engine(tmp_path), [A, B])

    again = {"attempts": 0, "refused_hash": None, "unstuck": None, "unstuck_hash": None}
    assert ledger_rows(tmp_path) == {
        A: {**before[A], **again},
        B: {**before[B], **again, "refused_as": None},
        C: before[C],
        D: before[D],
    }
    assert changed == len({partition_of(name, 3) for name in (A, B)})
    released_at = ledger_of(tmp_path).released_at
    assert released_at is not None
    assert start <= released_at <= dt.datetime.now(dt.UTC)


def test_released_people_stay_known_by_what_they_were(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "known_by": "m", "attempts": 5}])

    ledger_of(tmp_path).release(engine(tmp_path), [A])

    assert (ledger_rows(tmp_path)[A]["known_by"], ledger_rows(tmp_path)[A]["attempts"]) == ("m", 0)


# Tables


def test_a_table_is_read_as_it_was_when_it_was_first_looked_at(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_x": "1"}])
    reader = ledger_of(tmp_path)
    version = reader.version

    commit(tmp_path, {0: [{"identifier": B, "field_x": "1"}]}, [(B, "accepted")])

    assert reader.version == version
    table = reader.open()
    assert table is not None
    assert table.to_pyarrow_table().num_rows == 1


def test_a_table_shows_no_credentials() -> None:
    assert repr(Ledger("s3://bucket/ledger", {"AWS_SECRET_ACCESS_KEY": "hush"})) == "Ledger('s3://bucket/ledger')"


def test_appending_makes_the_table_and_remembers_its_transaction(tmp_path: Path) -> None:
    from airflow_provider_braze_blueconic.sync.tables import Table

    table = Table(str(tmp_path / "rows"), {})
    assert (table.version, table.columns(), table.transaction("t")) == (None, [], None)

    table.append(pa.table({"a": ["1"]}), transactions={"t": 3})
    table.append(pa.table({"a": ["2"], "b": ["x"]}), transactions={"t": 4})

    assert (table.columns(), table.transaction("t"), table.transaction("other")) == (["a", "b"], 4, None)
