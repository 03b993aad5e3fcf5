"""A trap in a server: it holds the request at which a worker is to be killed until that worker is dead."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from fnmatch import fnmatchcase
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["Server", "Trap", "TrapEnd"]


@dataclass(frozen=True)
class Trap:
    """Which request it is.

    :param path: pattern of its path.
    :param number: it is the so-manieth that matches, from 1.
    """

    method: str
    path: str
    number: int = 1


class TrapEnd:
    """The server's end: says of each request whether it is the one, and holds that.

    :param pipe: to the test.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._one = threading.Lock()
        self._trap: Trap | None = None
        self._seen = 0
        self._released = threading.Event()

    def serve(self, answers: dict[str, Any]) -> None:
        """Do what the test says until it closes the pipe.

        :param answers: question → function without arguments.
        """
        while True:
            try:
                order, value = self._pipe.recv()
            except EOFError:
                return
            if order == "set":
                with self._one:
                    self._trap, self._seen = value, 0
                    self._released.clear()
            elif order == "release":
                self._released.set()
            else:
                self._pipe.send((order, answers[order]()))

    def holds(self, method: str, path: str, worker: str) -> bool:
        """Tell whether a request is the one, and if so hold it until the test releases it.

        :return: ``True`` if nobody waits for its answer any more: it must not be carried out.
        """
        with self._one:
            trap = self._trap
            if trap is None or method != trap.method or not fnmatchcase(path, trap.path):
                return False
            self._seen += 1
            if self._seen < trap.number:
                return False
            self._trap = None
            self._pipe.send(("sprung", worker))
        self._released.wait()
        return True


@dataclass
class Server:
    """The test's end of a server with a trap.

    :param url: its endpoint.
    """

    url: str
    _pipe: Connection
    _sprung: str | None = None

    def set(self, trap: Trap) -> None:
        """Set the trap."""
        self._pipe.send(("set", trap))

    def sprung(self) -> str | None:
        """Name the worker whose request is held; ``None`` while there is none."""
        while self._pipe.poll():
            self._take(self._pipe.recv())
        name, self._sprung = self._sprung, None
        return name

    def release(self) -> None:
        """Drop the held request."""
        self._pipe.send(("release", None))

    def ask(self, question: str) -> Any:
        """Ask the server what it counts."""
        self._pipe.send((question, None))
        while (said := self._pipe.recv())[0] != question:
            self._take(said)
        return said[1]

    def _take(self, said: tuple[str, Any]) -> None:
        self._sprung = said[1]
