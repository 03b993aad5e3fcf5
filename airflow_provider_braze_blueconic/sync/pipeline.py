"""The arrows of the pipeline, over files in staging: map, delta, guard, upload, commit, report.

Each function is one step: it fetches what it needs into a local folder, works there, puts the result back and
returns a small reference. Both directions use all of them; only what is handed in differs.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_braze_blueconic.exceptions import SyncError
from airflow_provider_braze_blueconic.sync.batches import Outgoing
from airflow_provider_braze_blueconic.sync.columns import FIELD_PREFIX, field_column
from airflow_provider_braze_blueconic.sync.database import Engine, connect, parquet_source
from airflow_provider_braze_blueconic.sync.delta import DeltaCounts, DeltaPlan, Seen, compute_delta
from airflow_provider_braze_blueconic.sync.doubt import CREATES, DIRECTION
from airflow_provider_braze_blueconic.sync.fence import (
    Fence,
    Superseded,
    close,
    counters,
    is_anybody_at_work,
    unfinished,
)
from airflow_provider_braze_blueconic.sync.guard import GuardLimits, check_limits, estimate
from airflow_provider_braze_blueconic.sync.identity import settle_identities
from airflow_provider_braze_blueconic.sync.ledger import Acknowledged, Ledger, delta_number
from airflow_provider_braze_blueconic.sync.mapping import MappingPlan, map_snapshot
from airflow_provider_braze_blueconic.sync.observations import mark_written
from airflow_provider_braze_blueconic.sync.pacing import Pacing, Rate
from airflow_provider_braze_blueconic.sync.receipts import (
    PartReceipts,
    ReceiptSummary,
    ReceiptTable,
    settled_identifiers,
    summarise,
)
from airflow_provider_braze_blueconic.sync.recovery import (
    refuse_lost_ledger,
    refuse_other_direction,
    refuse_vanished_ledger,
)
from airflow_provider_braze_blueconic.sync.references import DeltaRef, MappedRef, PlanRef, SnapshotRef, UploadRef
from airflow_provider_braze_blueconic.sync.report import Report, make_report
from airflow_provider_braze_blueconic.sync.runs import RunTable
from airflow_provider_braze_blueconic.sync.sending import Sender
from airflow_provider_braze_blueconic.sync.staging import GoalFolder, Staging, fetch_folder, fresh_id
from airflow_provider_braze_blueconic.sync.tables import Table
from airflow_provider_braze_blueconic.sync.upload import Tally, Upload, UploadSettings
from airflow_provider_braze_blueconic.sync.windows import decided, goes_on

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "LookAtTarget",
    "ObjectsSql",
    "Workspace",
    "attempt",
    "commit_uploads",
    "compute_staged_delta",
    "delta_uri",
    "guard_delta",
    "is_overtaken",
    "map_staged_snapshot",
    "mark_open",
    "read_fields",
    "read_snapshot_fields",
    "recover_uploads",
    "report_run",
    "upload_partition",
    "upload_ref",
]

log = logging.getLogger(__name__)

ObjectsSql = Callable[[str, Sequence[str]], str]
"""(source, its columns) → SQL that yields ``identifier``, ``body`` (the record as the target gets it), ``repeatable``
(whether it may be sent twice; without that column all may)."""


@dataclass(frozen=True)
class Workspace:
    """Where one task works.

    :param staging: object store.
    :param folder: the goal's URIs.
    :param run_key: the run.
    :param engine: local folder and limits of DuckDB.
    """

    staging: Staging
    folder: GoalFolder
    run_key: str
    engine: Engine

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """Give a local folder for the time of a block."""
        folder = self.engine.folder / f"{name}-{fresh_id()}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, local: Path, uri: str) -> None:
        """Upload all files of a local folder below a URI and remove them."""
        for path in sorted(local.rglob("*.parquet")):
            self.staging.upload_file(path, f"{uri}/{path.relative_to(local).as_posix()}")
            path.unlink()

    def ledger(self) -> Ledger:
        """Open the goal's ledger."""
        return Ledger(self.folder.ledger, self.staging.storage_options())

    def tables(self) -> Iterator[Table]:
        """Give all tables of the goal, each with access of its own: that of an assumed role ends after a while."""
        kinds: tuple[tuple[type[Table], str], ...] = (
            (Ledger, self.folder.ledger),
            (ReceiptTable, self.folder.receipts),
            (RunTable, self.folder.runs),
        )
        for kind, uri in kinds:
            yield kind(uri, self.staging.storage_options())

    def check_tables(self) -> None:
        """Make sure before an upload that what the target answers can be kept after it.

        :raises BrokenTable: a table of the goal can't be read.
        :raises UnsupportedTable: a table of the goal has a feature that this package can't use.
        """
        for table in self.tables():
            table.open()


