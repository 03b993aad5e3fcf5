"""The pipeline as a whole: killed at any durable write and run again, it ends where an undisturbed one ends."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_braze_blueconic.exceptions import AccessError
from airflow_provider_braze_blueconic.operators.map_fields import MapFieldsOperator
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.engine.columns import source_column
from airflow_provider_braze_blueconic.sync.mapping.plan import MappedField
from airflow_provider_braze_blueconic.sync.sending.seam import Reply, Sender, Verdict
from airflow_provider_braze_blueconic.sync.state.doubt import IN_DOUBT
from airflow_provider_braze_blueconic.sync.state.goal_tables import open_ledger
from airflow_provider_braze_blueconic.sync.steps.commit import commit_uploads
from airflow_provider_braze_blueconic.sync.steps.compute_delta import compute_staged_delta
from airflow_provider_braze_blueconic.sync.steps.counters import Report
from airflow_provider_braze_blueconic.sync.steps.map_fields import map_staged_snapshot, read_snapshot_fields
from airflow_provider_braze_blueconic.sync.steps.report import report_run
from airflow_provider_braze_blueconic.sync.steps.report_text import describe_stop, render
from airflow_provider_braze_blueconic.sync.steps.target_fields import read_fields
from airflow_provider_braze_blueconic.sync.store.attempts import Superseded
from airflow_provider_braze_blueconic.sync.store.fence import Fence
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder, run_key
from airflow_provider_braze_blueconic.sync.store.references import DeltaRef, MappedRef, SnapshotRef
from airflow_provider_braze_blueconic.sync.store.tables import Table
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
from airflow_provider_braze_blueconic.sync.values.texts import string_rule
from tests.support import import_nights
from tests.support.clock import in_clock_time
from tests.support.core import day, engine, mapping, person, stored_ledger, write_snapshot_file
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


class RevokedBraze(Braze):
    """Its key is revoked.

    :param after: requests that it takes before; ``None`` gives the key back.
    """

    def __init__(self, after: int | None) -> None:
        super().__init__(bad=[BAD])
        self.after = after

    async def send(self, body: bytes) -> Reply:
        if self.after is not None and self.requests >= self.after:
            self.requests += 1
            return Reply(Verdict.STOP, 401, sentence="the key was revoked")
        return await super().send(body)


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
    """The ledger. Of who was refused after a kill it is not known what they have; after a quiet night it is nothing."""
    rows = [
        {name: None if value == IN_DOUBT else value for name, value in row.items() if name not in without}
        for row in table(home, "ledger")
    ]
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
    write = Table._commit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "run", lambda main: in_clock_time(lambda _: main))
        patch.setattr(
            Table, "_commit", lambda table, *args, **how: life.write(table.uri, lambda: write(table, *args, **how))
        )
        Night(home, "night-2", SECOND, day(2), braze_after_first_night()).run(life)
    return ledger(home), len(life.writes)


WRITES = 31
"""Durable writes of the second night; a test below says so."""

PLANNED = 10
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
@pytest.mark.parametrize("until", [13, 24], ids=["first-receipts-written", "receipts-committed-and-ledger-not"])
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
    killed_at(night, 12, after=True, deadly_tables=deadly_tables)
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
    killed_at(night, 13, after=True, deadly_tables=deadly_tables)
    settled = durably_accepted(home)
    assert settled
    before = braze.writes.copy()

    night.run(last="upload 1")

    assert {who for who in braze.writes if braze.writes[who] > before[who]}.isdisjoint(settled)


@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_an_upload_that_outlived_its_worker_ends_when_the_retry_begins(home: Path) -> None:
    """The retry runs from its start to its end while the older copy waits for an answer."""
    braze = braze_after_first_night()
    retry = Night(home, "night-2", SECOND, day(2), braze)
    retry.run(last="guard")
    seen: list[str] = []

    class Orphan(Braze):
        async def send(self, body: bytes) -> Any:
            if not seen:
                seen.append("retry")
                _in_a_thread(lambda: retry.run(last="upload 0"))
            seen.append("sent")
            return await braze.send(body)

    orphan = Night(home, "night-2", SECOND, day(2), Orphan())
    orphan.handed_on.update(retry.handed_on)

    with pytest.raises(Superseded):
        orphan.run(last="upload 0")
    retry.run()

    assert seen in (["retry", "sent"], ["retry", "sent", "sent"])  # it looks again after half a second
    assert braze.users == EXPECTED_USERS
    assert retry.report["status"] == "success"
    assert list((home / "staging/goal/open").iterdir()) == []


def _in_a_thread(work: Callable[[], None]) -> None:
    """Two event loops can't run in one thread."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.mark.promise(1)
