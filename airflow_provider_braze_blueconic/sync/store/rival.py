"""The other run that holds a goal: whether this one may take over its lock.

Another run's lock may be taken over if it is free, or if its run has ended, or stays silent for too long; see
:mod:`~airflow_provider_braze_blueconic.sync.store.lock`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from airflow_provider_braze_blueconic.exceptions import GoalBusy
from airflow_provider_braze_blueconic.sync.store.generations import Found, Generations
from airflow_provider_braze_blueconic.sync.store.holder import Holder
from airflow_provider_braze_blueconic.sync.store.lock_document import LockDocument, shown_moment
from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
from airflow_provider_braze_blueconic.sync.store.staging import Staging
from airflow_provider_braze_blueconic.sync.store.store_clock import seconds_since_written

__all__ = ["LOOKS", "RivalWatch", "is_earlier_start"]

log = logging.getLogger(__name__)

LOOKS = 6
"""Looks at another run's lock in ``lock_seconds``: two for each sign of life."""


def is_earlier_start(holder: Holder, document: LockDocument) -> bool:
    """Tell whether this very run took the lock before it was cleared: it is no rival of its own."""
    if document.run_key != holder.run_key:
        return False
    if document.airflow:
        return document.airflow == holder.airflow
    # Written by an older version, which did not say where. Another Airflow's run would be at work, most likely.
    return document.state == "between"


class RivalWatch:
    """Finds out whether another run that has the goal may be followed; see :class:`~.lock.GoalLock`.

    :param holder: who asks.
    """

    def __init__(
        self,
        staging: Staging,
        folder: GoalFolder,
        holder: Holder,
        generations: Generations,
        *,
        seconds: float,
        has_ended: Callable[[str, str], bool | None],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._staging = staging
        self._folder = folder
        self._holder = holder
        self._generations = generations
        self._seconds = seconds
        self._has_ended = has_ended
        self._clock = clock
        self._sleep = sleep

    def may_follow(self, found: Found) -> bool:
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

    def _has_stopped(self, found: Found) -> bool:
        """Tell whether a run between two steps won't come back. ``False`` to look again.

        :raises GoalBusy: it will, as far as can be known.
        """
        document = found.document
        ended = None
        if document.dag_id and document.airflow and document.airflow == self._holder.airflow:
            ended = self._has_ended(document.dag_id, document.run_id)
        if ended:
            log.info("%s: run \"%s\" ended without releasing the goal's lock; this run takes over",
                     self._folder.goal_id, document.run_id)  # fmt: skip
            return True
        if ended is False:
            raise self._between(document, "Wait until the other run ends, or mark it as failed to stop it.")
        age = seconds_since_written(self._staging, self._folder).get(found.uri)
        if age is not None and age < document.gap_seconds:
            raise self._between(
                document,
                "Wait until the other run ends, then start this one again. If the other run was stopped for good, "
                f"start this one in {_duration(document.gap_seconds - age)}, or delete {found.uri} and start it "
                "now.",
            )
        return age is not None

    def _has_died(self, found: Found) -> bool:
        """Watch a lock for ``lock_seconds``: whether it stayed as it is. ``False`` to look again.

        :raises GoalBusy: its run gave a sign of life.
        """
        log.info(
            '%s: run "%s" holds the goal; watching for up to %g s whether it is alive',
            self._folder.goal_id, found.document.run_id, self._seconds,
        )  # fmt: skip
        began = self._clock()
        while (left := self._seconds - (self._clock() - began)) > 0:
            self._sleep(min(self._seconds / LOOKS, left))
            now = self._generations.read(found.uri)
            if now is None or now.state != "working":
                return False
            if now.beat != found.document.beat:
                raise self._at_work(now)
        log.warning(
            '%s: run "%s" showed no sign of life in step %s; this run takes over', self._folder.goal_id,
            found.document.run_id, found.document.step,
        )  # fmt: skip
        return True

    def _at_work(self, other: LockDocument) -> GoalBusy:
        return GoalBusy(
            f'Another run of goal {self._folder.goal_id} is running: "{other.run_id}", in step {other.step}, since '
            f"{shown_moment(other.since)}. Two runs would send the same records, so step {self._holder.step} did "
            "nothing.",
            "Wait until the other run ends, then start this one again.",
        )

    def _between(self, other: LockDocument, remedy: str) -> GoalBusy:
        return GoalBusy(
            f'Another run of goal {self._folder.goal_id} hasn\'t ended: "{other.run_id}" started at '
            f"{shown_moment(other.since)} and ran step {other.step} last. Two runs would send the same "
            f"records, so step {self._holder.step} did nothing.",
            remedy,
        )


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
