"""Who may work at a goal, step by step, with a clock and a neighbour that the test moves."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.exceptions import GoalBusy, TransientError, UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.store.heartbeat import hold, release
from airflow_provider_braze_blueconic.sync.store.holder import Holder
from airflow_provider_braze_blueconic.sync.store.lock import GoalLock
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from tests.support.staging import LocalFile, LocalStaging

SECONDS = 30.0


@dataclass
class Time:
    """Monotonic seconds that pass only by sleeping; ``meanwhile`` is what others do during each sleep."""

    now: float = 1_000.0
    slept: list[float] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.meanwhile()


@dataclass
class Store:
    """A goal's folder, and steps of runs that want its lock."""

    home: Path
    staging: LocalStaging = field(default_factory=LocalStaging)
    time: Time = field(default_factory=Time)

    @property
    def folder(self) -> GoalFolder:
        return GoalFolder(str(self.home), "people")

    def step(
        self,
        run: str,
        step: str = "extract",
        *,
        started: str = "1",
        staging: LocalStaging | None = None,
        airflow: str = "",
        ended: bool | None = None,
        settles: str = "",
    ) -> GoalLock:
        """A step of a run.

        :param ended: what its Airflow says of other runs.
        :param settles: what the run sees to once.
        """
        return GoalLock(
            staging or self.staging,
            self.folder,
            Holder(f"key-{run}", started, run, step, dag_id="dag", airflow=airflow),
            seconds=SECONDS,
            has_ended=lambda *_: ended,
            settles=settles,
            clock=self.time,
            sleep=self.time.sleep,
        )

    def files(self) -> list[Path]:
        return sorted(Path(self.folder.lock).glob("*.json"))

    def said(self) -> dict[str, object]:
        """What the lock says."""
        document: dict[str, object] = json.loads(self.files()[-1].read_bytes())
        return document

    def age(self, seconds: float) -> None:
        """Make the lock older by the store's own clock."""
        path = self.files()[-1]
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_the_first_run_gets_the_lock_and_the_second_is_told_who_has_it(store: Store) -> None:
    first = store.step("scheduled__1", "upload")
    first.take()
    store.time.meanwhile = first.beat

    with pytest.raises(GoalBusy) as refused:
        store.step("manual__2").take()

    assert 'Another run of goal people is running: "scheduled__1", in step upload, since ' in str(refused.value)
    assert "so step extract did nothing" in str(refused.value)
    assert store.said()["run_id"] == "scheduled__1"
    assert sum(store.time.slept) <= SECONDS / 3


def test_a_run_that_gives_no_sign_of_life_is_followed_after_lock_seconds(store: Store) -> None:
    store.step("dead").take()

    store.step("next").take()

    assert store.said()["run_id"] == "next"
    assert sum(store.time.slept) == pytest.approx(SECONDS)


def test_clocks_of_machines_do_not_matter_for_whether_a_run_is_alive(store: Store) -> None:
    living = store.step("living")
    living.take()
    store.age(1_000_000)

    def beat_and_look_old() -> None:
        living.beat()
        store.age(1_000_000)

    store.time.meanwhile = beat_and_look_old

    with pytest.raises(GoalBusy, match="is running"):
        store.step("next").take()


def test_the_next_run_begins_at_once_when_the_run_before_has_ended(store: Store) -> None:
    first = store.step("first", "commit")
    first.take()
    first.leave(900)
    store.step("first", "report").release()

    store.step("second").take()

    assert store.said()["run_id"] == "second"
    assert store.time.slept == []


def test_a_run_that_ends_while_it_is_watched_is_followed_at_once(store: Store) -> None:
    first = store.step("first")
    first.take()
    store.time.meanwhile = lambda: first.leave(None)

    store.step("second").take()

    assert store.said()["run_id"] == "second"
    assert sum(store.time.slept) < SECONDS / 3


def test_a_run_that_ends_a_step_while_it_is_watched_is_alive(store: Store) -> None:
    first = store.step("first")
    first.take()
    store.time.meanwhile = lambda: first.leave(900)

    with pytest.raises(GoalBusy, match="hasn't ended"):
        store.step("second").take()


def test_a_run_goes_on_with_its_next_step_and_with_a_retry(store: Store) -> None:
    extract = store.step("run", "extract")
    extract.take()
    since = store.said()["since"]
    extract.leave(900)
    store.step("run", "map_fields").take()  # ended by kill -9, so it never left

    store.step("run", "map_fields").take()

    assert store.time.slept == []
    assert len(store.files()) == 1
    assert store.said()["state"] == "working"
    assert store.said()["since"] == since


