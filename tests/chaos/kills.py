"""Runs whose process is killed at the n-th request that the sandbox sees, by ``kill -9`` or as Airflow's supervisor does.

The moment is a request, not a time, so that a seed names the same moment everywhere. The process dies either before the
request does anything, or right after: then it is stopped (SIGSTOP) as the request comes in, the request is carried out,
and the process never sees the answer.
"""

from __future__ import annotations

import atexit
import datetime as dt
import io
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from airflow_provider_braze_blueconic.sandbox.faults import Fault, Service
from tests.chaos.harness import GOAL_ID, Direction, Night, World
from tests.chaos.nursery import Child, Ended, Nursery
from tests.support.airflow import Run

__all__ = ["Kills", "Moment", "Terminated", "nursery", "run_in_nursery"]

_SETTLE_SECONDS = 0.3
"""For requests that a dead process has sent to reach the sandbox; that they are through, the world waits for."""

_AIRFLOW_GRACE_SECONDS = 5.0
"""From SIGTERM to SIGKILL: ``ActivitySubprocess.kill`` in Airflow's ``sdk/execution_time/supervisor.py``."""

_nurseries: dict[Path, Nursery] = {}


def nursery(home: Path) -> Nursery:
    """Return the nursery of an Airflow; it ends with this process."""
    if home not in _nurseries:
        _nurseries[home] = Nursery(home).__enter__()
        atexit.register(_nurseries[home].__exit__, None, None, None)
    return _nurseries[home]


@dataclass(frozen=True)
class Moment:
    """A request.

    :param number: which of those that match, from 0.
    :param after: whether the request is carried out.
    :param service: of the requests that count; ``None`` for all three.
    :param path: pattern of their paths, as in :class:`Fault`.
    :param method: as in :class:`Fault`.
    """

    number: int
    after: bool = False
    service: Service | None = None
    path: str = "*"
    method: str = "*"

    def __str__(self) -> str:
        what = " ".join(part for part in (self.service, self.method, self.path) if part and part != "*")
        return f"{'after' if self.after else 'before'} request {self.number} of {what or 'all'}"

    def matches(self, service: Service, method: str, path: str) -> bool:
        return self.service in {None, service} and self.method in {"*", method} and fnmatchcase(path, self.path)


class _Trap:
    """Watches all requests of a sandbox, and does something to a process at a moment."""

    def __init__(self, moment: Moment, *, signal_number: int = signal.SIGKILL) -> None:
        self.moment = moment
        self.pid: int | None = None
        self.sprung = threading.Event()
        self.requests = 0
        self._signal = signal_number
        self._matching = 0
        self._lock = threading.Lock()

    def see(self, service: Service, method: str, path: str) -> list[Fault]:
        with self._lock:
            self.requests += 1
            if not self.moment.matches(service, method, path) or self.sprung.is_set():
                return []
            number, self._matching = self._matching, self._matching + 1
            if number != self.moment.number:
                return []
            return self._spring(service)

    def _spring(self, service: Service) -> list[Fault]:
        assert self.pid is not None
        dies_first = self._signal == signal.SIGKILL and not self.moment.after
        os.killpg(self.pid, signal.SIGSTOP if self._signal == signal.SIGKILL and self.moment.after else self._signal)
        self.sprung.set()
        return [Fault(service, "reset_before")] if dies_first else []


@contextmanager
def _set(trap: _Trap, world: World) -> Iterator[None]:
    faults = world.box.faults
    draw = faults.draw

    def draw_or_spring(service: Service, *, method: str, path: str) -> list[Fault]:
        return trap.see(service, method, path) or draw(service, method=method, path=path)

    faults.draw = draw_or_spring  # type: ignore[method-assign]
    try:
        yield
    finally:
        del faults.draw  # type: ignore[method-assign]


def run_in_nursery(world: World, *, date: dt.datetime | None = None, trap: _Trap | None = None, **how: Any) -> Night:
    """Run the goal in a process of its own, which may be killed, and note what the target saw.

    Of a killed run only what is in durable part receipts counts as told: nobody else knows.
    """
    moment = date or dt.datetime.now(dt.UTC)
    before = set(_part_receipts(world))

    def make() -> Run | None:
        # A process has no time to make requests before it is known: it only parses the goal's file meanwhile.
        child = nursery(world.home).start(
            GOAL_ID, date=moment, **{**how, "environment": {**os.environ, **how.get("environment", {})}}
        )
        if trap is not None:
            trap.pid = child.pid
        ended = _wait(child, trap)
        if ended.state is None:
            time.sleep(_SETTLE_SECONDS)
        if ended.state is None:
            return None
        return Run(ended.state, ended.states, [], ended.log, {}, run_id=f"manual__{moment.isoformat()}")

    night = world.watch(make)
    if night.run is None:
        night = _keep_what_is_durable(world, night, before)
    return night


def _wait(child: Child, trap: _Trap | None) -> Ended:
    if trap is None:
        return child.wait()
    done = threading.Event()

    def finish() -> None:
        while not trap.sprung.wait(0.1):
            if done.is_set():
                return
        grace = _SETTLE_SECONDS if trap._signal == signal.SIGKILL else _AIRFLOW_GRACE_SECONDS
        if not done.wait(grace):
            child.kill()

    watcher = threading.Thread(target=finish, daemon=True)
    watcher.start()
    try:
        return child.wait()
    finally:
        done.set()
        watcher.join()