def test_an_upload_that_begins_while_its_delta_is_committed_keeps_the_mark_for_the_next_run(home: Path) -> None:
    night = Night(home, "night-2", SECOND, day(2), braze_after_first_night())
    night.run(last="upload 1")

    class Meets(LocalStaging):
        """An attempt begins when the commit is about to remove the mark."""

        def delete(self, uris: Iterable[str]) -> None:
            fence = Fence(LocalStaging(), night.delta["uri"], ["0"], label="x")
            fence.begin()
            super().delete(uris)

    workspace = Workspace(
        Meets(), GoalFolder(str(home / "staging"), "goal"), run_key("night-2"), engine(home / "local")
    )
    commit_uploads(workspace, night.delta)

    assert len(list((home / "staging/goal/open").iterdir())) == 1


def report_of_a_later_try(home: Path, delta: DeltaRef | None, *, run_id: str = "night-2", **how: Any) -> Report:
    """The report of a try of a run that ended before its upload, or sent nothing."""
    workspace = Workspace(
        LocalStaging(), GoalFolder(str(home / "staging"), "goal"), run_key(run_id), engine(home / "local")
    )
    given: dict[str, Any] = {
        "snapshot": None, "mapped": None, "passed": False, "dry_run": False, "uploads": [], "committed": False,
        **how,
    }  # fmt: skip
    return report_run(workspace, delta=delta, **given)


@pytest.mark.parametrize("cleared", ["guard", "extract"])
def test_a_finished_run_that_is_cleared_and_refused_by_the_lock_reports_what_it_sent_before(
    home: Path, cleared: str
) -> None:
    braze = braze_after_first_night()
    night = Night(home, "night-2", SECOND, day(2), braze)
    night.run()

    report = report_of_a_later_try(home, night.delta if cleared == "guard" else None)

    assert (report["status"], report["accepted"], report["rejected"], report["to_send"], report["unsent"]) == (
        "stopped", 11, {"is bad": 1}, 12, 0
    )  # fmt: skip
    assert report["requests"] == braze.requests == night.report["requests"]
    assert describe_stop(report) == (
        "this attempt of the run ended before the upload; see the task that failed. It sent nothing; from the "
        "run's earlier attempts, the target accepted 11 people."
    )


def test_a_run_that_is_cleared_and_compares_anew_reports_what_its_first_try_sent_too(home: Path) -> None:
    night = Night(home, "night-2", SECOND, day(2), braze_after_first_night())
    night.run()
    night.again("delta", "guard", "upload", "commit", "report")

    night.run()

    assert (night.report["accepted"], night.report["sent_before"], night.report["to_send"]) == (0, 11, 1)
    assert dict(render(night.report))["sent by earlier tries"] == "11"


def test_a_run_of_which_no_try_sent_anything_says_so(home: Path) -> None:
    Night(home, "night-2", SECOND, day(2), braze_after_first_night()).run()
    night = Night(home, "night-3", FIRST, day(3), braze_after_first_night())
    night.run(last="guard")

    report = report_of_a_later_try(home, night.delta, run_id="night-3")

    assert (report["accepted"], report["sent_before"]) == (0, 0)
    assert describe_stop(report).endswith("Nothing was sent.")


