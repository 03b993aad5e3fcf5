"""The recovery of a lost or broken ledger: it is rebuilt from the receipts.

The receipts table tells of every record what was sent and what became of it, so the last value of each field that was
accepted is what the target has acknowledged. What the receipts do not tell:

* ``in_segment`` is NULL until a run meets the person again, so who left since the last run does not count as a leaver.
* ``refused_hash`` is NULL, so people who rested are tried once more; ``unstuck`` is forgotten with it.
* ``known_by`` of an export is NULL until a run meets the person again. Who moved from one identifier to another has two
  rows that both say something, so where these differ the field is sent once more.
* ``unproven`` is NULL: who was accepted only while people were not to be created counts as that until they are accepted
  while they are, so that they are sent once more if creation is switched on later.
* What the ledger learnt without a sending, since the target was seen to hold it, is not there, and is sent if it is not
  seen again.
* Who has no receipt and may have been reached by an upload that was killed was in doubt in the ledger, and is not now.
  If the source is back at the value before, the target may hold the other one.
* Of a number that is added to with ``of: increase`` the level is the sum of what was added, also where it is not known
  whether it was. A counter that fell in between stood lower. So the level may be too high: the next increases may then
  add too little, never twice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.exceptions import BrokenTable, SyncError
from airflow_provider_braze_blueconic.sync.engine.columns import FIELD_PREFIX
from airflow_provider_braze_blueconic.sync.engine.database import connect, literal, parquet_source, quote
from airflow_provider_braze_blueconic.sync.engine.relations import total_sql
from airflow_provider_braze_blueconic.sync.state.doubt import IN_DOUBT
from airflow_provider_braze_blueconic.sync.state.goal_tables import open_ledger
from airflow_provider_braze_blueconic.sync.state.open_uploads import open_uploads
from airflow_provider_braze_blueconic.sync.state.receipt_table import ReceiptTable
from airflow_provider_braze_blueconic.sync.state.runs import RunTable
from airflow_provider_braze_blueconic.sync.store.delta_files import has_its_files
from airflow_provider_braze_blueconic.sync.store.tables import from_microseconds
from airflow_provider_braze_blueconic.sync.upkeep.rebuilt_ledger import ledger_rows
from airflow_provider_braze_blueconic.sync.upkeep.sent_values import Sum
from airflow_provider_braze_blueconic.sync.upkeep.told_receipts import divide_receipts, load_deltas

if TYPE_CHECKING:
    import duckdb

    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["Recovery", "recover_ledger"]


@dataclass(frozen=True)
class Recovery:
    """What was found in the receipts, and what was made of it.

    :param receipts: receipts that were read.
    :param deltas: uploads that they belong to.
    :param first: the oldest of them, UTC.
    :param last: the newest of them, UTC.
    :param people: people in the new ledger.
    :param values: fields of them that are known.
    :param refused: people among them whom the target did not take the last time, or not whole.
    :param sums: fields that are added to, whose level may be too high.
    :param open_uploads: uploads that are left to the next run, which commits them by itself.
    :param as_of: version of the newest data that a run has committed.
    :param broken: why the ledger that was there could not be read; ``None`` if there was none.
    :param put_aside: where the files of that ledger are now; ``None`` if there were none, and in a dry run.
    :param written: the ledger was made.
    """

    receipts: int
    deltas: int
    first: dt.datetime
    last: dt.datetime
    people: int
    values: int
    refused: int
    sums: tuple[str, ...]
    open_uploads: int
    as_of: dt.datetime
    broken: str | None
    put_aside: str | None
    written: bool


def recover_ledger(
    workspace: Workspace, *, partitions: int, sums: Mapping[str, Sum] | None = None, dry_run: bool = False
) -> Recovery:
    """Make the ledger of a goal anew from its receipts table.

    A ledger that is there and can't be read is put aside first, into ``ledger-broken-<time>/`` of the goal. A kill in
    between leaves no ledger, and the same command goes on from there.

    :param partitions: that the new ledger is divided by.
    :param sums: target → how it is added to, of the goal as it is now.
    :param dry_run: only look; change nothing.
    :raises SyncError: if the ledger can be read, or there is no receipt to make one from.
    :raises WriterConflict: if a run made a ledger meanwhile; nothing was changed.
    """
    folder, sums = workspace.folder, sums or {}
    broken = _what_is_broken(workspace)
    receipts = ReceiptTable(folder.receipts, workspace.staging.storage_options())
    if not receipts.exists:
        raise SyncError(
            f"{folder.goal_id}: there are no receipts in {folder.receipts}/, so a ledger can't be rebuilt. Check "
            "the goal's `id` and `staging`; a goal that never sent anything needs no ledger."
        )
    waiting = _open_deltas(workspace)
    put_aside = None
    with workspace.local("recovery") as local, connect(workspace.engine) as connection:
        divided = divide_receipts(connection, receipts, local / "receipts", partitions, waiting)
        if not divided:
            raise SyncError(
                f"{folder.goal_id}: all receipts in {folder.receipts}/ belong to an upload that the next run commits "
                "by itself. Let the goal run."
            )
        deltas = load_deltas(connection, divided, RunTable(folder.runs, workspace.staging.storage_options()))
        files = _write_rows(connection, divided, sums, local)
        found = _count(connection, files)
        if not dry_run:
            put_aside = _put_aside(workspace)
            numbers = {delta_id: receipts.transaction(f"delta:{delta_id}") or 0 for delta_id in deltas}
            open_ledger(workspace).rebuild(files, partitions=partitions, as_of=found["as_of"], deltas=numbers)
    return Recovery(
        deltas=len(deltas),
        sums=tuple(target for target, of in sums.items() if of == "increase"),
        open_uploads=len(waiting),
        broken=broken,
        put_aside=put_aside,
        written=not dry_run,
        **found,
    )


def _what_is_broken(workspace: Workspace) -> str | None:
    """Say why the ledger can't be read; ``None`` if there is none.

    :raises SyncError: if all of it can be read.
    """
    ledger = open_ledger(workspace)
    try:
        with ledger.reading():
            rows = ledger.rows()
            if rows is None:
                return None
            people = sum(batch.num_rows for batch in rows)
    except BrokenTable as error:
        return str(error)
    raise SyncError(
        f"{workspace.folder.goal_id}: the ledger {ledger.uri}/ exists and can be read ({people:,} people), so "
        "there is nothing to recover. To rebuild it anyway, move that folder away first."
    )


def _open_deltas(workspace: Workspace) -> list[str]:
    """Name the deltas that the next run commits by itself, and more exactly than their receipts could tell."""
    return [str(delta["delta_id"]) for _, delta in open_uploads(workspace) if has_its_files(workspace.staging, delta)]


def _write_rows(
    connection: duckdb.DuckDBPyConnection,
    divided: Mapping[int, Sequence[Path]],
    sums: Mapping[str, Sum],
    local: Path,
) -> list[Path]:
    """Write the rows of the new ledger, a file for each partition.

    :param divided: partition → local receipts.
    """
    files = []
    for partition, parts in sorted(divided.items()):
        files.append(local / f"ledger-{partition}.parquet")
        rows = ledger_rows(connection, parts, partition, sums)
        connection.execute(f"COPY ({rows}) TO {literal(str(files[-1]))} (FORMAT parquet, COMPRESSION lz4_raw)")
    return files


def _count(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> dict[str, Any]:
    rows = parquet_source(files, union_by_name=True)
    described = [name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()]
    fields = [name for name in described if name.startswith(FIELD_PREFIX)]
    known_of = [f"count(nullif({quote(name)}, {literal(IN_DOUBT)}))" for name in fields]
    counted = f"SELECT count(*), count(refused_as), {total_sql(known_of)} FROM {rows}"
    people, refused, known = connection.execute(counted).fetchall()[0]
    receipts, first, last, as_of = connection.execute(
        "SELECT sum(receipts)::BIGINT, epoch_us(min(first)), epoch_us(max(last)), "
        "epoch_us(greatest(max(as_of), (SELECT as_of FROM confirmed))) FROM deltas"
    ).fetchall()[0]
    return {
        "people": people,
        "refused": refused,
        "values": known,
        "receipts": receipts,
        "first": from_microseconds(first),
        "last": from_microseconds(last),
        "as_of": from_microseconds(as_of),
    }


def _put_aside(workspace: Workspace) -> str | None:
    """Move what is left of a ledger out of the way; a copy of all comes first, so that nothing is lost by a kill."""
    staging, folder = workspace.staging, workspace.folder
    there = [item.uri for item in staging.list_objects(f"{folder.ledger}/")]
    if not there:
        return None
    aside = folder.broken_ledger(dt.datetime.now(dt.UTC))
    for uri in there:
        staging.copy_object(uri, f"{aside}/{uri.removeprefix(f'{folder.ledger}/')}")
    staging.delete(there)
    return aside