def test_tasks_of_one_run_work_side_by_side(store: Store) -> None:
    uploads = [store.step("run", "upload") for _ in range(3)]
    for upload in uploads:
        upload.take()

    uploads[0].leave(900)
    between = store.said()["state"]
    uploads[1].beat()

    assert between == "between"
    assert store.said()["state"] == "working"
    uploads[1].leave(900)
    uploads[2].leave(900)


def test_between_two_steps_another_run_is_told_to_wait(store: Store) -> None:
    first = store.step("first", "map_fields")
    first.take()
    first.leave(900)
    store.age(300)

    with pytest.raises(GoalBusy) as refused:
        store.step("second").take()

    assert 'Another run of goal people hasn\'t ended: "first" started at ' in str(refused.value)
    assert "ran step map_fields last" in str(refused.value)
    assert f"start this one in 10 minutes, or delete {store.files()[-1]}" in str(refused.value)
    assert store.time.slept == []


def test_a_run_that_did_not_go_on_for_longer_than_it_asked_for_is_followed(store: Store) -> None:
    first = store.step("first")
    first.take()
    first.leave(900)
    store.age(901)

    store.step("second").take()

    assert store.said()["run_id"] == "second"
    store.time.meanwhile = store.step("second").take
    with pytest.raises(GoalBusy):
        store.step("first", "map_fields").take()


def test_a_wait_for_an_export_may_last_longer_than_the_time_between_two_other_steps(store: Store) -> None:
    first = store.step("first")
    first.take()
    first.leave(4_500)
    store.age(4_000)

    with pytest.raises(GoalBusy, match="start this one in 8 minutes"):
        store.step("second").take()


def test_a_run_that_was_cleared_begins_anew_between_its_steps(store: Store) -> None:
    before = store.step("run", "map_fields", started="1")
    before.take()
    before.leave(900)

    store.step("run", "extract", started="2").take()

    assert store.said()["owner"] == "key-run@2"


def test_the_same_run_of_another_airflow_is_another_run(store: Store) -> None:
    here = store.step("scheduled__1", started="02:00:00.1")
    here.take()
    store.time.meanwhile = here.beat

    with pytest.raises(GoalBusy, match="is running"):
        store.step("scheduled__1", started="02:00:00.2").take()


def test_between_two_steps_a_run_that_has_ended_is_followed_at_once(store: Store) -> None:
    first = store.step("first", airflow="here")
    first.take()
    first.leave(900)

    store.step("second", airflow="here", ended=True).take()

    assert store.said()["run_id"] == "second"
    assert store.time.slept == []


def test_between_two_steps_a_run_that_goes_on_keeps_its_goal_however_long_it_takes(store: Store) -> None:
    first = store.step("first", airflow="here")
    first.take()
    first.leave(900)
    store.age(100_000)

    with pytest.raises(GoalBusy, match=r'"first" started at .* Wait until the other run ends, or mark it as failed'):
        store.step("second", airflow="here", ended=False).take()


@pytest.mark.parametrize("ended", [True, False])
def test_a_run_of_another_airflow_keeps_its_goal_for_as_long_as_it_asked_for_whatever_this_one_says(
    store: Store, ended: bool
) -> None:
    first = store.step("first", airflow="there")
    first.take()
    first.leave(900)

    with pytest.raises(GoalBusy, match="start this one in 15 minutes"):
        store.step("second", airflow="here", ended=ended).take()
    store.age(901)
    store.step("second", airflow="here", ended=ended).take()

    assert store.said()["run_id"] == "second"


def test_a_run_at_work_is_not_followed_because_airflow_says_that_it_has_ended(store: Store) -> None:
    # Marked as failed just now: its process needs some seconds to stop.
    first = store.step("first", airflow="here")
    first.take()
    store.time.meanwhile = first.beat

    with pytest.raises(GoalBusy, match="is running"):
        store.step("second", airflow="here", ended=True).take()


@pytest.mark.parametrize("leave", [True, False], ids=["between two steps", "at work"])
def test_a_run_that_was_cleared_and_starts_anew_is_not_its_own_rival(store: Store, leave: bool) -> None:
    before = store.step("run", airflow="here", started="1")
    before.take()
    if leave:
        before.leave(4_500)

    store.step("run", airflow="here", started="2", ended=False).take()

    assert store.time.slept == []
    assert store.said()["owner"] == "key-run@2"
    with pytest.raises(GoalBusy, match='Run "run" took over'):
        before.beat()