def test_the_report_counts_the_requests_of_attempts_that_failed_too(home: Path) -> None:
    braze = RevokedBraze(after=2)
    night = Night(home, "night-2", SECOND, day(2), braze)
    for _ in range(2):
        with pytest.raises(AccessError):
            night.run(last="upload 1")
    braze.after = None

    night.run()

    retried = night.handed_on["upload 0"]["requests"] + night.handed_on["upload 1"]["requests"]
    assert night.report["requests"] == braze.requests > retried
    assert night.report["status"] == "success"


def test_an_upload_whose_files_have_expired_does_not_stop_the_goal_for_ever(
    home: Path, deadly_tables: Callable[[Life], None], caplog: pytest.LogCaptureFixture
) -> None:
    braze = braze_after_first_night()
    killed_at(Night(home, "night-2", SECOND, day(2), braze), 13, after=True, deadly_tables=deadly_tables)
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
    killed_at(night, 13, after=True, deadly_tables=deadly_tables)
    (mark,) = (home / "staging/goal/open").iterdir()
    open_text = mark.read_text()
    night.run()

    text = json.dumps(night.handed_on, default=str) + open_text
    assert not any(f'"{who}"' in text or who in text.split() for who in ("c1", "new1", BAD, "Nina", "Name"))


def test_no_local_file_is_left_behind(home: Path) -> None:
    Night(home, "night-2", SECOND, day(2), braze_after_first_night()).run()

    assert [path for path in (home / "local").rglob("*") if path.is_file()] == []


# What one step leaves for the next


def workspace_in(folder: Path) -> Workspace:
    return Workspace(LocalStaging(), GoalFolder(str(folder), "goal"), "run", engine(folder))


def snapshot_in(
    folder: Path, *people: dict[str, Any], at: int = 1, property_types: dict[str, str] | None = None
) -> SnapshotRef:
    parts = write_snapshot_file(folder / "snapshot" / "part-00000.parquet", people).parent
    return SnapshotRef(
        uri=str(parts), profiles=len(people), segment_id="s", segment_name="S", segment_size=len(people), read="full",
        complete=True, as_of=day(at).isoformat(), bytes=1, property_types=property_types or {},
    )  # fmt: skip