def _keep_what_is_durable(world: World, night: Night, before: set[str]) -> Night:
    durable = {
        person
        for key, rows in _part_receipts(world).items()
        if key not in before
        for person, outcome in rows
        if outcome == "accepted"
    }
    sent = [each if each.person in durable else replace(each, told=None) for each in night.sent]
    known = replace(night, sent=sent)
    world.nights[-1] = known
    return known


def _part_receipts(world: World) -> dict[str, list[tuple[str, str]]]:
    """Key → (person, outcome) of each part receipt in S3, a person named as in the requests."""
    client = world.box.s3_client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="sandbox-sync", Prefix=f"tests/{GOAL_ID}/work/")
    found = {}
    for entry in chain.from_iterable(page.get("Contents", []) for page in pages):
        if "/receipts/" in entry["Key"]:
            body = client.get_object(Bucket="sandbox-sync", Key=entry["Key"])["Body"].read()
            rows = pq.read_table(io.BytesIO(body), columns=["identifier", "outcome"]).to_pylist()
            found[entry["Key"]] = [(world.person(row["identifier"]), row["outcome"]) for row in rows]
    return found


def _merge(nights: Sequence[Night]) -> Night:
    """Take the attempts at one run, the last of which reported, for one night: its report speaks of all of them."""
    last = nights[-1]
    if len(nights) == 1:
        return last
    assert last.run is not None
    counted: Counter[str] = Counter()
    for night in nights:
        counted.update(night.counted)
    # An attempt that was killed took its own count of requests with it.
    states = {**last.run.states, "upload": [*last.run.states.get("upload", []), "killed"]}
    return Night(
        replace(last.run, states=states),
        report=last.report,
        requests=sum(night.requests for night in nights),
        sent=[each for night in nights for each in night.sent],
        counted=counted,
    )


_STEPS = (
    Moment(0, service="s3", method="PUT", path="*/snapshot-*"),
    Moment(0, service="s3", method="PUT", path="*/mapped-*"),
    Moment(0, service="s3", method="PUT", path="*/delta-*"),
    Moment(0, service="s3", method="PUT", path="*/open/*"),
    Moment(0, service="s3", method="PUT", path="*/delta-*/receipts/*"),
    Moment(0, service="s3", method="GET", path="*/delta-*"),
    Moment(0, service="s3", method="PUT", path="*/receipts/*/part-*"),
    Moment(0, service="s3", method="PUT", path="*/receipts/_delta_log/*"),
    Moment(0, service="s3", method="PUT", path="*/ledger/*.parquet"),
    Moment(0, service="s3", method="PUT", path="*/ledger/_delta_log/*"),
    Moment(0, service="s3", method="PUT", path="*/runs/_delta_log/*"),
    Moment(0, service="s3", method="PUT", path="*/~observed/*"),
    Moment(0, service="s3", method="PUT", path="*/lock/*"),
    Moment(0, service="s3", method="POST"),
    Moment(0, service="braze", method="POST"),
    Moment(0, service="blueconic", method="PUT"),
    Moment(0, service="blueconic", method="PUT"),
)
_REQUESTS: Mapping[Direction, int] = {"export": 170, "import": 260, "sums": 280}
"""Requests of an undisturbed run of the standard goals, a little less than there are."""


def _draw_moment(draw: random.Random, direction: Direction) -> Moment:
    """Draw a moment: any request, or one of those at which something becomes durable or is sent."""
    after = draw.random() < 0.5
    if draw.random() < 0.4:
        return Moment(draw.randrange(_REQUESTS[direction]), after)
    return replace(draw.choice(_STEPS), number=min(int(draw.expovariate(1.0)), 4), after=after)


@dataclass(frozen=True)
class Kills:
    """Makes runs and kills them, some as the retry of the one before, some as a new run; the last lives.

    :param seed: decides when.
    :param times: how many in a row.
    :param moments: when, instead of what the seed says.
    :param retried: share of the runs that are the retry of the one before.
    """

    seed: int = 0
    times: int = 3
    moments: tuple[Moment, ...] = ()
    retried: float = 0.6

    def __call__(self, world: World) -> None:
        draw = random.Random(f"kills:{self.seed}")
        moments = self.moments or tuple(_draw_moment(draw, world.direction) for _ in range(self.times))
        attempts: list[Night] = []
        date = dt.datetime.now(dt.UTC)
        for moment in moments:
            if attempts and draw.random() >= self.retried:
                attempts, date = [], dt.datetime.now(dt.UTC)
            trap = _Trap(moment)
            with _set(trap, world):
                attempts.append(run_in_nursery(world, date=date, resume=True, trap=trap))
            world.kills += trap.sprung.is_set()
            if not trap.sprung.is_set():
                self._close(world, attempts)
                attempts, date = [], dt.datetime.now(dt.UTC)
        if attempts and attempts[-1].run is None and draw.random() < self.retried:
            attempts.append(run_in_nursery(world, date=date, resume=True))
            self._close(world, attempts)
        world.box.faults.clear()  # late answers are not what is counted here

    def _close(self, world: World, attempts: Sequence[Night]) -> None:
        if attempts[-1].run is not None and len(attempts) > 1:
            del world.nights[-len(attempts) :]
            world.nights.append(_merge(attempts))


@dataclass(frozen=True)
class Terminated:
    """Makes a run and ends it as Airflow does when a task is marked failed: SIGTERM, five seconds, SIGKILL."""

    moment: Moment

    def __call__(self, world: World) -> None:
        trap = _Trap(self.moment, signal_number=signal.SIGTERM)
        with _set(trap, world):
            run_in_nursery(world, trap=trap)
        world.kills += trap.sprung.is_set()
        world.box.faults.clear()
