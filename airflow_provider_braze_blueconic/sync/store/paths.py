"""Every name below a goal's staging prefix.

::

    <staging>/<goal id>/ledger/                        Delta table
    <staging>/<goal id>/ledger-broken-<time>/          what was left of a ledger that had to be made anew
    <staging>/<goal id>/receipts/                      Delta table
    <staging>/<goal id>/runs/                          Delta table
    <staging>/<goal id>/open/<run key>~<delta id>.json  an upload began and its outcome may not be in the ledger yet
    <staging>/<goal id>/lock/<generation>.json         which run works at the goal; the highest generation counts
    <staging>/<goal id>/lock/clock                     written to learn what time it is in the store
    <staging>/<goal id>/lock/waiting/<run key>~<Airflow>  a run waits for the goal since then
    <staging>/<goal id>/files/<fingerprint>.json        everything in this version of a CSV file was acknowledged
    <staging>/<goal id>/snapshots/<dates>~<run key>.json  where a snapshot lies that a past date can be run again with
    <staging>/<goal id>/people.json                    where the last mapped snapshot lies, and how it was mapped
    <staging>/<goal id>/clean-up.json                  when what is older than ``retention`` was last removed
    <staging>/<goal id>/moved.json                     the goal has another id now, and its state went there
    <staging>/<goal id>/renamed.json                   the goal had another id, and its state came from there
    <staging>/<goal id>/sum-strategy                   by what word BlueConic adds to a number
    <staging>/<goal id>/work/<run key>/report.json     what a run did
    <staging>/<goal id>/work/<run key>/export.json     what the run asked Braze for
    <staging>/<goal id>/work/<run key>/export/         whose attempt it is to ask
    <staging>/<goal id>/work/<run key>/<step>-<id>/    files of one step; every attempt writes into a new folder
    <staging>/~observed/<goal id>.json                 where the goal's newest read lies, for other goals
    <staging>/~observed/<goal id>.written.json         when the goal last wrote, and which read it is through with
    <staging>/~store/conditional-writes.json           that this store was tried and can keep state

In the folder of a step there are, beside its Parquet files::

    snapshot-<id>/   rejects.jsonl, files.json (of CSV files), fields.json (of an export)
    mapped-<id>/     partition=<p>/, people/partition=<p>/, identities/, fields.json (of an import)
    delta-<id>/      partition=<p>.parquet, plan.json, receipts/partition=<p>/, attempts/<name>~<generation>
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import uuid
from dataclasses import dataclass

__all__ = [
    "GoalFolder",
    "attempt_object",
    "attempts_folder",
    "delta_file",
    "fields_document",
    "files_document",
    "fresh_id",
    "identities_folder",
    "partition_folder",
    "people_folder",
    "plan_document",
    "receipts_folder",
    "rejects_document",
    "run_key",
    "store_folder",
    "store_mark",
]

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_RUN_KEY_CHARACTERS = 80
"""Keeps object keys far below S3's 1,024 bytes, whatever a run is called."""


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

    def broken_ledger(self, moment: dt.datetime) -> str:
        """Where what is left of a ledger is put aside."""
        return f"{self.root}/ledger-broken-{moment:%Y%m%dT%H%M%SZ}"

    @property
    def open_uploads(self) -> str:
        return f"{self.root}/open/"

    def open_upload(self, key: str, delta_id: str) -> str:
        """Name the mark of an upload that began and is not committed yet.

        :param key: of the run.
        """
        return f"{self.open_uploads}{key}~{delta_id}.json"

    @property
    def lock(self) -> str:
        return f"{self.root}/lock/"

    def lock_generation(self, generation: int) -> str:
        """Name the lock of one generation."""
        return f"{self.lock}{generation:08d}.json"

    @property
    def lock_clock(self) -> str:
        return f"{self.lock}clock"

    @property
    def waiting(self) -> str:
        return f"{self.root}/lock/waiting/"

    def waiting_run(self, key: str, airflow: str) -> str:
        """Name what a run says that waits for the goal.

        :param airflow: tells one Airflow from another.
        """
        return f"{self.waiting}{key}~{airflow}"

    @property
    def finished_files(self) -> str:
        return f"{self.root}/files/"

    def finished_file(self, fingerprint: str) -> str:
        """Name the mark of a version of a CSV file."""
        return f"{self.finished_files}{fingerprint}.json"

    @property
    def snapshots(self) -> str:
        return f"{self.root}/snapshots/"

    def kept_snapshot(self, as_of: str, logical_date: str, key: str) -> str:
        """Name what is remembered of a snapshot.

        :param as_of: when it was read, as in a name.
        :param logical_date: its date, as in a name.
        """
        return f"{self.snapshots}{as_of}~{logical_date}~{key}.json"

    @property
    def work(self) -> str:
        return f"{self.root}/work/"

    def run(self, key: str) -> str:
        """Where the steps of one run keep their files."""
        return f"{self.work}{key}/"

    def report(self, key: str) -> str:
        """Name the report of a run."""
        return f"{self.run(key)}report.json"

    def export_marker(self, key: str) -> str:
        """Name what a run knows of the export that it asked Braze for."""
        return f"{self.run(key)}export.json"

    def export_attempts(self, key: str) -> str:
        """Where the copies of a task that asks Braze for an export find each other."""
        return f"{self.run(key)}export"

    @property
    def people(self) -> str:
        return f"{self.root}/people.json"

    @property
    def cleaned(self) -> str:
        return f"{self.root}/clean-up.json"

    @property
    def moved(self) -> str:
        return f"{self.root}/moved.json"

    @property
    def renamed(self) -> str:
        return f"{self.root}/renamed.json"

    @property
    def sum_word(self) -> str:
        return f"{self.root}/sum-strategy"

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
        return f"{self.run(key)}{name}-{fresh_id()}"


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