def test_the_fields_of_a_step_are_read_back_by_the_next(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    snapshot = snapshot_in(tmp_path, {"crm": ["1"]}, property_types={"x": "RANGE"})
    rows = [{"target": "é", "merge": "sum", "of": None}]

    mapped = map_staged_snapshot(workspace, snapshot, mapping(), {}, rows=rows)

    assert read_fields(workspace, mapped["uri"]) == rows
    assert mapped["property_types"] == {"x": "RANGE"}


def test_what_an_export_of_braze_holds_is_read_from_beside_it(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    document = {"sources": ["email"], "remaining": {"custom_attributes.x": {"kinds": ["integer", "text"]}}}
    (tmp_path / "fields.json").write_text(json.dumps(document))

    found = read_snapshot_fields(workspace, {"uri": str(tmp_path)})  # type: ignore[typeddict-item]

    assert found == (["email"], {"custom_attributes.x": ["integer", "text"]})


# Fields that the ledger does not know


def compared(folder: Path, *targets: str, people: int = 1, at: int = 2) -> DeltaRef:
    """Compare a read in which everybody has a value in each target with the ledger.

    :param at: day of the read.
    """
    workspace = workspace_in(folder)
    everybody = [{"crm": [str(number)], "as_of": day(at)} for number in range(people)]
    plan = mapping(*(MappedField(target, constant='"x"') for target in targets))
    mapped = map_staged_snapshot(workspace, snapshot_in(folder, *everybody, at=at), plan, {})
    return compute_staged_delta(workspace, mapped, DeltaPlan(targets, frozenset(), frozenset(), 1, day(at)))


def test_in_a_first_run_no_field_is_new(tmp_path: Path) -> None:
    delta = compared(tmp_path, "first_name", "tier")

    assert (delta["new_fields"], delta["to_send"]) == ([], 1)


def test_after_a_first_run_without_anybody_no_field_is_new_either(tmp_path: Path) -> None:
    commit_uploads(workspace_in(tmp_path), compared(tmp_path, "first_name", "tier", people=0))
    assert open_ledger(workspace_in(tmp_path)).exists

    delta = compared(tmp_path, "first_name", "tier", at=3)

    assert (delta["new_fields"], delta["to_send"]) == ([], 1)


@pytest.mark.parametrize(
    ("targets", "new"),
    [
        pytest.param(("first_name",), [], id="none"),
        pytest.param(("Shoe size", "first_name", "tier"), ["Shoe size", "tier"], id="two, in the goal's order"),
        pytest.param(("First_Name", "first_name"), ["First_Name"], id="one in another spelling"),
        pytest.param(("tier",), ["tier"], id="another one instead"),
    ],
)
def test_a_field_that_the_ledger_does_not_know_is_new(targets: tuple[str, ...], new: list[str], tmp_path: Path) -> None:
    stored_ledger(tmp_path / "goal", [{"identifier": person("0"), "field_first_name": '"x"'}])

    assert compared(tmp_path, *targets)["new_fields"] == new


def test_a_field_is_new_in_one_run_only(tmp_path: Path) -> None:
    stored_ledger(tmp_path / "goal", [{"identifier": person("0"), "field_first_name": '"x"'}])
    first = compared(tmp_path, "first_name", "tier")
    commit_uploads(workspace_in(tmp_path), first)

    second = compared(tmp_path, "first_name", "tier", at=3)

    assert (first["new_fields"], second["new_fields"]) == (["tier"], [])


def test_a_field_of_which_nobody_has_a_value_is_not_new_night_after_night(tmp_path: Path) -> None:
    stored_ledger(tmp_path / "goal", [{"identifier": person("0"), "field_first_name": '"x"'}])
    workspace = workspace_in(tmp_path)
    plan = mapping(
        MappedField("first_name", constant='"x"'), MappedField("tier", "tier", rule=string_rule(longest=9, source=""))
    )
    nobody = {"crm": ["0"], "tier": [], "as_of": day(2)}
    mapped = map_staged_snapshot(workspace, snapshot_in(tmp_path, nobody, at=2), plan, {})

    delta = compute_staged_delta(
        workspace, mapped, DeltaPlan(("first_name", "tier"), frozenset(), frozenset(), 1, day(2))
    )

    assert (delta["new_fields"], delta["to_send"]) == ([], 0)


# What the mapping of an import hands on and tells others


def map_import(folder: Path, **how: Any) -> tuple[Workspace, MappedRef]:
    """Map an export with one user, who is found by external id and e-mail."""
    workspace = workspace_in(folder)
    user = {source_column("external_id"): ["7"], source_column("email"): ["a@b.nl"]}
    user |= {source_column(f"custom_attributes.{name}"): [name] for name in ("tier", "tags", "city")}
    snapshot = snapshot_in(folder, user, property_types={"level": "SELECT", "tags": "SELECT", "email": "EMAIL"})
    sources = ["external_id", "email", "custom_attributes.tier", "custom_attributes.tags"]
    document = {"sources": sources, "remaining": {"custom_attributes.city": {"kinds": ["text"]}}}
    (folder / "snapshot" / "fields.json").write_text(json.dumps(document))
    operator = MapFieldsOperator(
        task_id="map_fields",
        goal_id="goal",
        staging=str(folder),
        snapshot=snapshot,
        identifiers=[{"braze": "external_id", "blueconic": "crm_id"}, {"braze": "email", "blueconic": "email"}],
        fields=[
            {"from": "custom_attributes.tier", "to": "level"},
            {"from": "custom_attributes.tags", "to": "tags", "merge": "add"},
        ],
        direction="import",
        partitions=1,
        source_conn_id="braze",
        target_conn_id="blueconic",
        **how,
    )
    return workspace, operator.run_step(workspace, {"ti": SimpleNamespace(xcom_push=lambda **_: None)})  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("remaining", "written", "left_out"),
    [
        pytest.param(None, {"level", "tags"}, set(), id="no word about them"),
        pytest.param(
            {}, {"level", "tags"}, {"external_id", "email", "custom_attributes.city"}, id="no properties of these names"
        ),
        pytest.param(
            {"create_properties": True, "prefix": "braze_", "exclude": ["external_id"]},
            {"level", "tags", "braze_email", "braze_city"},
            set(),
            id="created",
        ),
        pytest.param(
            {"create_properties": True},
            {"level", "tags", "external_id", "city"},
            {"email"},
            id="but not into a property that finds people",
        ),
    ],
)
def test_fields_that_find_people_are_brought_along_with_the_remaining_ones_alone(
    remaining: dict[str, Any] | None, written: set[str], left_out: set[str], tmp_path: Path
) -> None:
    workspace, mapped = map_import(tmp_path, remaining_fields=remaining)

    assert {row["target"] for row in read_fields(workspace, mapped["uri"])} == written
    assert set(mapped["left_out"]) == left_out


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    ("how", "pairs"),
    [
        pytest.param({}, [["tier", "level"]], id="by default"),
        pytest.param({"writes_at_once": True}, [["tier", "level"]], id="through the API"),
        pytest.param({"writes_at_once": False}, [], id="by a file"),
    ],
)
def test_other_goals_are_told_of_values_that_are_certain_only_by_a_goal_that_writes_at_once(
    how: dict[str, Any], pairs: list[list[str]], tmp_path: Path
) -> None:
    workspace, mapped = map_import(tmp_path, **how)

    told = json.loads(Path(workspace.folder.observed).read_text())
    assert told["pairs"] == pairs
    assert (told["target"], told["writes"], told["mapped"]) == ("blueconic", ["level", "tags"], mapped["uri"])
    assert {"external_id", "email", "custom_attributes.tier", "custom_attributes.tags"} <= set(told["columns"])


