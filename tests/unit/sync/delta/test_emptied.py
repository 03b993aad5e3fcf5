"""Fields that people lose are counted among those who have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_braze_blueconic.sync.state.doubt import IN_DOUBT
from tests.support.core import day, person, run_delta, stored_ledger
from tests.support.deltas import A, B, C, D, committed, plan


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
