"""The pipeline as a whole: killed at any durable write and run again, it ends where an undisturbed one ends."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_braze_blueconic.sync.pipeline import (
    Workspace,
    map_staged_snapshot,
    read_fields,
    read_snapshot_fields,
)
from airflow_provider_braze_blueconic.sync.references import SnapshotRef
from airflow_provider_braze_blueconic.sync.staging import GoalFolder
from airflow_provider_braze_blueconic.sync.tables import Table
from tests.support.clock import in_clock_time
from tests.support.core import day, engine, mapping, person, write_snapshot_file
from tests.support.nights import Killed, Life, Night, profile, table
from tests.support.staging import LocalStaging
from tests.support.targets import Braze

BAD = "x1"

FIRST = [profile(f"c{number}", first_name=f"Name {number}", tier="silver") for number in range(10)]
SECOND = [
    *(profile(f"c{number}", first_name=f"Name {number}", tier="gold") for number in range(6)),
    profile("c6", first_name="Name 6", tier="silver"),
    profile("new1", first_name="Nina", tier="silver"),
    profile("new2", first_name="Noor", tier="silver"),
    profile(BAD, first_name="Bart", tier="silver"),
]  # six changes, one unchanged, two inserts, one refused, three leavers


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads run in a time of their own."""
    monkeypatch.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))


@pytest.fixture
def deadly_tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Life], None]]:
    """Commits of the tables are durable writes too, and count in the life that was set last."""
    write = Table._write
    lives: list[Life] = []

    def counted(table: Table, *args: Any, **how: Any) -> None:
        if not lives:
            return write(table, *args, **how)
        return lives[-1].write(f"commit {table.uri}", lambda: write(table, *args, **how))

    monkeypatch.setattr(Table, "_write", counted)
    yield lives.append
    lives.clear()


def braze_after_first_night() -> Braze:
    braze = Braze(bad=[BAD])
    braze.users = {f"c{number}": {"first_name": f"Name {number}", "tier": "silver"} for number in range(10)}
    return braze


@pytest.fixture(scope="module")
def first_night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))
        Night(home, "night-1", FIRST, day(1), Braze()).run()
    return home


@pytest.fixture
def home(first_night: Path, tmp_path: Path) -> Path:
    """What the first night left in the staging area."""
    shutil.copytree(first_night / "staging", tmp_path / "staging")
    return tmp_path


def ledger(home: Path, *, without: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    rows = [{name: value for name, value in row.items() if name not in without} for row in table(home, "ledger")]
    return sorted(rows, key=lambda row: str(row["identifier"]))


def durably_accepted(home: Path) -> set[str]:
    """Who has an accepted receipt in a part that a killed upload left."""
    rows = [
        row
        for path in (home / "staging").glob("goal/work/night-2-*/delta-*/receipts/*/*.parquet")
        for row in pq.ParquetFile(path).read().to_pylist()
    ]
    return {json.loads(row["identifier"])["external_id"] for row in rows if row["outcome"] == "accepted"}


EXPECTED_USERS = {
    **{f"c{number}": {"first_name": f"Name {number}", "tier": "gold"} for number in range(6)},
    "c6": {"first_name": "Name 6", "tier": "silver"},
    **{f"c{number}": {"first_name": f"Name {number}", "tier": "gone"} for number in (7, 8, 9)},
    "new1": {"first_name": "Nina", "tier": "silver"},
    "new2": {"first_name": "Noor", "tier": "silver"},
}
CHANGED = {*(f"c{number}" for number in range(6)), "c7", "c8", "c9", "new1", "new2"}


def test_an_undisturbed_night_sends_each_change_once(home: Path) -> None:
    braze = braze_after_first_night()
    night = Night(home, "night-2", SECOND, day(2), braze)

    night.run()

    assert braze.users == EXPECTED_USERS
    assert braze.writes == dict.fromkeys(CHANGED, 1)
    assert [row["identifier"] for row in ledger(home) if row["in_segment"] is False] == [
        person("c7"), person("c8"), person("c9")
    ]  # fmt: skip
    refused = next(row for row in ledger(home) if row["identifier"] == person(BAD))
    assert (refused["attempts"], refused["as_of"]) == (1, None)
    assert (night.report["accepted"], night.report["rejected"], night.report["status"]) == (
        11,
        {"is bad": 1},
        "success",
    )
    assert list((home / "staging/goal/open").iterdir()) == []


@pytest.fixture(scope="module")
def undisturbed(first_night: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], int]:
    """The ledger after an undisturbed second night, and how many durable writes it took."""
    home = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(first_night / "staging", home / "staging")
    life = Life()
    write = Table._write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))
        patch.setattr(
            Table, "_write", lambda table, *args, **how: life.write(table.uri, lambda: write(table, *args, **how))
        )
        Night(home, "night-2", SECOND, day(2), braze_after_first_night()).run(life)
    return ledger(home), len(life.writes)


