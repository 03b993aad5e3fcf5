"""A moved clock for Delta tables on the local disk: instead of the clock, everything that a table knows of time moves."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["age"]

_MOMENTS = ("timestamp", "modificationTime", "deletionTimestamp", "createdTime", "lastUpdated")
"""Keys of the log's actions that hold milliseconds since 1970."""


def age(folder: Path, days: float) -> None:
    """Let the tables below a folder be as if their last change had been so many days earlier.

    delta-rs looks at no clock but the machine's; it compares that with the files' own times and with the log.
    """
    moved = int(days * 86_400_000)
    for log in folder.rglob("_delta_log"):
        for commit in log.glob("*.json"):
            actions = [json.loads(line) for line in commit.read_text().splitlines()]
            _keep_times(commit, "\n".join(json.dumps(_older(action, moved)) for action in actions).encode())
        for checkpoint in log.glob("*.checkpoint.parquet"):
            table = pq.read_table(checkpoint)
            older = [_older(action, moved) for action in table.to_pylist()]
            sink = pa.BufferOutputStream()
            pq.write_table(pa.Table.from_pylist(older, table.schema), sink)
            _keep_times(checkpoint, sink.getvalue().to_pybytes())
    for path in folder.rglob("*"):
        if path.is_file():
            moment = path.stat().st_mtime - dt.timedelta(days=days).total_seconds()
            os.utime(path, (moment, moment))


def _older(action: dict[str, Any], moved: int) -> dict[str, Any]:
    for body in action.values():
        for key in _MOMENTS:
            if isinstance(body, dict) and body.get(key):
                body[key] -= moved
    return action


def _keep_times(path: Path, content: bytes) -> None:
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, (before.st_atime, before.st_mtime))
