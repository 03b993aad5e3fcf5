"""One run of a goal at a time: the running one says so in S3, and the others wait.

The lock keeps apart runs that would repeat each other's work. That nothing is lost or doubled, should two runs get past
it all the same, is the business of the Delta tables: their transactions, ``WriterConflict``, and deltas that know when
they were overtaken.

The lock is the object of the highest generation in ``<goal>/lock/``. To take it is to create the next generation, which
S3 lets only one of several do. Only the owner writes its own generation again: with a new ``beat`` several times in
``lock_seconds`` while a step is at work, as ``between`` when the step is done, as ``released`` when the run is.

Another run may take over

* what is released;
* what is ``between`` two steps of a run that has ended, as Airflow says of its own runs: somebody marked it as failed,
  or a single task of it was cleared;
* what is ``between`` two steps for longer than its run asked for, as the store's own clock tells. This is for runs of
  another Airflow, which can't be asked; a run of this one that has not ended keeps its goal;
* what is ``working`` and did not change while it was watched for ``lock_seconds``. Contents are compared, not clocks,
  so machines need not agree on the time.

The same run in the same Airflow is no other run: when it was cleared and starts anew, it follows itself at once,
whatever its earlier start was doing. What is free goes to the run that has waited longest; see
:mod:`~airflow_provider_braze_blueconic.sync.store.queue`.

Why generations and not one object: S3 can create an object on condition that there is none, wherever it runs, but not
everywhere replace one on condition that it is unchanged. A run that wakes up after it was taken for dead writes an old
generation, which nobody reads.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.exceptions import GoalBusy
from airflow_provider_braze_blueconic.sync.store.generations import Found, Generations
from airflow_provider_braze_blueconic.sync.store.holder import Holder
from airflow_provider_braze_blueconic.sync.store.lock_document import LockDocument, State, shown_moment
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder, fresh_id
from airflow_provider_braze_blueconic.sync.store.rival import LOOKS, RivalWatch, is_earlier_start
from airflow_provider_braze_blueconic.sync.store.staging import Staging

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.store.queue import GoalQueue

__all__ = ["GoalLock"]

_ROUNDS = 20
"""Attempts to get the lock. Each round some run got on, so only a crowd gets through all of them."""

_PAUSE_SECONDS = 0.5
"""Between two of them."""


class GoalLock:
    """The lock of one goal, as one step of one run sees it.

    :param seconds: ``lock_seconds``.
    :param has_ended: asks this Airflow whether one of its runs, by DAG id and run id, has ended; ``None`` if that can't
        be known.
    :param queue: of the runs that wait. Without it, this one takes what is free.
    :param settles: names what a run sees to once, when it begins to hold the goal; see :attr:`is_settled`.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        staging: Staging,
        folder: GoalFolder,
        holder: Holder,
        *,
        seconds: float,
        has_ended: Callable[[str, str], bool | None] = lambda *_: None,
        queue: GoalQueue | None = None,
        settles: str = "",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = folder
        self._holder = holder
        self._queue = queue
        self._sleep = sleep
        self._generations = Generations(staging, folder)
        self._rivals = RivalWatch(
            staging, folder, holder, self._generations, seconds=seconds, has_ended=has_ended, clock=clock, sleep=sleep
        )
        self._generation = 0
        self._since = ""
        self._settles = settles
        self.seconds = seconds
        self.is_settled = False
        """A step of this run has seen to ``settles``, and nobody else had the goal since then. Whoever sees to it says
        so here, within :meth:`take` and :meth:`leave`, and the run's next steps know it from the lock."""
        self.lost = False
        """Another run took over this one's lock."""

    @property
    def goal_id(self) -> str:
        return self._folder.goal_id

    def take(self, before_first: Callable[[], None] | None = None) -> None:
        """Begin a step: take the lock, or go on with it if this run has it already.

        Waits for up to ``lock_seconds`` where it has to find out whether another run is alive.

        :param before_first: called before anything is written, unless the run is settled; see :attr:`is_settled`.
        :raises GoalBusy: another run has it, or has waited for it longer.
        :raises UnexpectedAnswer: the lock can't be read.
        """
        for _ in range(_ROUNDS):
            found = self._newest()
            self.is_settled = self._was_settled(found)
            if before_first is not None and not self.is_settled:
                before_first()
                before_first = None
                continue
            if found is not None and found.document.owner == self._holder.owner:
                self._generation, self._since = found.generation, found.document.since
                self._write("working")
                return
            if found is None or not is_earlier_start(self._holder, found.document):
                if found is not None and not self._rivals.may_follow(found):
                    self._sleep(min(_PAUSE_SECONDS, self.seconds / LOOKS))
                    continue
                self._let_others_first()
            if self._create(found.generation + 1 if found is not None else 1):
                return
        raise GoalBusy(
            f"Many runs of goal {self.goal_id} started at once, and another one was faster each time. Step "
            f"{self._holder.step} did nothing.",
            "Start the run again once they have ended.",
        )

    def beat(self) -> None:
        """Give a sign of life.

        :raises GoalBusy: another run took over.
        """
        self._check_still_ours()
        self._write("working")

    def leave(self, gap_seconds: float | None) -> None:
        """End a step.

        :param gap_seconds: for how long the run may take until its next step; ``None`` if it has none.
        :raises GoalBusy: another run took over.
        """
        self._check_still_ours()
        if gap_seconds is None:
            self._write("released")
        else:
            self._write("between", gap_seconds)

    def release(self) -> None:
        """End the run: release the lock if this run has it, whichever of its steps took it."""
        found = self._newest()
        if found is not None and found.document.owner == self._holder.owner:
            self._generation, self._since = found.generation, found.document.since
            self._write("released")

    def _let_others_first(self) -> None:
        """Leave what is free to a run that has waited longer.

        :raises GoalBusy: there is one.
        """
        ahead = self._queue.ahead() if self._queue is not None else []
        if ahead:
            raise GoalBusy(
                f'Another run of goal {self.goal_id} goes first: "{ahead[0].run_id}" has been waiting since '
                f"{shown_moment(ahead[0].since)}. Step {self._holder.step} did nothing.",
                f"Let the other run start, or delete the objects in {self._folder.waiting}.",
            )

    def _create(self, generation: int) -> bool:
        """Create a generation, unless another run is quicker."""
        self._generation, self._since = generation, dt.datetime.now(dt.UTC).isoformat()
        return self._generations.create(generation, self._document("working"))

    def _check_still_ours(self) -> None:
        found = self._newest()
        # None: somebody removed it by hand, as a message of ours advises for a dead run. This one is not.
        if found is None or found.generation < self._generation:
            return
        if found.document.owner != self._holder.owner:
            self.lost = True
            raise self._taken_over(found)
        if found.generation > self._generation:
            # Another task of this run has taken it anew, after somebody else had it.
            self._generation, self.is_settled = found.generation, self._was_settled(found)

    def _was_settled(self, found: Found | None) -> bool:
        """Tell whether a step of this run said so, in the lock that was found."""
        if found is None or found.document.owner != self._holder.owner:
            return False
        return bool(self._settles) and found.document.settled == self._settles

    def _newest(self) -> Found | None:
        return self._generations.newest(self._generation)

    def _write(self, state: State, gap_seconds: float = 0.0) -> None:
        self._generations.write(self._generation, self._document(state, gap_seconds))

    def _document(self, state: State, gap_seconds: float = 0.0) -> LockDocument:
        holder = self._holder
        return LockDocument(
            owner=holder.owner,
            run_key=holder.run_key,
            run_id=holder.run_id,
            step=holder.step,
            state=state,
            since=self._since,
            # Not a number: tasks of one run that upload side by side would write the same one in turn.
            beat=fresh_id(),
            gap_seconds=gap_seconds,
            dag_id=holder.dag_id,
            airflow=holder.airflow,
            settled=self._settles if self.is_settled else "",
        )

    def _taken_over(self, found: Found) -> GoalBusy:
        other = found.document
        return GoalBusy(
            f'Run "{other.run_id}" took over goal {self.goal_id} at {shown_moment(other.since)}, because this one '
            "didn't renew its lock in time: its machine was paused or unreachable, or its next step started later "
            f"than lock_gap_seconds allows. This run stopped in step {self._holder.step}. What the target "
            "acknowledged is kept, and the next run puts it into the ledger. You don't need to repair anything."
        )
