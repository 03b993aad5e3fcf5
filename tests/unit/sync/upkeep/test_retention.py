"""The clean-up removes what is old, and nothing that somebody still needs."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from airflow_provider_braze_blueconic.sync.state.ledger import Ledger
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from airflow_provider_braze_blueconic.sync.upkeep.kept_snapshots import keep_snapshot, kept_entries
from airflow_provider_braze_blueconic.sync.upkeep.retention import CleanedUp, RetentionDays, clean_up
from tests.support.ageing import age
from tests.support.core import engine
from tests.support.staging import LocalStaging

NOW = dt.datetime(2026, 11, 26, 3, tzinfo=dt.UTC)
DAYS = RetentionDays(work=7, snapshots=30, history=7)


class Goal:
    """A goal's folder with files of any age."""

    def __init__(self, home: Path, staging: LocalStaging | None = None) -> None:
        self.staging = staging or LocalStaging()
        self.folder = GoalFolder(str(home / "staging"), "people")
        self.workspace = Workspace(self.staging, self.folder, "now", engine(home))

    def put(self, name: str, *, age: float, content: bytes = b"rows") -> str:
        """Put a file below the goal's folder that was written so many days ago."""
        uri = f"{self.folder.root}/{name}"
        self.staging.write_bytes(uri, content)
        self.touch(uri, age)
        return uri

    def touch(self, uri: str, age: float) -> None:
        moment = (NOW - dt.timedelta(days=age)).timestamp()
        os.utime(uri, (moment, moment))

    def keep(self, run: str, *, age: float, name: str = "snapshot-1") -> None:
        """Keep a snapshot that a run read so many days ago."""
        as_of = NOW - dt.timedelta(days=age)
        snapshot: Any = {"uri": f"{self.folder.work}{run}/{name}", "as_of": as_of.isoformat()}
        self.put(f"work/{run}/{name}/part-0.parquet", age=age)
        keep_snapshot(
            self.staging, self.folder, snapshot, run_key=run, logical_date=as_of, connection="c", holds=("x",)
        )

    def clean_up(self, days: RetentionDays = DAYS, *, now: dt.datetime = NOW, always: bool = False) -> CleanedUp:
        return clean_up(self.workspace, days, now=now, always=always)

    def left(self, below: str = "work/") -> list[str]:
        """Names of the files that are there."""
        prefix = f"{self.folder.root}/{below}"
        return [file.uri.removeprefix(prefix) for file in self.staging.list_objects(prefix)]


@pytest.fixture
def goal(tmp_path: Path) -> Goal:
    return Goal(tmp_path)


def test_files_of_a_run_go_together_when_nothing_of_it_is_young(goal: Goal) -> None:
    goal.put("work/old/mapped-1/part.parquet", age=8)
    goal.put("work/old/delta-1/receipts/part.parquet", age=7.5)
    goal.put("work/old/report.json", age=7.5)
    goal.put("work/cleared/mapped-1/part.parquet", age=20)
    goal.put("work/cleared/delta-2/part.parquet", age=1)
    goal.put("work/young/mapped-1/part.parquet", age=6)

    cleaned = goal.clean_up()

    assert goal.left() == [
        "cleared/delta-2/part.parquet",
        "cleared/mapped-1/part.parquet",
        "young/mapped-1/part.parquet",
    ]
    assert (cleaned["due"], cleaned["files"], cleaned["bytes"]) == (True, 3, 12)


def test_the_run_at_work_keeps_its_files_whatever_their_age(goal: Goal) -> None:
    goal.put("work/now/mapped-1/part.parquet", age=400)

    goal.clean_up()

    assert goal.left() == ["now/mapped-1/part.parquet"]


def test_a_kept_snapshot_outlives_the_other_files_of_its_run_and_goes_in_its_time(goal: Goal) -> None:
    goal.keep("kept", age=29)
    goal.put("work/kept/mapped-1/part.parquet", age=29)
    goal.keep("expired", age=31)
    goal.put("work/expired/snapshot-1/rejects.jsonl", age=31)

    cleaned = goal.clean_up()

    assert goal.left() == ["kept/snapshot-1/part-0.parquet"]
    assert [entry.as_of for entry in kept_entries(goal.staging, goal.folder)] == [NOW - dt.timedelta(days=29)]
    assert (cleaned["snapshots"], cleaned["files"]) == (1, 3)