WRITES = 21
"""Durable writes of the second night; a test below says so."""

PLANNED = 7
"""The last of them before anything is sent; what a run leaves before that, no later one looks at."""


def test_every_durable_write_is_tried_as_the_last_one(undisturbed: tuple[list[dict[str, Any]], int]) -> None:
    assert undisturbed[1] == WRITES


def killed_at(night: Night, until: int, *, after: bool, deadly_tables: Callable[[Life], None]) -> None:
    life = Life(until, after=after)
    deadly_tables(life)
    with pytest.raises(Killed):
        night.run(life)
    deadly_tables(Life())


@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.parametrize("until", range(1, WRITES + 1))
def test_a_run_killed_before_a_durable_write_and_tried_again_ends_as_if_it_had_not_been(
    home: Path,
    undisturbed: tuple[list[dict[str, Any]], int],
    deadly_tables: Callable[[Life], None],
    until: int,
) -> None:
    braze = braze_after_first_night()
    night = Night(home, "night-2", SECOND, day(2), braze)

    killed_at(night, until, after=False, deadly_tables=deadly_tables)
    acknowledged = durably_accepted(home)
    night.run()

    assert ledger(home) == undisturbed[0]
    assert braze.users == EXPECTED_USERS
    assert set(braze.writes) == CHANGED
    assert all(braze.writes[who] == 1 for who in acknowledged)
    accepted = [row["identifier"] for row in table(home, "receipts") if row["outcome"] == "accepted"]
    assert sorted(accepted) == sorted([*map(person, CHANGED), *(person(f"c{number}") for number in range(10))])


@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.parametrize("until", range(PLANNED, WRITES + 1))
def test_a_run_killed_after_a_durable_write_is_made_good_by_the_next_night(
    home: Path, undisturbed: tuple[list[dict[str, Any]], int], deadly_tables: Callable[[Life], None], until: int
) -> None:
    braze = braze_after_first_night()
    killed_at(Night(home, "night-2", SECOND, day(2), braze), until, after=True, deadly_tables=deadly_tables)
    acknowledged = durably_accepted(home)

    Night(home, "night-3", SECOND, day(3), braze).run()

    differs = ("run_key", "as_of", "tried_at", "attempts")  # which night it was, and how often the bad one was tried
    assert ledger(home, without=differs) == [
        {name: value for name, value in row.items() if name not in differs} for row in undisturbed[0]
    ]
    assert braze.users == EXPECTED_USERS
    assert all(braze.writes[who] == 1 for who in acknowledged)
    assert list((home / "staging/goal/open").iterdir()) == []


def _die_in_a_process_of_its_own(home: Path, until: int, sent: Path) -> None:
    class Told(Braze):
        async def send(self, body: bytes) -> Any:
            reply = await super().send(body)
            sent.write_text(json.dumps(self.users | {"writes": dict(self.writes)}))
            return reply

    told = Told(bad=[BAD])
    told.users = braze_after_first_night().users
    asyncio.run = lambda main: in_clock_time(lambda _: main)  # type: ignore[assignment]
    Night(home, "night-2", SECOND, day(2), told).run(Life(until, after=True, end=lambda: os._exit(9)))


