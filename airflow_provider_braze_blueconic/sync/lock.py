"""One run of a goal at a time: who works says so in S3, and whoever comes second waits for its turn.

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
:mod:`~airflow_provider_braze_blueconic.sync.queue`.

Why generations and not one object: S3 can create an object on condition that there is none, wherever it runs, but not
everywhere replace one on condition that it is unchanged. A run that wakes up after it was taken for dead writes an old
generation, which nobody reads.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_provider_braze_blueconic.exceptions import GoalBusy, SyncError, TransientError, UnexpectedAnswer
from airflow_provider_braze_blueconic.sync.staging import GoalFolder, StagedFile, Staging, fresh_id
from airflow_provider_braze_blueconic.sync.store_clock import seconds_since_written

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.queue import GoalQueue

__all__ = ["GoalLock", "Holder", "hold", "release"]

log = logging.getLogger(__name__)

_State = Literal["working", "between", "released"]

_BEATS = 3
"""Signs of life in ``lock_seconds``: two of them may fail or be late."""

_LOOKS = 6
"""Looks at another run's lock in ``lock_seconds``: two for each sign of life."""

_SILENT_FOR = 3
"""Times ``lock_seconds`` without a sign of life that reached S3, after which a step stops by itself.

Not sooner, since whoever would take over has to reach S3 too, and begins with reading the source. And not never: where
S3 is out of reach for this machine alone, another one may be at work by then.
"""

_ROUNDS = 20
"""Looks at a new owner. Each round some run got on, so only a crowd gets through all of them."""

_PAUSE_SECONDS = 0.5
"""Between two of them."""

_NAME = re.compile(r"/(\d{8,})\.json$")


@dataclass(frozen=True)
class Holder:
    """Who asks for a lock.

    :param run_key: the run.
    :param started: stamp of this start of the run. In another Airflow, and after a finished run was cleared, the same
        run has another; a task that is tried again has the same. Empty if it is not known.
    :param run_id: the run as people, and Airflow, know it.
    :param step: the task as people know it.
    :param dag_id: the run's DAG, as Airflow knows it; empty outside of Airflow.
    :param airflow: tells one Airflow from another, whose runs may have the same ids; empty if it is not known.
    """

    run_key: str
    started: str
    run_id: str
    step: str
    dag_id: str = ""
    airflow: str = ""

    @property
    def owner(self) -> str:
        return f"{self.run_key}@{self.started}"


@dataclass(frozen=True)
class _Document:
    """What the lock says.

    :param since: when the run took the lock, by its own clock, as ISO 8601.
    :param beat: another one in each sign of life.
    :param gap_seconds: for how long ``between`` may last.
    :param dag_id: not in locks of before 2026-12, as ``airflow``.
    """

    owner: str
    run_key: str
    run_id: str
    step: str
    state: _State
    since: str
    beat: str
    gap_seconds: float
    dag_id: str = ""
    airflow: str = ""


_EARLIER = {"dag_id": "", "airflow": ""}


@dataclass(frozen=True)
class _Found:
    generation: int
    uri: str
    document: _Document