def test_an_expired_snapshot_goes_also_where_its_run_is_still_young(goal: Goal) -> None:
    goal.keep("run", age=3)
    goal.put("work/run/mapped-1/part.parquet", age=3)

    goal.clean_up(RetentionDays(work=7, snapshots=2, history=7))

    assert goal.left() == ["run/mapped-1/part.parquet"]


def test_of_a_run_that_read_twice_each_snapshot_goes_in_its_own_time(goal: Goal) -> None:
    goal.keep("run", age=31)
    goal.keep("run", age=10, name="snapshot-2")

    goal.clean_up()

    assert goal.left() == ["run/snapshot-2/part-0.parquet"]


def test_snapshots_that_nobody_kept_are_work_files(goal: Goal) -> None:
    goal.put("work/killed/snapshot-1/part-0.parquet", age=8)

    goal.clean_up()

    assert goal.left() == []


@pytest.mark.promise(1)
def test_the_delta_of_an_upload_that_was_not_committed_stays(goal: Goal) -> None:
    goal.put("work/killed/mapped-1/part.parquet", age=90)
    goal.put("work/killed/delta-1/partition=0.parquet", age=90)
    goal.put("work/killed/delta-1/receipts/partition=0/a.parquet", age=90)
    goal.put("work/killed/delta-10/partition=0.parquet", age=90)
    delta = {"uri": f"{goal.folder.work}killed/delta-1"}
    goal.put("open/killed~1.json", age=90, content=json.dumps(delta).encode())

    goal.clean_up()

    assert goal.left() == ["killed/delta-1/partition=0.parquet", "killed/delta-1/receipts/partition=0/a.parquet"]
    assert goal.left("open/") == ["killed~1.json"]


@pytest.mark.promise(7)
def test_the_newest_read_that_other_goals_look_at_stays(goal: Goal) -> None:
    goal.keep("seen", age=90)
    goal.put("work/seen/mapped-1/part.parquet", age=90)
    goal.put("work/seen/delta-1/partition=0.parquet", age=90)
    observed = {"uri": f"{goal.folder.work}seen/snapshot-1", "mapped": f"{goal.folder.work}seen/mapped-1"}
    goal.staging.write_bytes(goal.folder.observed, json.dumps(observed).encode())

    goal.clean_up()

    assert goal.left() == ["seen/mapped-1/part.parquet", "seen/snapshot-1/part-0.parquet"]


def test_state_is_never_cleaned_up(goal: Goal) -> None:
    for name in ("files/abc.json", "sum-strategy", "ledger/notes.txt"):
        goal.put(name, age=400)

    goal.clean_up()

    assert {"files/abc.json", "sum-strategy", "ledger/notes.txt"} <= set(goal.left(""))


def test_a_run_that_stopped_waiting_for_the_goal_long_ago_is_forgotten(goal: Goal) -> None:
    goal.put("lock/waiting/marked-as-failed~1", age=30)
    goal.put("lock/waiting/waits~1", age=1)

    goal.clean_up()

    assert goal.left("lock/waiting/") == ["waits~1"]


def test_only_the_highest_generation_of_the_lock_stays_for_ever(goal: Goal) -> None:
    goal.put("lock/00000001.json", age=30)
    goal.put("lock/00000002.json", age=1)
    goal.put("lock/00000003.json", age=30)
    goal.put("lock/clock", age=30)

    goal.clean_up()

    assert goal.left("lock/") == ["00000002.json", "00000003.json", "clock"]


def test_a_clean_up_is_due_once_a_day_and_when_the_retention_changes(goal: Goal) -> None:
    def again(hours: float, days: RetentionDays = DAYS, *, always: bool = False) -> bool:
        return goal.clean_up(days, now=NOW + dt.timedelta(hours=hours), always=always)["due"]

    assert again(0)
    assert not again(19)
    assert again(19, always=True)
    assert not again(38)
    assert again(39)
    assert again(40, RetentionDays(work=3, snapshots=30, history=7))


@pytest.mark.parametrize("content", [b"", b"[]", b'{"at": 1}'], ids=["empty", "a list", "no retention"])
def test_a_spoilt_mark_costs_a_clean_up_and_nothing_else(goal: Goal, content: bytes) -> None:
    goal.staging.write_bytes(goal.folder.cleaned, content)

    assert goal.clean_up()["due"]
    assert not goal.clean_up()["due"]


class _Dying(LocalStaging):
    """Counts what it is told to delete, and fails at a number of calls."""

    def __init__(self, until: int) -> None:
        self.pages: list[int] = []
        self._until = until

    def delete(self, uris: Iterable[str]) -> None:
        listed = list(uris)
        if len(self.pages) == self._until:
            raise OSError("the bucket is gone")
        self.pages.append(len(listed))
        super().delete(listed)


