"""Work in a process of its own, as Airflow runs a task, so that its memory and its CPU seconds are nobody else's."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["apart", "watched_apart"]

_SPAWN = multiprocessing.get_context("spawn")
_LOOKS_EVERY_SECONDS = 0.1


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of a module in a new process, and return what it returns.

    :raises RuntimeError: if it fails; the process has printed why.
    """
    return _call(work, arguments, lambda pid: None)


def watched_apart(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """Do the same, and return also the most memory that it held together with the processes that it started, in MiB.

    Memory is looked at ten times a second. What processes share counts for each of them, so that this is rather too
    much than too little.

    :raises RuntimeError: if it fails; the process has printed why.
    """
    peak = 0.0

    def look(pid: int) -> None:
        nonlocal peak
        peak = max(peak, _family_mib(pid))

    return _call(work, arguments, look), peak


def _call(work: Callable[..., Any], arguments: tuple[Any, ...], look: Callable[[int], None]) -> Any:
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_report, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        while not ours.poll(_LOOKS_EVERY_SECONDS):
            look(process.pid or 0)
        return ours.recv()
    except EOFError:
        raise RuntimeError(f"{work.__name__} failed in a process of its own") from None
    finally:
        process.join()


def _report(pipe: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    pipe.send(work(*arguments))


def _family_mib(pid: int) -> float:
    import psutil

    held = 0
    with suppress(psutil.Error):
        first = psutil.Process(pid)
        for process in (first, *first.children(recursive=True)):
            with suppress(psutil.Error):
                held += process.memory_info().rss
    return held / (1 << 20)