def map_staged_snapshot(
    workspace: Workspace,
    snapshot: SnapshotRef,
    plan: MappingPlan,
    warning_sources: Mapping[str, str],
    *,
    rows: Sequence[Mapping[str, Any]] = (),
) -> MappedRef:
    """Map a snapshot and put the mapped snapshot beside it.

    :param rows: the target fields, for steps that need to know more of them than their names.
    """
    uri = workspace.folder.step(workspace.run_key, "mapped")
    with workspace.local("map") as local:
        parts = fetch_folder(workspace.staging, snapshot["uri"], local / "snapshot")
        counts = map_snapshot(workspace.engine, parts, plan, local / "mapped")
        workspace.publish(local / "mapped", uri)
    _write_fields(workspace, uri, rows)
    warnings = {f"{target}: {reason}": people for (target, reason), people in counts.warnings.items()}
    targets = {target for target, _ in counts.warnings}
    reference = MappedRef(
        uri=uri,
        people=counts.people,
        skipped=dict(counts.skipped),
        warnings=warnings,
        warning_sources={target: source for target, source in warning_sources.items() if target in targets},
        as_of=snapshot["as_of"],
        complete=snapshot["complete"],
        partitions=plan.partitions,
        property_types=snapshot["property_types"],
        missing=max(0, (snapshot["segment_size"] or 0) - snapshot["profiles"]) if snapshot["complete"] else 0,
    )
    if "fingerprint" in snapshot:
        reference["fingerprint"] = snapshot["fingerprint"]
    return reference


