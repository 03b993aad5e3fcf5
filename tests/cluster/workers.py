"""Celery workers that share nothing but S3, as workers on machines of their own."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.cluster import braze, s3
from tests.cluster.processes import Started, kill_each, start

__all__ = ["Workers"]

_ROOT = str(Path(__file__).parents[2])
_NAME = "import os\n\ndef name():\n    return os.environ['CLUSTER_WORKER']\n"


@dataclass
class Workers:
    """The workers of a cluster, each with a name that S3, Braze and Airflow know it by.

    :param folder: gets a folder for each worker.
    :param dags: writes DAG file and goal into a folder: each worker has a copy.
    :param environment: what they need to know of the cluster; no database and no key to sign with.
    :param orphans: a kill leaves what is not in the worker's group: the process that runs the task goes on by itself.
    """

    folder: Path
    dags: Callable[[Path], None]
    environment: Mapping[str, str]
    s3_url: str
    braze_url: str
    orphans: bool = False
    running: dict[str, Started] = field(default_factory=dict)
    _left: list[psutil.Process] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def add(self) -> str:
        """Start one more worker, on a new machine so to speak, and return its name."""
        name = f"worker-{next(self._numbers)}"
        home = self.folder / name
        (home / "config").mkdir(parents=True)
        (home / "config" / "worker_name.py").write_text(_NAME)
        (home / "work").mkdir()
        self.dags(home / "dags")
        command = [sys.executable, "-m", "airflow", "celery", "worker", "--skip-serve-logs", "--concurrency", "1"]
        log = home / "worker.log"
        started = start(name, [*command, "--celery-hostname", name], self._environment(name, home), log)
        self.running[name] = started
        return name

    def kill(self, name: str) -> int:
        """End a worker with -9, and what it started too, unless orphans are wanted.

        :return: how many of its processes live on.
        """
        left = self.running.pop(name).kill_group()
        if self.orphans:
            self._left += left
            return len(left)
        kill_each(left)
        return 0

    def stop(self, name: str) -> None:
        """Let a worker end."""
        self.running.pop(name).stop()

    def check(self) -> None:
        """Check that all of them are alive.

        :raises RuntimeError: with the end of its log, if one isn't.
        """
        for worker in list(self.running.values()):
            if worker.process.poll() is not None:
                raise RuntimeError(f"{worker.name} ended by itself\n{worker.tail()}")

    @contextmanager
    def all_stopped_at_the_end(self) -> Iterator[Workers]:
        """Stop whoever is left at the end of a block."""
        try:
            yield self
        finally:
            kill_each(self._left)
            for name in list(self.running):
                self.stop(name)

    def _environment(self, name: str, home: Path) -> dict[str, str]:
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")},
            **self.environment,
            "PYTHONPATH": _ROOT,
            "TMPDIR": str(home / "work"),
            "CLUSTER_WORKER": name,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "worker_name.name",
            "AIRFLOW__BRAZE_BLUECONIC__WORK_FOLDER": str(home / "work"),
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(s3.connection(self.s3_url, name)),
            "AIRFLOW_CONN_BRAZE_DEFAULT": json.dumps(braze.connection(self.braze_url, name)),
        }