class GoalLock:
    """The lock of one goal, as one step of one run sees it.

    :param seconds: ``lock_seconds``.
    :param has_ended: asks this Airflow whether one of its runs, by DAG id and run id, has ended; ``None`` if that can't
        be known.
    :param queue: of the runs that wait. Without it, this one takes what is free.
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
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._staging = staging
        self._folder = folder
        self._holder = holder
        self._has_ended = has_ended
        self._queue = queue
        self._clock = clock
        self._sleep = sleep
        self._generation = 0
        self._since = ""
        self.seconds = seconds
        self.lost = False
        """Another run took over what this one held."""

    @property
    def goal_id(self) -> str:
        return self._folder.goal_id

    def take(self) -> None:
        """Begin a step: take the lock, or go on with it if this run has it already.

        Waits for up to ``lock_seconds`` where it has to find out whether another run is alive.

        :raises GoalBusy: another run has it, or has waited for it longer.
        :raises UnexpectedAnswer: the lock can't be read.
        """
        for _ in range(_ROUNDS):
            found = self._newest()
            if found is not None and found.document.owner == self._holder.owner:
                self._generation, self._since = found.generation, found.document.since
                self._write("working")
                return
            if found is None or not self._is_earlier_start(found.document):
                if found is not None and not self._may_follow(found):
                    self._sleep(min(_PAUSE_SECONDS, self.seconds / _LOOKS))
                    continue
                self._let_others_first()
            if self._create(found.generation + 1 if found is not None else 1):
                return
        raise GoalBusy(
            f"Many runs of goal {self.goal_id} began at once, and others were quicker each time. Nothing was done in "
            f"step {self._holder.step}.",
            "Start the run again when they have ended.",
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

    def _may_follow(self, found: _Found) -> bool:
        """Tell whether another run's lock may be taken over; ``False`` to look again, since it changed hands.

        :raises GoalBusy: it may not.
        """
        document = found.document
        match document.state:
            case "released":
                return True
            case "between":
                return not document.gap_seconds or self._has_stopped(found)
            case "working":
                return self._has_died(found)

    def _has_stopped(self, found: _Found) -> bool:
        """Tell whether a run between two steps won't come back. ``False`` to look again.

        :raises GoalBusy: it will, as far as can be known.
        """
        document = found.document
        ended = None
        if document.dag_id and document.airflow and document.airflow == self._holder.airflow:
            ended = self._has_ended(document.dag_id, document.run_id)
        if ended:
            log.info('%s: run "%s" has ended without saying so in the goal\'s lock; this run takes over',
                     self.goal_id, document.run_id)  # fmt: skip
            return True
        if ended is False:
            raise self._between(document, "Let the other end, or mark it as failed if it is to stop.")
        age = seconds_since_written(self._staging, self._folder).get(found.uri)
        if age is not None and age < document.gap_seconds:
            raise self._between(
                document,
                "Let the other end, then start this one again. If the other was stopped for good, start this one in "
                f"{_duration(document.gap_seconds - age)}, or delete {found.uri} and start it now.",
            )
        return age is not None

    def _is_earlier_start(self, document: _Document) -> bool:
        """Tell whether this very run took the lock before it was cleared: it is no rival of its own."""
        if document.run_key != self._holder.run_key:
            return False
        if document.airflow:
            return document.airflow == self._holder.airflow
        # Written by an older version, which did not say where. Another Airflow's run would be at work, most likely.
        return document.state == "between"

    def _let_others_first(self) -> None:
        """Leave what is free to a run that has waited longer.

        :raises GoalBusy: there is one.
        """
        ahead = self._queue.ahead() if self._queue is not None else []
        if ahead:
            raise GoalBusy(
                f'Another run of goal {self.goal_id} is to go first: "{ahead[0].run_id}" has waited since '
                f"{_moment(ahead[0].since)}. This one did nothing in step {self._holder.step}.",
                f"Let the other begin, or delete the objects in {self._folder.waiting}.",
            )

    def _has_died(self, found: _Found) -> bool:
        """Watch a lock for ``lock_seconds``: whether it stayed as it is. ``False`` to look again.

        :raises GoalBusy: its run gave a sign of life.
        """
        log.info(
            '%s: run "%s" has the goal; watching for up to %g s whether it is alive',
            self.goal_id, found.document.run_id, self.seconds,
        )  # fmt: skip
        began = self._clock()
        while (left := self.seconds - (self._clock() - began)) > 0:
            self._sleep(min(self.seconds / _LOOKS, left))
            now = self._read(found.uri)
            if now is None or now.state != "working":
                return False
            if now.beat != found.document.beat:
                raise self._at_work(now)
        log.warning(
            '%s: run "%s" gave no sign of life in step %s; this run takes over', self.goal_id,
            found.document.run_id, found.document.step,
        )  # fmt: skip
        return True

    def _create(self, generation: int) -> bool:
        """Create a generation, unless another run is quicker."""
        self._generation, self._since = generation, dt.datetime.now(dt.UTC).isoformat()
        if not self._write("working", if_absent=True):
            return False
        generations = self._generations()
        # Who looked long ago may create one that others have had, and removed, meanwhile.
        if max(generations, default=generation) > generation:
            self._staging.delete([self._uri(generation)])
            return False
        with suppress(SyncError):  # what is left is removed by the next owner
            self._staging.delete([staged.uri for number, staged in generations.items() if number < generation])
        return True

    def _check_still_ours(self) -> None:
        found = self._newest()
        # None: somebody removed it by hand, as a message of ours advises for a dead run. This one is not.
        if found is None or found.generation < self._generation:
            return
        if found.document.owner != self._holder.owner:
            self.lost = True
            raise self._taken_over(found)
        # Another task of this run may have taken it anew.
        self._generation = found.generation

    def _generations(self) -> dict[int, StagedFile]:
        listed = self._staging.list_objects(self._folder.lock)
        return {int(name[1]): staged for staged in listed if (name := _NAME.search(staged.uri))}

    def _newest(self) -> _Found | None:
        for _ in range(_ROUNDS):
            listed = self._generations()
            newest = max([self._generation, *listed])
            document = self._read(self._uri(newest)) if newest else None
            # A store's listing may lag behind its objects.
            while (later := self._read(self._uri(newest + 1))) is not None:
                newest, document = newest + 1, later
            if document is not None:
                return _Found(newest, self._uri(newest), document)
            if newest not in listed:
                return None
            # Removed since it was listed: there is a newer one.
        raise TransientError(f"{self._folder.lock}: the lock of goal {self.goal_id} vanishes whenever it is read.")

    def _read(self, uri: str) -> _Document | None:
        try:
            content = self._staging.read_bytes(uri)
        except FileNotFoundError:
            return None
        return _parse(content, uri, self.goal_id)

    def _uri(self, generation: int) -> str:
        return f"{self._folder.lock}{generation:08d}.json"

    def _write(self, state: _State, gap_seconds: float = 0.0, *, if_absent: bool = False) -> bool:
        holder = self._holder
        document = _Document(
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
        )
        content = json.dumps(asdict(document), indent=1).encode()
        return self._staging.write_bytes(self._uri(self._generation), content, if_absent=if_absent)

    def _at_work(self, other: _Document) -> GoalBusy:
        return GoalBusy(
            f'Another run of goal {self.goal_id} is at work: "{other.run_id}", in step {other.step}, since '
            f"{_moment(other.since)}. Two runs at once would each send what the other sends, so this one did nothing "
            f"in step {self._holder.step}.",
            "Let the other end, then start this one again.",
        )

    def _between(self, other: _Document, remedy: str) -> GoalBusy:
        return GoalBusy(
            f'Another run of goal {self.goal_id} has not ended: "{other.run_id}" began at {_moment(other.since)} and '
            f"did step {other.step} last. Two runs at once would each send what the other sends, so this one did "
            f"nothing in step {self._holder.step}.",
            remedy,
        )

    def _taken_over(self, found: _Found) -> GoalBusy:
        other = found.document
        return GoalBusy(
            f'Run "{other.run_id}" took over goal {self.goal_id} at {_moment(other.since)}, since this one gave no '
            "sign of life for too long: its machine was paused or out of reach, or it took longer than "
            f"lock_gap_seconds to get to its next step. This one stopped in step {self._holder.step}. What the target "
            "acknowledged is kept, and gets into the ledger with the next run. There is nothing to repair."
        )


def _parse(content: bytes, uri: str, goal_id: str) -> _Document:
    """Read a lock; keys that a newer version may add are left alone, and those that an older one lacks are empty.

    :raises UnexpectedAnswer: it is none.
    """
    try:
        written: dict[str, Any] = _EARLIER | json.loads(content)
        document = _Document(**{field.name: written[field.name] for field in fields(_Document)})
        dt.datetime.fromisoformat(document.since)
        readable = document.state in get_args(_State) and float(document.gap_seconds) >= 0
    except (ValueError, TypeError, KeyError):
        readable = False
    if not readable:
        raise UnexpectedAnswer(
            f"{uri}: the lock of goal {goal_id} can't be read. Make sure that no run of the goal is at work, delete "
            "this object, and start the run again."
        )
    return document


def _moment(text: str) -> str:
    return f"{dt.datetime.fromisoformat(text).astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


class _Heartbeat:
    """Gives signs of life from a thread of its own, until it is ended or must not go on."""

    def __init__(self, lock: GoalLock, on_lost: Callable[[], None]) -> None:
        self._lock = lock
        self._on_lost = on_lost
        self._ended = threading.Event()
        # A daemon: a request that hangs must not keep the process of a finished task alive.
        self._thread = threading.Thread(target=self._run, name=f"lock of {lock.goal_id}", daemon=True)
        self.failure: SyncError | None = None

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Stop. A sign that hangs may still come after this: others then wait until it counts as dead."""
        self._ended.set()
        self._thread.join(self._lock.seconds)

    def _run(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(self._lock.seconds / _BEATS):
            try:
                self._lock.beat()
                last = time.monotonic()
            except GoalBusy as error:
                self.failure = error
            # Whatever it is, a thread that ends in silence would make this run look dead.
            except Exception as error:  # noqa: BLE001
                self.failure = self._failed(error, time.monotonic() - last)
            if self.failure is not None:
                self._on_lost()
                return

    def _failed(self, error: Exception, silent: float) -> SyncError | None:
        # Only our own errors were written for people; another one's text may hold anything.
        said = str(error) if isinstance(error, SyncError) else f"It failed with {type(error).__name__}."
        if silent < _SILENT_FOR * self._lock.seconds:
            log.warning("%s: a sign of life of this run could not be given, another follows. %s",
                        self._lock.goal_id, said)  # fmt: skip
            return None
        return TransientError(
            f"{self._lock.goal_id}: for {silent:.0f} s no sign of life of this run could be given, so another run may "
            f"be at work by now. This one stopped; what the target acknowledged is kept. {said}"
        )


@contextmanager
def hold(
    lock: GoalLock, *, gap_seconds: Callable[[], float | None], on_lost: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold the lock for the time of a block: one step, or, with ``None`` for a gap, all that a run does.

    :param gap_seconds: returns, when the step is done, for how long the run may take until its next one; ``None`` if
        there is none. Without a ``SyncReportOperator`` a run is never said to have ended, and others wait that long.
    :param on_lost: called, from another thread, when the block must not go on.
    :raises GoalBusy: another run has the lock; or took it over meanwhile, whatever else the block raised.
    :raises TransientError: S3 could not be reached for so long that another run may have taken over.
    """
    lock.take()
    heartbeat = _Heartbeat(lock, on_lost)
    heartbeat.start()
    try:
        yield
    finally:
        heartbeat.end()
        if heartbeat.failure is not None:
            raise heartbeat.failure
        try:
            lock.leave(gap_seconds())
        except GoalBusy:
            raise
        except (SyncError, OSError) as error:
            log.warning("%s: the end of a step could not be noted. The next step goes on; another run would wait %g s. "
                        "%s", lock.goal_id, lock.seconds, error)  # fmt: skip


def release(lock: GoalLock) -> None:
    """Say that the run has ended. That it can't be said fails nothing: the lock then ends by itself."""
    try:
        lock.release()
    except (SyncError, OSError) as error:
        log.warning("%s: the end of the run could not be noted. Another run has to wait until the lock ends by itself. "
                    "%s", lock.goal_id, error)  # fmt: skip
