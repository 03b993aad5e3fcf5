"""Who may go next of several runs that wait for one goal."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.exceptions import GoalBusy, TransientError
from airflow_provider_braze_blueconic.sync.store.holder import Holder
from airflow_provider_braze_blueconic.sync.store.lock import GoalLock
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.queue import GoalQueue
from tests.support.staging import LocalStaging

SECONDS = 30.0
MINUTES = 60.0
PATIENCE = 360 * MINUTES


@dataclass
class Goal:
    """A goal's folder, and steps of runs that want it."""

    home: Path
    staging: LocalStaging = field(default_factory=LocalStaging)
    now: dt.datetime = dt.datetime(2026, 11, 27, 2, tzinfo=dt.UTC)
    ended: set[str] = field(default_factory=set)
    """Runs of which Airflow says that they have ended."""

    @property
    def folder(self) -> GoalFolder:
        return GoalFolder(str(self.home), "people")

    def holder(self, run: str, step: str = "extract", *, started: str = "1", airflow: str = "here") -> Holder:
        return Holder(f"key-{run}", started, run, step, dag_id="dag", airflow=airflow)

    def queue(self, run: str, step: str = "extract", *, started: str = "1", airflow: str = "here") -> GoalQueue:
        return GoalQueue(
            self.staging,
            self.folder,
            self.holder(run, step, started=started, airflow=airflow),
            lock_seconds=SECONDS,
            has_ended=lambda _, run_id: run_id in self.ended,
            now=lambda: self.now,
        )

    def lock(self, run: str) -> GoalLock:
        return GoalLock(self.staging, self.folder, self.holder(run), seconds=SECONDS, queue=self.queue(run))

    def ahead(self, run: str) -> list[str]:
        return [other.run_id for other in self.queue(run).ahead()]

    def later(self, **time: float) -> None:
        self.now += dt.timedelta(**time)

    def files(self) -> list[Path]:
        return sorted(Path(self.folder.waiting).glob("*"))

    def is_silent(self, run: str, seconds: float) -> None:
        """Make what a run said older by the store's own clock."""
        (path,) = [path for path in self.files() if f"key-{run}~" in path.name]
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


@pytest.fixture
def goal(tmp_path: Path) -> Goal:
    return Goal(tmp_path)


def test_runs_go_in_the_order_in_which_they_came_however_often_they_ask(goal: Goal) -> None:
    for run in ("first", "second", "third"):
        goal.queue(run).wait(PATIENCE)
        goal.later(minutes=1)
    for run in ("third", "first", "second"):
        goal.queue(run).wait(PATIENCE)
        goal.later(minutes=1)

    assert goal.ahead("first") == []
    assert goal.ahead("second") == ["first"]
    assert goal.ahead("third") == ["first", "second"]
    assert goal.ahead("newcomer") == ["first", "second", "third"]


def test_a_goal_that_is_free_is_left_to_the_run_that_has_waited_longest(goal: Goal) -> None:
    goal.queue("nightly").wait(PATIENCE)

    with pytest.raises(GoalBusy) as refused:
        goal.lock("newcomer").take()
    goal.lock("nightly").take()

    assert 'Another run of goal people goes first: "nightly" has been waiting since 2026-11-27 02:00:00 UTC' in str(
        refused.value
    )


def test_a_command_that_holds_the_goal_for_a_moment_does_not_queue(goal: Goal) -> None:
    goal.queue("nightly").wait(PATIENCE)

    GoalLock(goal.staging, goal.folder, Holder("recover", "", "recover", "recover"), seconds=SECONDS).take()


def test_the_first_in_the_queue_asks_more_often_than_the_others(goal: Goal) -> None:
    assert goal.queue("first").wait(PATIENCE).asks_again_seconds == 60
    assert goal.queue("second").wait(PATIENCE).asks_again_seconds == 120
    assert goal.queue("first").wait(PATIENCE).asks_again_seconds == 60