def test_the_same_run_between_two_steps_in_another_airflow_is_another_run(store: Store) -> None:
    there = store.step("scheduled__1", airflow="there")
    there.take()
    there.leave(900)

    with pytest.raises(GoalBusy, match="start this one in 15 minutes"):
        store.step("scheduled__1", airflow="here", started="2").take()


def test_a_lock_of_the_version_before_is_read(store: Store) -> None:
    first = store.step("first")
    first.take()
    first.leave(900)
    document = store.said()
    del document["dag_id"], document["airflow"]
    store.files()[0].write_text(json.dumps(document))

    with pytest.raises(GoalBusy, match="start this one in 15 minutes"):
        store.step("second", airflow="here", ended=True).take()
    store.step("first", airflow="here").take()

    assert store.said()["airflow"] == "here"


def test_a_run_that_was_taken_for_dead_notices_and_does_not_take_the_lock_back(store: Store) -> None:
    sleeper = store.step("sleeper", "upload")
    sleeper.take()
    store.step("next").take()

    with pytest.raises(GoalBusy, match=r'Run "next" took over goal people at .* This run stopped in step upload'):
        sleeper.beat()
    with pytest.raises(GoalBusy):
        sleeper.leave(900)
    sleeper.release()

    assert sleeper.lost
    assert store.said()["run_id"] == "next"
    assert store.said()["state"] == "working"


def test_a_run_that_looked_long_ago_does_not_come_between_later_runs(store: Store) -> None:
    first = store.step("first")
    first.take()
    first.leave(None)
    slow = _Interrupted(lambda: _two_runs(store))

    store.time.meanwhile = lambda: store.step("third").take()
    with pytest.raises(GoalBusy, match='"third"'):
        store.step("slow", staging=slow).take()

    # The generation that it created was gone by then, so that S3 let it.
    assert slow.created
    assert [path.name for path in store.files()] == ["00000003.json"]


def test_a_lock_removed_by_hand_from_under_a_living_run_is_not_lost(store: Store) -> None:
    living = store.step("living")
    living.take()
    store.files()[0].unlink()

    living.beat()

    assert store.said()["run_id"] == "living"


def test_after_a_lock_was_removed_by_hand_only_one_of_two_runs_goes_on(store: Store) -> None:
    living = store.step("living")
    living.take()
    store.files()[0].unlink()
    hasty = store.step("hasty")
    hasty.take()

    with pytest.raises(GoalBusy):
        living.beat()
    hasty.beat()


def test_a_listing_that_lags_behind_hides_no_run(store: Store) -> None:
    first = store.step("first")
    first.take()
    first.leave(None)
    lagging = _Lagging(store.staging.list_objects(store.folder.lock))
    second = store.step("second")
    second.take()
    store.time.meanwhile = second.beat

    with pytest.raises(GoalBusy, match='"second"'):
        store.step("third", staging=lagging).take()
    store.step("second", "map_fields", staging=lagging).take()

    assert store.said()["step"] == "map_fields"


def test_an_answer_that_got_lost_does_not_shut_a_run_out_from_its_own_lock(store: Store) -> None:
    # The first try created it, and what comes back of the second is that it is there.
    store.step("run", staging=_Unheard()).take()

    assert store.said()["run_id"] == "run"
    assert store.time.slept == []


def test_what_earlier_runs_left_is_removed(store: Store) -> None:
    for run in range(4):
        step = store.step(f"run-{run}")
        step.take()
        step.leave(None)

    assert [path.name for path in store.files()] == ["00000004.json"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b"\xff"], ids=["empty", "cut-off", "list", "no-keys", "no-text"]
)
def test_a_lock_that_can_not_be_read_is_named(store: Store, content: bytes) -> None:
    store.step("first").take()
    store.files()[0].write_bytes(content)

    with pytest.raises(UnexpectedAnswer) as refused:
        store.step("second").take()

    assert str(refused.value).startswith(f"{store.files()[0]}: the lock of goal people can't be read.")
    assert "delete this object, and start the run again" in str(refused.value)


@pytest.mark.parametrize(
    ("key", "value"), [("state", "sleeping"), ("since", "yesterday"), ("gap_seconds", "long"), ("gap_seconds", -1)]
)
def test_a_lock_that_says_what_no_rule_covers_is_not_taken_for_free(store: Store, key: str, value: object) -> None:
    first = store.step("first")
    first.take()
    first.leave(None)
    store.files()[0].write_text(json.dumps({**store.said(), key: value}))

    with pytest.raises(UnexpectedAnswer):
        store.step("second").take()


