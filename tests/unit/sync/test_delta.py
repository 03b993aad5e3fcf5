"""What has to be sent: the mapped snapshot against the ledger, a table in and a table out."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.columns import field_column
from airflow_provider_braze_blueconic.sync.delta import DeltaCounts, DeltaPlan, Seen
from airflow_provider_braze_blueconic.sync.doubt import IN_DOUBT
from airflow_provider_braze_blueconic.sync.ledger import Ledger
from tests.support.core import acknowledged, day, engine, ledger_rows, person, run_delta, stored_ledger, write_seen

A, B, C, D = (person(name) for name in "abcd")
GROUP = "subscription_groups.01234567-89ab-cdef-0123-456789abcdef"


def plan(*targets: str, **how: Any) -> DeltaPlan:
    """A plan of the third of November in which every target but a subscription costs a data point."""
    written: Mapping[str, str] = how.get("leavers") or {}
    billable = frozenset({*targets, *written} - {GROUP, "email_subscribe"})
    return DeltaPlan(
        targets, **{"billable": billable, "documents": frozenset(), "partitions": 1, "as_of": day(3), **how}
    )


def empty_ledger(folder: Path) -> Ledger:
    return Ledger(str(folder / "ledger"), {})


def sent(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a delta row that are sent."""
    return {name.removeprefix("field_"): text for name, text in row.items() if name.startswith("field_") and text}


def kinds(delta: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, bool, dict[str, Any]]]:
    return {identifier: (row["kind"], row["to_send"], sent(row)) for identifier, row in delta.items()}


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


# Who left, who came back


def leaving(folder: Path, leavers: Mapping[str, str] | None, **how: Any) -> tuple[DeltaCounts, dict[str, Any]]:
    """``a`` stays; ``b`` left, with a value in x and none in y; ``c`` left a run ago."""
    ledger = stored_ledger(
        folder,
        [
            {"identifier": A, "field_x": "1", "field_y": "1"},
            {"identifier": B, "field_x": "1", "field_y": None},
            {"identifier": C, "field_x": "1", "field_y": "1", "in_segment": False},
        ],
        newest=day(2),
    )
    mapped = [{"identifier": A, "field_x": "1", "field_y": "1"}]
    return run_delta(folder, mapped, ledger, plan("x", "y", leavers=leavers, **{"complete": True, **how}))


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


# What it costs


@pytest.mark.promise(5)
@pytest.mark.parametrize(
    ("target", "text", "points"),
    [
        pytest.param("x", '"NL"', 1, id="value"),
        pytest.param("x", "null", 1, id="clearing"),
        pytest.param("x", '["a","b","c"]', 1, id="array set whole"),
        pytest.param("email_subscribe", '"opted_in"', 0, id="subscription state"),
        pytest.param(GROUP, '"subscribed"', 0, id="subscription group"),
        pytest.param("pet", '{"name":"Rex","toys":{"ball":true,"bone":false}}', 3, id="nested keys"),
        pytest.param("pet", '[{"a":1,"b":2},{"a":3}]', 3, id="array of objects"),
        pytest.param("pet", '{"born":{"$time":"2026-01-01T00:00:00.000Z"}}', 1, id="nested time"),
        pytest.param("pet", "{}", 1, id="empty object"),
        pytest.param("pet", "null", 1, id="clearing an object"),
    ],
)
def test_a_written_value_costs_what_braze_bills(target: str, text: str, points: int, tmp_path: Path) -> None:
    mapped = [{"identifier": A, field_column(target): text}]

    counts, delta = run_delta(
        tmp_path, mapped, empty_ledger(tmp_path), plan(target, documents=frozenset({"pet"}))
    )  # fmt: skip

    assert (counts.data_points, counts.fields) == (points, 1)
    assert delta[A]["data_points"] == points