def store_mark(staging: str) -> str:
    """Name the mark that the store below a staging prefix was tried."""
    return f"{store_folder(staging)}conditional-writes.json"


def fields_document(uri: str) -> str:
    """Name what is said of the fields of a snapshot, or of a mapped one."""
    return f"{uri}/fields.json"


def files_document(snapshot: str) -> str:
    """Name the list of the CSV files that a snapshot was read from."""
    return f"{snapshot}/files.json"


def rejects_document(snapshot: str) -> str:
    """Name what of a snapshot's source could not be read."""
    return f"{snapshot}/rejects.jsonl"


def identities_folder(mapped: str) -> str:
    """Where a mapped snapshot tells who every record is."""
    return f"{mapped}/identities"


def people_folder(mapped: str, partition: int | None = None) -> str:
    """Where a mapped snapshot tells of everybody whether their values changed, or the people of one partition."""
    return f"{mapped}/people" if partition is None else f"{mapped}/people/partition={partition}"


def partition_folder(mapped: str, partition: int) -> str:
    """Where the people of one partition of a mapped snapshot lie."""
    return f"{mapped}/partition={partition}"


def delta_file(delta: str, partition: int) -> str:
    """Name one partition's file of a delta."""
    return f"{delta}/partition={partition}.parquet"


def plan_document(delta: str) -> str:
    """Name what the guard let pass of a delta."""
    return f"{delta}/plan.json"


def receipts_folder(delta: str, partition: int | None = None) -> str:
    """Where the receipts of a delta lie, or those of one of its partitions."""
    return f"{delta}/receipts" if partition is None else f"{delta}/receipts/partition={partition}"


def attempts_folder(folder: str) -> str:
    """Where the attempts at one thing find each other.

    :param folder: of a delta, or of whatever else the attempts are about.
    """
    return f"{folder}/attempts/"


def attempt_object(folder: str, name: str, generation: int) -> str:
    """Name one attempt."""
    return f"{attempts_folder(folder)}{name}~{generation:08d}"
