"""The waits, in a loop whose time the test owns: whatever does not sleep ends in an error instead of a hot loop."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from airflow.triggers.base import BaseTrigger

from airflow_provider_braze_blueconic.exceptions import AccessError, TransientError
from airflow_provider_braze_blueconic.triggers.segment_export_files import BrazeExportTrigger
from tests.support.clock import ClockLoop, in_clock_time

ASKED = 1_770_000_000.0
TREE = "s3://acme-exports/segment-export/seg-1/"
OURS = "0aaa-1770000000"
FOREIGN = "0bbb-1769990000"


@dataclass(frozen=True)
class File:
    uri: str
    size: int = 100
    modified: dt.datetime = dt.datetime(2026, 2, 2, tzinfo=dt.UTC)


def part(name: str, prefix: str = OURS, date: str = "2026-02-02", size: int = 100) -> File:
    return File(f"{TREE}{date}/{prefix}/{name}", size)


@dataclass
class Bucket:
    """Shows what a function of the seconds since the start says is there."""

    content: Callable[[float], Sequence[File]]
    loop: ClockLoop | None = None
    looks: list[float] = field(default_factory=list)
    afters: list[str | None] = field(default_factory=list)

    def list_objects(self, uri: str, *, after: str | None = None) -> list[File]:
        assert self.loop is not None
        seconds = self.loop.moment - 5_000
        self.looks.append(seconds)
        self.afters.append(after)
        return [file for file in self.content(seconds) if file.uri.startswith(uri) and file.uri > (after or "")]


def trigger(**changes: Any) -> BrazeExportTrigger:
    return BrazeExportTrigger(
        **{
            "goal_id": "people",
            "deadline": ASKED + 3_600,
            "poll_seconds": 10.0,
            "export": "s3://acme-exports",
            "aws_conn_id": "aws_default",
            "segment_id": "seg-1",
            "object_prefix": OURS,
            "asked_at": ASKED,
            "quiet_seconds": 60.0,
            **changes,
        }
    )


async def only_event(waiting: Any) -> dict[str, Any]:
    events = [event.payload async for event in waiting.run()]
    assert len(events) == 1
    return dict(events[0])


def run(waiting: Any, source: Bucket, opening: Callable[[], None] = lambda: None) -> dict[str, Any]:
    async def main(loop: ClockLoop) -> dict[str, Any]:
        source.loop = loop
        waiting.wall = lambda: ASKED + loop.moment - 5_000
        waiting._bucket = source
        waiting._open = opening
        return await only_event(waiting)

    return in_clock_time(main)


def test_files_that_are_still_end_the_wait() -> None:
    bucket = Bucket(lambda now: [part("a")] * (now >= 30) + [part("b", date="2026-02-03")] * (now >= 75))

    event = run(trigger(), bucket)

    assert event == {
        "state": "quiet",
        "files": 2,
        "bytes": 200,
        "deadline": ASKED + 3_600,
        "short": False,
        "error": None,
    }
    assert bucket.looks == [float(second) for second in range(0, 141, 10)]


def test_files_of_other_exports_are_no_files_of_ours() -> None:
    bucket = Bucket(lambda now: [part("a", FOREIGN), File(f"{TREE}2026-02-02/users-1.zip")])

    assert run(trigger(), bucket)["state"] == "timed_out"
    assert bucket.looks[-1] == 3_600


def test_export_that_never_comes_ends_at_the_deadline() -> None:
    event = run(trigger(deadline=ASKED + 100), Bucket(lambda now: []))

    assert (event["state"], event["files"]) == ("timed_out", 0)


def test_empty_segment_ends_after_the_quiet_time() -> None:
    bucket = Bucket(lambda now: [])

    assert run(trigger(may_stay_empty=True), bucket)["state"] == "empty"
    assert bucket.looks[-1] == 60


def test_wait_for_more_than_what_was_too_few_says_so() -> None:
    few = run(trigger(known=[1, 100]), Bucket(lambda now: [part("a")]))
    more = run(trigger(known=[1, 100]), Bucket(lambda now: [part("a")] + [part("b")] * (now >= 500)))

    assert (few["state"], few["short"], few["files"]) == ("timed_out", True, 1)
    assert (more["state"], more["short"], more["files"]) == ("quiet", True, 2)


def test_years_of_exports_are_not_listed_at_every_look() -> None:
    bucket = Bucket(lambda now: [part("a")] * (now >= 500))

    run(trigger(), bucket)

    assert bucket.afters[0] is None
    assert set(bucket.afters[1:30]) == {f"{TREE}2026-01-31"}
    assert bucket.afters[30] is None


def test_date_folder_with_another_name_than_documented_is_found_all_the_same() -> None:
    bucket = Bucket(lambda now: [part("a", date="02-02-2026")] * (now >= 100))

    event = run(trigger(), bucket)

    assert event["state"] == "quiet"
    assert bucket.looks[-1] == 360  # seen by the full look at 300, then still for a minute


def test_turn_comes_when_nothing_moves_any_more() -> None:
    bucket = Bucket(lambda now: [part(str(n), FOREIGN) for n in range(int(min(now, 200) // 40))])

    event = run(trigger(object_prefix=None), bucket)

    assert event["state"] == "turn"
    assert bucket.looks[-1] == 260


def test_turn_comes_at_once_when_the_answer_to_a_lost_question_appears() -> None:
    bucket = Bucket(lambda now: [part("x", FOREIGN, size=int(now))] + [part("a")] * (now >= 100))

    event = run(trigger(object_prefix=None, questions=[ASKED - 20]), bucket)

    assert event["state"] == "turn"
    assert bucket.looks[-1] == 100


def test_turn_that_never_comes_ends_at_the_deadline() -> None:
    bucket = Bucket(lambda now: [part("x", FOREIGN, size=int(now))])

    assert run(trigger(object_prefix=None), bucket)["state"] == "timed_out"


@pytest.mark.parametrize(
    "error", [TransientError("busy"), AccessError("no"), RuntimeError("odd")], ids=lambda error: type(error).__name__
)
def test_wait_outlives_a_bucket_that_is_out_of_reach_for_a_while(error: Exception) -> None:
    def content(now: float) -> list[File]:
        if 30 <= now < 300:
            raise error
        return [part("a")]

    assert run(trigger(quiet_seconds=200.0), Bucket(content))["state"] == "quiet"


def test_file_that_came_while_the_bucket_was_out_of_reach_is_still_waited_for() -> None:
    def content(now: float) -> list[File]:
        if 20 < now < 200:
            raise TransientError("busy")
        return [part("a")] + [part("b")] * (now >= 200)

    bucket = Bucket(content)

    assert run(trigger(), bucket)["files"] == 2
    assert bucket.looks[-1] >= 260


def test_bucket_that_stays_out_of_reach_ends_the_wait_with_the_error() -> None:
    def content(now: float) -> list[File]:
        raise AccessError("s3://acme-exports: the bucket doesn't exist.")

    bucket = Bucket(content)
    event = run(trigger(), bucket)

    assert event["state"] == "failed"
    assert list(event["error"]) == ["AccessError", "s3://acme-exports: the bucket doesn't exist."]
    assert len(bucket.looks) == 20
    assert 600 < bucket.looks[-1] < 1_200


def test_text_of_an_error_that_is_not_ours_is_not_passed_on() -> None:
    def content(now: float) -> list[File]:
        raise RuntimeError("planted-secret")

    event = run(trigger(), Bucket(content))

    assert "planted-secret" not in json.dumps(event)
    assert list(event["error"]) == ["TransientError", "The check failed with RuntimeError."]


def test_failing_connection_is_looked_up_again() -> None:
    opened = []

    def opening() -> None:
        opened.append(1)
        if len(opened) < 3:
            raise RuntimeError("the API server restarts")

    event = run(trigger(), Bucket(lambda now: [part("a")]), opening)

    assert event["state"] == "quiet"
    assert len(opened) == 3


def test_poll_of_zero_seconds_still_sleeps_between_looks() -> None:
    def content(now: float) -> list[File]:
        raise TransientError("busy")

    assert run(trigger(poll_seconds=0.0), Bucket(content))["state"] == "failed"


@pytest.mark.parametrize(
    "waiting",
    [
        trigger(questions=[ASKED], known=[3, 300], may_stay_empty=True),
        trigger(object_prefix=None),
    ],
    ids=["files", "turn"],
)
def test_trigger_is_made_again_from_plain_values(waiting: BaseTrigger) -> None:
    path, arguments = waiting.serialize()

    again = type(waiting)(**json.loads(json.dumps(arguments)))

    assert path == "airflow_provider_braze_blueconic.triggers.segment_export_files.BrazeExportTrigger"
    assert again.serialize() == (path, arguments)


def test_looks_run_beside_the_event_loop_in_a_few_threads_of_their_own() -> None:
    threads: set[str] = set()

    async def main() -> list[str]:
        waits = [trigger(deadline=0.0, object_prefix=f"p{number}") for number in range(30)]
        for waiting in waits:
            waiting._open = lambda: None  # type: ignore[method-assign]
            waiting._bucket = Listing(threads)  # type: ignore[assignment]
        return [event["state"] for event in await asyncio.gather(*map(only_event, waits))]

    assert asyncio.run(main()) == ["timed_out"] * 30
    assert 1 <= len(threads) <= 8
    assert all(name.startswith("braze-export") for name in threads)


@dataclass
class Listing:
    threads: set[str]

    def list_objects(self, uri: str, *, after: str | None = None) -> list[File]:
        self.threads.add(threading.current_thread().name)
        return []
