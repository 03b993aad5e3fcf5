"""A goal under another id: what it knew comes along, whatever is killed on the way."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_braze_blueconic.exceptions import GoalBusy, GoalError
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.upkeep.renaming import settle_name
from tests.support.clock import in_clock_time
from tests.support.core import day
from tests.support.import_nights import BlueConic, Braze, ExportGoalOf, ImportGoalOf, Run
from tests.support.nights import Deadly, Killed, Life
from tests.support.staging import LocalStaging


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads run in a time of their own."""
    monkeypatch.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))


@contextmanager
def nobody_else(_: GoalFolder) -> Iterator[None]:
    yield


def goal_of(goal_id: str, users: Braze, profiles: BlueConic) -> ImportGoalOf:
    fields = [
        ("custom_attributes.tier", "level"),
        ("custom_attributes.spent", "spent", {"merge": "sum", "of": "increase"}),
    ]
    return ImportGoalOf(goal_id, users, profiles, fields)


def settle(home: Path, goal_id: str, renamed_from: str | None, *, life: Life | None = None, **how: Any) -> bool:
    folder = GoalFolder(str(home / "staging"), goal_id)
    return settle_name(Deadly(life or Life()), folder, renamed_from, **{"hold": nobody_else, **how})


def state_of(home: Path, goal_id: str) -> dict[str, bytes]:
    """What lies in a goal's folder, without the marks of the renaming."""
    root = home / "staging" / goal_id
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in ("renamed.json", "moved.json")
    }


@pytest.fixture
def systems() -> tuple[Braze, BlueConic]:
    return Braze(u1={"tier": "gold", "spent": 10}), BlueConic({"crm_id": ["u1"]}, types={"spent": "DECIMAL"})


@pytest.fixture
def home(tmp_path: Path, systems: tuple[Braze, BlueConic]) -> Path:
    """A staging area in which ``old`` has run once."""
    Run(tmp_path, goal_of("old", *systems), day(1)).run()
    return tmp_path


# The state comes along


@pytest.mark.promise(2)
def test_a_renamed_import_sends_nothing_again_and_adds_no_number_twice(
    home: Path, systems: tuple[Braze, BlueConic]
) -> None:
    users, profiles = systems

    taken = settle(home, "new", "old")
    second = Run(home, goal_of("new", users, profiles), day(2)).run()
    users.users["u1"]["spent"] = 12
    third = Run(home, goal_of("new", users, profiles), day(3)).run()

    assert taken
    assert (second.report["to_send"], second.report["unchanged"], second.report["new_fields"]) == (0, 1, [])
    assert third.report["fields"] == 1
    assert profiles.profiles == [{"crm_id": ["u1"], "level": ["gold"], "spent": ["12"]}]


@pytest.mark.promise(2)
def test_a_renamed_export_sends_nothing_again(tmp_path: Path) -> None:
    users, profiles = Braze(), BlueConic({"crm_id": ["u1"], "level": ["gold"]})
    goal = ExportGoalOf("old", users, profiles, [("level", "tier")])
    Run(tmp_path, goal, day(1)).run()

    settle(tmp_path, "new", "old")
    second = Run(tmp_path, replace(goal, goal_id="new"), day(2)).run()

    assert (second.report["to_send"], second.report["unchanged"]) == (0, 1)


