"""Numbers that are added to: how much a run adds."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.delta.counts import DeltaCounts
from tests.support.core import day, run_delta, stored_ledger
from tests.support.deltas import A, B, C, committed, empty_ledger, import_plan, kinds, sent


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
