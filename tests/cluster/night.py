"""One night on the cluster: the run is started, watched, told of, and disturbed."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.cluster.goal import DAG_ID, Night
from tests.cluster.hunt import Hunt
from tests.cluster.kill import Kill
from tests.cluster.trap import Server
from tests.cluster.workers import Workers
from tests.support.scheduler import AirflowServer

__all__ = ["Cluster", "Outcome"]

_LOOK_SECONDS = 1.0
_TELL_SECONDS = 15.0


@dataclass
class Outcome:
    """A night that is over.

    :ivar seconds: from the start of the run to its end, by Airflow's clock.
    :ivar steps: task id → seconds from its first start to its last end, as its last attempts tell.
    :ivar workers: worker → tasks that ended there.
    :ivar s3_requests: of everybody who works at the run.
    """

    night: Night
    run_id: str
    requests: Path
    kills: list[Kill]
    seconds: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)
    workers: Counter[str] = field(default_factory=Counter)
    s3_requests: int = 0


@dataclass
class Cluster:
    """All parts of it, started.

    :param folder: for files of the test itself.
    """

    airflow: AirflowServer
    workers: Workers
    s3: Server
    braze: Server
    folder: Path
    say: Callable[[str], None]

    def run(self, night: Night, *, kills: Sequence[str] = (), seconds: float) -> Outcome:
        """Run a night to its end.

        :param kills: steps in which a worker is killed, in their order.
        :raises RuntimeError: it fails, it takes longer than ``seconds``, or a kill never happened.
        """
        requests = Path(self.braze.ask(f"night-{night.number}"))
        night.put_files(self.folder, self.s3.url)
        hunt = Hunt(self.workers, self.s3, kills, self.folder, self.say)
        before = self.s3.ask("requests")
        over = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            hunting = pool.submit(hunt.run, over)
            try:
                made = self.airflow.post(f"dags/{DAG_ID}/dagRuns", {"logical_date": night.logical_date.isoformat()})
                outcome = Outcome(night, made["dag_run_id"], requests, hunt.kills)
                self._watch(outcome, deadline=time.monotonic() + seconds)
            finally:
                over.set()
        hunting.result()
        hunt.check()
        outcome.s3_requests = self.s3.ask("requests") - before
        return outcome

    def _watch(self, outcome: Outcome, *, deadline: float) -> None:
        path, told, before = f"dags/{DAG_ID}/dagRuns/{quote(outcome.run_id)}", 0.0, ""
        while True:
            self.workers.check()
            run, now = self.airflow.get(path), time.monotonic()
            tasks = self.airflow.get(f"{path}/taskInstances", limit=200)["task_instances"]
            under_way = _under_way(tasks)
            if run["state"] == "success":
                _take(outcome, run, tasks)
                return
            if run["state"] == "failed" or now > deadline:
                raise RuntimeError(f"night {outcome.night.number} is {run['state']}: {under_way}")
            if under_way != before or now - told > _TELL_SECONDS:
                self.say(f"{under_way}; {self.braze.ask('people'):,} people at Braze")
                before, told = under_way, now
            time.sleep(_LOOK_SECONDS)


def _under_way(tasks: Sequence[dict[str, Any]]) -> str:
    """Say which tasks are under way, in one line."""
    states = Counter((task["task_id"], task["state"]) for task in tasks)
    said = [
        f"{task} {state}{f' x{number}' if number > 1 else ''}"
        for (task, state), number in states.items()
        if state not in (None, "success")
    ]
    return ", ".join(said) or "between two tasks"


def _take(outcome: Outcome, run: dict[str, Any], tasks: Sequence[dict[str, Any]]) -> None:
    outcome.seconds = _between(run["start_date"], run["end_date"])
    spans: dict[str, list[tuple[str, str]]] = {}
    for task in tasks:
        if task["start_date"] and task["end_date"] and task["hostname"]:
            spans.setdefault(task["task_id"], []).append((task["start_date"], task["end_date"]))
            outcome.workers[task["hostname"]] += 1
    for task_id, each in spans.items():
        outcome.steps[task_id] = _between(min(began for began, _ in each), max(ended for _, ended in each))


def _between(began: str, ended: str) -> float:
    return (dt.datetime.fromisoformat(ended) - dt.datetime.fromisoformat(began)).total_seconds()
