"""What a delta costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.sync.engine.columns import field_column
from tests.support.core import run_delta, stored_ledger
from tests.support.deltas import GROUP, A, empty_ledger, plan


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


def test_more_than_a_thousand_fields_are_counted_one_by_one(tmp_path: Path) -> None:
    targets = [f"field {number}" for number in range(1_020)]
    mapped = [{"identifier": A, **{field_column(target): '"a"' for target in targets}}]

    counts, delta = run_delta(tmp_path, mapped, empty_ledger(tmp_path), plan(*targets))

    assert (counts.data_points, counts.fields, counts.to_send) == (1_020, 1_020, 1)
    assert delta[A]["data_points"] == 1_020
