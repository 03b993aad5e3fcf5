"""Runs that wait for a goal: first come, first served.

A run that finds its goal busy writes an object and ends its task; Airflow starts the task again some time later, and
the run asks once more::

    <staging>/<goal id>/lock/waiting/<run key>~<Airflow>

The object says since when the run has waited, so a task that is killed and tried again does not start its wait anew.
A run may only take a goal that is free if nobody else has waited longer. Without that, the next run of a backfill
would take the goal the moment it is free, every time, and the night's run would ask in vain until the last of them.

A run that stopped asking holds nobody up: after a while it is passed over, and sooner where Airflow says that it has
ended. The queue is about fairness alone. That two runs don't work at once is the business of the lock.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.exceptions import SyncError
from airflow_provider_braze_blueconic.sync.store.store_clock import seconds_since_written

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.store.holder import Holder
    from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
    from airflow_provider_braze_blueconic.sync.store.staging import Staging

__all__ = ["GoalQueue", "Turn", "Waiting"]

log = logging.getLogger(__name__)

_FIRST_ASKS_AFTER = 2
_OTHERS_ASK_AFTER = 4
"""Times ``lock_seconds`` until a run that waits asks again. Asking takes a worker slot for some seconds, which the run
at work may need; so only the first in the queue asks often."""

_LATE = 3
"""Times the seconds after which a run said it would ask again, until others pass it over: Airflow may start it late."""

_SLACK_SECONDS = 60.0
"""That much later at least: starting a task takes a while, however short the wait."""


@dataclass(frozen=True)
class Waiting:
    """A run that waits, as its object says.

    :param started: stamp of this start of the run: a run that is cleared waits anew.
    :param step: in which it waits.
    :param since: when it began to wait, by its own clock, as ISO 8601.
    :param asks_again_seconds: after which it asks again.
    :param gave_up: it waited for as long as it may, and failed.
    """

    run_id: str
    dag_id: str
    airflow: str
    started: str
    step: str
    since: str
    asks_again_seconds: float
    gave_up: bool = False


@dataclass(frozen=True)
class Turn:
    """What a run that waits is told.

    :param since: when it began to wait.
    :param asks_again_seconds: after which it is to ask again.
    :param is_over: it has waited for as long as it may.
    """

    since: dt.datetime
    asks_again_seconds: float
    is_over: bool


class GoalQueue:
    """The queue of one goal, as one step of one run sees it.

    :param lock_seconds: as the lock has them.
    :param has_ended: asks Airflow whether a run, by DAG id and run id, has ended; ``None`` if that can't be known.
    :param now: aware UTC.
    """

    def __init__(
        self,
        staging: Staging,
        folder: GoalFolder,
        holder: Holder,
        *,
        lock_seconds: float,
        has_ended: Callable[[str, str], bool | None] = lambda *_: None,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._staging = staging
        self._folder = folder
        self._holder = holder
        self._lock_seconds = lock_seconds
        self._has_ended = has_ended
        self._now = now
        airflow = hashlib.sha256(holder.airflow.encode()).hexdigest()[:8]
        self._uri = folder.waiting_run(holder.run_key, airflow)
        self.is_waiting = False
        """This run said that it waits, as far as :meth:`ahead` saw."""

    def ahead(self) -> list[Waiting]:
        """List the other runs whose turn comes before this one's, the next one first."""
        found = dict(self._others())
        if not found:
            return []
        own = self._read(self._uri)
        place = (own.since, self._uri) if own is not None and self._is_this_start(own) else None
        ages = seconds_since_written(self._staging, self._folder)
        ahead = []
        for uri, other in found.items():
            late = _LATE * other.asks_again_seconds + _SLACK_SECONDS
            if other.gave_up or ages.get(uri, 0.0) > late or (place is not None and place < (other.since, uri)):
                continue
            if other.dag_id and other.airflow == self._holder.airflow and self._has_ended(other.dag_id, other.run_id):
                self._staging.delete([uri])
                continue
            ahead.append((other.since, uri, other))
        return [other for _, _, other in sorted(ahead, key=lambda entry: entry[:2])]

    def wait(self, patience_seconds: float) -> Turn:
        """Say that this run waits, or goes on waiting.

        :param patience_seconds: for how long it may, all in all.
        """
        own = self._read(self._uri)
        now = self._now()
        if own is None or not self._is_this_start(own) or (own.gave_up and own.step == self._holder.step):
            # Nobody but a person starts a step again that gave up.
            since, gave_up = now, False
        else:
            since, gave_up = dt.datetime.fromisoformat(own.since), own.gave_up
        is_over = gave_up or (now - since).total_seconds() >= patience_seconds
        factor = _OTHERS_ASK_AFTER if self.ahead() else _FIRST_ASKS_AFTER
        holder = self._holder
        waiting = Waiting(
            run_id=holder.run_id,
            dag_id=holder.dag_id,
            airflow=holder.airflow,
            started=holder.started,
            # The step that gave up, not those after it, which fail because it did.
            step=own.step if own is not None and gave_up else holder.step,
            since=since.isoformat(),
            asks_again_seconds=factor * self._lock_seconds,
            gave_up=is_over,
        )
        self._staging.write_bytes(self._uri, json.dumps(asdict(waiting), indent=1).encode())
        return Turn(since, waiting.asks_again_seconds, is_over)

    def leave(self) -> None:
        """Say that this run no longer waits. That it can't be said fails nothing: others then pass it over."""
        try:
            self._staging.delete([self._uri])
        except (SyncError, OSError) as error:
            log.warning("%s: %s couldn't be removed, so another run may wait for some minutes. %s",
                        self._folder.goal_id, self._uri, error)  # fmt: skip
        self.is_waiting = False

    def _is_this_start(self, waiting: Waiting) -> bool:
        return waiting.started == self._holder.started

    def _others(self) -> Iterator[tuple[str, Waiting]]:
        uris = {staged.uri for staged in self._staging.list_objects(self._folder.waiting)}
        self.is_waiting = self._uri in uris
        for uri in uris - {self._uri}:
            other = self._read(uri)
            if other is not None:
                yield uri, other

    def _read(self, uri: str) -> Waiting | None:
        """Read an object of the queue; ``None`` if it is gone, or nothing that we wrote: that holds nobody up."""
        try:
            written = json.loads(self._staging.read_bytes(uri))
            waiting = Waiting(**{field.name: written[field.name] for field in fields(Waiting)})
            dt.datetime.fromisoformat(waiting.since)
            float(waiting.asks_again_seconds)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError):
            log.warning("%s isn't an object of the goal's queue, so it is ignored. Remove it.", uri)
            return None
        return waiting