def test_a_lock_of_a_newer_version_may_say_more(store: Store) -> None:
    first = store.step("first")
    first.take()
    first.leave(None)
    store.files()[0].write_text(json.dumps({**store.said(), "colour": "blue"}))

    store.step("second").take()


def test_of_many_threads_that_begin_at_once_one_gets_the_lock(tmp_path: Path) -> None:
    runs = 8
    together = threading.Barrier(runs)

    def begin(run: int) -> bool:
        together.wait()
        return _take_in_real_time(tmp_path, run, runs)

    with ThreadPoolExecutor(runs) as pool:
        taken = list(pool.map(begin, range(runs)))

    assert taken.count(True) == 1


def test_of_many_processes_that_follow_a_run_one_gets_the_lock(tmp_path: Path) -> None:
    before = Store(tmp_path).step("before")
    before.take()
    before.leave(None)

    with multiprocessing.get_context("spawn").Pool(3) as pool:
        taken = pool.starmap(_take_in_real_time, [(tmp_path, run, 3) for run in range(3)], chunksize=1)

    assert taken.count(True) == 1


def test_a_block_that_holds_the_lock_gives_signs_of_life(store: Store) -> None:
    with hold(_quick(store, "run"), gap_seconds=lambda: 900.0):
        seen = {_wait_for_another(store, "beat") for _ in range(3)}

    assert len(seen) == 3
    assert store.said()["state"] == "between"
    assert store.said()["gap_seconds"] == 900


def test_a_block_without_a_next_step_releases_the_lock_also_when_it_fails(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), hold(_quick(store, "run"), gap_seconds=lambda: None):
        1 / 0  # noqa: B018

    assert store.said()["state"] == "released"


def test_a_block_is_told_when_another_run_took_over_and_fails_with_that(store: Store) -> None:
    told = threading.Event()

    with (  # noqa: PT012
        pytest.raises(GoalBusy, match='Run "thief" took over'),
        hold(_quick(store, "sleeper"), gap_seconds=lambda: 900.0, on_lost=told.set),
    ):
        _steal(store)
        told.wait(10)
        raise TransientError("what it was doing ended so")

    assert told.is_set()
    assert store.said()["run_id"] == "thief"


def test_a_block_that_ends_after_another_run_took_over_fails(store: Store) -> None:
    # The first sign of life is 10 s away.
    with pytest.raises(GoalBusy, match="took over"), hold(store.step("sleeper"), gap_seconds=lambda: 900.0):
        _steal(store)

    assert store.said()["run_id"] == "thief"