def test_objects_are_removed_in_pages_and_a_failure_leaves_the_rest_for_the_next_time(tmp_path: Path) -> None:
    staging = _Dying(until=1)
    goal = Goal(tmp_path, staging)
    for number in range(1_500):
        goal.put(f"work/old/mapped-1/{number:04d}.parquet", age=8)

    with pytest.raises(OSError, match="the bucket is gone"):
        goal.clean_up()
    left = len(goal.left())
    staging._until = 99
    goal.clean_up()

    assert left == 500
    assert staging.pages == [1_000, 500]
    assert goal.left() == []


def test_a_kill_between_an_entry_and_its_files_leaves_no_entry_that_leads_nowhere(tmp_path: Path) -> None:
    staging = _Dying(until=1)
    goal = Goal(tmp_path, staging)
    goal.keep("expired", age=31)

    with pytest.raises(OSError, match="the bucket is gone"):
        goal.clean_up()
    entries, files = kept_entries(staging, goal.folder), goal.left()
    staging._until = 99
    goal.clean_up()

    assert (entries, files) == ([], ["expired/snapshot-1/part-0.parquet"])
    assert goal.left() == []


def commit_night(goal: Goal, number: int) -> int:
    """Replace the ledger's only row.

    :return: the version that holds it.
    """
    rows = pa.table({"identifier": [str(number)], "partition": pa.array([0], pa.int32())})
    Ledger(goal.folder.ledger, {}).replace_partitions(rows.to_reader(), [0], transactions={"night": number})
    return DeltaTable(goal.folder.ledger).version()


def readable(goal: Goal, version: int) -> list[str]:
    try:
        column: list[str] = DeltaTable(goal.folder.ledger, version=version).to_pyarrow_table()["identifier"].to_pylist()
    except Exception:  # noqa: BLE001 - a log that is gone and a file that is gone have errors of their own
        return []
    return column


def test_versions_can_be_read_for_history_days_and_older_ones_are_gone(goal: Goal) -> None:
    days = RetentionDays(work=7, snapshots=30, history=10)
    versions = [commit_night(goal, 0)]
    # As on a table with hundreds of commits: delta-rs makes a checkpoint by itself, which forgets by its properties.
    DeltaTable(goal.folder.ledger).alter.set_table_properties({"delta.checkpointInterval": "2"})
    removed = []

    for number in range(1, 15):
        age(Path(goal.folder.ledger), 1)
        versions.append(commit_night(goal, number))
        removed.append(goal.clean_up(days, always=True)["table_files"])

    # Night 4 is as old as what is kept, to the second.
    assert [readable(goal, version) for version in versions[5:]] == [[str(number)] for number in range(5, 15)]
    assert [readable(goal, version) for version in versions[:4]] == [[]] * 4
    # Each file once, and not every file of before again every night.
    assert removed == [0] * 10 + [1] * 4
    assert len(list(Path(goal.folder.ledger).rglob("part-*.parquet"))) == 11


def test_a_second_clean_up_in_one_night_makes_no_commit(goal: Goal) -> None:
    for number in range(9):
        commit_night(goal, number)
        age(Path(goal.folder.ledger), 1)
    first = goal.clean_up(always=True)
    version = DeltaTable(goal.folder.ledger).version()

    second = goal.clean_up(always=True)

    assert (first["table_files"], second["table_files"]) == (2, 0)
    assert DeltaTable(goal.folder.ledger).version() == version


def test_a_table_of_before_keeps_what_the_goal_says_and_no_row_is_written_anew(goal: Goal) -> None:
    commit_night(goal, 1)
    files = DeltaTable(goal.folder.ledger).file_uris()

    def kept(history: int) -> dict[str, str]:
        goal.clean_up(RetentionDays(work=7, snapshots=30, history=history))
        return dict(DeltaTable(goal.folder.ledger).metadata().configuration)

    names = ("delta.deletedFileRetentionDuration", "delta.logRetentionDuration")
    assert kept(7) == dict.fromkeys(names, "interval 7 days")
    assert kept(25) == dict.fromkeys(names, "interval 25 days")
    assert DeltaTable(goal.folder.ledger).version() == 2
    assert DeltaTable(goal.folder.ledger).file_uris() == files
    assert Ledger(goal.folder.ledger, {}).transaction("night") == 1