@pytest.mark.promise(5)
def test_an_object_that_did_not_change_costs_nothing(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_pet": '{"a":1,"b":2}', "field_x": "1"}])
    mapped = [{"identifier": A, "field_pet": '{"a":1,"b":2}', "field_x": "2"}]

    counts, _ = run_delta(tmp_path, mapped, ledger, plan("pet", "x", documents=frozenset({"pet"})))

    assert counts.data_points == 1


def test_target_names_may_hold_anything(tmp_path: Path) -> None:
    names = ["Points now", "points now", "it's", 'say "hi"']
    mapped = [{"identifier": A, **{field_column(name): f'"{number}"' for number, name in enumerate(names)}}]

    _, delta = run_delta(
        tmp_path, mapped, empty_ledger(tmp_path), plan(*names, leavers={"it's gone": '"it\'s"'}, complete=True)
    )

    assert [delta[A][field_column(name)] for name in names] == ['"0"', '"1"', '"2"', '"3"']


texts = st.sampled_from([None, "null", "1", '"1"', '{"a":1}'])
states = st.fixed_dictionaries(
    {"x": texts, "y": texts, "in_segment": st.sampled_from([True, False, None]), "as_of": st.integers(1, 5)}
)


@given(
    people=st.lists(st.tuples(st.none() | states, st.none() | states), min_size=1, max_size=12),
    send=st.sampled_from(["changed_fields", "whole_profile"]),
    complete=st.booleans(),
    leavers=st.sampled_from([None, {"x": "null", "y": "null"}, {"vip": "false"}]),
)
@settings(max_examples=40, deadline=None)
def test_the_counts_add_up_and_what_is_sent_makes_the_target_equal(
    tmp_path_factory: pytest.TempPathFactory,
    people: list[tuple[dict[str, Any] | None, dict[str, Any] | None]],
    send: str,
    complete: bool,
    leavers: Mapping[str, str] | None,
) -> None:
    folder = tmp_path_factory.mktemp("delta")
    known = {person(str(n)): old for n, (old, _) in enumerate(people) if old}
    wanted = {person(str(n)): new for n, (_, new) in enumerate(people) if new}
    ledger = stored_ledger(
        folder,
        [
            {
                "identifier": name, "field_x": old["x"], "field_y": old["y"],
                "in_segment": old["in_segment"], "as_of": day(old["as_of"]),
            }
            for name, old in known.items()
        ],
    )  # fmt: skip
    mapped = [{"identifier": name, "field_x": new["x"], "field_y": new["y"]} for name, new in wanted.items()]

    counts, delta = run_delta(folder, mapped, ledger, plan("x", "y", send=send, complete=complete, leavers=leavers))

    left = {name for name, row in delta.items() if row["kind"] == "leave"}
    assert counts.inserts + counts.changes + counts.unchanged + counts.stale == len(wanted)
    assert counts.to_send == sum(row["to_send"] for row in delta.values())
    assert counts.inserts + counts.changes + sum(delta[name]["to_send"] for name in left) == counts.to_send
    assert counts.leavers == len(left)
    assert counts.data_points == sum(row["data_points"] for row in delta.values())
    assert counts.fields == sum(len(sent(row)) for row in delta.values())
    members = {name for name, old in known.items() if old["in_segment"]}
    assert counts.members == len(members)
    assert left == (members - set(wanted) if complete else set())
    for name, new in wanted.items():
        if name in known and known[name]["as_of"] > 3:
            assert name not in delta
            continue
        before = {key: (known[name][key] if name in known else None) for key in "xy"}
        after = before | (sent(delta[name]) if name in delta else {})
        assert after == {key: before[key] if new[key] is None else new[key] for key in "xy"}
        if send == "changed_fields" and name in delta:
            assert all(before[key] != text for key, text in sent(delta[name]).items())


@pytest.mark.promise(6)
def test_who_loses_an_acknowledged_value_is_counted_by_field_among_those_who_had_one(tmp_path: Path) -> None:
    rows = {A: ("1", "1"), B: ("1", "1"), C: ("null", "1"), D: ("1", "1")}
    ledger = stored_ledger(
        tmp_path, [{"identifier": name, "field_x": x, "field_y": y} for name, (x, y) in rows.items()]
    )
    new = {A: ("null", "2"), B: ("2", "1"), C: ("null", "2"), person("e"): ("null", "1")}
    mapped = [{"identifier": name, "field_x": x, "field_y": y} for name, (x, y) in new.items()]
    leaving: dict[str, Any] = {"leavers": {"x": "null", "y": "null"}, "complete": True}

    counts, delta = run_delta(tmp_path, mapped, ledger, plan("x", "y", **leaving))

    assert delta[D]["kind"] == "leave"
    assert (counts.emptied, counts.filled) == ({"x": 1}, {"x": 2, "y": 3})


@pytest.mark.promise(6)
def test_who_rests_without_a_value_in_the_source_is_no_witness_that_a_field_in_doubt_is_there(tmp_path: Path) -> None:
    rows = {A: '"1"', B: IN_DOUBT, C: IN_DOUBT, D: IN_DOUBT, person("e"): '"1"'}
    stored_ledger(tmp_path, [{"identifier": name, "field_x": text} for name, text in rows.items()])
    refused = {name: {"as_of": day(2), "field_x": "null"} for name in (D, person("e"))}
    ledger = committed(tmp_path, refused, *((name, "rejected", "no good") for name in refused), as_of=day(2))
    new = {A: "null", B: "null", C: '"2"', D: "null", person("e"): "null"}
    mapped = [{"identifier": name, "field_x": text} for name, text in new.items()]

    counts, delta = run_delta(tmp_path, mapped, ledger, plan("x", max_attempts=1))

    assert {name for name, row in delta.items() if row["to_send"]} == {A, B, C}
    assert (counts.emptied, counts.filled) == ({"x": 2}, {"x": 4})


def test_counts_of_partitions_are_added() -> None:
    assert DeltaCounts(inserts=1, data_points=5) + DeltaCounts(inserts=2, stale=3, members=4) == DeltaCounts(
        inserts=3, data_points=5, stale=3, members=4
    )


def test_a_moment_between_two_days_is_kept(tmp_path: Path) -> None:
    moment = dt.datetime(2026, 11, 3, 1, 2, 3, 456789, tzinfo=dt.UTC)

    _, delta = run_delta(
        tmp_path, [{"identifier": A, "field_x": "1", "as_of": moment}], empty_ledger(tmp_path), plan("x")
    )

    assert delta[A]["as_of"] == moment


# What the target adds to, fills or takes away from


def import_plan(**merges: str) -> DeltaPlan:
    """A plan of the third of November; ``sum_increase`` is a sum of what the counter grew by."""
    plain = {target: "sum" if merge == "sum_increase" else merge for target, merge in merges.items()}
    grows = frozenset(target for target, merge in merges.items() if merge == "sum_increase")
    return plan(*merges, billable=frozenset(), merges=plain, increases=grows)


def committed(folder: Path, delta: Mapping[str, Mapping[str, Any]], *receipts: tuple[Any, ...], **how: Any) -> Ledger:
    """Commit a delta and open the ledger as the next run does."""
    rows = {0: [{"identifier": identifier, **row} for identifier, row in delta.items()]}
    ledger = empty_ledger(folder)
    how.setdefault("last_delta", ledger.last_delta)
    ledger.commit(engine(folder), acknowledged(folder, rows, receipts, **how))
    return empty_ledger(folder)


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


@pytest.mark.parametrize(
    ("known", "now", "added"),
    [
        pytest.param(None, '["7"]', '["7"]', id="first time"),
        pytest.param('["5"]', '["7"]', '["7"]', id="changed"),
        pytest.param('["9"]', '["7"]', '["7"]', id="changed to less"),
        pytest.param('["7"]', '["7"]', None, id="unchanged"),
        pytest.param('["7"]', None, None, id="gone"),
    ],
)
def test_a_sum_of_the_value_adds_the_whole_value_whenever_it_changed(
    known: str | None, now: str | None, added: str | None, tmp_path: Path
) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_n": known}])

    counts, delta = run_delta(tmp_path, [{"identifier": A, "field_n": now}], ledger, import_plan(n="sum"))

    assert {name: (row["increase_n"], row["field_n"]) for name, row in delta.items()} == (
        {A: (added, now)} if added else {}
    )
    assert (counts.to_send, counts.fields) == ((1, 1) if added else (0, 0))


@pytest.mark.parametrize(
    ("known", "now", "added"),
    [
        pytest.param(None, '["7"]', '["7"]', id="first time, the whole"),
        pytest.param("null", '["7"]', '["7"]', id="after a clear, the whole"),
        pytest.param('["5"]', '["7"]', '["2"]', id="growth"),
        pytest.param('["0.1"]', '["0.3"]', '["0.2"]', id="exact decimals"),
        pytest.param('["0.1"]', '["0.1001"]', '["0.0001"]', id="the smallest step"),
        pytest.param('["1.5"]', '["11.5"]', '["10"]', id="no fraction is left"),
        pytest.param('["-3"]', '["2"]', '["5"]', id="from below zero"),
        pytest.param('["9007199254740993"]', '["9007199254740994"]', '["1"]', id="beyond what a double can tell"),
        pytest.param(None, '["0"]', None, id="nothing yet"),
        pytest.param('["7"]', '["7"]', None, id="unchanged"),
        pytest.param('["7"]', None, None, id="gone"),
        pytest.param('["many"]', '["7"]', '["7"]', id="the ledger knows a text from before it was a number"),
    ],
)
@pytest.mark.promise(2)
def test_a_sum_of_the_increase_adds_only_what_the_counter_grew_by(
    known: str | None, now: str | None, added: str | None, tmp_path: Path
) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_n": known}])

    _, delta = run_delta(tmp_path, [{"identifier": A, "field_n": now}], ledger, import_plan(n="sum_increase"))

    assert [(row["increase_n"], row["field_n"], row["to_send"]) for row in delta.values() if row["to_send"]] == (
        [(added, now, True)] if added else []
    )


@pytest.mark.promise(2)
def test_a_counter_that_fell_adds_nothing_and_grows_from_where_it_fell_to(tmp_path: Path) -> None:
    stored_ledger(tmp_path, [{"identifier": A, "field_n": '["10"]'}])
    fell = import_plan(n="sum_increase")

    counts, delta = run_delta(tmp_path, [{"identifier": A, "field_n": '["4"]'}], empty_ledger(tmp_path), fell)
    ledger = committed(tmp_path, delta)
    _, grown = run_delta(tmp_path, [{"identifier": A, "field_n": '["6"]'}], ledger, fell)

    assert (delta[A]["to_send"], delta[A]["increase_n"], delta[A]["field_n"]) == (False, None, None)
    assert delta[A]["noted_n"] == '["4"]'
    assert counts == DeltaCounts(unchanged=1, members=1)
    assert grown[A]["increase_n"] == '["2"]'


@pytest.mark.promise(2)
def test_a_counter_that_fell_is_noted_also_where_something_else_is_sent(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_n": '["10"]', "field_x": '["a"]'}])
    mapped = [{"identifier": A, "field_n": '["4"]', "field_x": '["b"]'}]

    counts, delta = run_delta(tmp_path, mapped, ledger, import_plan(n="sum_increase", x="set"))

    assert kinds(delta) == {A: ("change", True, {"x": '["b"]'})}
    assert (delta[A]["increase_n"], delta[A]["noted_n"]) == (None, '["4"]')
    assert counts == DeltaCounts(changes=1, to_send=1, fields=1, members=1)


@pytest.mark.parametrize("merge", ["sum", "sum_increase"])
@pytest.mark.promise(2)
def test_an_old_snapshot_that_is_sent_all_the_same_adds_to_no_number(merge: str, tmp_path: Path) -> None:
    """Nobody can tell whether what it says was added before."""
    known = {"field_n": '["5"]', "field_x": '["a"]'}
    rows = [{"identifier": A, "as_of": day(1), **known}, {"identifier": B, "as_of": day(4), **known}]
    ledger = stored_ledger(tmp_path, rows, newest=day(4))
    mapped = [{"identifier": name, "field_n": '["7"]', "field_x": '["b"]'} for name in (A, B, C)]
    old = dataclasses.replace(import_plan(n=merge, x="set"), allow_stale=True)

    _, delta = run_delta(tmp_path, mapped, ledger, old)
    _, fresh = run_delta(tmp_path, mapped, ledger, dataclasses.replace(old, as_of=day(4)))

    assert {name: row["increase_n"] for name, row in delta.items()} == {A: None, B: None, C: None}
    assert {name: row["field_x"] for name, row in delta.items()} == dict.fromkeys((A, B, C), '["b"]')
    assert all(row["increase_n"] for row in fresh.values())


def test_a_whole_profile_adds_no_number_that_did_not_change(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_n": '["10"]', "field_x": '["a"]'}])
    mapped = [{"identifier": A, "field_n": '["10"]', "field_x": '["b"]'}]
    whole = dataclasses.replace(import_plan(n="sum", x="set"), send="whole_profile")

    counts, delta = run_delta(tmp_path, mapped, ledger, whole)

    assert (delta[A]["field_x"], delta[A]["field_n"], delta[A]["increase_n"]) == ('["b"]', '["10"]', None)
    assert counts.fields == 1


@pytest.mark.promise(2)
def test_a_whole_profile_says_no_level_of_a_counter_that_nothing_is_added_for(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_n": '["10"]', "field_x": '["a"]'}])
    mapped = [{"identifier": A, "field_n": '["4"]', "field_x": '["b"]'}]
    whole = dataclasses.replace(import_plan(n="sum_increase", x="set"), send="whole_profile")

    _, delta = run_delta(tmp_path, mapped, ledger, whole)

    assert (sent(delta[A]), delta[A]["increase_n"], delta[A]["noted_n"]) == ({"x": '["b"]'}, None, '["4"]')


def test_how_a_person_is_found_travels_with_the_delta(tmp_path: Path) -> None:
    matching = '[[{"id":"crm_id","value":"7"}]]'

    _, delta = run_delta(
        tmp_path,
        [{"identifier": A, "matching": matching, "field_x": '["a"]'}],
        empty_ledger(tmp_path),
        import_plan(x="set"),
    )

    assert delta[A]["matching"] == matching


counters = st.decimals(min_value=-1000, max_value=1000, places=2)


@given(stands=st.lists(st.none() | counters, min_size=1, max_size=5))
@settings(max_examples=12, deadline=None)
@pytest.mark.promise(2)
def test_what_was_added_is_the_sum_of_all_growth(
    tmp_path_factory: pytest.TempPathFactory, stands: list[Decimal | None]
) -> None:
    folder, added = tmp_path_factory.mktemp("counter"), Decimal(0)
    for night, stand in enumerate(stands):
        mapped = [{"identifier": A, "field_n": None if stand is None else f'["{stand:f}"]'}]
        _, delta = run_delta(folder, mapped, empty_ledger(folder), import_plan(n="sum_increase"))
        for row in delta.values():
            added += Decimal(json.loads(row["increase_n"])[0]) if row["increase_n"] else 0
        receipts = [(A, "accepted")] if any(row["to_send"] for row in delta.values()) else []
        committed(folder, delta, *receipts, delta_id=f"d{night}")

    grown, before = Decimal(0), Decimal(0)
    for stand in stands:
        if stand is not None:
            grown, before = grown + max(stand - before, Decimal(0)), stand
    assert added == grown


# What another goal's read saw in the target


def seen_plan(merge: str = "set", **how: Any) -> DeltaPlan:
    return dataclasses.replace(import_plan(x=merge), **how)


@pytest.mark.parametrize(
    ("merge", "wanted", "held"),
    [
        ("set", '["a"]', '["a"]'),
        ("set_or_clear", "null", "null"),
        ("set_if_empty", '["a"]', '["z"]'),
        ("add", '["a"]', '["a","b"]'),
        ("remove", '["a"]', '["b"]'),
    ],
)
@pytest.mark.promise(7)
def test_what_the_target_was_seen_to_hold_is_not_sent_but_noted(
    merge: str, wanted: str, held: str, tmp_path: Path
) -> None:
    look = write_seen(tmp_path / "seen.parquet", [{"identifier": A, "field_x": held}], as_of=day(2))

    counts, delta = run_delta(
        tmp_path, [{"identifier": A, "field_x": wanted}], empty_ledger(tmp_path), seen_plan(merge), seen=[look]
    )

    assert kinds(delta) == {A: ("return", False, {})}
    assert (delta[A]["noted_x"], delta[A]["seen_as_of"]) == (wanted, day(2))
    assert counts == DeltaCounts(unchanged=1, seen=1)


@pytest.mark.parametrize("came_back", ['["a"]', '["b"]', None])
@pytest.mark.promise(7)
def test_what_is_held_is_not_sent_whatever_came_back_of_it(came_back: str | None, tmp_path: Path) -> None:
    rows = [{"identifier": A, "field_x": '["a"]', "echo_x": came_back}]
    look = write_seen(tmp_path / "seen.parquet", rows, as_of=day(2))

    counts, delta = run_delta(
        tmp_path, [{"identifier": A, "field_x": '["a"]'}], empty_ledger(tmp_path), seen_plan(), seen=[look]
    )

    assert (delta[A]["to_send"], delta[A]["noted_x"], counts.seen) == (False, '["a"]', 1)


@pytest.mark.promise(7)
def test_what_was_noted_is_known_to_the_next_run(tmp_path: Path) -> None:
    look = write_seen(tmp_path / "seen.parquet", [{"identifier": A, "field_x": '["a"]'}], as_of=day(2))
    mapped = [{"identifier": A, "field_x": '["a"]'}]
    _, delta = run_delta(tmp_path, mapped, empty_ledger(tmp_path), seen_plan(), seen=[look])

    ledger = committed(tmp_path, delta)
    counts, again = run_delta(tmp_path, mapped, ledger, seen_plan())

    row = ledger_rows(tmp_path)[A]
    assert (row["field_x"], row["as_of"], row["in_segment"]) == ('["a"]', day(2), True)
    assert (counts, again) == (DeltaCounts(unchanged=1, members=1), {})


@pytest.mark.parametrize(
    ("merge", "held"),
    [
        ("set", '["b"]'),
        ("set", "null"),
        ("set_if_empty", "null"),
        ("add", '["b"]'),
        ("remove", '["a","b"]'),
    ],
)
def test_what_the_target_was_seen_not_to_hold_is_sent(merge: str, held: str, tmp_path: Path) -> None:
    look = write_seen(tmp_path / "seen.parquet", [{"identifier": A, "field_x": held}], as_of=day(2))

    counts, delta = run_delta(
        tmp_path, [{"identifier": A, "field_x": '["a"]'}], empty_ledger(tmp_path), seen_plan(merge), seen=[look]
    )

    assert kinds(delta) == {A: ("insert", True, {"x": '["a"]'})}
    assert counts.seen == 0


@pytest.mark.promise(1)
@pytest.mark.parametrize(
    ("before", "now"), [('"7"', "7"), ("7", '"7"'), ('"true"', "true"), ('"a"', '["a"]')],
    ids=["number", "text", "boolean", "array"],
)  # fmt: skip
def test_a_field_that_gets_another_type_is_sent_though_a_look_shows_the_same_text(
    before: str, now: str, tmp_path: Path
) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_x": before, "as_of": day(1)}])
    # What Braze exports has lost its types on the way: the look shows what the goal would write today.
    look = write_seen(
        tmp_path / "seen.parquet", [{"identifier": A, "field_x": now}], as_of=day(2), certain=["x"], whole=True
    )

    _, delta = run_delta(tmp_path, [{"identifier": A, "field_x": now}], ledger, plan("x"), seen=[look])

    assert kinds(delta) == {A: ("change", True, {"x": now})}


@pytest.mark.parametrize("certain", [True, False])
def test_a_value_that_was_changed_in_the_target_is_put_right_only_where_that_is_certain(
    certain: bool, tmp_path: Path
) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_x": '["a"]', "as_of": day(1)}])
    look = write_seen(
        tmp_path / "seen.parquet",
        [{"identifier": A, "field_x": '["drifted"]'}],
        as_of=day(2),
        certain=["x"] if certain else [],
    )

    _, delta = run_delta(tmp_path, [{"identifier": A, "field_x": '["a"]'}], ledger, seen_plan(), seen=[look])

    assert kinds(delta) == ({A: ("change", True, {"x": '["a"]'})} if certain else {})


def test_a_certain_look_clears_nothing_of_which_the_source_says_nothing(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_x": '["a"]', "as_of": day(1)}])
    look = write_seen(
        tmp_path / "seen.parquet", [{"identifier": A, "field_x": '["b"]'}], as_of=day(2), certain=["x"]
    )  # fmt: skip

    _, delta = run_delta(tmp_path, [{"identifier": A, "field_x": None}], ledger, seen_plan(), seen=[look])

    assert delta == {}


@pytest.mark.parametrize(
    ("read_on", "settles_in", "counts"),
    [
        pytest.param(day(3), dt.timedelta(0), True, id="newer than the ledger"),
        pytest.param(day(2), dt.timedelta(0), False, id="as old as the ledger"),
        pytest.param(day(1), dt.timedelta(0), False, id="older"),
        pytest.param(day(3), dt.timedelta(days=1), False, id="newer, but not when the target takes so long to show"),
    ],
)
@pytest.mark.promise(4)
def test_a_look_that_is_older_than_what_was_acknowledged_is_not_believed(
    read_on: dt.datetime, settles_in: dt.timedelta, counts: bool, tmp_path: Path
) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_x": '["before"]', "as_of": day(2)}])
    rows = [{"identifier": A, "field_x": '["a"]'}]
    look = write_seen(tmp_path / "seen.parquet", rows, as_of=read_on, settles_in=settles_in)

    found, _ = run_delta(tmp_path, [{"identifier": A, "field_x": '["a"]'}], ledger, seen_plan(), seen=[look])

    assert (found.seen, found.to_send) == ((1, 0) if counts else (0, 1))


def test_a_field_that_was_not_looked_at_is_sent(tmp_path: Path) -> None:
    look = write_seen(
        tmp_path / "seen.parquet", [{"identifier": A, "field_x": None, "field_y": '["b"]'}], as_of=day(2)
    )  # fmt: skip
    mapped = [{"identifier": A, "field_x": '["a"]', "field_y": '["b"]'}]

    counts, delta = run_delta(
        tmp_path, mapped, empty_ledger(tmp_path), import_plan(x="set", y="set"), seen=[look]
    )  # fmt: skip

    assert kinds(delta) == {A: ("insert", True, {"x": '["a"]'})}
    assert delta[A]["noted_y"] == '["b"]'
    assert (counts.seen, counts.fields) == (1, 1)


@pytest.mark.promise(2)
def test_a_number_that_is_added_to_is_added_to_whatever_was_seen(tmp_path: Path) -> None:
    look = write_seen(
        tmp_path / "seen.parquet", [{"identifier": A, "field_n": '["7"]', "field_x": '["a"]'}], as_of=day(2)
    )  # fmt: skip
    mapped = [{"identifier": A, "field_n": '["7"]', "field_x": '["a"]'}]

    _, delta = run_delta(
        tmp_path, mapped, empty_ledger(tmp_path), import_plan(n="sum_increase", x="set"), seen=[look]
    )  # fmt: skip

    assert (delta[A]["increase_n"], delta[A]["noted_x"]) == ('["7"]', '["a"]')


@pytest.mark.parametrize(("came_back", "added"), [('["7"]', None), ('["6"]', '["7"]')])
@pytest.mark.promise(2)
def test_a_number_that_is_only_what_came_back_is_noted_and_not_added(
    came_back: str, added: str | None, tmp_path: Path
) -> None:
    look = write_seen(tmp_path / "seen.parquet", [{"identifier": A, "echo_n": came_back}], as_of=day(2))

    counts, delta = run_delta(
        tmp_path, [{"identifier": A, "field_n": '["7"]'}], empty_ledger(tmp_path), import_plan(n="sum"), seen=[look]
    )

    assert (delta[A]["to_send"], delta[A]["increase_n"]) == (added is not None, added)
    assert delta[A]["noted_n"] == (None if added else '["7"]')
    assert counts.seen == 0


def test_a_look_without_any_field_of_the_goal_changes_nothing(tmp_path: Path) -> None:
    look = write_seen(tmp_path / "seen.parquet", [{"identifier": A, "field_other": '["a"]'}], as_of=day(2))

    _, delta = run_delta(
        tmp_path, [{"identifier": A, "field_x": '["a"]'}], empty_ledger(tmp_path), seen_plan(), seen=[look]
    )

    assert kinds(delta) == {A: ("insert", True, {"x": '["a"]'})}


def test_of_several_looks_at_a_person_the_newest_counts(tmp_path: Path) -> None:
    looks = [
        write_seen(tmp_path / "old.parquet", [{"identifier": A, "field_x": '["a"]'}], as_of=day(1)),
        write_seen(tmp_path / "new.parquet", [{"identifier": A, "field_x": '["b"]'}], as_of=day(2)),
        write_seen(tmp_path / "other.parquet", [{"identifier": B, "field_x": '["a"]'}], as_of=day(1)),
    ]
    mapped = [{"identifier": name, "field_x": '["a"]'} for name in (A, B)]

    counts, delta = run_delta(tmp_path, mapped, empty_ledger(tmp_path), seen_plan(), seen=looks)

    assert {name: row["to_send"] for name, row in delta.items()} == {A: True, B: False}
    assert (counts.inserts, counts.seen) == (1, 1)


@pytest.mark.promise(7)
def test_of_people_with_several_records_nothing_was_seen(tmp_path: Path) -> None:
    """``a`` has two records there, ``b`` one that shows twice, and of ``c`` the source has one that is skipped."""
    rows = [(0, A), (1, A), (2, B), (2, B), (3, C)]
    found = [{"row": row, "identifier": name, "field_x": '["a"]'} for row, name in rows]
    look = write_seen(tmp_path / "seen.parquet", found, as_of=day(2))
    own = write_seen(tmp_path / "own.parquet", found, as_of=day(2), whole=True)
    mapped = [{"identifier": name, "field_x": '["a"]'} for name in (A, B, C)]
    skipped = [{"identifier": C, "reason": "same_person_twice"}, {"identifier": None, "reason": "no_identifier"}]

    _, delta = run_delta(tmp_path, mapped, empty_ledger(tmp_path), seen_plan(), seen=[look], skipped=skipped)
    _, compared = run_delta(tmp_path, mapped, empty_ledger(tmp_path), seen_plan(), seen=[own], skipped=skipped)

    assert {name: row["to_send"] for name, row in delta.items()} == {A: True, B: False, C: True}
    assert {name: row["to_send"] for name, row in compared.items()} == {A: True, B: False, C: False}


@pytest.mark.parametrize(
    "matching",
    [
        pytest.param([[{"id": "crm", "value": "7"}], [{"id": "email", "value": "é\"'@b.nl"}]], id="any"),
        pytest.param([[{"id": "crm", "value": "7"}, {"id": "email", "value": "é\"'@b.nl"}]], id="all"),
    ],
)
@pytest.mark.parametrize("key", [{"id": "crm", "value": "7"}, {"id": "email", "value": "é\"'@b.nl"}])
def test_a_person_who_is_found_by_links_is_seen_by_any_of_them(
    matching: object, key: dict[str, str], tmp_path: Path
) -> None:
    def text(value: object) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    look = write_seen(tmp_path / "seen.parquet", [{"identifier": text(key), "field_x": '["a"]'}], as_of=day(2))
    mapped = [
        {"identifier": A, "matching": text(matching), "field_x": '["a"]'},
        {"identifier": B, "matching": '[[{"id":"crm","value":"8"}]]', "field_x": '["a"]'},
    ]

    counts, delta = run_delta(tmp_path, mapped, empty_ledger(tmp_path), seen_plan(), seen=[look])

    assert {name: row["to_send"] for name, row in delta.items()} == {A: False, B: True}
    assert counts.seen == 1


# Who would be refused again

HOLDING: dict[str, Any] = {"holds_back": True, "policy": "p1"}


def refused(folder: Path, outcome: str, *, on: int = 2, **how: Any) -> Ledger:
    """The ledger after a run of the second of November in which a person was refused."""
    how = {"x": '["a"]', "policy": "p1", **how}
    delta = {A: {"as_of": day(on), "field_x": how["x"]}}
    fields = ["x"] if outcome == "fields" else None
    receipt = (A, "accepted" if outcome == "fields" else outcome, "no good", fields)
    return committed(folder, delta, receipt, as_of=day(on), policy=how["policy"])


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


def test_a_ledger_of_before_learns_by_what_people_are_found_without_a_sending(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_x": '["a"]'}])
    mapped = [{"identifier": A, "matching": '[[{"id":"crm_id","value":"7"}]]', "field_x": '["a"]'}]

    _, delta = run_delta(tmp_path, mapped, ledger, seen_plan())

    assert kinds(delta) == {A: ("return", False, {})}
    assert delta[A]["known_by"] == mapped[0]["matching"]


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


# Who was refused too often


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


# What the target does not hold any more


def drifted(folder: Path, *people: str, whole: bool = False, **fields: str) -> Seen:
    """A certain look of the second of November."""
    rows = [{"identifier": name, **{f"field_{target}": text for target, text in fields.items()}} for name in people]
    return write_seen(folder / "look.parquet", rows, as_of=day(2), certain=["x", "y"], whole=whole)


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
