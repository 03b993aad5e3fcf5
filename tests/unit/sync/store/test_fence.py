from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.exceptions import SyncError, TransientError
from airflow_provider_braze_blueconic.sync.store.attempts import Superseded, counters, is_anybody_at_work, unfinished
from airflow_provider_braze_blueconic.sync.store.fence import Fence, close
from airflow_provider_braze_blueconic.sync.store.watch import Watch
from tests.support.clock import ClockLoop, in_clock_time
from tests.support.staging import LocalStaging

Waited = list[float]


@pytest.fixture(autouse=True)
def waited(monkeypatch: pytest.MonkeyPatch) -> Waited:
    """Seconds of each wait for an older attempt, in a time of its own."""
    seconds: Waited = []

    def run(main: object) -> object:
        async def timed() -> object:
            loop = asyncio.get_running_loop()
            began = loop.time()
            try:
                return await main  # type: ignore[misc]
            finally:
                seconds.append(loop.time() - began)

        return in_clock_time(lambda _: timed())

    monkeypatch.setattr(asyncio, "run", run)
    return seconds


def begin(folder: Path, *names: str) -> Fence:
    fence = Fence(LocalStaging(), str(folder), names or ("0",), label="goal partition 0")
    fence.begin()
    return fence


def test_a_first_attempt_is_the_newest_and_waits_for_nobody(tmp_path: Path, waited: Waited) -> None:
    fence = begin(tmp_path)
    fence.wait_for_older()

    assert fence.is_newest()
    fence.check()
    assert waited == []


@pytest.mark.promise(2)
def test_of_two_attempts_the_newer_goes_on(tmp_path: Path) -> None:
    older = begin(tmp_path)
    newer = begin(tmp_path)

    assert (older.is_newest(), newer.is_newest()) == (False, True)
    with pytest.raises(Superseded, match=r"^goal partition 0: a newer attempt"):
        older.check()


def test_of_two_attempts_that_begin_at_the_same_moment_one_goes_on(tmp_path: Path) -> None:
    class Blind(LocalStaging):
        """Both looked before either of them was there."""

        def list_objects(self, prefix_uri: str) -> list[object]:  # type: ignore[override]
            return []

    both = [Fence(Blind(), str(tmp_path), ["0"], label="x") for _ in range(2)]
    for fence in both:
        fence.begin()

    assert [fence.is_newest() for fence in both] == [False, True]


def test_attempts_at_two_partitions_do_not_meet(tmp_path: Path) -> None:
    first, second = begin(tmp_path, "1"), begin(tmp_path, "11")

    assert first.is_newest()
    assert second.is_newest()


def test_an_attempt_at_several_partitions_ends_with_a_newer_one_at_any_of_them(tmp_path: Path) -> None:
    several = begin(tmp_path, "0", "1")

    begin(tmp_path, "1")

    assert not several.is_newest()


def test_a_retry_after_an_attempt_that_ended_waits_for_nobody(tmp_path: Path, waited: Waited) -> None:
    begin(tmp_path).end({"0": {"requests": 3}})

    begin(tmp_path).wait_for_older()

    assert waited == []


def test_a_retry_waits_until_an_older_attempt_has_ended(tmp_path: Path, waited: Waited) -> None:
    older = begin(tmp_path)

    class Later(LocalStaging):
        looks = 0

        def list_objects(self, prefix_uri: str) -> object:  # type: ignore[override]
            Later.looks += 1
            if Later.looks == 4:
                older.end({})
            return super().list_objects(prefix_uri)

    newer = Fence(Later(), str(tmp_path), ["0"], label="x")
    newer.begin()
    newer.wait_for_older()

    assert waited == [1.0]
    assert unfinished(LocalStaging(), str(tmp_path)) == {"0"}  # the newer one itself


def test_a_retry_waits_no_longer_for_a_killed_one_than_that_one_could_send_and_only_once(
    tmp_path: Path, waited: Waited
) -> None:
    begin(tmp_path)

    second = begin(tmp_path)
    second.wait_for_older()
    second.end({})
    begin(tmp_path).wait_for_older()

    assert waited == [6.0]


def test_what_a_killed_attempt_left_is_told_until_the_end(tmp_path: Path) -> None:
    staging, folder = LocalStaging(), str(tmp_path)
    begin(tmp_path, "0", "1")
    second = begin(tmp_path, "0")
    second.wait_for_older()
    second.end({"0": {"requests": 2}})

    assert unfinished(staging, folder) == {"0", "1"}
    assert counters(staging, folder) == [{"requests": 2}]


def test_a_trace_of_an_earlier_version_counts_as_unfinished_and_is_not_waited_for(
    tmp_path: Path, waited: Waited
) -> None:
    LocalStaging().write_bytes(f"{tmp_path}/attempts/3~0a1b2c3d4e5f", b"")

    begin(tmp_path, "3").wait_for_older()

    assert unfinished(LocalStaging(), str(tmp_path)) == {"3"}
    assert waited == []


