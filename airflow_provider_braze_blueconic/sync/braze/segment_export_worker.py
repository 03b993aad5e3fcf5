"""A process that reads files of a segment export for another one. It knows nothing of Airflow.

It ends with the other: a process that was killed, however hard, leaves pipes that can't be read or written any more.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

import msgspec

from airflow_provider_braze_blueconic.exceptions import SyncError, TransientError
from airflow_provider_braze_blueconic.sync.braze.segment_export_batches import BatchReader
from airflow_provider_braze_blueconic.sync.braze.segment_export_lines import line_batches
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

__all__ = ["main", "serve"]


def main() -> None:
    """Read files as standard input asks for, and answer on standard output."""
    # Ctrl-C reaches the whole process group; the other process decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not stand among the answers
    try:
        serve(sys.stdin.buffer, answers)
    except BrokenPipeError:
        os._exit(1)  # nobody is left to tell


def serve(tasks: IO[bytes], answers: IO[bytes]) -> None:
    """Read file after file until there is no further task."""
    import pyarrow as pa  # noqa: F401 - before it says that it is ready

    settings = receive(tasks, msgspec.msgpack.Decoder(ReadSettings))
    if settings is None:
        return
    reader = BatchReader(settings)
    send(answers, Ready())
    decoder = msgspec.msgpack.Decoder(FileTask)
    while (task := receive(tasks, decoder)) is not None:
        for answer in _answers(reader, task):
            send(answers, answer)


def _answers(reader: BatchReader, task: FileTask) -> Iterator[Answer]:
    try:
        with closing(line_batches(Path(task.path), task.name)) as batches:
            for batch in batches:
                yield Batch.of(reader.read(batch))
    except SyncError as error:
        yield FileFailed(type(error).__name__, str(error))
    except Exception as error:  # noqa: BLE001 - the other process ends the run; the error's text may hold people
        text = f"{task.name} can't be read here ({type(error).__name__}). Try again."
        yield FileFailed(TransientError.__name__, text)
    else:
        yield FileDone()
