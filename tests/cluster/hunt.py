"""Kills workers at moments that were chosen before: the servers hold the request until it is done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.kill import Kill, acknowledged
from tests.cluster.trap import Server, Trap
from tests.cluster.workers import Workers

__all__ = ["TRAPS", "Hunt"]

TRAPS = {
    "map_fields": Trap("PUT", "*/mapped-*"),
    "compute_delta": Trap("PUT", "*/delta-*/partition=*"),
    # Some receipts are durable then.
    "upload": Trap("PUT", "*/delta-*/receipts/partition=*", number=6),
}
"""Step → the request at which a worker is killed."""

_LOOK_SECONDS = 0.02


@dataclass
class Hunt:
    """The kills of a night.

    :param steps: in which a worker is killed, in their order. A new one takes the place of each but the last, whose work
        is left to the others.
    :param folder: for who was acknowledged at each kill.
    :ivar kills: what was done so far.
    """

    workers: Workers
    s3: Server
    steps: Sequence[str]
    folder: Path
    say: Callable[[str], None]
    kills: list[Kill] = field(default_factory=list)

    def run(self, over: threading.Event) -> None:
        """Wait for each moment in turn, in a thread of its own: a worker must not go on for long while it is held.

        :param over: the night is.
        """
        for number, step in enumerate(self.steps, 1):
            self.s3.set(TRAPS[step])
            while (worker := self.s3.sprung()) is None:
                if over.wait(_LOOK_SECONDS):
                    return
            self.kills.append(self._kill(worker, step, replace=number < len(self.steps)))

    def check(self) -> None:
        """Check that everybody was killed who was to be.

        :raises RuntimeError: with the steps where nobody was.
        """
        if missing := self.steps[len(self.kills) :]:
            raise RuntimeError(f"nobody was killed in {', '.join(missing)}")

    def _kill(self, worker: str, step: str, *, replace: bool) -> Kill:
        left = self.workers.kill(worker)
        moment = time.time()
        self.s3.release()
        file = acknowledged(self.s3.url, self.folder / f"acknowledged-{step}.parquet")
        self.say(f"killed {worker} in {step}" + (f"; {self.workers.add()} takes its place" if replace else ""))
        return Kill(worker, step, moment, file, left)
