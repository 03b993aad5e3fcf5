"""What has to be sent: the mapped snapshot against the ledger, a table in and a table out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.columns import field_column
from airflow_provider_braze_blueconic.sync.delta import DeltaCounts, DeltaPlan
from airflow_provider_braze_blueconic.sync.ledger import Ledger
from tests.support.core import day, person, run_delta, stored_ledger

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


def test_a_mark_that_a_leaver_already_has_is_not_sent_again(tmp_path: Path) -> None:
    ledger = stored_ledger(
        tmp_path,
        [
            {"identifier": A, "field_vip": "false", "field_x": "null"},
            {"identifier": B, "as_of": None, "rejection": "no good", "attempts": 1},
        ],
    )

    counts, delta = run_delta(
        tmp_path, [], ledger, plan("x", leavers={"vip": "false", "x": "null"}, complete=True), skipped=[]
    )

    # b was never accepted: there is nothing of ours at the target, and marking would create b there.
    assert kinds(delta) == {A: ("leave", False, {}), B: ("leave", False, {})}
    assert counts == DeltaCounts(leavers=2, members=2)


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


def test_an_old_snapshot_may_send_people_away_when_the_run_asks_for_it(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_x": "1", "as_of": day(4)}], newest=day(4))

    _, delta = run_delta(
        tmp_path, [], ledger, plan("x", leavers={"x": "null"}, complete=True, allow_stale=True)
    )  # fmt: skip

    assert kinds(delta) == {A: ("leave", True, {"x": "null"})}


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