def _write_fields(workspace: Workspace, uri: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        workspace.staging.write_bytes(f"{uri}/fields.json", json.dumps(list(rows), indent=1).encode())


def read_fields(workspace: Workspace, uri: str) -> list[dict[str, Any]]:
    """Read the target fields that a step wrote beside its files."""
    rows: list[dict[str, Any]] = json.loads(workspace.staging.read_bytes(f"{uri}/fields.json"))
    return rows


def read_snapshot_fields(workspace: Workspace, snapshot: SnapshotRef) -> tuple[list[str], dict[str, list[str]]]:
    """Read what the export of a Braze segment holds.

    :return: the paths that were asked for; path of each other field that was found → kinds of its values.
    """
    document = json.loads(workspace.staging.read_bytes(f"{snapshot['uri']}/fields.json"))
    return document["sources"], {path: found["kinds"] for path, found in document["remaining"].items()}


LookAtTarget = Callable[[Path], Sequence[Seen]]
"""(local folder) → what other goals have seen in the target."""


def compute_staged_delta(
    workspace: Workspace,
    mapped: MappedRef,
    plan: DeltaPlan,
    *,
    look: LookAtTarget = lambda _: (),
    rows: Sequence[Mapping[str, Any]] = (),
    decides: Mapping[str, object] | None = None,
) -> DeltaRef:
    """Compare the mapped snapshot with the ledger, partition by partition.

    What earlier uploads were told but never committed (a killed machine) is put into the ledger first, so that
    nothing acknowledged is sent again.

    :param look: collects what other goals have seen in the target.
    :param rows: the target fields, for the upload.
    :param decides: settings of the goal that decide who is read and what is said of them.
    :raises BrokenTable: a table of the goal can't be read.
    :raises UnsupportedTable: a table of the goal has a feature that this package can't use.
    """
    workspace.check_tables()
    recover_uploads(workspace)
    ledger = workspace.ledger()
    newest = ledger.newest_as_of()
    settings = _settled_settings(workspace, ledger, plan.settings(newest))
    known_columns = set(ledger.columns())
    uri = workspace.folder.step(workspace.run_key, "delta")
    total = DeltaCounts()
    relinked = plan.complete and plan.links is not None and ledger.links not in (None, plan.links)
    if relinked:
        # Under another name than before, everybody would seem to have left.
        log.warning("%s: the identifiers of the goal changed since the last whole read, so who is missing now is taken "
                    "off the ledger's list and nothing is sent for them", workspace.folder.goal_id)  # fmt: skip
        plan = replace(plan, leavers=None)
    present, to_send = [], {}
    with workspace.local("delta") as local:
        seen = look(local / "seen")
        # A look that was made to see everybody fills a ledger that is not there: nothing is paid for twice then.
        if not ledger.exists and not any(one.whole for one in seen):
            refuse_lost_ledger(workspace, people=mapped["people"], plan=plan)
        skipped_file = local / "skipped.parquet"
        workspace.staging.download_file(f"{mapped['uri']}/skipped.parquet", skipped_file)
        identities = settle_identities(
            workspace.engine,
            fetch_folder(workspace.staging, f"{mapped['uri']}/identities", local / "records"),
            ledger=ledger,
            plan=plan,
            folder=local / "identities",
        )
        if identities is not None and identities.moved:
            log.info("%s: %s people have another identifier than before; nothing is cleared under the old one",
                     workspace.folder.goal_id, f"{identities.moved:,}")  # fmt: skip
        for partition in range(plan.partitions):
            files = fetch_folder(
                workspace.staging, f"{mapped['uri']}/partition={partition}", local / f"mapped-{partition}"
            )
            out = local / f"partition={partition}.parquet"
            counts = compute_delta(
                workspace.engine,
                partition=partition,
                mapped=files,
                skipped=skipped_file,
                ledger=ledger,
                plan=plan,
                out=out,
                seen=seen,
                identities=identities,
            )
            for file in files:
                file.unlink()
            total += counts
            plan = replace(plan, missing=plan.missing - counts.spared)
            if out.exists():
                workspace.staging.upload_file(out, f"{uri}/{out.name}")
                out.unlink()
                present.append(partition)
            if counts.to_send:
                to_send[partition] = counts.to_send
    _write_fields(workspace, uri, rows)
    _tell_spared(workspace, total.spared)
    new_fields: list[str] = []
    # A first run without anybody leaves a ledger that knows no field yet: then none of them is news. And without a
    # delta the ledger learns no field: what nobody has a value for would be news every night.
    if present and any(name.startswith(FIELD_PREFIX) for name in known_columns):
        new_fields = [target for target in plan.targets if field_column(target) not in known_columns]
    reference = {
        "uri": uri,
        "delta_id": uri.rsplit("-", 1)[1],
        "run_key": workspace.run_key,
        "as_of": mapped["as_of"],
        "newest_as_of": newest.isoformat() if newest else None,
        "last_delta": ledger.last_delta,
        "settings": settings,
        "ledger_partitions": plan.partitions,
        "partitions": present,
        "send_partitions": sorted(to_send),
        "people_by_partition": {str(partition): people for partition, people in sorted(to_send.items())},
        "policy": plan.policy,
        "links": plan.links if plan.complete else None,
        "relinked": relinked,
        "new_fields": new_fields,
        **total.as_row(),
    }
    if "fingerprint" in mapped:
        reference["fingerprint"] = decided(mapped["fingerprint"], decides or {})
    return cast("DeltaRef", reference)


def _counts_of(delta: DeltaRef) -> DeltaCounts:
    """Read the counts of a delta back from its reference."""
    # An older version may have made the delta, before an upgrade, without some of them.
    given = {name: cast("Any", delta)[name] for name in DeltaCounts.__dataclass_fields__ if name in delta}
    counted: Any = {name: Counter(count) if isinstance(count, dict) else count for name, count in given.items()}
    return DeltaCounts(**counted)


def _settled_settings(workspace: Workspace, ledger: Ledger, settings: dict[str, int]) -> dict[str, int]:
    """Compare a goal's settings with those that its ledger knows, and say what a change of them sends once more.

    :raises SyncError: if the goal ran in the other direction before.
    """
    refuse_other_direction(workspace.folder, ledger.transaction(DIRECTION), settings.get(DIRECTION))
    for sentence in ledger.doubts(settings).told():
        log.info("%s: %s", workspace.folder.goal_id, sentence)
    return settings


def _tell_spared(workspace: Workspace, people: int) -> None:
    if people:
        log.warning("%s: %s people are not in this read, but so many of its segment may be missing from it: nothing is "
                    "sent for them", workspace.folder.goal_id, f"{people:,}")  # fmt: skip


def guard_delta(
    workspace: Workspace,
    delta: DeltaRef,
    *,
    limits: GuardLimits,
    acts_on_leavers: bool,
    dry_run: bool,
    objects: int,
    rate: Rate,
) -> PlanRef:
    """Say what the run will take, keep it as ``plan.json`` beside the delta, and stop where a limit would be broken.

    :param objects: records of one request.
    :param rate: cap of all workers together.
    :raises LimitExceeded: also in a dry run, since that is what a dry run is asked for.
    :raises WriterConflict: if another writer of the runs table was faster; nothing was sent, try again.
    """
    counts = _counts_of(delta)
    plan = estimate(counts, list(delta["people_by_partition"].values()), objects=objects, rate=rate)
    plan_uri = f"{delta['uri']}/plan.json"
    workspace.staging.write_bytes(plan_uri, json.dumps({**asdict(plan), "delta": delta}, indent=1).encode())
    acts_on_leavers = acts_on_leavers and not delta["relinked"]
    check_limits(workspace.folder.goal_id, plan, counts, limits, acts_on_leavers=acts_on_leavers)
    if delta["send_partitions"] and not dry_run:
        _end_reads(workspace, delta)
    return PlanRef(
        partitions=[] if dry_run else list(delta["send_partitions"]),
        dry_run=dry_run,
        people=plan.people,
        data_points=plan.data_points,
        proven=delta.get("settings", {}).get(CREATES) != 0,
        requests=plan.requests,
        minutes=round(plan.minutes, 2),
        plan_uri=plan_uri,
    )


def _end_reads(workspace: Workspace, delta: DeltaRef) -> None:
    """Let no read of changes begin before this run, before it sends, unless this run goes on from there itself."""
    if "fingerprint" not in delta:
        return  # its source has no reads of changes
    runs = RunTable(workspace.folder.runs, workspace.staging.storage_options())
    last = runs.last_good_read()
    if last is not None and not goes_on(last, dt.datetime.fromisoformat(delta["as_of"]), delta["fingerprint"]):
        runs.end_reads(last[0])


def upload_partition(
    workspace: Workspace,
    delta: DeltaRef,
    partition: int,
    *,
    objects_sql: ObjectsSql,
    sender: AbstractAsyncContextManager[Sender],
    rate: Rate,
    settings: UploadSettings,
    on_start: Callable[[Upload], None] = lambda _: None,
) -> UploadRef:
    """Send one partition of a delta, without what an earlier attempt already settled.

    The mark that an upload is open is written before the first request, and a part receipt as soon as answers are
    there: a kill in between costs at most the receipts of the last second, whose records go again. An earlier attempt
    that still lives is stopped first, and this one stops if a later one begins (:mod:`~.fence`).

    A delta that another run has overtaken is not sent: it was compared with a ledger that is no more, so that an older
    value could go over a newer one, and a number be added twice. What was left of it went, or goes, with another run.

    :param rate: this worker's share of the cap.
    :param on_start: gets the upload, so that it can be stopped.
    :raises Superseded: a later attempt has begun.
    """
    began = dt.datetime.now(dt.UTC)
    name = f"partition={partition}"
    receipts_uri = f"{delta['uri']}/receipts/{name}"
    tally = Tally()
    with workspace.local("upload") as local:
        receipts = PartReceipts(
            local / "receipts",
            attempt=f"{began:%Y%m%dT%H%M%S}-{fresh_id()}",
            publish=lambda path: workspace.staging.upload_file(path, f"{receipts_uri}/{path.name}"),
        )
        with attempt(workspace, delta, {partition: tally}, began=began, receipts=lambda: len(receipts)) as fence:
            # What another run was told and never committed may be newer than this delta.
            recover_uploads(workspace, but=delta["delta_id"])
            if is_overtaken(workspace, delta):
                log.warning("%s: not sent, since another run was committed after this delta was made", fence.label)
                return upload_ref(partition, tally, began)
            mark_open(workspace, delta)
            file = local / f"{name}.parquet"
            workspace.staging.download_file(delta_uri(delta, partition), file)
            # Until then an earlier attempt may write some.
            fence.wait_for_older()
            settled = fetch_folder(workspace.staging, receipts_uri, local / "settled")
            total, records = _open_records(workspace.engine, file, settled, objects_sql)
            asyncio.run(
                _upload(
                    fence,
                    records,
                    total,
                    sent_by_run=delta.get("to_send", total),
                    receipts=receipts,
                    tally=tally,
                    sender=sender,
                    rate=rate,
                    settings=settings,
                    on_start=on_start,
                )
            )
    return upload_ref(partition, tally, began)


@contextmanager
def attempt(
    workspace: Workspace,
    delta: DeltaRef,
    tallies: Mapping[int, Tally],
    *,
    began: dt.datetime,
    receipts: Callable[[], int],
) -> Iterator[Fence]:
    """Make one attempt to send some partitions: an older one that still lives stops, and so does this for a newer one.

    The order, and what a kill leaves:

    1. the attempt's object. Left empty it says that who has no receipt may have been sent, so that all these people are
       in doubt;
    2. by the block, the mark that an upload is open. After the object, so that a commit which is about to remove the
       mark sees that somebody has begun anew (:func:`commit_uploads`);
    3. whatever else the block does, once older attempts are waited for;
    4. the counters in the attempt's object. From here on who has no receipt was not sent.

    :param tallies: partition → what the attempt counts; it may still be counting when it fails.
    :param began: when the step began.
    :param receipts: says after a failure how many receipts could not be kept: then it is the same as after a kill.
    :return: says whether this is still the newest attempt.
    :raises Superseded: by the block, if it is not.
    """
    goal_id, names = workspace.folder.goal_id, ", ".join(map(str, tallies))
    fence = Fence(
        workspace.staging, delta["uri"], [str(each) for each in tallies], label=f"{goal_id} partition {names}"
    )

    def end() -> None:
        fence.end({str(each): upload_ref(each, tally, began) for each, tally in tallies.items()})

    try:
        fence.begin()
        yield fence
    except Exception as error:
        try:
            if isinstance(error, Superseded):
                # Whoever came after may have committed, and removed the mark, before the last answers came.
                mark_open(workspace, delta)
            if not receipts():
                end()
        except (SyncError, OSError) as other:
            log.warning("%s: the end of an attempt could not be noted; it is taken for killed. %s",
                        fence.label, other)  # fmt: skip
        raise
    end()


def _broken_off(workspace: Workspace, delta: DeltaRef) -> frozenset[int]:
    """Name the partitions of which an attempt did not come to its end."""
    return frozenset(map(int, unfinished(workspace.staging, delta["uri"])))


def is_overtaken(workspace: Workspace, delta: DeltaRef) -> bool:
    """Tell whether another run moved the ledger after this delta was made, or after its own last commit."""
    if "last_delta" in delta:
        return workspace.ledger().last_delta not in (delta["last_delta"], delta_number(delta["delta_id"]))
    known = [moment for moment in (delta["as_of"], delta.get("newest_as_of")) if moment]
    newest = workspace.ledger().newest_as_of()
    return newest is not None and newest > max(dt.datetime.fromisoformat(moment) for moment in known)


def upload_ref(partition: int, tally: Tally, began: dt.datetime) -> UploadRef:
    """Make the reference of a partition whose upload ends now."""
    return UploadRef(
        partition=partition,
        requests=tally.requests,
        accepted=tally.accepted,
        rejected=tally.rejected,
        not_found=tally.not_found,
        no_consent=tally.no_consent,
        unknown=tally.unknown,
        rate_limited=tally.rate_limited,
        seconds=round(tally.seconds, 3),
        started_at=began.isoformat(),
        finished_at=dt.datetime.now(dt.UTC).isoformat(),
    )


async def _upload(
    fence: Fence,
    records: Iterator[Outgoing],
    total: int,
    *,
    sent_by_run: int,
    receipts: PartReceipts,
    tally: Tally,
    sender: AbstractAsyncContextManager[Sender],
    rate: Rate,
    settings: UploadSettings,
    on_start: Callable[[Upload], None],
) -> None:
    async with sender as opened:
        upload = Upload(
            opened,
            Pacing(rate),
            receipts,
            settings,
            label=fence.label,
            total=total,
            sent_by_run=sent_by_run,
            is_newest=fence.is_newest,
            tally=tally,
        )
        on_start(upload)
        await upload.run(records)


def _open_records(
    engine: Engine, delta: Path, settled: Sequence[Path], objects_sql: ObjectsSql
) -> tuple[int, Iterator[Outgoing]]:
    """Count and stream the records to send.

    :param settled: part receipts of earlier attempts: what they settled is left out.
    """
    with connect(engine) as connection:
        objects = _objects_to_send(connection, delta, settled, objects_sql)
        total = connection.execute(f"SELECT count(*) FROM ({objects})").fetchall()[0][0]

    def records() -> Iterator[Outgoing]:
        with connect(engine) as connection:
            # Small batches: the loop that sends waits while one is turned into Python objects.
            bodies = f"SELECT identifier, encode(body) AS body, repeatable FROM ({objects})"
            for batch in connection.sql(bodies).to_arrow_reader(2_048):
                columns = (batch.column(name).to_pylist() for name in ("identifier", "body", "repeatable"))
                yield from map(Outgoing._make, zip(*columns, strict=True))

    return total, records()


def _objects_to_send(
    connection: duckdb.DuckDBPyConnection, delta: Path, settled: Sequence[Path], objects_sql: ObjectsSql
) -> str:
    source = parquet_source([delta])
    columns = [name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
    if settled:
        without = settled_identifiers(settled, repeatable=True)
        source = f"(SELECT * FROM {source} WHERE identifier NOT IN ({without}))"
    objects = objects_sql(source, columns)
    if "repeatable" not in {name for name, *_ in connection.execute(f"DESCRIBE {objects}").fetchall()}:
        return f"SELECT *, TRUE AS repeatable FROM ({objects})"
    if settled:
        held = settled_identifiers(settled, repeatable=False)
        return f"SELECT * FROM ({objects}) WHERE repeatable OR identifier NOT IN ({held})"
    return objects


def delta_uri(delta: DeltaRef, partition: int) -> str:
    """Name a partition's file of a delta."""
    return f"{delta['uri']}/partition={partition}.parquet"


def _mark_uri(workspace: Workspace, run_key: str, delta_id: str) -> str:
    return f"{workspace.folder.open_uploads}{run_key}~{delta_id}.json"


def mark_open(workspace: Workspace, delta: DeltaRef) -> None:
    """Mark, before anything is sent, that an upload is open: what it is told must be committed, whatever comes."""
    uri = _mark_uri(workspace, delta["run_key"], delta["delta_id"])
    workspace.staging.write_bytes(uri, json.dumps(delta).encode())


def recover_uploads(workspace: Workspace, *, but: str | None = None) -> int:
    """Commit what uploads were told that never reached their commit, and say how many there were.

    :param but: id of a delta whose upload goes on.
    """
    staging, goal_id = workspace.staging, workspace.folder.goal_id
    recovered = 0
    for staged in staging.list_objects(workspace.folder.open_uploads):
        delta: DeltaRef = json.loads(staging.read_bytes(staged.uri))
        if delta["delta_id"] == but:
            continue
        there = {item.uri for item in staging.list_objects(delta["uri"] + "/")}
        if not all(delta_uri(delta, partition) in there for partition in delta["partitions"]):
            # Work files expire; without this a goal that slept for long would never run again.
            log.warning("%s: an earlier upload of run %s was not committed and its files have expired; "
                        "what it sent is sent again", goal_id, delta["run_key"])  # fmt: skip
            staging.delete([staged.uri])
            continue
        log.info("%s: an earlier upload of run %s was not committed; its receipts are put into the ledger now",
                 goal_id, delta["run_key"])  # fmt: skip
        summary = commit_uploads(workspace, delta)
        if unknown := summary.outcomes.get("unknown"):
            # No report tells it: that run had none, and this one sends something else.
            log.warning("%s: of %s people it is not known whether the target applied what run %s sent; a number that "
                        "may have been added is not added again. See outcome \"unknown\" in the receipts table",
                        goal_id, f"{unknown:,}", delta["run_key"])  # fmt: skip
        recovered += 1
    return recovered


def commit_uploads(workspace: Workspace, delta: DeltaRef) -> ReceiptSummary:
    """Put the outcomes of a delta's uploads into the receipts table and the ledger; twice is once.

    Receipts first, then the ledger, then what other goals are told of it, then the mark away. A kill after the receipts
    leaves the ledger as it was: the next try finds the receipts' transaction and only moves the ledger. A kill after
    the ledger leaves the mark: the next try finds both transactions and only does what is left.

    An attempt that still lives, as the process of a killed worker may, is stopped before the receipts are read. One
    that begins during the commit keeps the mark.

    :raises WriterConflict: if another run moved the ledger meanwhile; nothing was changed, try again.
    """
    staging, engine = workspace.staging, workspace.engine
    close(staging, delta["uri"], label=f"{workspace.folder.goal_id} commit")
    with workspace.local("commit") as local:
        files: dict[int, Path] = {}
        for partition in delta["partitions"]:
            files[partition] = local / f"partition={partition}.parquet"
            staging.download_file(delta_uri(delta, partition), files[partition])
        parts = fetch_folder(staging, f"{delta['uri']}/receipts", local / "receipts")
        summary = summarise(engine, parts)
        if parts and files:
            ReceiptTable(workspace.folder.receipts, staging.storage_options()).commit(
                engine,
                run_key=delta["run_key"],
                delta_id=delta["delta_id"],
                delta=list(files.values()),
                parts=parts,
                receipt_rows=summary.receipts,
            )
        ledger = workspace.ledger()
        if delta.get("newest_as_of") and not ledger.exists:
            refuse_vanished_ledger(workspace.folder)
        ledger.commit(
            engine,
            Acknowledged(
                run_key=delta["run_key"],
                delta_id=delta["delta_id"],
                as_of=dt.datetime.fromisoformat(delta["as_of"]),
                partitions=delta["ledger_partitions"],
                delta=files,
                receipts=parts,
                receipt_rows=summary.receipts,
                policy=delta["policy"],
                links=delta.get("links"),
                broken_off=_broken_off(workspace, delta),
                settings=delta.get("settings", {}),
                last_delta=delta.get("last_delta"),
            ),
        )
    wrote = dt.datetime.now(dt.UTC) if summary.receipts else None
    mark_written(staging, workspace.folder, read=dt.datetime.fromisoformat(delta["as_of"]), wrote=wrote)
    staging.delete([_mark_uri(workspace, delta["run_key"], delta["delta_id"])])
    if is_anybody_at_work(staging, delta["uri"]):
        mark_open(workspace, delta)
    return summary


def report_run(
    workspace: Workspace,
    *,
    snapshot: SnapshotRef | None,
    mapped: MappedRef | None,
    delta: DeltaRef | None,
    passed: bool,
    dry_run: bool,
    uploads: Sequence[UploadRef],
    committed: bool,
    skipped_because: str = "",
) -> Report:
    """Count what the run did, from its receipts, and keep it as a row of the runs table and as ``report.json``.

    A run that was cleared has several tries, and each try that compares anew has a delta of its own. The report is
    about this try's delta, or, where this try did not get that far, about the last one that was sent. What went with
    the others is counted as ``sent_before``.

    :param delta: this try's; ``None`` if it ended before.
    :param passed: the guard let the run pass.
    :param dry_run: the run only planned.
    :param uploads: those that ended well; the counters of the others are beside the delta.
    :param committed: the outcomes are in the ledger.
    :param skipped_because: why there was nothing to do; empty if there was.
    """
    summary, sent_before = ReceiptSummary(0, {}, {}), 0
    if not dry_run:
        sent, plans = _sent_deltas(workspace)
        if delta is None and plans:
            delta = json.loads(workspace.staging.read_bytes(plans[-1]))["delta"]
        for uri in sent:
            with workspace.local("report") as local:
                told = summarise(workspace.engine, fetch_folder(workspace.staging, f"{uri}/receipts", local))
            if delta is not None and uri == delta["uri"]:
                summary = told
            else:
                sent_before += told.outcomes.get("accepted", 0)
        if delta is not None:
            ended = cast("list[UploadRef]", counters(workspace.staging, delta["uri"]))
            uploads = list({(each["partition"], each["started_at"]): each for each in [*ended, *uploads]}.values())
    report = make_report(
        goal_id=workspace.folder.goal_id,
        run_key=workspace.run_key,
        snapshot=snapshot,
        mapped=mapped,
        delta=delta,
        passed=passed,
        dry_run=dry_run,
        uploads=uploads,
        committed=committed,
        receipts=summary,
        sent_before=sent_before,
        skipped_because=skipped_because,
    )
    read_started_at = dt.datetime.fromisoformat(snapshot["as_of"]) if snapshot else None
    runs = RunTable(workspace.folder.runs, workspace.staging.storage_options())
    by = next((one["fingerprint"] for one in (delta, snapshot) if one and "fingerprint" in one), "")
    runs.add(report, read_started_at=read_started_at, mapping_hash=by)
    uri = f"{workspace.folder.root}/work/{workspace.run_key}/report.json"
    workspace.staging.write_bytes(uri, json.dumps(report, indent=1).encode())
    return report


def _sent_deltas(workspace: Workspace) -> tuple[set[str], list[str]]:
    """Return the URIs of the run's deltas of which anything was sent, and those of their plans, the last one last."""
    listed = workspace.staging.list_objects(f"{workspace.folder.root}/work/{workspace.run_key}/")
    sent = {staged.uri.partition("/receipts/")[0] for staged in listed if "/receipts/" in staged.uri}
    plans = [staged for staged in listed if staged.uri.removesuffix("/plan.json") in sent]
    return sent, [staged.uri for staged in sorted(plans, key=lambda plan: plan.modified)]
