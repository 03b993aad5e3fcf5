"""Several processes that read files of a segment export, of which each is read by one."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, Full, Queue, SimpleQueue
from threading import Event, Timer
from typing import IO

import msgspec

from airflow_provider_braze_blueconic import exceptions
from airflow_provider_braze_blueconic.exceptions import SyncError, TransientError
from airflow_provider_braze_blueconic.sync.braze.segment_export_batches import ReadBatch
from airflow_provider_braze_blueconic.sync.braze.segment_export_reading import ExportFiles, OwnReading, Reading
from airflow_provider_braze_blueconic.sync.braze.segment_export_rows import ReadSettings
from airflow_provider_braze_blueconic.sync.braze.segment_export_wire import (
    Answer,
    Batch,
    FileDone,
    FileFailed,
    FileTask,
    Ready,
    receive,
    send,
)

__all__ = ["open_reading"]

log = logging.getLogger(__name__)

_FILES_AHEAD = 2
"""Files at hand for each process: one that it reads, and one for the moment at which it is through."""
_BATCHES_AHEAD = 8
"""Batches of a file that may wait for their turn; then its process waits, so that a long file takes no more memory."""
_LOOK_SECONDS = 0.5
_START_SECONDS = 60.0
"""A start takes a third of a second; whatever needs a minute for it will not be of help."""
_END_SECONDS = 10.0

# Not multiprocessing: it refuses to work below a daemonic process, as those of some executors are, and would import
# what Airflow was started with. Like it, the process gets this one's search path.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from airflow_provider_braze_blueconic.sync.braze.segment_export_worker import main; main()"
)


@contextmanager
def open_reading(settings: ReadSettings, source: ExportFiles, *, processes: int) -> Iterator[Reading]:
    """Give a reading by so many processes; by this one if there is to be one, or if no other can be started."""
    if processes < 2:
        yield OwnReading(settings, source)
        return
    workers: list[_Worker] = []
    try:
        if not _start(workers, settings, processes):
            log.warning("Processes that read the segment export can't be started here, so this one reads it alone")
            yield OwnReading(settings, source)
            return
        with _SharedReading(workers, source) as reading:
            yield reading
    finally:
        for worker in workers:
            worker.close()


def _start(workers: list[_Worker], settings: ReadSettings, processes: int) -> bool:
    try:
        for _ in range(processes):
            workers.append(_Worker(settings))  # noqa: PERF401 - one that did start is closed by the caller
    except OSError:
        return False
    return all(worker.is_ready() for worker in workers)


class _Worker:
    """One other process."""

    def __init__(self, settings: ReadSettings) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-c", _START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a traceback may hold people
        )
        self._decoder = msgspec.msgpack.Decoder(Answer)
        with suppress(BrokenPipeError):  # told by is_ready()
            send(self._tasks, settings)

    def is_ready(self) -> bool:
        """Wait until it has started, and tell whether it has."""
        limit = Timer(_START_SECONDS, self.kill)
        limit.start()
        try:
            return isinstance(receive(self._answers, self._decoder), Ready)
        finally:
            limit.cancel()

    def read(self, name: str, path: Path) -> Iterator[ReadBatch]:
        """Let it read a file."""
        with suppress(BrokenPipeError):
            send(self._tasks, FileTask(name, str(path)))
        while True:
            match receive(self._answers, self._decoder):
                case Batch() as batch:
                    yield batch.unpacked()
                case FileDone():
                    return
                case FileFailed(error, text):
                    raise _error(error, text)
                case _:
                    raise self._ended(name)

    def _ended(self, name: str) -> TransientError:
        code = self._process.wait(_END_SECONDS)
        return TransientError(
            f"{name}: the process that read it ended with {code}. If the task is short of memory, give it more, then "
            "try again."
        )

    def kill(self) -> None:
        """End it; what it holds is in the files still."""
        self._process.kill()

    def close(self) -> None:
        """End it, and let go of its pipes."""
        self._process.kill()
        for pipe in (self._tasks, self._answers):
            with suppress(OSError):
                pipe.close()
        self._process.wait(_END_SECONDS)

    @property
    def _tasks(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101 - for mypy
        return self._process.stdin

    @property
    def _answers(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101 - for mypy
        return self._process.stdout


def _error(name: str, text: str) -> SyncError:
    found = getattr(exceptions, name, None)
    return found(text) if isinstance(found, type) and issubclass(found, SyncError) else TransientError(text)


_Told = ReadBatch | Exception | None
"""A batch of a file, why there is no further one, or ``None`` at its end."""


class _SharedReading:
    """A reading by several processes, of which each has a thread that waits for it."""

    def __init__(self, workers: list[_Worker], source: ExportFiles) -> None:
        self._workers = workers
        self._source = source
        self._threads = ThreadPoolExecutor(len(workers), thread_name_prefix="segment-export")
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in workers:
            self._idle.put(worker)
        self._closed = Event()
        self.files = 0
        self.stopped = False

    def __enter__(self) -> _SharedReading:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        for worker in self._workers:
            worker.kill()  # its thread would wait for it
        self._threads.shutdown(cancel_futures=True)

    def __iter__(self) -> Iterator[ReadBatch]:
        files, begun = iter(self._source.files), deque[tuple[Path, Queue[_Told]]]()
        while True:
            while len(begun) < _FILES_AHEAD * len(self._workers) and (file := next(files, None)):
                begun.append((file[1], self._begin(*file)))
            if not begun:
                return
            path, told = begun.popleft()
            self.files += 1
            yield from self._batches(told)
            if self.stopped:
                return
            self._source.discard(path)
            if self._source.should_stop():
                self.stopped = True
                return

    def _begin(self, name: str, path: Path) -> Queue[_Told]:
        told: Queue[_Told] = Queue(_BATCHES_AHEAD)
        self._threads.submit(self._read, name, path, told)
        return told

    def _read(self, name: str, path: Path, told: Queue[_Told]) -> None:
        worker = self._idle.get()
        try:
            for batch in worker.read(name, path):
                self._tell(told, batch)
            self._tell(told, None)
        except Exception as error:  # noqa: BLE001 - raised where the file has its turn
            self._tell(told, error)
        finally:
            self._idle.put(worker)

    def _tell(self, told: Queue[_Told], what: _Told) -> None:
        while not self._closed.is_set():
            with suppress(Full):
                told.put(what, timeout=_LOOK_SECONDS)
                return

    def _batches(self, told: Queue[_Told]) -> Iterator[ReadBatch]:
        while True:
            with suppress(Empty):
                what = told.get(timeout=_LOOK_SECONDS)
                if isinstance(what, Exception):
                    raise what
                if what is None:
                    return
                yield what
            if self._source.should_stop():
                self.stopped = True
                return
