"""Names below the staging prefix."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_braze_blueconic.sync.store.paths import (
    GoalFolder,
    attempt_object,
    delta_file,
    fields_document,
    files_document,
    identities_folder,
    partition_folder,
    plan_document,
    receipts_folder,
    rejects_document,
    run_key,
    store_mark,
)

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


def test_what_stands_in_the_bucket_keeps_its_name() -> None:
    # State of older versions lies under these names.
    folder = GoalFolder("s3://acme-sync/a", "goal")

    assert folder.open_upload("run", "d1") == "s3://acme-sync/a/goal/open/run~d1.json"
    assert folder.lock_generation(7) == "s3://acme-sync/a/goal/lock/00000007.json"
    assert folder.lock_clock == "s3://acme-sync/a/goal/lock/clock"
    assert folder.waiting_run("run", "0a") == "s3://acme-sync/a/goal/lock/waiting/run~0a"
    assert folder.finished_file("f1") == "s3://acme-sync/a/goal/files/f1.json"
    assert folder.kept_snapshot("1", "none", "run") == "s3://acme-sync/a/goal/snapshots/1~none~run.json"
    assert folder.report("run") == "s3://acme-sync/a/goal/work/run/report.json"
    assert folder.export_marker("run") == "s3://acme-sync/a/goal/work/run/export.json"
    assert folder.export_attempts("run") == "s3://acme-sync/a/goal/work/run/export"
    assert folder.moved == "s3://acme-sync/a/goal/moved.json"
    assert folder.renamed == "s3://acme-sync/a/goal/renamed.json"
    assert folder.sum_word == "s3://acme-sync/a/goal/sum-strategy"
    assert folder.observed == "s3://acme-sync/a/~observed/goal.json"
    assert store_mark("s3://acme-sync/a/") == "s3://acme-sync/a/~store/conditional-writes.json"


def test_what_stands_in_the_folder_of_a_step_keeps_its_name() -> None:
    assert fields_document("s3://b/m") == "s3://b/m/fields.json"
    assert files_document("s3://b/s") == "s3://b/s/files.json"
    assert rejects_document("s3://b/s") == "s3://b/s/rejects.jsonl"
    assert identities_folder("s3://b/m") == "s3://b/m/identities"
    assert partition_folder("s3://b/m", 3) == "s3://b/m/partition=3"
    assert delta_file("s3://b/d", 3) == "s3://b/d/partition=3.parquet"
    assert plan_document("s3://b/d") == "s3://b/d/plan.json"
    assert receipts_folder("s3://b/d") == "s3://b/d/receipts"
    assert receipts_folder("s3://b/d", 3) == "s3://b/d/receipts/partition=3"
    assert attempt_object("s3://b/d", "partition=3", 2) == "s3://b/d/attempts/partition=3~00000002"
