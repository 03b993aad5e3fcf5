"""The delta of a partition as a whole: its counts add up, and it makes the target equal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.engine.columns import field_column
from tests.support.core import day, person, run_delta, stored_ledger
from tests.support.deltas import A, empty_ledger, import_plan, kinds, plan, seen_plan, sent


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


def test_how_a_person_is_found_travels_with_the_delta(tmp_path: Path) -> None:
    matching = '[[{"id":"crm_id","value":"7"}]]'

    _, delta = run_delta(
        tmp_path,
        [{"identifier": A, "matching": matching, "field_x": '["a"]'}],
        empty_ledger(tmp_path),
        import_plan(x="set"),
    )

    assert delta[A]["matching"] == matching


def test_a_ledger_of_before_learns_by_what_people_are_found_without_a_sending(tmp_path: Path) -> None:
    ledger = stored_ledger(tmp_path, [{"identifier": A, "field_x": '["a"]'}])
    mapped = [{"identifier": A, "matching": '[[{"id":"crm_id","value":"7"}]]', "field_x": '["a"]'}]

    _, delta = run_delta(tmp_path, mapped, ledger, seen_plan())

    assert kinds(delta) == {A: ("return", False, {})}
    assert delta[A]["known_by"] == mapped[0]["matching"]