def test_a_run_that_stopped_asking_is_passed_over(goal: Goal) -> None:
    goal.queue("gone").wait(PATIENCE)
    goal.is_silent("gone", 239)
    held_up = goal.ahead("next")
    goal.is_silent("gone", 10)

    assert held_up == ["gone"]
    assert goal.ahead("next") == []


def test_a_run_that_has_ended_holds_nobody_up_and_is_forgotten(goal: Goal) -> None:
    goal.queue("marked as failed").wait(PATIENCE)
    goal.ended.add("marked as failed")

    assert goal.ahead("next") == []
    assert goal.files() == []


def test_of_a_run_of_another_airflow_this_one_is_not_asked(goal: Goal) -> None:
    goal.queue("theirs", airflow="there").wait(PATIENCE)
    goal.ended.add("theirs")

    assert goal.ahead("next") == ["theirs"]


def test_the_same_run_waits_in_two_airflows(goal: Goal) -> None:
    goal.queue("scheduled__1", airflow="there").wait(PATIENCE)
    goal.later(minutes=1)
    goal.queue("scheduled__1", airflow="here").wait(PATIENCE)

    assert [other.airflow for other in goal.queue("scheduled__1", airflow="here").ahead()] == ["there"]
    assert goal.queue("scheduled__1", airflow="there").ahead() == []


def test_a_wait_is_over_after_as_long_as_the_run_may_wait_all_tries_together(goal: Goal) -> None:
    began = goal.now
    turns = []
    for _ in range(4):
        turns.append(goal.queue("run").wait(PATIENCE))
        goal.later(minutes=120)

    assert [turn.is_over for turn in turns] == [False, False, False, True]
    assert {turn.since for turn in turns} == {began}


def test_a_run_that_gave_up_holds_nobody_up(goal: Goal) -> None:
    goal.queue("run").wait(PATIENCE)
    goal.later(hours=7)
    goal.queue("run").wait(PATIENCE)

    assert goal.ahead("next") == []


def test_after_a_step_gave_up_the_steps_behind_it_do_and_that_step_waits_anew_if_somebody_clears_it(
    goal: Goal,
) -> None:
    goal.queue("run").wait(PATIENCE)
    goal.later(hours=7)
    goal.queue("run").wait(PATIENCE)

    assert goal.queue("run", "commit").wait(PATIENCE).is_over
    assert goal.queue("run", "clean_up").wait(PATIENCE).is_over
    assert not goal.queue("run", "extract").wait(PATIENCE).is_over


def test_a_run_that_was_cleared_as_a_whole_waits_anew_and_at_the_end(goal: Goal) -> None:
    goal.queue("cleared").wait(PATIENCE)
    goal.later(minutes=1)
    goal.queue("other").wait(PATIENCE)
    goal.later(hours=7)

    anew = goal.queue("cleared", started="2").wait(PATIENCE)

    assert not anew.is_over
    assert anew.since == goal.now
    assert goal.ahead("other") == []


def test_a_run_that_leaves_is_out(goal: Goal) -> None:
    queue = goal.queue("run")
    queue.wait(PATIENCE)

    queue.leave()

    assert goal.files() == []
    assert goal.ahead("next") == []


def test_that_a_run_can_not_leave_fails_nothing(goal: Goal, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(LocalStaging):
        def delete(self, uris: object) -> None:
            raise TransientError("Amazon S3 is busy (SlowDown).")

    GoalQueue(Failing(), goal.folder, goal.holder("run"), lock_seconds=SECONDS).leave()

    assert "so another run may wait for some minutes. Amazon S3 is busy" in caplog.text


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"since": "yesterday"}'])
def test_what_is_no_object_of_the_queue_holds_nobody_up(goal: Goal, content: bytes) -> None:
    goal.queue("run").wait(PATIENCE)
    goal.files()[0].write_bytes(content)

    assert goal.ahead("next") == []
    assert not goal.queue("run").wait(PATIENCE).is_over
