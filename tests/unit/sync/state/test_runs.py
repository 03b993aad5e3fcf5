"""The runs table, and what it says about where a partial read may begin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from airflow_provider_braze_blueconic.sync.state.runs import RunTable
from tests.support.core import day


def table(folder: Path) -> RunTable:
    return RunTable(str(folder / "runs"), {})


def report(run_key: str = "run-1", **different: Any) -> dict[str, Any]:
    return {
        "run_key": run_key,
        "status": "success",
        "dry_run": False,
        "read": "full",
        "complete": True,
        "not_accepted": 0,
        "accepted": 10,
        "rejected": {},
        "seconds": 1.5,
        **different,
    }


def add(
    folder: Path, when: int | None = 3, run_key: str = "run-1", *, mapping_hash: str = "m1", **different: Any
) -> None:
    table(folder).add(
        report(run_key, **different), read_started_at=day(when) if when else None, mapping_hash=mapping_hash
    )


def test_before_the_first_run_there_is_no_good_read(tmp_path: Path) -> None:
    assert table(tmp_path).last_good_read() is None


def test_a_date_for_which_nothing_was_done_is_no_read(tmp_path: Path) -> None:
    add(tmp_path, 3)
    add(tmp_path, None, "run-2", status="skipped", complete=False, read="")

    assert table(tmp_path).last_good_read() == (day(3), "m1")


def test_a_replayed_read_does_not_take_the_place_of_a_newer_one(tmp_path: Path) -> None:
    add(tmp_path, 5, "run-5")
    add(tmp_path, 3, "run-3", replayed=True)

    assert table(tmp_path).last_good_read() == (day(5), "m1")


@pytest.mark.promise(1)
def test_no_read_of_changes_begins_at_a_read_that_was_ended(tmp_path: Path) -> None:
    add(tmp_path, 3, "run-3")
    add(tmp_path, 5, "run-5", read="modified", complete=False, whole=True)
    table(tmp_path).end_reads(day(5))
    after_it = table(tmp_path).last_good_read()
    add(tmp_path, 3, "run-3", replayed=True)
    add(tmp_path, 6, "run-6")

    assert (after_it, table(tmp_path).last_good_read()) == (None, (day(6), "m1"))


def test_a_read_that_is_ended_leaves_every_row(tmp_path: Path) -> None:
    add(tmp_path, 3)
    table(tmp_path).end_reads(day(3))

    assert [row["run_key"] for row in DeltaTable(str(tmp_path / "runs")).to_pyarrow_table().to_pylist()] == ["run-1"]


def test_a_run_that_everybody_got_through_is_a_good_read(tmp_path: Path) -> None:
    add(tmp_path, 3)

    assert table(tmp_path).last_good_read() == (day(3), "m1")


def test_the_latest_good_read_counts_with_its_mapping(tmp_path: Path) -> None:
    add(tmp_path, 3, "run-1")
    add(tmp_path, 5, "run-2", mapping_hash="m2")
    add(tmp_path, 4, "run-3")

    assert table(tmp_path).last_good_read() == (day(5), "m2")


@pytest.mark.promise(1)
@pytest.mark.parametrize(
    "different",
    [
        {"not_accepted": 1},
        {"status": "incomplete"},
        {"status": "stopped"},
        {"dry_run": True},
        {"complete": False},
    ],
    ids=["somebody-not-accepted", "incomplete", "stopped", "dry-run", "full-read-that-is-not-known-to-be-complete"],
)
def test_a_run_that_left_somebody_out_does_not_move_the_start(tmp_path: Path, different: dict[str, Any]) -> None:
    add(tmp_path, 3, "run-1")
    add(tmp_path, 5, "run-2", **different)

    assert table(tmp_path).last_good_read() == (day(3), "m1")


def test_a_partial_read_is_good_although_it_is_never_complete(tmp_path: Path) -> None:
    add(tmp_path, 3, "run-1")
    add(tmp_path, 5, "run-2", read="modified", complete=False)

    assert table(tmp_path).last_good_read() == (day(5), "m1")


def test_a_run_without_a_read_is_no_good_read(tmp_path: Path) -> None:
    add(tmp_path, None)

    assert table(tmp_path).last_good_read() is None


def test_of_a_run_that_was_reported_twice_the_later_report_counts(tmp_path: Path) -> None:
    add(tmp_path, 3, "run-1")
    add(tmp_path, 5, "run-2")
    add(tmp_path, 5, "run-2", not_accepted=2)

    assert table(tmp_path).last_good_read() == (day(3), "m1")


def test_a_row_holds_the_counters_and_nested_ones_as_json(tmp_path: Path) -> None:
    add(tmp_path, 3, rejected={"is bad": 2}, new_counter=7)
    add(tmp_path, 4)

    rows = DeltaTable(str(tmp_path / "runs")).to_pyarrow_table().to_pylist()
    first = next(row for row in rows if row["read_started_at"] == day(3))
    assert first["rejected"] == '{"is bad": 2}'
    assert (first["accepted"], first["seconds"], first["dry_run"], first["new_counter"]) == (10, 1.5, False, 7)
    assert first["reported_at"] > day(3)
    assert len(rows) == 2
