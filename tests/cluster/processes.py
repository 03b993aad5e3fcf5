"""Processes that a test starts, and ends by their ids whatever happens."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Started", "free_port", "kill_each", "start", "wait_until"]

_GRACE_SECONDS = 15.0
_LAST_CHARACTERS = 3_000


@dataclass
class Started:
    """A process that leads a group of its own.

    :param log: what it and its children print.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def children(self) -> list[psutil.Process]:
        """List every process below this one, whichever group it is in."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def stop(self) -> None:
        """Ask the process to end, then end it and whatever it started for certain."""
        below = self.children()
        with suppress(ProcessLookupError):
            self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE_SECONDS)
        self.kill(below)

    def kill(self, below: Sequence[psutil.Process] | None = None) -> None:
        """End the process with -9, and everything that it started, as a machine that loses its power does.

        :param below: its children, if they were listed before.
        """
        kill_each(self.kill_group(below))

    def kill_group(self, below: Sequence[psutil.Process] | None = None) -> list[psutil.Process]:
        """End the whole group with -9.

        :param below: its children, if they were listed before.
        :return: children that are in groups of their own: they live on.
        """
        below = self.children() if below is None else below
        apart = [child for child in below if _group(child) not in (self.process.pid, None)]
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return apart

    def tail(self) -> str:
        """Return the end of the log."""
        return f"--- {self.name}\n{self.log.read_text(errors='replace')[-_LAST_CHARACTERS:]}"


def start(
    name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, *, user: str | None = None
) -> Started:
    """Start a process.

    :param user: who it runs as; ``None`` for the current user.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
        )
    return Started(name, process, log)


def kill_each(processes: Iterable[psutil.Process]) -> None:
    """End processes with -9 that may have ended already."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            # psutil compares the time of its start too: an id that was given to somebody else is left alone.
            process.kill()


def _group(child: psutil.Process) -> int | None:
    try:
        return os.getpgid(child.pid)
    except ProcessLookupError:
        return None


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(holds: Callable[[], bool], started: Started, *, seconds: float) -> None:
    """Wait for a condition.

    :raises RuntimeError: with the end of its log, if the process ends first or it takes too long.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if started.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{started.name} isn't ready after {seconds:g} s\n{started.tail()}")
        time.sleep(0.2)
