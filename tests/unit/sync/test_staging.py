"""Names below the staging prefix."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.staging import GoalFolder, fetch_folder, run_key
from tests.support.staging import LocalStaging

SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")


def test_a_run_key_is_readable() -> None:
    key = run_key("scheduled__2026-11-24T02:00:00+00:00")

    assert key.startswith("scheduled__2026-11-24T02-00-00-00-00-")
    assert key == run_key("scheduled__2026-11-24T02:00:00+00:00")


@given(st.text(max_size=300))
def test_a_run_key_is_safe_in_an_object_key_and_a_folder_name(run_id: str) -> None:
    key = run_key(run_id)

    assert set(key) <= SAFE
    assert key.strip(".")
    assert len(key) <= 100


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a b", "a+b"),
        ("manual__2026-11-24T02:00:00+00:00", "manual__2026-11-24T02:00:00-00:00"),
        ("x" * 200 + "1", "x" * 200 + "2"),
        ("..", "."),
        ("", "-"),
    ],
    ids=["unsafe-characters", "time-zones", "long", "dots", "empty"],
)
def test_different_runs_have_different_keys(one: str, other: str) -> None:
    assert run_key(one) != run_key(other)


def test_a_goal_keeps_to_its_folder() -> None:
    folder = GoalFolder("s3://acme-sync/braze/", "vip_to_braze")

    assert folder.ledger == "s3://acme-sync/braze/vip_to_braze/ledger"
    assert folder.receipts == "s3://acme-sync/braze/vip_to_braze/receipts"
    assert folder.runs == "s3://acme-sync/braze/vip_to_braze/runs"
    assert folder.open_uploads == "s3://acme-sync/braze/vip_to_braze/open/"
    assert folder.lock == "s3://acme-sync/braze/vip_to_braze/lock/"


def test_every_attempt_of_a_step_has_a_folder_of_its_own() -> None:
    folder = GoalFolder("s3://acme-sync/braze", "vip_to_braze")

    first, second = folder.step("run-1", "delta"), folder.step("run-1", "delta")

    assert first.startswith("s3://acme-sync/braze/vip_to_braze/work/run-1/delta-")
    assert first != second


def test_a_folder_is_fetched_in_order_and_without_its_neighbours(tmp_path: Path) -> None:
    staging = LocalStaging()
    for name in ("partition=1/b.parquet", "partition=1/a.parquet", "partition=10/c.parquet", "partition=1/plan.json"):
        staging.write_bytes(f"{tmp_path}/staged/{name}", name.encode())

    paths = fetch_folder(staging, f"{tmp_path}/staged/partition=1", tmp_path / "local")

    assert [path.relative_to(tmp_path / "local").as_posix() for path in paths] == ["a.parquet", "b.parquet"]
    assert [path.read_text() for path in paths] == ["partition=1/a.parquet", "partition=1/b.parquet"]


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert fetch_folder(LocalStaging(), f"{tmp_path}/nothing", tmp_path / "local") == []