def test_a_store_that_fails_for_a_moment_does_not_stop_a_block(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    staging = _Failing()

    with hold(_quick(store, "run", staging), gap_seconds=lambda: 900.0):
        staging.failing = True
        _wait_until(lambda: staging.failures >= 2)
        staging.failing = False
        _wait_for_another(store, "beat")

    assert "this run couldn't renew its lock; another attempt follows. Amazon S3 is busy" in caplog.text
    assert store.said()["state"] == "between"


def test_a_store_out_of_reach_for_long_stops_a_block_and_a_retry_goes_on(store: Store) -> None:
    staging, told = _Failing(), threading.Event()

    with (  # noqa: PT012
        pytest.raises(TransientError, match="this run couldn't renew its lock for"),
        hold(_quick(store, "run", staging), gap_seconds=lambda: 900.0, on_lost=told.set),
    ):
        staging.failing = True
        told.wait(20)

    assert told.is_set()
    store.step("run").take()


def test_that_the_end_of_a_step_can_not_be_noted_fails_nothing(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    staging = _Failing()

    with hold(store.step("run", staging=staging), gap_seconds=lambda: 900.0):
        staging.failing = True
    release(store.step("run", staging=staging))

    assert "the end of a step couldn't be recorded" in caplog.text
    assert "the end of the run couldn't be recorded" in caplog.text
    assert store.said()["state"] == "working"


def _take_in_real_time(home: Path, run: int, runs: int) -> bool:
    """Take the lock and keep it until all others have been told off, or are sure not to be."""
    holder = Holder(f"key-{run}", "1", f"run-{run}", "extract")
    lock = GoalLock(LocalStaging(), GoalFolder(str(home), "people"), holder, seconds=6.0)
    try:
        lock.take()
    except GoalBusy:
        (home / f"told-off-{run}").touch()
        return False
    deadline = time.monotonic() + 30
    with _beating(lock):
        while len(list(home.glob("told-off-*"))) < runs - 1 and time.monotonic() < deadline:
            time.sleep(0.05)
    return True


@contextmanager
def _beating(lock: GoalLock) -> Iterator[None]:
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.05):
            lock.beat()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _quick(store: Store, run: str, staging: LocalStaging | None = None) -> GoalLock:
    """A step that gives a sign of life ten times a second."""
    holder = Holder(f"key-{run}", "1", run, "upload")
    return GoalLock(staging or store.staging, store.folder, holder, seconds=0.3)


def _steal(store: Store) -> None:
    """Take the lock over as if its run were dead: in no time, so that it has no chance to beat."""
    document = {**store.said(), "owner": "key-thief@1", "run_key": "key-thief", "run_id": "thief"}
    path = Path(store.folder.lock) / "00000002.json"
    LocalStaging().write_bytes(str(path), json.dumps(document).encode(), if_absent=True)


def _two_runs(store: Store) -> None:
    second = store.step("second")
    second.take()
    second.leave(None)
    store.step("third").take()


def _wait_for_another(store: Store, key: str) -> object:
    before = store.said()[key]
    _wait_until(lambda: store.said()[key] != before)
    return store.said()[key]


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class _Failing(LocalStaging):
    failing = False
    failures = 0

    def list_objects(self, prefix_uri: str) -> object:  # type: ignore[override]
        if self.failing:
            self.failures += 1
            raise TransientError("Amazon S3 is busy (SlowDown).")
        return super().list_objects(prefix_uri)


class _Lagging(LocalStaging):
    def __init__(self, listed: Sequence[LocalFile]) -> None:
        self._listed = listed

    def list_objects(self, prefix_uri: str) -> Sequence[LocalFile]:
        return self._listed


class _Unheard(LocalStaging):
    def write_bytes(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool:
        return super().write_bytes(uri, data, if_absent=if_absent) and not if_absent


class _Interrupted(LocalStaging):
    """Others do something between this one's look and its first write."""

    def __init__(self, others: Callable[[], None]) -> None:
        self._others: Callable[[], None] | None = others
        self.created = False

    def write_bytes(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool:
        others, self._others = self._others, None
        if others is not None:
            others()
        written = super().write_bytes(uri, data, if_absent=if_absent)
        self.created = self.created or written
        return written


def _take(store: Store, run: str, *, settles: str = "moved") -> tuple[GoalLock, list[str]]:
    """Begin a step, and list what it had to see to before."""
    lock, asked = store.step(run, settles=settles), []
    lock.take(lambda: asked.append(run))
    return lock, asked


def _settle(store: Store, run: str) -> GoalLock:
    lock, _ = _take(store, run)
    lock.is_settled = True
    lock.leave(900)
    return lock


def test_what_a_step_of_a_run_has_seen_to_its_next_steps_need_not(store: Store) -> None:
    first, asked_first = _take(store, "run")
    was_settled, first.is_settled = first.is_settled, True
    first.beat()
    first.leave(900)

    second, asked_second = _take(store, "run")
    second.leave(900)
    third, asked_third = _take(store, "run")

    assert (was_settled, second.is_settled, third.is_settled) == (False, True, True)
    assert (asked_first, asked_second, asked_third) == (["run"], [], [])


def test_what_a_step_failed_to_see_to_is_left_to_the_next_one(store: Store) -> None:
    first, _ = _take(store, "run")
    first.leave(900)

    second, asked = _take(store, "run")

    assert not second.is_settled
    assert asked == ["run"]


def test_a_step_that_sees_to_something_else_begins_anew(store: Store) -> None:
    _settle(store, "run")

    lock, asked = _take(store, "run", settles="renamed")

    assert not lock.is_settled
    assert asked == ["run"]


def test_after_another_run_had_the_goal_a_run_sees_to_it_again(store: Store) -> None:
    _settle(store, "run")
    store.age(901)
    other, asked_other = _take(store, "other")
    other.is_settled = True
    other.leave(None)

    lock, asked = _take(store, "run")

    assert asked_other == ["other"]
    assert not lock.is_settled
    assert asked == ["run"]


def test_a_task_that_goes_on_with_a_lock_taken_anew_does_not_say_that_it_is_settled(store: Store) -> None:
    slow = _settle(store, "run")
    slow.take()
    slow.leave(900)
    store.age(901)
    other, _ = _take(store, "other")
    other.leave(None)
    beside, _ = _take(store, "run")

    slow.beat()

    assert not slow.is_settled
    assert store.said()["settled"] == ""
    assert not _take(store, "run")[0].is_settled
    assert not beside.is_settled


def test_nothing_is_written_before_a_run_has_seen_to_what_comes_first(store: Store) -> None:
    def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.step("run", settles="moved").take(fails)

    assert store.files() == []
