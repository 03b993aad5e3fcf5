"""Two processes that upload the same partition at once, as after the kill of a worker whose task lives on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from airflow_provider_braze_blueconic.sandbox.exchanges import Exchange
from airflow_provider_braze_blueconic.sandbox.faults import Fault
from airflow_provider_braze_blueconic.sandbox.server import Sandbox
from tests.support.copies import CopiedUpload, Copy
from tests.support.sandbox import running_sandbox, use_connections

PEOPLE = 200
DEADLINE_SECONDS = 60


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with running_sandbox(profiles=600, record=True) as running:
        use_connections(running, monkeypatch)
        running.faults.add(Fault("blueconic", "latency", method="PUT", delay_s=0.2))
        yield running


def single_people(box: Sandbox) -> list[str]:
    """Values of ``crm_id`` that one profile has, and nobody else."""
    found = box.blueconic.profiles.values()
    ids = [profile.values.get("crm_id", []) for profile in found if "braze_revenue" not in profile.values]
    alone = [values[0] for values in ids if len(values) == 1 and len(box.blueconic.look_up("crm_id", values[0])) == 1]
    return sorted(alone)[:PEOPLE]


def added(box: Sandbox, people: list[str]) -> dict[str, int]:
    """How many people have which number now."""
    numbers = []
    for who in people:
        (profile,) = box.blueconic.look_up("crm_id", who)
        numbers.append(box.blueconic.profiles[profile].values.get("braze_revenue", ["none"])[0])
    return {number: numbers.count(number) for number in sorted(set(numbers))}


def puts(box: Sandbox, copy: Copy) -> list[Exchange]:
    """Uploads that a process sent, as the server saw them."""
    return [
        each
        for each in list(box.exchanges)
        if each.method == "PUT" and each.request_headers["host"].startswith(copy.host)
    ]


def wait(for_what: Callable[[], bool]) -> None:
    until = time.monotonic() + DEADLINE_SECONDS
    while not for_what():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
def copies(box: Sandbox, tmp_path: Path) -> Iterator[tuple[CopiedUpload, Copy, Copy, list[str]]]:
    """An upload, and two processes that are about to make it; the first is slow."""
    people = single_people(box)
    assert len(people) == PEOPLE
    goal = CopiedUpload(box, tmp_path, people)
    older, newer = goal.start(requests_per_second=6), goal.start(host="localhost")
    try:
        older.wait_until_ready()
        newer.wait_until_ready()
        yield goal, older, newer, people
    finally:
        for copy in (older, newer):
            copy.signal(signal.SIGKILL)
            copy.supervisor.kill()
            with suppress(Exception):
                copy.supervisor.communicate(timeout=5)


@pytest.mark.promise(2)
def test_a_copy_that_outlived_its_worker_sends_nothing_more_within_a_second_of_the_retrys_start(
    box: Sandbox, copies: tuple[CopiedUpload, Copy, Copy, list[str]]
) -> None:
    goal, older, newer, people = copies
    older.go()
    wait(lambda: len(puts(box, older)) >= 4)
    older.supervisor.kill()

    newer.go()
    began = newer.said("begins")
    newer.said("done")
    older.said("Superseded")
    summary = goal.commit()

    assert [each.began - began for each in puts(box, older) if each.began > began + 1.0] == []
    assert len(puts(box, older)) < PEOPLE / 5
    assert len(puts(box, newer)) > 0
    assert added(box, people) == {"1": PEOPLE}
    assert summary.outcomes == {"accepted": PEOPLE}


@pytest.mark.by_hand
@pytest.mark.promise(2)
def test_a_copy_that_was_paused_while_the_retry_did_its_work_sends_nothing_when_it_wakes_up(
    box: Sandbox, copies: tuple[CopiedUpload, Copy, Copy, list[str]]
) -> None:
    goal, older, newer, people = copies
    older.go()
    wait(lambda: len(puts(box, older)) >= 4)
    older.supervisor.kill()
    older.signal(signal.SIGSTOP)

    newer.go()
    began = newer.said("begins")
    newer.said("done")
    older.signal(signal.SIGCONT)
    older.said("Superseded")
    summary = goal.commit()

    assert [each for each in puts(box, older) if each.began > began + 1.0] == []
    # Whom the older one was about to send, the newer one left alone, and so did the older: they go with the next run.
    accepted = summary.outcomes["accepted"]
    assert added(box, people) == {number: count for number, count in (("1", accepted), ("none", PEOPLE - accepted))
                                  if count}  # fmt: skip
