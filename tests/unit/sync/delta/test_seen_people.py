"""What another goal's read saw in the target."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.sync.delta.counts import DeltaCounts
from tests.support.core import day, ledger_rows, run_delta, stored_ledger, write_seen
from tests.support.deltas import A, B, C, committed, empty_ledger, import_plan, kinds, plan, seen_plan


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
