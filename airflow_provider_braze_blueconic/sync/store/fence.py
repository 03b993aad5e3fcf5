"""One attempt at a time: the newest may send, and an older one that is still alive stops.

Airflow may start a task again while an earlier copy of it runs: when a worker is killed, the process of its task can
live on as an orphan. Both copies belong to the same run, so the goal's lock does not tell them apart. This does::

    <folder>/attempts/<name>~<generation>    an attempt; empty while it is at work, its counters once it has ended

``<name>`` is what only one may do at a time: to send one partition of a delta, for instance.

* An attempt begins by creating the next generation, which S3 lets only one of several do. The highest one may send.
* While it sends, it looks twice a second whether a higher one is there (:class:`~.watch.Watch`). If so, it starts
  nothing more, writes the receipts of what is on its way, and ends with :class:`~.attempts.Superseded`. An attempt that
  can't look, or that was paused itself, starts nothing until a look succeeds.
* The newer one waits until the older has ended, so that it can read all of its receipts; but no longer than it takes
  until the older one, should it live, can't start anything more.

Time alone never decides whether a number is added to twice, since a process can be paused between any two lines. Each
side writes before it reads: the older one makes its intent durable, looks, and sends only if it is still the newest.
The newer one creates its generation, then reads intents. So either the newer one finds the intent, and holds that
person, or the older one finds the newer, and does not send. No two clocks are compared.

What a kill leaves is an empty object. Who has no receipt may have been sent then; see :func:`~.attempts.unfinished`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_braze_blueconic.sync.store.attempts import (
    AT_WORK,
    GIVEN_UP,
    create_attempt,
    is_at_work,
    is_there,
    read_attempts,
    superseded,
)
from airflow_provider_braze_blueconic.sync.store.paths import attempt_object
from airflow_provider_braze_blueconic.sync.store.staging import Staging
from airflow_provider_braze_blueconic.sync.store.watch import GOOD_FOR_SECONDS, LOOK_EVERY_SECONDS

__all__ = ["Fence", "close"]

log = logging.getLogger(__name__)

_HANDOVER_SECONDS = GOOD_FOR_SECONDS + 1.0
"""How long a newer attempt waits for an older one: then that one can't start anything any more."""


class Fence:
    """The place of one attempt in the row of attempts.

    :param folder: URI of the delta, or of whatever else the attempts are about.
    :param names: what the attempt does; several are begun and checked together.
    :param label: goal and step, for messages.
    :ivar has_older: an older attempt may still have been at work when this one began.
    """

    def __init__(self, staging: Staging, folder: str, names: Sequence[str], *, label: str) -> None:
        self._staging = staging
        self._folder = folder
        self._names = tuple(names)
        self._generations: dict[str, int] = {}
        self.has_older = False
        self.label = label

    def begin(self) -> None:
        """Become the newest attempt: an older one that still lives stops from now on."""
        before = read_attempts(self._staging, self._folder)
        self.has_older = any(is_at_work(before, name) for name in self._names)
        for name in self._names:
            self._generations[name] = create_attempt(
                self._staging, self._folder, name, max(before.get(name, {}), default=0)
            )

    def wait_for_older(self) -> None:
        """Wait until older attempts have ended, or can't send any more."""
        if self.has_older:
            asyncio.run(_wait_for_older(self._staging, self._folder, self._generations, self.label))

    def is_newest(self) -> bool:
        """Ask the store whether no newer attempt has begun."""
        return not any(
            is_there(self._staging, self._folder, name, generation + 1)
            for name, generation in self._generations.items()
        )

    def check(self) -> None:
        """Go on only as the newest attempt.

        :raises Superseded: a newer one has begun.
        """
        if not self.is_newest():
            raise superseded(self.label)

    def end(self, told: Mapping[str, Mapping[str, Any]]) -> None:
        """Say that nothing is on its way any more, and everything that was sent has its receipt.

        :param told: name → counters.
        """
        for name, generation in self._generations.items():
            content = json.dumps(told.get(name, {})).encode()
            self._staging.write_bytes(attempt_object(self._folder, name, generation), content)


def close(staging: Staging, folder: str, *, label: str) -> None:
    """Let no attempt that is at work send anything more, and wait for its end.

    Without such an attempt nothing is written.
    """
    before = read_attempts(staging, folder)
    generations = {}
    for name in before:
        if is_at_work(before, name):
            generations[name] = create_attempt(staging, folder, name, max(before[name]), content=b"{}")
    if generations:
        asyncio.run(_wait_for_older(staging, folder, generations, label))


async def _wait_for_older(staging: Staging, folder: str, generations: Mapping[str, int], label: str) -> None:
    """Wait until older attempts have ended, or can't send any more; mark the latter so that nobody waits again."""
    clock = asyncio.get_running_loop().time
    began = clock()
    log.info("%s: an earlier attempt hasn't ended; waiting up to %g s for it", label, _HANDOVER_SECONDS)
    while True:
        found = read_attempts(staging, folder)
        at_work = [name for name in generations if is_at_work(found, name, below=generations[name])]
        if not at_work:
            return
        if clock() - began >= _HANDOVER_SECONDS:
            break
        await asyncio.sleep(LOOK_EVERY_SECONDS)
    for name in at_work:
        for generation, size in found[name].items():
            if generation < generations[name] and size == len(AT_WORK):
                staging.write_bytes(attempt_object(folder, name, generation), GIVEN_UP)