def test_receipts_runs_marks_of_files_and_the_word_for_adding_come_along(home: Path) -> None:
    root = home / "staging" / "old"
    for name in ("files/f1.json", "snapshots/s1.json", "sum-strategy"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(name)
    before = {
        name: data
        for name, data in state_of(home, "old").items()
        if not name.startswith(("work/", "lock/", "people.json"))
    }

    settle(home, "new", "old")

    assert state_of(home, "new") == before
    assert {name.split("/")[0] for name in before} == {
        "files",
        "ledger",
        "receipts",
        "runs",
        "snapshots",
        "sum-strategy",
    }


def test_other_goals_know_the_reads_of_a_renamed_goal_under_its_new_name_alone(home: Path) -> None:
    observed = home / "staging" / "~observed"
    (observed / "older.json").write_text("another goal's")
    before = {path.name.replace("old.", "new."): path.read_bytes() for path in observed.iterdir()}

    settle(home, "new", "old")

    assert {path.name: path.read_bytes() for path in observed.iterdir()} == before
    assert set(before) == {"new.json", "new.written.json", "older.json"}


@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_an_upload_that_was_not_committed_under_the_old_id_is_committed_under_the_new_one(
    home: Path, systems: tuple[Braze, BlueConic]
) -> None:
    users, profiles = systems
    users.users["u1"] |= {"spent": 15, "tier": "platinum"}
    Run(home, goal_of("old", users, profiles), day(2)).run(last="upload 0")
    writes = profiles.writes.copy()

    settle(home, "new", "old")
    # All that the new goal needs lies in its own folder.
    shutil.rmtree(home / "staging" / "old")
    third = Run(home, goal_of("new", users, profiles), day(3)).run()

    assert (third.report["to_send"], profiles.writes) == (0, writes)
    assert list((home / "staging" / "new" / "open").iterdir()) == []


def test_a_step_after_the_first_takes_nothing_over_again(home: Path, systems: tuple[Braze, BlueConic]) -> None:
    settle(home, "new", "old")
    Run(home, goal_of("new", *systems), day(2)).run()
    before = state_of(home, "new")

    again = settle(home, "new", "old")

    assert not again
    assert state_of(home, "new") == before


def test_a_dry_run_under_the_new_id_does_not_stand_in_the_way(home: Path) -> None:
    row = home / "staging" / "new" / "runs" / "_delta_log" / "00000000000000000000.json"
    row.parent.mkdir(parents=True)
    row.write_text("a run that sent nothing")

    assert settle(home, "new", "old")
    assert state_of(home, "new")["runs/_delta_log/00000000000000000000.json"] != b"a run that sent nothing"


# The old id


def test_the_old_id_can_t_run_any_more_and_says_why(home: Path) -> None:
    settle(home, "new", "old")
    mark = home / "staging" / "old" / "moved.json"
    mark.write_text(json.dumps({"to": "new", "at": "2026-11-26T02:00:05+00:00"}))

    with pytest.raises(GoalError) as refused:
        settle(home, "old", None)

    folder = home / "staging" / "old"
    assert refused.value.problems[0].where == "id"
    assert refused.value.problems[0].message == (
        'the state of "old" went to "new" on 2026-11-26 02:00 UTC, when that goal took it over (`renamed_from`). '
        "Nothing was sent. If the goal is now called new, remove the goal file with the id old; to give the goal "
        f"its old name back, add `renamed_from: new` to it; for a new goal, choose an unused id, or move {folder}/ "
        "away first."
    )


def test_a_goal_gets_its_old_name_back_with_all_it_learnt_meanwhile(
    home: Path, systems: tuple[Braze, BlueConic]
) -> None:
    users, profiles = systems
    settle(home, "new", "old")
    users.users["u1"]["spent"] = 12
    Run(home, goal_of("new", users, profiles), day(2)).run()

    back = settle(home, "old", "new")
    third = Run(home, goal_of("old", users, profiles), day(3)).run()
    again = settle(home, "old", "new")

    assert (back, again) == (True, False)
    assert (third.report["to_send"], profiles.values("crm_id", "u1", "spent")) == (0, ["12"])
    with pytest.raises(GoalError, match='the state of "new" went to "old"'):
        settle(home, "new", "old-2")
    assert settle(home, "new", "old")


@pytest.mark.promise(1)
@pytest.mark.parametrize("write", [3, 8, 14])
def test_a_name_that_is_given_back_before_all_was_copied_keeps_the_whole_state(
    write: int, home: Path, systems: tuple[Braze, BlueConic], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_braze_blueconic.sync.upkeep.renaming._COPIES_AT_ONCE", 1)
    before = state_of(home, "old")
    notes = {path.name for path in (home / "staging" / "~observed").iterdir()}
    with pytest.raises(Killed):
        settle_name(_Copying(Life(write)), GoalFolder(str(home / "staging"), "new"), "old", hold=nobody_else)

    taken = settle(home, "old", "new")
    again = settle(home, "old", "new")

    assert (taken, again) == (False, False)
    assert state_of(home, "old") == before
    assert state_of(home, "new") == {}
    assert {path.name for path in (home / "staging" / "~observed").iterdir()} == notes
    assert settle(home, "old", None) is False
    assert Run(home, goal_of("old", *systems), day(2)).run().report["to_send"] == 0


@pytest.mark.promise(1)
def test_a_name_that_is_given_back_after_the_new_folder_is_gone_loses_nothing(home: Path) -> None:
    settle(home, "new", "old")
    before = state_of(home, "old")
    shutil.rmtree(home / "staging" / "new")

    with pytest.raises(GoalError, match='"new" left nothing in'):
        settle(home, "old", "new")

    assert state_of(home, "old") == before


def test_a_goal_that_was_never_renamed_reads_one_mark_and_goes_on(home: Path) -> None:
    before = state_of(home, "old")

    assert not settle(home, "old", None)
    assert state_of(home, "old") == before


# One state, two, or none


def test_two_ledgers_are_not_made_one(home: Path, systems: tuple[Braze, BlueConic]) -> None:
    Run(home, goal_of("new", *systems), day(2)).run()
    before = state_of(home, "new"), state_of(home, "old")

    with pytest.raises(GoalError, match='both "old" and "new" have a ledger or receipts') as refused:
        settle(home, "new", "old")

    assert refused.value.problems[0].where == "renamed_from"
    assert (state_of(home, "new"), state_of(home, "old")) == before


def test_an_old_id_that_left_nothing_is_told_with_the_nearest_names(home: Path) -> None:
    folder = home / "staging" / "odl"

    with pytest.raises(GoalError) as refused:
        settle(home, "new", "odl")

    assert str(refused.value) == (
        f'renamed_from: "odl" left nothing in {folder}/ to take over. Nothing was sent. Correct the old id or its '
        '`staging`; a new goal needs no renamed_from. Nearest: "old".'
    )
    assert not (home / "staging" / "new").exists()


def test_a_goal_with_its_own_ledger_goes_on_when_the_old_folder_is_gone(
    home: Path, systems: tuple[Braze, BlueConic], caplog: pytest.LogCaptureFixture
) -> None:
    Run(home, goal_of("new", *systems), day(2)).run()
    shutil.rmtree(home / "staging" / "old")

    assert not settle(home, "new", "old")
    assert "You can remove renamed_from" in caplog.text


def test_two_goals_can_t_take_over_the_same_state(home: Path) -> None:
    settle(home, "new", "old")

    with pytest.raises(GoalError, match='the state of "old" went to "new"'):
        settle(home, "newer", "old")
    assert state_of(home, "newer") == {}


def test_a_second_new_name_needs_the_first_one_as_its_old_one(home: Path, systems: tuple[Braze, BlueConic]) -> None:
    settle(home, "new", "old")

    assert settle(home, "newest", "new")
    assert Run(home, goal_of("newest", *systems), day(2)).run().report["to_send"] == 0


def test_nothing_is_taken_over_while_a_run_of_the_old_goal_is_at_work(home: Path) -> None:
    @contextmanager
    def busy(folder: GoalFolder) -> Iterator[None]:
        raise GoalBusy(f"{folder.goal_id} is running")
        yield

    with pytest.raises(GoalBusy, match="old is running"):
        settle(home, "new", "old", hold=busy)

    assert not (home / "staging" / "old" / "moved.json").exists()
    assert not (home / "staging" / "new").exists()


# Kills


class _Copying(Deadly):
    """Copies, too, may be the last thing that a process does."""

    def copy_object(self, source_uri: str, target_uri: str) -> None:
        self._life.write(f"copy {target_uri}", lambda: LocalStaging.upload_file(self, Path(source_uri), target_uri))


@pytest.mark.promise(1)
@pytest.mark.parametrize("after", [False, True], ids=["before a write", "after a write"])
def test_a_take_over_that_is_killed_anywhere_is_made_good_by_the_next_run(
    after: bool, home: Path, systems: tuple[Braze, BlueConic], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_braze_blueconic.sync.upkeep.renaming._COPIES_AT_ONCE", 1)
    users, profiles = systems
    users.users["u1"]["spent"] = 15
    Run(home, goal_of("old", users, profiles), day(2)).run(last="upload 0")
    spare = home / "spare"
    shutil.copytree(home / "staging", spare)
    life = Life()
    settle_name(_Copying(life), GoalFolder(str(home / "staging"), "new"), "old", hold=nobody_else)
    whole = state_of(home, "new")

    for write in range(1, len(life.writes) + 1):
        shutil.rmtree(home / "staging")
        shutil.copytree(spare, home / "staging")
        folder = GoalFolder(str(home / "staging"), "new")
        with pytest.raises(Killed):
            settle_name(_Copying(Life(write, after=after)), folder, "old", hold=nobody_else)
        settle_name(_Copying(Life()), folder, "old", hold=nobody_else)
        assert state_of(home, "new") == whole
        assert json.loads((home / "staging" / "new" / "renamed.json").read_text())["done"]
        assert {path.name for path in (home / "staging" / "~observed").iterdir()} == {"new.json", "new.written.json"}

    assert len(life.writes) >= 15
    assert Run(home, goal_of("new", users, profiles), day(3)).run().report["to_send"] == 0
    assert profiles.values("crm_id", "u1", "spent") == ["15"]
