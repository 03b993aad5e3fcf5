"""One attempt at a time: the newest may send, and an older one that still lives stops.

Airflow may start a task again while an earlier copy of it runs: when a worker is killed, the process of its task can
live on as an orphan. Both copies belong to the same run, so the goal's lock does not tell them apart. This does::

    <folder>/attempts/<name>~<generation>    an attempt; empty while it is at work, its counters once it has ended

``<name>`` is what only one may do at a time: to send one partition of a delta, for instance.

* An attempt begins by creating the next generation, which S3 lets only one of several do. The highest one may send.
* While it sends, it looks twice a second whether a higher one is there (:class:`Watch`). If so, it starts nothing more,
  writes the receipts of what is on its way, and ends with :class:`Superseded`. An attempt that can't look, or that was
  paused itself, starts nothing until a look succeeds.
* The newer one waits until the older has ended, so that it can read all of its receipts; but no longer than it takes
  until the older one, should it live, can't start anything more.

Time alone never decides whether a number is added to twice, since a process can be paused between any two lines. Each
side writes before it reads: the older one makes its intent durable, looks, and sends only if it is still the newest.
The newer one creates its generation, then reads intents. So either the newer one finds the intent, and holds that
person, or the older one finds the newer, and does not send. No two clocks are compared.

What a kill leaves is an empty object. Who has no receipt may have been sent then; see :func:`unfinished`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow_provider_braze_blueconic.exceptions import SyncError, TransientError
from airflow_provider_braze_blueconic.sync.staging import StagedFile, Staging

__all__ = ["Fence", "Superseded", "Watch", "close", "counters", "is_anybody_at_work", "superseded", "unfinished"]

log = logging.getLogger(__name__)

_LOOK_EVERY_SECONDS = 0.5
"""From one look to the next: one small request each, and an older attempt stops within a second of the newer one's
start."""

_GOOD_FOR_SECONDS = 5.0
"""For how long after its beginning a look allows to send. A store that answers slowly stops nobody; one that fails for
longer does."""

_PATIENCE_SECONDS = 30.0
"""After which an attempt that can't look gives up; receipts that can't be written are given as long."""

_TICK_SECONDS = 0.25
_PAUSED_AFTER_SECONDS = 0.75
"""Between two ticks: the process was paused meanwhile, so that its last look says nothing about now."""

_HANDOVER_SECONDS = _GOOD_FOR_SECONDS + 1.0
"""How long a newer attempt waits for an older one: then that one can't start anything any more."""

_AT_WORK = b""
_GIVEN_UP = b"-"
"""A newer attempt waited in vain for the end of this one. Shorter than any counters, so that a listing tells them."""

_NAME = re.compile(r"/attempts/(?P<name>[^/]+)~(?P<generation>\d{8})$")
_TRACE = re.compile(r"/attempts/(?P<name>[^/]+)~[^/]+$")


class Superseded(SyncError):
    """A newer attempt has begun, and this one sends nothing more; the newer one goes on from its receipts."""


