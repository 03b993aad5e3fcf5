"""Where work files and tables live: the seam to S3, and the layout below a goal's staging prefix.

::

    <staging>/<goal id>/ledger/                        Delta table
    <staging>/<goal id>/receipts/                      Delta table
    <staging>/<goal id>/runs/                          Delta table
    <staging>/<goal id>/open/<run key>~<delta id>.json  an upload began and its outcome may not be in the ledger yet
    <staging>/<goal id>/lock/<generation>.json         which run works at the goal; the highest generation counts
    <staging>/<goal id>/lock/clock                     written to learn what time it is in the store
    <staging>/<goal id>/lock/waiting/<run key>~<Airflow>  a run waits for the goal since then
    <staging>/<goal id>/files/<fingerprint>.json        everything in this version of a CSV file was acknowledged
    <staging>/<goal id>/snapshots/<dates>~<run key>.json  where a snapshot lies that a past date can be run again with
    <staging>/<goal id>/clean-up.json                  when what is older than ``retention`` was last removed
    <staging>/<goal id>/work/<run key>/<step>-<id>/    Parquet files of one step; every attempt writes into a new folder
    <staging>/<goal id>/work/<run key>/delta-<id>/attempts/<partition>~<number>  an attempt to send; the highest may
    <staging>/~observed/<goal id>.json                 where the goal's newest read lies, for other goals
    <staging>/~observed/<goal id>.written.json         when the goal last wrote, and which read it is through with
    <staging>/~store/conditional-writes.json           that this store was tried and can keep state
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = [
    "GoalFolder",
    "StagedFile",
    "Staging",
    "fetch_folder",
    "folder_problem",
    "fresh_id",
    "run_key",
    "store_folder",
]

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_RUN_KEY_CHARACTERS = 80
"""Keeps object keys far below S3's 1,024 bytes, whatever a run is called."""


class StagedFile(Protocol):
    """An object in the store as it was listed. ``modified`` is aware."""

    @property
    def uri(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def modified(self) -> dt.datetime: ...


class Staging(Protocol):
    """What the core needs of an object store."""

    def upload_file(self, local: Path, uri: str) -> int: ...
    def download_file(self, uri: str, local: Path) -> int: ...
    def list_objects(self, prefix_uri: str) -> Sequence[StagedFile]: ...
    def read_bytes(self, uri: str) -> bytes: ...
    def write_bytes(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool: ...
    def copy_object(self, source_uri: str, target_uri: str) -> None: ...
    def delete(self, uris: Iterable[str]) -> None: ...
    def storage_options(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class GoalFolder:
    """The URIs of one goal.

    :param staging: the goal's ``staging`` prefix, without a slash at its end.
    :param goal_id: the goal's id.
    """

    staging: str
    goal_id: str

    @property
    def root(self) -> str:
        return f"{self.staging.rstrip('/')}/{self.goal_id}"

    @property
    def ledger(self) -> str:
        return f"{self.root}/ledger"

    @property
    def receipts(self) -> str:
        return f"{self.root}/receipts"

    @property
    def runs(self) -> str:
        return f"{self.root}/runs"

    @property
    def open_uploads(self) -> str:
        return f"{self.root}/open/"

    @property
    def lock(self) -> str:
        return f"{self.root}/lock/"

    @property
    def waiting(self) -> str:
        return f"{self.root}/lock/waiting/"

    @property
    def snapshots(self) -> str:
        return f"{self.root}/snapshots/"

    @property
    def work(self) -> str:
        return f"{self.root}/work/"

    @property
    def cleaned(self) -> str:
        return f"{self.root}/clean-up.json"

    @property
    def observations(self) -> str:
        """Where all goals of this staging prefix say what they read; no goal id begins with ``~``."""
        return f"{self.staging.rstrip('/')}/~observed"

    @property
    def observed(self) -> str:
        return f"{self.observations}/{self.goal_id}.json"

    @property
    def written(self) -> str:
        return f"{self.observations}/{self.goal_id}.written.json"

    def step(self, key: str, name: str) -> str:
        """Name a new folder for one attempt of one step."""
        return f"{self.root}/work/{key}/{name}-{fresh_id()}"


def folder_problem(uri: str) -> str | None:
    """Say why boto and delta-rs would not write to one folder; ``None`` if they do.

    boto takes a key as it is written. delta-rs reads a URL: it decodes ``%20``, resolves ``..``, drops tabs, and stops
    at what no URL may hold (seen with deltalake 1.6.6).

    :param uri: of a folder, or a part of one.
    """
    path = uri.removeprefix("s3://").removeprefix("s3a://").rstrip("/")
    for segment in path.split("/") if path else ():
        if segment in ("", ".", ".."):
            what = f'a part "{segment}"' if segment else 'two "/" in a row'
            return f"has {what}. {_WRITE_PLAINLY}"
    odd = _TWO_READINGS.search(path)
    if odd is None:
        return None
    found = odd[0] if odd[0].isprintable() else f"U+{ord(odd[0]):04X}"
    return f'holds "{found}". {_WRITE_PLAINLY}'


_TWO_READINGS = re.compile(r"%[0-9A-Fa-f]{2}|[\\|^\[\]?#\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_WRITE_PLAINLY = (
    "Boto and delta-rs, which both keep state there, would take it for different folders. Choose another one, of "
    'letters, digits, "-", "_", "." and "/".'
)


def store_folder(staging: str) -> str:
    """Name the folder of what is known of the store below a staging prefix."""
    return f"{staging.rstrip('/')}/~store/"


def fresh_id() -> str:
    """Return a short id that no other attempt has."""
    return uuid.uuid4().hex[:12]


def run_key(run_id: str) -> str:
    """Turn an Airflow run id into a name that is safe in object keys and still unique.

    A backfill that reprocesses a date uses that date's run id again, so the key names a run, not an attempt.
    """
    readable = _UNSAFE.sub("-", run_id)[:_RUN_KEY_CHARACTERS].strip("-.")
    return f"{readable}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"


def fetch_folder(staging: Staging, prefix_uri: str, folder: Path, *, suffix: str = ".parquet") -> list[Path]:
    """Copy the files below a prefix into a local folder, one by one.

    :return: local paths, in the order of their URIs.
    """
    prefix = prefix_uri.rstrip("/") + "/"
    paths = []
    for staged in sorted(staging.list_objects(prefix), key=lambda item: item.uri):
        if staged.uri.endswith(suffix):
            local = folder / staged.uri.removeprefix(prefix)
            local.parent.mkdir(parents=True, exist_ok=True)
            staging.download_file(staged.uri, local)
            paths.append(local)
    return paths