@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.parametrize("until", [9, 16], ids=["first-receipts-written", "receipts-committed-and-ledger-not"])
def test_an_upload_whose_process_dies_is_recovered_by_the_next_night(home: Path, tmp_path: Path, until: int) -> None:
    sent = tmp_path / "sent.json"
    process = multiprocessing.get_context("spawn").Process(
        target=_die_in_a_process_of_its_own, args=(home, until, sent)
    )
    process.start()
    process.join(60)
    assert process.exitcode == 9
    acknowledged = durably_accepted(home)
    assert acknowledged
    braze = Braze(bad=[BAD])
    braze.users = json.loads(sent.read_text())
    braze.writes.update(braze.users.pop("writes"))

    Night(home, "night-3", SECOND, day(3), braze).run()

    assert braze.users == EXPECTED_USERS
    assert all(braze.writes[who] == 1 for who in acknowledged)
    assert len(table(home, "ledger")) == 13


# Running again


@pytest.mark.promise(4)
def test_a_second_night_without_changes_sends_only_who_keeps_failing(home: Path) -> None:
    braze = braze_after_first_night()
    Night(home, "night-2", SECOND, day(2), braze).run()
    before = braze.writes.copy()

    again = Night(home, "night-3", SECOND, day(3), braze)
    again.run()

    assert braze.writes == before
    assert again.delta["to_send"] == 1
    assert next(row["attempts"] for row in ledger(home) if row["identifier"] == person(BAD)) == 2


@pytest.mark.promise(4)
def test_the_same_run_again_sends_nothing_that_was_accepted(home: Path) -> None:
    braze = braze_after_first_night()
    Night(home, "night-2", SECOND, day(2), braze).run()
    before = braze.writes.copy()

    Night(home, "night-2", SECOND, day(2), braze).run()

    assert braze.writes == before
    assert braze.users == EXPECTED_USERS


@pytest.mark.promise(1)
def test_committing_twice_is_committing_once(home: Path) -> None:
    night = Night(home, "night-2", SECOND, day(2), braze_after_first_night())
    night.run()
    state = ledger(home), len(table(home, "receipts"))

    night.again("commit")
    night.run()

    assert (ledger(home), len(table(home, "receipts"))) == state


@pytest.mark.promise(4)
def test_clearing_an_upload_that_was_done_sends_nothing_again(home: Path) -> None:
    braze = braze_after_first_night()
    night = Night(home, "night-2", SECOND, day(2), braze)
    night.run()
    before, state = braze.writes.copy(), ledger(home)

    night.again("upload", "commit", "report")
    night.run()

    assert braze.writes == before
    assert ledger(home) == state
    assert night.report["accepted"] == 11


@pytest.mark.promise(4)
def test_an_upload_cleared_after_a_newer_night_puts_no_older_value_over_a_newer_one(
    home: Path, deadly_tables: Callable[[Life], None]
) -> None:
    braze = braze_after_first_night()
    night = Night(home, "night-2", SECOND, day(2), braze)
    killed_at(night, 9, after=True, deadly_tables=deadly_tables)
    newer = [profile(f"c{number}", first_name=f"Name {number}", tier="platinum") for number in range(10)]
    Night(home, "night-3", newer, day(3), braze).run()
    state = ledger(home)

    night.run()

    assert {who: user["tier"] for who, user in braze.users.items() if who.startswith("c")} == {
        f"c{number}": "platinum" for number in range(10)
    }
    assert ledger(home) == state
    assert night.report["status"] == "incomplete"
    assert night.report["unsent"] > 0


@pytest.mark.promise(2)
def test_a_retry_of_an_upload_sends_only_the_rest(home: Path, deadly_tables: Callable[[Life], None]) -> None:
    braze = braze_after_first_night()
    night = Night(home, "night-2", SECOND, day(2), braze)
    killed_at(night, 10, after=True, deadly_tables=deadly_tables)
    settled = durably_accepted(home)
    assert settled
    before = braze.writes.copy()

    night.run(last="upload 1")

    assert {who for who in braze.writes if braze.writes[who] > before[who]}.isdisjoint(settled)


def test_an_upload_whose_files_have_expired_does_not_stop_the_goal_for_ever(
    home: Path, deadly_tables: Callable[[Life], None], caplog: pytest.LogCaptureFixture
) -> None:
    braze = braze_after_first_night()
    killed_at(Night(home, "night-2", SECOND, day(2), braze), 10, after=True, deadly_tables=deadly_tables)
    for path in (home / "staging/goal/work").glob("night-2-*/delta-*/partition=*.parquet"):
        path.unlink()

    Night(home, "night-3", SECOND, day(3), braze).run()

    assert braze.users == EXPECTED_USERS
    assert list((home / "staging/goal/open").iterdir()) == []
    assert "have expired" in caplog.text


