"""Three nights of one goal on a cluster, three kills, and what became of everybody."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from airflow_provider_braze_blueconic.sync.store.paths import run_key
from tests.cluster.airflow import running_middle
from tests.cluster.audit import Audit, audit
from tests.cluster.braze import running_braze
from tests.cluster.goal import Night, write_dags
from tests.cluster.hunt import TRAPS
from tests.cluster.night import Cluster, Outcome
from tests.cluster.s3 import running_s3
from tests.cluster.services import running_postgres, running_redis
from tests.cluster.tables import tables
from tests.cluster.workers import Workers

PEOPLE = 2_000_000
_WORKERS = 2
_NIGHT_SECONDS, _MORE_SECONDS_PER_PERSON = 900.0, 0.001


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    arguments.add_argument("--people", type=int, default=PEOPLE)
    arguments.add_argument("--partitions", type=int, default=8)
    arguments.add_argument("--keep", action="store_true", help="keep logs and requests also when all is right")
    arguments.add_argument("--nights", type=int, choices=(1, 2, 3), default=3)
    arguments.add_argument("--orphans", action="store_true", help="a killed worker's task goes on by itself")
    given = arguments.parse_args()
    # So that all that was started is stopped then too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    home, say = Path(tempfile.mkdtemp(prefix="cluster-test-")), partial(_say, time.monotonic())
    say(f"files are in {home}")
    # PostgreSQL may run as another user.
    home.chmod(0o711)
    right = False
    try:
        found = _nights(home, given, say)
        right = all(account.is_right for _, account in found)
        print(f"\n{tables(found)}", flush=True)
    finally:
        if right and not given.keep:
            shutil.rmtree(home)
        else:
            say(f"logs and requests stay in {home}")
    if not right:
        sys.exit("somebody was lost or doubled, or the state does not say what happened")


def _say(began: float, text: str) -> None:
    print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)


def _nights(home: Path, given: argparse.Namespace, say: Callable[[str], None]) -> list[tuple[Outcome, Audit]]:
    with ExitStack() as stack:
        people = given.people
        dags = partial(write_dags, people=people, partitions=given.partitions, workers=_WORKERS)
        cluster = _start(stack, home, dags, say)
        cluster.workers.orphans = given.orphans
        names = [cluster.workers.add() for _ in range(_WORKERS)]
        say(f"{' and '.join(names)} started; {people:,} people")
        seconds = _NIGHT_SECONDS + people * _MORE_SECONDS_PER_PERSON
        found = []
        for night in (Night(number, people) for number in range(1, given.nights + 1)):
            kills = list(TRAPS) if night.number == 1 else []
            outcome = cluster.run(night, kills=kills, seconds=seconds)
            account = audit(outcome, cluster.s3.url, run_key(outcome.run_id))
            say(f"night {night.number} is over: {account}")
            found.append((outcome, account))
            if night.number == 1 < given.nights:
                say(f"{cluster.workers.add()} started for two against one")
            if night.number == 2:
                cluster.workers.stop(next(iter(cluster.workers.running)))
        return found


def _start(stack: ExitStack, home: Path, dags: Callable[[Path], None], say: Callable[[str], None]) -> Cluster:
    s3, braze = stack.enter_context(running_s3()), stack.enter_context(running_braze(home))
    database, broker = stack.enter_context(running_postgres(home)), stack.enter_context(running_redis(home))
    say("S3, Braze, PostgreSQL and Redis answer")
    (home / "airflow").mkdir()
    middle = running_middle(home / "airflow", dags, broker=broker, database=database, s3_url=s3.url)
    airflow, environment = stack.enter_context(middle)
    say("API server answers; scheduler, DAG processor and triggerer started")
    workers = Workers(home, dags, environment, s3.url, braze.url)
    stack.enter_context(workers.all_stopped_at_the_end())
    return Cluster(airflow, workers, s3, braze, home, say)


if __name__ == "__main__":
    main()