@pytest.mark.promise(2)
def test_a_commit_ends_an_attempt_that_outlived_its_worker(tmp_path: Path, waited: Waited) -> None:
    staging, folder = LocalStaging(), str(tmp_path)
    orphan = begin(tmp_path, "0")
    begin(tmp_path, "1").end({})

    close(staging, folder, label="goal commit")

    assert not orphan.is_newest()
    assert waited == [6.0]
    assert not is_anybody_at_work(staging, folder)
    assert [path.name for path in sorted((tmp_path / "attempts").iterdir())] == [
        "0~00000001", "0~00000002", "1~00000001"
    ]  # fmt: skip


def test_a_commit_where_everybody_ended_writes_nothing(tmp_path: Path) -> None:
    begin(tmp_path).end({})
    before = sorted((tmp_path / "attempts").iterdir())

    close(LocalStaging(), str(tmp_path), label="goal commit")

    assert sorted((tmp_path / "attempts").iterdir()) == before


def test_counters_are_kept_as_they_were_given(tmp_path: Path) -> None:
    begin(tmp_path, "0", "1").end({"0": {"requests": 1}, "1": {"requests": 2}})

    assert counters(LocalStaging(), str(tmp_path)) == [{"requests": 1}, {"requests": 2}]
    assert json.loads((tmp_path / "attempts" / "1~00000001").read_text()) == {"requests": 2}


# Looking while something is sent


def watch(
    answer: Callable[[float], bool], *, seconds: float, step: float = 0.1
) -> tuple[list[float], SyncError | None]:
    """Watch for some seconds.

    :param answer: time since the start → what the store says; may raise.
    :return: the times at which a request might start, and why the upload had to end.
    """

    async def main(loop: ClockLoop) -> tuple[list[float], SyncError | None]:
        began = loop.time()
        watched = Watch(lambda: answer(loop.time() - began), label="goal partition 0", on_look=lambda: None)
        beside = asyncio.ensure_future(watched.run())
        may = []
        while loop.time() - began < seconds and not beside.done():
            if watched.may_start(loop.time()):
                may.append(round(loop.time() - began, 3))
            await asyncio.sleep(step)
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)
        return may, watched.failure

    return in_clock_time(main)


def test_nothing_starts_before_the_first_look() -> None:
    may, failure = watch(lambda _: True, seconds=2)

    assert may[0] == 0.1
    assert len(may) == 19
    assert failure is None


@pytest.mark.promise(2)
def test_nothing_starts_half_a_second_after_a_newer_attempt_began() -> None:
    may, failure = watch(lambda now: now < 1.25, seconds=4)

    assert max(may) <= 1.75
    assert isinstance(failure, Superseded)


def test_a_store_that_fails_for_a_moment_stops_nobody() -> None:
    def answer(now: float) -> bool:
        if 1.0 < now < 4.0:
            raise TransientError("busy")
        return True

    may, failure = watch(answer, seconds=6)

    assert len(may) == 59
    assert failure is None


@pytest.mark.promise(2)
def test_a_store_that_fails_for_longer_pauses_the_upload_until_it_answers(caplog: pytest.LogCaptureFixture) -> None:
    def answer(now: float) -> bool:
        if 1.0 < now < 12.0:
            raise OSError("a person's name")
        return True

    may, failure = watch(answer, seconds=14)

    pause = [now for now in may if 6.1 < now < 12.0]
    assert pause == []
    assert may[-1] > 13.5
    assert failure is None
    assert caplog.text.count("sending pauses until S3 says") == 1
    assert "a person's name" not in caplog.text


def test_a_store_that_stays_away_ends_the_upload_for_a_retry() -> None:
    def answer(now: float) -> bool:
        if now > 1.0:
            raise TransientError("busy")
        return True

    may, failure = watch(answer, seconds=60)

    assert max(may) <= 6.1
    assert isinstance(failure, TransientError)
    assert "for 31 s S3 didn't say" in str(failure) or "for 30 s S3 didn't say" in str(failure)


@pytest.mark.promise(2)
def test_a_process_that_was_paused_looks_before_it_sends_again() -> None:
    async def main(loop: ClockLoop) -> tuple[bool, bool, bool, bool]:
        watched = Watch(lambda: True, label="x", on_look=lambda: None)
        beside = asyncio.ensure_future(watched.run())
        await asyncio.sleep(0.1)
        before = watched.may_start(loop.time())
        loop.moment += 1.0  # SIGSTOP, SIGCONT
        woken = watched.may_start(loop.time())
        still = watched.may_start(loop.time())
        await asyncio.sleep(0.6)
        looked = watched.may_start(loop.time())
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)
        return before, woken, still, looked

    assert in_clock_time(main) == (True, False, False, True)


@pytest.mark.promise(2)
def test_an_answer_from_before_a_pause_is_worth_nothing() -> None:
    async def main(loop: ClockLoop) -> bool:
        def answer() -> bool:
            loop.moment += 1.0  # the process is paused while the answer is on its way
            return True

        watched = Watch(answer, label="x", on_look=lambda: None)
        watched.may_start(loop.time())
        await watched.look()
        return watched.may_start(loop.time())

    assert in_clock_time(main) is False