class Unread:
    """A file that was delivered: everything in it counts as acknowledged, and nothing of it is in BlueConic yet."""

    async def send(self, body: bytes) -> Reply:
        return Reply(Verdict.READ_ENTRIES, 200)


@dataclass(frozen=True)
class DeliveredImport(import_nights.ImportGoalOf):
    """An import goal whose file nobody has read.

    :param writes_at_once: what the goal says of it.
    """

    writes_at_once: bool = False

    @property
    def target(self) -> Sender:
        return Unread()

    @property
    def mapping(self) -> dict[str, Any]:
        return {**super().mapping, "writes_at_once": self.writes_at_once}


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    ("writes_at_once", "kept"),
    [
        pytest.param(False, "platinum", id="by a file"),
        pytest.param(True, "gold", id="through the API, where it was set back"),
    ],
)
def test_a_value_that_waits_in_a_file_is_not_taken_for_one_that_was_set_back_in_blueconic(
    writes_at_once: bool, kept: str, tmp_path: Path
) -> None:
    braze = import_nights.Braze()
    blueconic = import_nights.BlueConic({"crm_id": ["u1"], "level": ["gold"]})
    export = import_nights.ExportGoalOf("there", braze, blueconic, [("level", "tier")])
    fields = [("custom_attributes.tier", "level")]
    back = DeliveredImport("back", braze, blueconic, fields, writes_at_once=writes_at_once)
    import_nights.Run(tmp_path, export, day(1)).run()
    braze.users["u1"]["tier"] = "platinum"
    import_nights.Run(tmp_path, back, day(2)).run()

    import_nights.Run(tmp_path, export, day(3)).run()

    assert braze.users["u1"]["tier"] == kept
