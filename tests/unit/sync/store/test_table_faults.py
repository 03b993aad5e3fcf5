"""What a table does and says when the store under it fails: on a real S3, with delta-rs as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_braze_blueconic.exceptions import AccessError, SyncError, TransientError, WriterConflict
from airflow_provider_braze_blueconic.sandbox.faults import Fault, FaultKind
from airflow_provider_braze_blueconic.sync.state.runs import RunTable
from airflow_provider_braze_blueconic.sync.store.tables import Table
from tests.support.store import BUCKET, Store, store

__all__ = ["store"]

LOG = f"/{BUCKET}/table/_delta_log/*"


def rows(value: int) -> pa.Table:
    return pa.table({"a": [value], "partition": pa.array([0], pa.int32())})


def table(store: Store) -> Table:
    return Table(f"s3://{BUCKET}/table", store.storage_options)


def values(store: Store) -> list[int]:
    reader = table(store).rows(["a"])
    return [] if reader is None else sorted(reader.read_all().column("a").to_pylist())


def append(store: Store, value: int, transactions: dict[str, int]) -> None:
    table(store).append(rows(value), transactions=transactions)


def replace(store: Store, value: int, transactions: dict[str, int]) -> None:
    table(store).replace_partitions(rows(value).to_reader(), [0], transactions=transactions)


Write = Callable[[Store, int, dict[str, int]], None]


@pytest.mark.parametrize("kind", ["reset_after", "timeout_after"])
@pytest.mark.parametrize("write", [append, replace])
@pytest.mark.parametrize("there", [False, True], ids=["made", "moved"])
@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_a_commit_whose_answer_was_lost_is_known_to_be_made(
    store: Store, write: Write, there: bool, kind: FaultKind
) -> None:
    if there:
        write(store, 1, {"delta:1": 4})
    store.faults.add(Fault("s3", kind, method="PUT", path=LOG, times=1, delay_s=0.1))

    write(store, 2, {"delta:2": 7})

    assert values(store) == ([1, 2] if there and write is append else [2])
    assert table(store).transaction("delta:2") == 7


def report(store: Store, run_key: str) -> None:
    RunTable(f"s3://{BUCKET}/table", store.storage_options).add(
        {"run_key": run_key, "status": "success", "dry_run": False}, read_started_at=None, mapping_hash="m1"
    )


@pytest.mark.parametrize("kind", ["reset_after", "timeout_after"])
@pytest.mark.parametrize("earlier", [[], ["run-1"]], ids=["made", "moved"])
def test_a_report_whose_answer_was_lost_is_one_row(store: Store, earlier: list[str], kind: FaultKind) -> None:
    for run_key in earlier:
        report(store, run_key)
    store.faults.add(Fault("s3", kind, method="PUT", path=LOG, times=1, delay_s=0.1))

    report(store, "run-2")

    runs = RunTable(f"s3://{BUCKET}/table", store.storage_options)
    assert sorted(runs.reads()["run_key"].to_pylist()) == [*earlier, "run-2"]


@pytest.mark.promise(2)
def test_a_commit_that_names_nothing_new_is_not_taken_for_made_when_it_failed(store: Store) -> None:
    replace(store, 1, {"partitions": 2})
    store.faults.add(Fault("s3", "status", status=412, method="PUT", path=LOG, times=1))

    with pytest.raises(WriterConflict):
        replace(store, 2, {"partitions": 2})

    assert values(store) == [1]


@pytest.mark.promise(1)
def test_what_another_writer_committed_is_not_taken_for_ours(store: Store) -> None:
    replace(store, 1, {"delta:1": 1})
    slow = table(store)
    slow.open()
    replace(store, 2, {"delta:2": 1})

    with pytest.raises(WriterConflict):
        slow.replace_partitions(rows(3).to_reader(), [0], transactions={"delta:3": 1})

    assert values(store) == [2]


FAULTS = [
    pytest.param(Fault("s3", "status", status=403, path=LOG), AccessError, "don't have permission", id="refused"),
    pytest.param(Fault("s3", "reset_before", path=LOG, method="PUT"), TransientError, "failed or is un", id="reset"),
]


@pytest.mark.parametrize(("fault", "error", "words"), FAULTS)
@pytest.mark.parametrize("write", [append, replace])
@pytest.mark.promise(1)
def test_a_store_that_fails_is_told_in_our_words_and_changes_nothing(
    store: Store, write: Write, fault: Fault, error: type[SyncError], words: str
) -> None:
    write(store, 1, {"delta:1": 1})
    store.faults.add(fault)

    with pytest.raises(error, match=words) as caught:
        write(store, 2, {"delta:2": 1})

    store.faults.clear()
    assert values(store) == [1]
    assert _told(caught.value) == [f"s3://{BUCKET}/table"]


@pytest.mark.parametrize(
    ("status", "error"), [(403, AccessError), (503, TransientError)], ids=["refused", "out of order"]
)
def test_a_table_that_can_t_be_read_now_is_not_called_broken(store: Store, status: int, error: type[SyncError]) -> None:
    append(store, 1, {})
    store.faults.add(Fault("s3", "status", status=status, path=f"/{BUCKET}/table/*"))

    with pytest.raises(error, match="can't be read"):
        table(store).open()


def _told(error: BaseException) -> list[Any]:
    """The addresses in a message; no key, no address of the store."""
    assert "very-secret" not in str(error)
    assert "127.0.0.1" not in str(error)
    return [word for word in str(error).split() if "://" in word]