def written(home: Path) -> dict[str, Any]:
    """What the goal tells others of its writing."""
    mark: dict[str, Any] = json.loads((home / "staging/~observed/goal.written.json").read_text())
    return mark


@pytest.mark.promise(7)
def test_other_goals_are_told_when_a_run_has_written_and_what_it_read_for_it(home: Path) -> None:
    began = dt.datetime.now(dt.UTC)

    Night(home, "night-2", SECOND, day(2), braze_after_first_night()).run()

    mark = written(home)
    assert began < dt.datetime.fromisoformat(mark["at"]) <= dt.datetime.now(dt.UTC)
    assert mark["read"] == day(2).isoformat()


@pytest.mark.promise(7)
def test_other_goals_are_told_that_a_run_had_nothing_to_write(home: Path) -> None:
    before = written(home)

    Night(home, "night-2", FIRST, day(2), braze_after_first_night()).run()

    assert written(home) == {"at": before["at"], "read": day(2).isoformat()}


@pytest.mark.promise(7)
def test_other_goals_are_not_told_before_the_outcomes_are_in_the_ledger(home: Path) -> None:
    before = written(home)

    Night(home, "night-2", SECOND, day(2), braze_after_first_night()).run(last="upload 1")

    assert written(home) == before


def test_nothing_to_send_is_a_good_run_too(home: Path) -> None:
    braze = braze_after_first_night()
    night = Night(home, "night-2", FIRST, day(2), braze)

    night.run()

    assert braze.requests == 0
    assert night.report["status"] == "success"
    assert night.report["unchanged"] == 10


@pytest.mark.promise(8)
def test_what_a_step_hands_on_and_leaves_open_names_nobody(home: Path, deadly_tables: Callable[[Life], None]) -> None:
    night = Night(home, "night-2", SECOND, day(2), braze_after_first_night())
    killed_at(night, 10, after=True, deadly_tables=deadly_tables)
    (mark,) = (home / "staging/goal/open").iterdir()
    open_text = mark.read_text()
    night.run()

    text = json.dumps(night.handed_on, default=str) + open_text
    assert not any(f'"{who}"' in text or who in text.split() for who in ("c1", "new1", BAD, "Nina", "Name"))


def test_no_local_file_is_left_behind(home: Path) -> None:
    Night(home, "night-2", SECOND, day(2), braze_after_first_night()).run()

    assert [path for path in (home / "local").rglob("*") if path.is_file()] == []


# What one step leaves for the next


def test_the_fields_of_a_step_are_read_back_by_the_next(tmp_path: Path) -> None:
    workspace = Workspace(LocalStaging(), GoalFolder(str(tmp_path), "goal"), "run", engine(tmp_path))
    parts = write_snapshot_file(tmp_path / "snapshot" / "part-00000.parquet", [{"crm": ["1"]}]).parent
    rows = [{"target": "é", "merge": "sum", "of": None}]

    mapped = map_staged_snapshot(
        workspace,
        SnapshotRef(
            uri=str(parts), profiles=1, segment_id="s", segment_name="S", segment_size=1, read="full", complete=True,
            as_of=day(1).isoformat(), bytes=1, property_types={"x": "RANGE"},
        ),
        mapping(),
        {},
        rows=rows,
    )  # fmt: skip

    assert read_fields(workspace, mapped["uri"]) == rows
    assert mapped["property_types"] == {"x": "RANGE"}


def test_what_an_export_of_braze_holds_is_read_from_beside_it(tmp_path: Path) -> None:
    workspace = Workspace(LocalStaging(), GoalFolder(str(tmp_path), "goal"), "run", engine(tmp_path))
    document = {"sources": ["email"], "remaining": {"custom_attributes.x": {"kinds": ["integer", "text"]}}}
    (tmp_path / "fields.json").write_text(json.dumps(document))

    found = read_snapshot_fields(workspace, {"uri": str(tmp_path)})  # type: ignore[typeddict-item]

    assert found == (["email"], {"custom_attributes.x": ["integer", "text"]})
