"""Compaction and vacuum of a goal's tables change their files, and nothing that anybody can read or rely on."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from airflow_provider_braze_blueconic.exceptions import WriterConflict
from airflow_provider_braze_blueconic.sync.state.ledger import Ledger
from airflow_provider_braze_blueconic.sync.state.receipt_table import ReceiptTable
from airflow_provider_braze_blueconic.sync.state.runs import RunTable
from airflow_provider_braze_blueconic.sync.store.tables import Table
from tests.support.clock import in_clock_time
from tests.support.nights import Night, profile, table
from tests.support.targets import Braze

TABLES = (("ledger", Ledger), ("receipts", ReceiptTable), ("runs", RunTable))


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads run in a time of their own."""
    monkeypatch.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))


def night(home: Path, number: int, braze: Braze, *, tier: str | None = None, run: str = "night") -> Night:
    """A night after which everybody's tier is another one."""
    people = [profile(f"x-{who}", first_name="Ann", tier=tier or str(number)) for who in range(4)]
    return Night(home, f"{run}-{number}", people, dt.datetime(2026, 11, number, tzinfo=dt.UTC), braze)


def rows(home: Path) -> dict[str, list[str]]:
    """All that the tables say, in an order of its own."""
    return {
        name: sorted(json.dumps(row, default=str, sort_keys=True) for row in table(home, name)) for name, _ in TABLES
    }


def files(home: Path, name: str) -> set[str]:
    return {
        path.name for path in (home / "staging" / "goal" / name).rglob("*.parquet") if "_delta_log" not in path.parts
    }


def add(where: Path, *values: int) -> None:
    for value in values:
        Table(str(where), {}).append(pa.table({"a": [value]}), transactions={f"delta:{value}": value})


@pytest.fixture(scope="module")
def tidied(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two nights; then the tables are put together, and nothing but the newest version's files is left."""
    tmp_path = tmp_path_factory.mktemp("tidied")
    braze = Braze()
    nights = [night(tmp_path, number, braze) for number in (1, 2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))
        for each in nights:
            each.run()
    before = rows(tmp_path)
    for name, kind in TABLES:
        kept = kind(str(tmp_path / "staging" / "goal" / name), {})
        kept.compact(at_least=2)
        kept.vacuum(0)
        # As after a hundred commits: what is no row must outlive the log's own clean-up too.
        log = tmp_path / "staging" / "goal" / name / "_delta_log"
        DeltaTable(str(log.parent)).create_checkpoint()
        for entry in sorted(log.glob("*.json"))[:-1]:
            entry.unlink()
    return tmp_path, nights, before


@pytest.fixture
def home(tidied: Any, tmp_path: Path) -> Path:
    """The same once more, to go on with."""
    shutil.copytree(tidied[0] / "staging", tmp_path / "staging")
    return tmp_path


def test_no_row_changes_and_the_files_become_few(tidied: Any) -> None:
    home, _, before = tidied

    assert rows(home) == before
    assert len(before["receipts"]) == 8
    assert (len(files(home, "receipts")), len(files(home, "runs"))) == (1, 1)


@pytest.mark.promise(2)
def test_committing_an_old_upload_again_still_changes_nothing_afterwards(tidied: Any) -> None:
    home, nights, before = tidied

    for each in nights:
        each.again("commit")
        each.run(last="commit")

    assert rows(home) == before


@pytest.mark.promise(2)
def test_the_next_night_compares_with_the_same_ledger_afterwards(home: Path) -> None:
    same = night(home, 3, Braze(), tier="2")
    same.run()

    assert (same.report["unchanged"], same.report["to_send"]) == (4, 0)


@pytest.mark.promise(4)
def test_an_older_read_is_still_known_to_be_old_afterwards(home: Path) -> None:
    old = night(home, 1, Braze(), run="backfill")
    old.run()

    assert (old.report["stale"], old.report["to_send"]) == (4, 0)


def test_a_table_with_few_small_files_is_left_alone(tmp_path: Path) -> None:
    add(tmp_path, 1, 2, 3)

    assert Table(str(tmp_path), {}).compact() == 0
    assert DeltaTable(str(tmp_path)).version() == 2
    assert Table(str(tmp_path), {}).compact(at_least=3) == 3


def test_files_that_a_version_within_the_history_needs_stay(tmp_path: Path) -> None:
    add(tmp_path, 1, 2, 3)
    Table(str(tmp_path), {}).compact(at_least=2)

    removed = Table(str(tmp_path), {}).vacuum(7)

    assert removed == 0
    assert sorted(DeltaTable(str(tmp_path), version=1).to_pyarrow_table().column("a").to_pylist()) == [1, 2]


def test_files_that_a_killed_writer_left_go_when_they_are_old(tmp_path: Path) -> None:
    add(tmp_path, 1)
    whole = next(tmp_path.glob("*.parquet"))
    shutil.copy(whole, tmp_path / "part-00000-left.parquet")

    assert Table(str(tmp_path), {}).vacuum(7) == 0
    assert Table(str(tmp_path), {}).vacuum(0) == 1
    assert sorted(tmp_path.glob("*.parquet")) == [whole]


def test_a_table_where_nothing_is_to_be_removed_gets_no_new_version(tmp_path: Path) -> None:
    add(tmp_path, 1)

    Table(str(tmp_path), {}).vacuum(7)

    assert DeltaTable(str(tmp_path)).version() == 0


def test_tables_that_were_never_written_are_tidy(tmp_path: Path) -> None:
    nothing = Table(str(tmp_path / "none"), {})

    assert (nothing.compact(at_least=0), nothing.vacuum(7)) == (0, 0)


def test_a_compaction_that_another_writer_overtakes_changes_nothing(tmp_path: Path) -> None:
    def replace(value: int) -> None:
        table_ = Table(str(tmp_path), {})
        table_.replace_partitions(rows_of(value), [0], transactions={})

    def rows_of(value: int) -> pa.RecordBatchReader:
        return pa.table({"a": [value], "partition": pa.array([0], pa.int32())}).to_reader()

    replace(1)
    Table(str(tmp_path), {}).append(rows_of(2).read_all(), transactions={})
    slow = Table(str(tmp_path), {})
    slow.open()
    replace(3)

    with pytest.raises(WriterConflict, match="this one changed nothing"):
        slow.compact(at_least=2)

    assert DeltaTable(str(tmp_path)).to_pyarrow_table().column("a").to_pylist() == [3]
