"""Files that a task wrote, taken into a table as they are."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_braze_blueconic.exceptions import BrokenTable, WriterConflict
from airflow_provider_braze_blueconic.sandbox.faults import Fault, FaultKind
from airflow_provider_braze_blueconic.sync.store.file_statistics import file_statistics
from airflow_provider_braze_blueconic.sync.store.table_files import FiledTable
from tests.support.staging import LocalStaging
from tests.support.store import BUCKET, Store, store

__all__ = ["store"]

LOG = f"/{BUCKET}/table/_delta_log/*"
SCHEMA = pa.schema([("a", pa.string()), ("partition", pa.int32())])


class Client(LocalStaging):
    """The sandbox's S3 as a table needs it."""

    def __init__(self, store: Store) -> None:
        self._client = store.client()

    def upload_file(self, local: Path, uri: str) -> int:
        self._client.upload_file(str(local), BUCKET, uri.removeprefix(f"s3://{BUCKET}/"))
        return local.stat().st_size

    def download_file(self, uri: str, local: Path) -> int:
        self._client.download_file(BUCKET, uri.removeprefix(f"s3://{BUCKET}/"), str(local))
        return local.stat().st_size


def written(folder: Path, *values: str, name: str = "rows", **more: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.parquet"
    pq.write_table(pa.table({"a": list(values), **more}), path)
    return path


def local_table(folder: Path) -> FiledTable:
    return FiledTable(str(folder / "table"), {})


def replace(table: FiledTable, file: Path, transactions: dict[str, int]) -> None:
    table.replace_with_files([table.put_file(file, partition=0)], SCHEMA, [0], transactions=transactions)


def append(table: FiledTable, file: Path, transactions: dict[str, int]) -> None:
    table.append_local([file], transactions=transactions)


def values(table: FiledTable) -> list[str]:
    reader = table.rows(["a"])
    return [] if reader is None else sorted(reader.read_all().column("a").to_pylist())


Write = Callable[[FiledTable, Path, dict[str, int]], None]


@pytest.mark.parametrize("kind", ["reset_after", "timeout_after"])
@pytest.mark.parametrize("write", [append, replace])
@pytest.mark.parametrize("there", [False, True], ids=["made", "moved"])
@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_a_commit_whose_answer_was_lost_is_known_to_be_made(
    store: Store, write: Write, there: bool, kind: FaultKind, tmp_path: Path
) -> None:
    def table() -> FiledTable:
        return FiledTable(f"s3://{BUCKET}/table", store.storage_options, staging=Client(store))

    if there:
        write(table(), written(tmp_path, "1"), {"delta:1": 4})
    store.faults.add(Fault("s3", kind, method="PUT", path=LOG, times=1, delay_s=0.1))

    write(table(), written(tmp_path, "2"), {"delta:2": 7})

    assert values(table()) == (["1", "2"] if there and write is append else ["2"])
    assert table().transaction("delta:2") == 7


@pytest.mark.parametrize("folder", ["table", "my staging/täble"])
def test_files_come_back_from_the_store_as_they_were_put(store: Store, folder: str, tmp_path: Path) -> None:
    def table() -> FiledTable:
        return FiledTable(f"s3://{BUCKET}/{folder}", store.storage_options, staging=Client(store))

    first = table()
    files = [first.put_file(written(tmp_path, str(number)), partition=number) for number in (0, 1)]
    first.replace_with_files(files, SCHEMA, [0, 1], transactions={})

    (file,) = table().fetch_files(1, tmp_path)

    assert pq.ParquetFile(file).read().to_pydict() == {"a": ["1"]}
    assert values(table()) == ["0", "1"]


@pytest.mark.parametrize("there", [False, True], ids=["made", "moved"])
@pytest.mark.promise(1)
def test_of_two_writers_the_slower_one_changes_nothing(there: bool, tmp_path: Path) -> None:
    if there:
        replace(local_table(tmp_path), written(tmp_path, "0"), {})
    fast, slow = local_table(tmp_path), local_table(tmp_path)
    assert (fast.exists, slow.exists) == (there, there)
    replace(fast, written(tmp_path, "1"), {})

    with pytest.raises(WriterConflict, match="this one changed nothing"):
        replace(slow, written(tmp_path, "2"), {})

    assert values(local_table(tmp_path)) == ["1"]


@pytest.mark.promise(1)
def test_a_kill_before_the_commit_leaves_the_table_and_a_file_that_a_vacuum_takes(tmp_path: Path) -> None:
    replace(local_table(tmp_path), written(tmp_path, "1"), {})
    local_table(tmp_path).put_file(written(tmp_path, "2"), partition=0)

    assert values(local_table(tmp_path)) == ["1"]
    assert len(list((tmp_path / "table").rglob("part-*.parquet"))) == 2
    assert local_table(tmp_path).vacuum(0) == 1
    assert values(local_table(tmp_path)) == ["1"]


def test_the_rows_of_the_other_partitions_stay(tmp_path: Path) -> None:
    table = local_table(tmp_path)
    files = [table.put_file(written(tmp_path, str(number)), partition=number) for number in (0, 1)]
    table.replace_with_files(files, SCHEMA, [0, 1], transactions={})

    replace(local_table(tmp_path), written(tmp_path, "9"), {})

    assert values(local_table(tmp_path)) == ["1", "9"]


def test_a_column_that_the_table_lacks_is_added_to_it(tmp_path: Path) -> None:
    replace(local_table(tmp_path), written(tmp_path, "1"), {})
    schema = pa.schema([*SCHEMA, ("b", pa.string())])

    table = local_table(tmp_path)
    files = [table.put_file(written(tmp_path, "2", b=["x"]), partition=1)]
    table.replace_with_files(files, schema, [1], transactions={})

    reader = local_table(tmp_path).rows(["a", "b"])
    assert reader is not None
    assert sorted(reader.read_all().to_pylist(), key=str) == [{"a": "1", "b": None}, {"a": "2", "b": "x"}]


def test_rows_with_a_column_that_the_table_lacks_are_appended_with_it(tmp_path: Path) -> None:
    append(local_table(tmp_path), written(tmp_path, "1"), {"n": 1})

    append(local_table(tmp_path), written(tmp_path, "2", b=["x"]), {"n": 2})

    reader = local_table(tmp_path).rows(["a", "b"])
    assert reader is not None
    assert sorted(reader.read_all().to_pylist(), key=str) == [{"a": "1", "b": None}, {"a": "2", "b": "x"}]
    assert local_table(tmp_path).transaction("n") == 2


def test_a_column_without_a_null_may_have_one_later(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    never_null = pa.schema([pa.field("a", pa.string(), nullable=False)])
    pq.write_table(pa.table({"a": ["1"]}, schema=never_null), file)

    append(local_table(tmp_path), file, {})

    table = local_table(tmp_path).open()
    assert table is not None
    assert [field.nullable for field in table.schema().fields] == [True]


@pytest.mark.parametrize(
    ("break_it", "wrong"),
    [
        pytest.param(Path.unlink, "is missing", id="missing"),
        pytest.param(lambda path: path.write_bytes(b"no"), "is damaged", id="damaged"),
    ],
)
@pytest.mark.parametrize("staged", [True, False])
def test_a_file_that_is_not_there_or_not_whole_breaks_the_table(
    break_it: Callable[[Path], object], wrong: str, staged: bool, tmp_path: Path
) -> None:
    replace(local_table(tmp_path), written(tmp_path, "1"), {})
    (path,) = (tmp_path / "table" / "partition=0").glob("*.parquet")
    break_it(path)

    table = FiledTable(str(tmp_path / "table"), {}, staging=LocalStaging() if staged else None)
    with pytest.raises(BrokenTable, match=rf"can't be read: its file partition=0/part-.* {wrong}\. Restore"):
        table.fetch_files(0, tmp_path)


def test_a_file_that_ends_in_the_middle_is_found_when_it_is_looked_through(tmp_path: Path) -> None:
    file = written(tmp_path, *(f"value {number}" for number in range(1_000)))
    whole = file.read_bytes()
    file.write_bytes(whole[:4] + bytes(200) + whole[204:])

    with pytest.raises(BrokenTable, match="one of its files is damaged"):
        local_table(tmp_path).check_files([file])


def test_a_file_in_a_store_is_not_put_on_the_disk(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nobody named"):
        FiledTable("s3://bucket/table", {}).put_file(written(tmp_path, "1"))


def test_the_log_says_what_is_least_and_greatest_and_how_often_there_is_nothing(tmp_path: Path) -> None:
    moment = dt.datetime(2026, 11, 3, 4, 5, 6, 789, tzinfo=dt.UTC)
    file = written(
        tmp_path,
        *["b", "ä", "a"],
        n=[3, None, 1],
        long=["x" * 65, "a", "b"],
        at=pa.array([moment, None, None], pa.timestamp("us", tz="UTC")),
        nothing=pa.array([None] * 3, pa.string()),
        truth=[True, False, None],
        some=[["x"], None, []],
    )

    assert json.loads(file_statistics(file)) == {
        "numRecords": 3,
        "minValues": {"a": "a", "n": 1, "at": "2026-11-03T04:05:06.000789Z"},
        "maxValues": {"a": "ä", "n": 3, "at": "2026-11-03T04:05:06.000789Z"},
        "nullCount": {"a": 0, "n": 1, "long": 0, "at": 2, "nothing": 3, "truth": 1},
    }


def test_a_reader_passes_over_files_that_hold_nothing_of_what_it_asks_for(tmp_path: Path) -> None:
    for name in ("a", "z"):
        append(local_table(tmp_path), written(tmp_path, name, name=name), {name: 1})
    table = local_table(tmp_path).open()
    assert table is not None

    rows = table.to_pyarrow_dataset(file_pruning_predicate=[("a", "=", "z")]).to_table()

    assert rows.column("a").to_pylist() == ["z"]
