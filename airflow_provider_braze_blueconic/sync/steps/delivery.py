"""The upload of a delta as one CSV file, for BlueConic's own Amazon S3 connection to read."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_braze_blueconic.exceptions import SyncError
from airflow_provider_braze_blueconic.sync.csv.delivered_file import delivery_uri, is_there, write_lines
from airflow_provider_braze_blueconic.sync.csv.format import CsvFormat
from airflow_provider_braze_blueconic.sync.csv.layout import FileLayout
from airflow_provider_braze_blueconic.sync.csv.recipients import Recipient, Recipients
from airflow_provider_braze_blueconic.sync.engine.database import connect
from airflow_provider_braze_blueconic.sync.sending.tally import Tally
from airflow_provider_braze_blueconic.sync.state.open_uploads import is_overtaken, mark_open
from airflow_provider_braze_blueconic.sync.state.part_receipts import PartReceipts
from airflow_provider_braze_blueconic.sync.state.receipts import Outcome, Receipt
from airflow_provider_braze_blueconic.sync.state.told_receipts import OPEN_INTENT
from airflow_provider_braze_blueconic.sync.steps.attempts import attempt, part_receipts, upload_ref
from airflow_provider_braze_blueconic.sync.steps.commit import recover_uploads
from airflow_provider_braze_blueconic.sync.store.attempts import Superseded, superseded
from airflow_provider_braze_blueconic.sync.store.fence import Fence
from airflow_provider_braze_blueconic.sync.store.references import DeltaRef, UploadRef
from airflow_provider_braze_blueconic.sync.store.staging import Staging
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["Delivery", "deliver_csv"]

log = logging.getLogger(__name__)

_IN_THE_FILE = "NOT told AND refusal IS NULL"


@dataclass(frozen=True)
class Delivery:
    """What became of a delivery.

    :param uploads: a reference for each partition that was to be sent, for the report.
    :param uri: the file; ``None`` if there was nothing to write.
    :param rows: rows of the file; 0 if it lay there already.
    :param left_out: target field and reason → people of whom it was left out.
    """

    uploads: tuple[UploadRef, ...]
    uri: str | None
    rows: int
    left_out: Mapping[str, int]


def deliver_csv(
    workspace: Workspace,
    delta: DeltaRef,
    *,
    partitions: Sequence[int],
    links: Sequence[str],
    targets: Mapping[str, str],
    folder: str,
    format_: CsvFormat,
    target_staging: Staging,
) -> Delivery:
    """Write what a delta has to send as one CSV file, whole or not at all, and the receipts of all its people.

    The order, and what a kill leaves:

    1. the attempt's object, and the mark that an upload is open, as in every upload;
    2. the file on the local disk;
    3. an intent for each person to whose numbers something is added: a file that was read twice would add it twice;
    4. the file in its place, in one piece. From here on it may be read, and renamed or removed by its reader;
    5. a receipt for each person.

    The next attempt looks for the file under its name, with and without ``.done``, and for any accepted receipt.
    If it finds one of them, the file was delivered and only the missing receipts are written. Else it writes the same
    file again; only, people with an intent are left out and get the outcome ``unknown``, since their row may have been
    read from a file that is gone. Those outcomes are written before the file, so that a third attempt knows who is not
    in it. An attempt that still lives when the next one begins writes no file any more.

    :param partitions: those to send, as the guard let them pass; none writes nothing.
    :param links: properties by which BlueConic finds a person.
    :param targets: target field → merge strategy, in the goal's order.
    :param folder: S3 folder of the file.
    :param target_staging: access to that folder.
    """
    began = dt.datetime.now(dt.UTC)
    if not partitions:
        return Delivery((), None, 0, {})
    place = _Place(target_staging, delivery_uri(folder, workspace.folder.goal_id, delta, format_))
    layout = FileLayout(links, targets, format_)
    tallies = {partition: Tally() for partition in partitions}
    books: dict[int, _Books] = {}
    rows = 0
    with workspace.local("deliver") as local, connect(workspace.engine) as connection:
        people = Recipients(connection)
        # Whatever goes wrong once there are books, the file may be in its place by then: it is the same as a kill.
        with (
            attempt(workspace, delta, tallies, began=began, receipts=lambda: len(books)) as fence,
            _nothing_placed_if_superseded(books),
        ):
            fence.wait_for_older()
            people.load(workspace, delta, partitions, layout, local)
            is_delivered = people.has_any_accepted() or place.is_taken()
            # What another run was told and never committed may be newer than this delta.
            recover_uploads(workspace, but=delta["delta_id"])
            if not is_delivered and is_overtaken(workspace, delta):
                log.warning("%s: not delivered, because another run was committed after this delta was computed",
                            workspace.folder.goal_id)  # fmt: skip
                return Delivery(_upload_refs(tallies, began), None, 0, {})
            mark_open(workspace, delta)
            for each, tally in tallies.items():
                books[each] = _Books(part_receipts(workspace, delta, each, began, local / f"receipts-{each}"), tally)
            if not is_delivered:
                rows = _deliver(people, books, layout, local / "file", place, fence)
                tallies[partitions[0]].requests = 1 if rows else 0
            _settle(people, books, "NOT told AND refusal IS NOT NULL", "rejected")
            _settle(people, books, _IN_THE_FILE, "accepted")
        left_out = people.count_left_out()
    return Delivery(_upload_refs(tallies, began), place.uri if rows or is_delivered else None, rows, left_out)


@dataclass(frozen=True)
class _Place:
    """Where the file goes."""

    staging: Staging
    uri: str

    def is_taken(self) -> bool:
        return is_there(self.staging, self.uri)


@dataclass(frozen=True)
class _Books:
    """The receipts of one partition."""

    receipts: PartReceipts
    tally: Tally

    def count(self, outcome: Outcome, people: int) -> None:
        setattr(self.tally, outcome, getattr(self.tally, outcome) + people)


def _upload_refs(tallies: Mapping[int, Tally], began: dt.datetime) -> tuple[UploadRef, ...]:
    return tuple(upload_ref(partition, tally, began) for partition, tally in tallies.items())


@contextmanager
def _nothing_placed_if_superseded(books: dict[int, _Books]) -> Iterator[None]:
    """Drop the books of an attempt that ended before it placed a file: all that it wrote is durable."""
    try:
        yield
    except Superseded:
        books.clear()
        raise


def _deliver(
    people: Recipients, books: Mapping[int, _Books], layout: FileLayout, path: Path, place: _Place, fence: Fence
) -> int:
    """Write the file, put it in its place, and say how many rows it has; one without rows is not put there.

    :param path: local file.
    """
    _settle(people, books, "open AND NOT told", "unknown", reason=OPEN_INTENT)
    people.leave_out_the_held()
    rows = write_lines(path, layout.header(), people.lines(), layout.format)
    if rows:
        _put(people, books, path, place, fence)
    return rows


def _put(people: Recipients, books: Mapping[int, _Books], path: Path, place: _Place, fence: Fence) -> None:
    adding = f"adds AND {_IN_THE_FILE}"
    _settle(people, books, adding, "intended", is_end=False)
    # Between the intents and the file: a newer attempt finds the former, or this one finds the newer.
    if not fence.is_newest():
        _settle(people, books, adding, "withdrawn", is_end=False)
        raise superseded(fence.label)
    try:
        place.staging.upload_file(path, place.uri)
    except SyncError:
        # S3 shows an object from the moment it is written. What is not there when its request has failed was refused
        # or never arrived, so nobody has to be held; and should it show later, the next attempt finds it.
        if not place.is_taken():
            _settle(people, books, adding, "withdrawn", is_end=False)
        raise


def _settle(
    people: Recipients,
    books: Mapping[int, _Books],
    condition: str,
    outcome: Outcome,
    *,
    reason: str = "",
    is_end: bool = True,
) -> None:
    """Write a receipt for everybody of whom a condition holds; all of them are durable when this returns.

    :param is_end: it is the last word on the person in this attempt.
    """
    for partition, kept in books.items():
        now = dt.datetime.now(dt.UTC)
        for batch in people.batches(partition, condition):
            kept.receipts.add(_receipt(person, outcome, reason, now) for person in batch)
            count = kept.receipts.flush()
            if is_end:
                kept.count(outcome, count)


def _receipt(person: Recipient, outcome: Outcome, reason: str, now: dt.datetime) -> Receipt:
    if outcome == "accepted":
        return Receipt(person.identifier, outcome, "", None, now, tuple(person.left_out) or None)
    return Receipt(person.identifier, outcome, person.refusal or reason, None, now)
