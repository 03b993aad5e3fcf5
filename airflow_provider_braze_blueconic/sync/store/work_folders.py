"""The local folders in which tasks work: each goes with its task, or with the next task on the machine after a kill.

::

    <work folder>/braze-blueconic-…/in-use    the machine's name; locked for as long as the process of the task lives

The system gives up that lock whatever ends the process, ``kill -9`` included. A folder without such a file, or of
another machine that shares the disk, is left alone.
"""

from __future__ import annotations

import fcntl
import logging
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["work_folder"]

log = logging.getLogger(__name__)

_PREFIX = "braze-blueconic-"
_IN_USE = "in-use"


@contextmanager
def work_folder(parent: str | None) -> Iterator[Path]:
    """Give a new folder for the time of a block, and remove those that killed tasks left.

    :param parent: ``None`` for the system's temporary folder.
    """
    _sweep(Path(parent or tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with _in_use(folder):
            yield folder


@contextmanager
def _in_use(folder: Path) -> Iterator[None]:
    """Keep a folder from being swept."""
    # Locked before it has its name: whoever finds the file finds it locked.
    unnamed = folder / f"{_IN_USE}.new"
    with unnamed.open("w") as file:
        file.write(socket.gethostname())
        file.flush()
        _lock(file)
        unnamed.rename(folder / _IN_USE)
        yield


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        # Not ours to read, just removed, or on a disk without locks: then it isn't ours to remove either.
        try:
            with (folder / _IN_USE).open() as file:
                if file.read() == socket.gethostname() and _lock(file):
                    shutil.rmtree(folder, ignore_errors=True)
                    log.info("%s: removed, because its task was killed", folder)
        except OSError:
            continue


def _lock(file: IO[str]) -> bool:
    """Lock a file for as long as it is open; ``False`` if another process has it, or the disk knows no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
