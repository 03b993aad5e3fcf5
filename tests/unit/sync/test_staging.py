"""Names below the staging prefix."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.staging import GoalFolder, fetch_folder, folder_problem, run_key
from airflow_provider_braze_blueconic.sync.tables import Table
from tests.support.staging import LocalStaging
from tests.support.store import BUCKET, Store, store

__all__ = ["store"]

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


TWO_FOLDERS = {
    "encoded": "a%20b",
    "encoded letter": "a%c3%bcb",
    "upwards": "a/../b",
    "only upwards": "..",
    "here": "./a",
    "two slashes": "a//b",
    "backslash": "a\\b",
    "pipe": "a|b",
    "brackets": "a[b]",
    "caret": "a^b",
    "query": "a?b",
    "fragment": "a#b",
    "tab": "a\tb",
    "bell": "a\x07b",
    "delete": "a\x7fb",
    "next line": "a\x85b",
    "line separator": "a\u2028b",
    "half a character": "a\ud800b",
}
ONE_FOLDER = ("a", "a b", "ü", "日本", "a+b=c&d", "100%", "a%zz", "...", "a..b", ".a", "_x", "~x", "a{b}'\"", "a/b/")


@pytest.mark.parametrize("name", TWO_FOLDERS.values(), ids=TWO_FOLDERS)
def test_a_name_that_two_libraries_read_in_two_ways_is_no_folder(name: str) -> None:
    assert "Choose another one" in str(folder_problem(f"s3://acme-sync/{name}"))
    assert "Choose another one" in str(folder_problem(name))


@pytest.mark.parametrize("name", ONE_FOLDER)
def test_tables_and_objects_of_any_other_name_are_in_one_folder(name: str, store: Store) -> None:
    assert folder_problem(f"s3://{BUCKET}/{name}") is None

    folder = GoalFolder(f"s3://{BUCKET}/{name}", "goal")
    Table(folder.ledger, store.storage_options).append(pa.table({"a": [1]}), transactions={})

    keys = store.keys()
    assert [key for key in keys if not key.startswith(f"{name.rstrip('/')}/goal/ledger/")] == []
    assert Table(folder.ledger, store.storage_options).version == 0


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