class Fence:
    """The place of one attempt in the row of attempts.

    :param folder: URI of the delta, or of whatever else the attempts are about.
    :param names: what the attempt does; several are begun and checked together.
    :param label: goal and step, for messages.
    """

    def __init__(self, staging: Staging, folder: str, names: Sequence[str], *, label: str) -> None:
        self._staging = staging
        self._folder = folder
        self._names = tuple(names)
        self._generations: dict[str, int] = {}
        self._has_older = False
        self.label = label

    def begin(self) -> None:
        """Become the newest attempt: an older one that still lives stops from now on."""
        before = _by_name(_list(self._staging, self._folder))
        self._has_older = any(_is_at_work(before, name) for name in self._names)
        for name in self._names:
            self._generations[name] = _create(self._staging, self._folder, name, max(before.get(name, {}), default=0))

    def wait_for_older(self) -> None:
        """Wait until older attempts have ended, or can't send any more."""
        if self._has_older:
            asyncio.run(_wait_for_older(self._staging, self._folder, self._generations, self.label))

    def is_newest(self) -> bool:
        """Ask the store whether no newer attempt has begun."""
        return not any(
            _exists(self._staging, _uri(self._folder, name, generation + 1))
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
            self._staging.write_bytes(_uri(self._folder, name, generation), content)


def close(staging: Staging, folder: str, *, label: str) -> None:
    """Let no attempt that is at work send anything more, and wait for its end.

    Without such an attempt nothing is written.
    """
    before = _by_name(_list(staging, folder))
    generations = {}
    for name in before:
        if _is_at_work(before, name):
            generations[name] = _create(staging, folder, name, max(before[name]), content=b"{}")
    if generations:
        asyncio.run(_wait_for_older(staging, folder, generations, label))


def is_anybody_at_work(staging: Staging, folder: str) -> bool:
    """Tell whether an attempt has begun, and neither ended nor been given up."""
    found = _by_name(_list(staging, folder))
    return any(_is_at_work(found, name) for name in found)


def unfinished(staging: Staging, folder: str) -> frozenset[str]:
    """Name what an attempt was made at that did not come to its end, as a kill leaves it, or is not through yet."""
    return frozenset(
        trace["name"]
        for staged in _list(staging, folder)
        if staged.size <= len(_GIVEN_UP) and (trace := _TRACE.search(staged.uri))
    )


def counters(staging: Staging, folder: str) -> list[dict[str, Any]]:
    """Return what attempts that came to their end counted, the failed ones included."""
    ended = [each for each in _list(staging, folder) if each.size > len(_GIVEN_UP) and _NAME.search(each.uri)]
    told = (json.loads(staging.read_bytes(each.uri)) for each in ended)
    return [each for each in told if each]


def superseded(label: str) -> Superseded:
    """Make the error of an attempt that must not go on."""
    return Superseded(
        f"{label}: a newer attempt at this step has begun, or its outcomes were committed, so this one sends nothing "
        "more. What it sent has its receipts, and the rest goes with the newer attempt or the next run. There is "
        "nothing to do."
    )


def _list(staging: Staging, folder: str) -> Sequence[StagedFile]:
    return staging.list_objects(f"{folder}/attempts/")


def _by_name(listed: Sequence[StagedFile]) -> dict[str, dict[int, int]]:
    """Return name → generation → size."""
    found: dict[str, dict[int, int]] = {}
    for staged in listed:
        if match := _NAME.search(staged.uri):
            found.setdefault(match["name"], {})[int(match["generation"])] = staged.size
    return found


def _is_at_work(found: Mapping[str, Mapping[int, int]], name: str, *, below: int | None = None) -> bool:
    return any(
        size == len(_AT_WORK) and (below is None or generation < below)
        for generation, size in found.get(name, {}).items()
    )


def _create(staging: Staging, folder: str, name: str, highest: int, *, content: bytes = _AT_WORK) -> int:
    generation = highest + 1
    while not staging.write_bytes(_uri(folder, name, generation), content, if_absent=True):
        generation += 1
    return generation


def _uri(folder: str, name: str, generation: int) -> str:
    return f"{folder}/attempts/{name}~{generation:08d}"


def _exists(staging: Staging, uri: str) -> bool:
    # Asked for by its name, since a store's listing may lag behind its objects.
    try:
        staging.read_bytes(uri)
    except FileNotFoundError:
        return False
    return True


async def _wait_for_older(staging: Staging, folder: str, generations: Mapping[str, int], label: str) -> None:
    """Wait until older attempts have ended, or can't send any more; mark the latter so that nobody waits again."""
    clock = asyncio.get_running_loop().time
    began = clock()
    log.info("%s: an earlier attempt has not ended; waiting up to %g s for it", label, _HANDOVER_SECONDS)
    while True:
        found = _by_name(_list(staging, folder))
        at_work = [name for name in generations if _is_at_work(found, name, below=generations[name])]
        if not at_work:
            return
        if clock() - began >= _HANDOVER_SECONDS:
            break
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
    for name in at_work:
        for generation, size in found[name].items():
            if generation < generations[name] and size == len(_AT_WORK):
                staging.write_bytes(_uri(folder, name, generation), _GIVEN_UP)


class Watch:
    """Looks again and again, beside an upload and in its event loop, whether the upload may go on.

    :param is_newest: asks the store; called in a thread.
    :param label: goal and partition, for messages.
    :param on_look: called after each look.
    """

    def __init__(self, is_newest: Callable[[], bool], *, label: str, on_look: Callable[[], None]) -> None:
        self._is_newest = is_newest
        self._label = label
        self._on_look = on_look
        self._awake: float | None = None
        self._looked: float | None = None
        self._paused = 0.0
        self.failure: SyncError | None = None
        """Why the upload has to end, once it has."""

    def may_start(self, now: float) -> bool:
        """Tell whether a request may start.

        :param now: the loop's time.
        """
        self._notice(now)
        return self.failure is None and self._looked is not None and now - self._looked <= _GOOD_FOR_SECONDS

    async def look(self) -> bool:
        """Look once, and tell whether the upload may go on.

        :raises Exception: whatever the store raises; then it is not known.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        is_newest = await asyncio.to_thread(self._is_newest)
        self._notice(clock())
        if not is_newest:
            self.failure = self.failure or superseded(self._label)
        elif began >= self._paused:
            self._looked = began if self._looked is None else max(began, self._looked)
        return is_newest

    async def run(self) -> None:
        """Look until the upload has to end, or until cancelled."""
        clock = asyncio.get_running_loop().time
        answered, told = clock(), False
        while self.failure is None:
            began = clock()
            try:
                await self._look_awake(until=answered + _PATIENCE_SECONDS)
                answered, told = clock(), False
            except Exception as error:  # noqa: BLE001  the edge of the object store: not to know is no reason to go on
                silent = clock() - answered
                if silent > _PATIENCE_SECONDS:
                    self.failure = self._blind(silent, error)
                elif silent > _GOOD_FOR_SECONDS and not told:
                    told = True
                    log.warning("%s: nothing is sent until S3 answers whether this is still the newest attempt (%s)",
                                self._label, type(error).__name__)  # fmt: skip
            self._on_look()
            while self.failure is None and (left := began + _LOOK_EVERY_SECONDS - clock()) > 0:
                await asyncio.sleep(min(left, _TICK_SECONDS))
                self._notice(clock())

    async def _look_awake(self, *, until: float) -> None:
        """Look, and notice meanwhile whether this process was paused.

        :raises TimeoutError: no answer came until then.
        """
        clock = asyncio.get_running_loop().time
        look = asyncio.ensure_future(self.look())
        try:
            while not look.done() and clock() <= until:
                await asyncio.wait([look], timeout=_TICK_SECONDS)
                self._notice(clock())
        finally:
            look.cancel()
            await asyncio.wait([look])
        if look.cancelled():
            raise TimeoutError
        look.result()

    def _notice(self, now: float) -> None:
        if self._awake is not None and now - self._awake > _PAUSED_AFTER_SECONDS:
            self._paused, self._looked = now, None
        self._awake = now

    def _blind(self, silent: float, error: Exception) -> SyncError:
        return TransientError(
            f"{self._label}: for {silent:.0f} s S3 did not answer whether a newer attempt has begun "
            f"({type(error).__name__}). This one stopped; the next try sends the rest."
        )
