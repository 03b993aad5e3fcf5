"""The delta of a mapped snapshot in staging: what must be sent, computed partition by partition."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from airflow_provider_braze_blueconic.exceptions import SyncError
from airflow_provider_braze_blueconic.sync.delta.counts import DeltaCounts
from airflow_provider_braze_blueconic.sync.delta.identity import Identities, settle_identities
from airflow_provider_braze_blueconic.sync.delta.partition_delta import compute_delta
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.delta.quiet import MapLater, People
from airflow_provider_braze_blueconic.sync.delta.seen import Seen
from airflow_provider_braze_blueconic.sync.engine.columns import FIELD_PREFIX, field_column
from airflow_provider_braze_blueconic.sync.mapping.plan import MappingPlan
from airflow_provider_braze_blueconic.sync.state.goal_tables import check_tables, open_ledger
from airflow_provider_braze_blueconic.sync.state.ledger import Ledger
from airflow_provider_braze_blueconic.sync.state.missing_ledger import refuse_lost_ledger
from airflow_provider_braze_blueconic.sync.state.settings import DIRECTION
from airflow_provider_braze_blueconic.sync.state.windows import decided
from airflow_provider_braze_blueconic.sync.steps.commit import recover_uploads
from airflow_provider_braze_blueconic.sync.steps.mapped_later import MappedLater
from airflow_provider_braze_blueconic.sync.steps.target_fields import write_fields
from airflow_provider_braze_blueconic.sync.store.paths import identities_folder, partition_folder, people_folder
from airflow_provider_braze_blueconic.sync.store.references import DeltaRef, MappedRef
from airflow_provider_braze_blueconic.sync.store.staging import fetch_folder
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["LookAtTarget", "compute_staged_delta", "counts_of"]

log = logging.getLogger(__name__)

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
    mapping: Callable[[], MappingPlan] | None = None,
) -> DeltaRef:
    """Compare the mapped snapshot with the ledger, partition by partition.

    What earlier uploads were told but never committed (a killed machine) is put into the ledger first, so that
    nothing acknowledged is sent again.

    :param look: collects what other goals have seen in the target.
    :param rows: the target fields, for the upload.
    :param decides: settings of the goal that decide who is read and what is said of them.
    :param mapping: tells how the snapshot was mapped; needed where only some people's values were.
    :raises SyncError: if values have to be mapped, and the goal maps them otherwise by now.
    :raises BrokenTable: a table of the goal can't be read.
    :raises UnsupportedTable: a table of the goal has a feature that this package can't use.
    """
    ledger = check_tables(workspace)
    if recover_uploads(workspace):
        ledger = open_ledger(workspace)
    newest = ledger.newest_as_of()
    settings = _settled_settings(workspace, ledger, plan.settings(newest))
    known_columns = set(ledger.columns())
    relinked = plan.complete and plan.links is not None and ledger.links not in (None, plan.links)
    uri = workspace.folder.step(workspace.run_key, "delta")
    plan_now = _without_leavers(workspace, plan) if relinked else plan
    staged = _compare(workspace, mapped, plan_now, ledger, look, uri, mapping)
    write_fields(workspace, uri, rows)
    _tell_spared(workspace, staged.counts.spared)
    reference = {
        "uri": uri,
        "delta_id": uri.rsplit("-", 1)[1],
        "run_key": workspace.run_key,
        "as_of": mapped["as_of"],
        "newest_as_of": newest.isoformat() if newest else None,
        "last_delta": ledger.last_delta,
        "settings": settings,
        "ledger_partitions": plan.partitions,
        "partitions": staged.partitions,
        "send_partitions": sorted(staged.to_send),
        "people_by_partition": {str(partition): people for partition, people in sorted(staged.to_send.items())},
        "policy": plan.policy,
        "links": plan.links if plan.complete else None,
        "relinked": relinked,
        "new_fields": _new_fields(plan, known_columns) if staged.partitions else [],
        **staged.counts.as_row(),
    }
    if "fingerprint" in mapped:
        reference["fingerprint"] = decided(mapped["fingerprint"], decides or {})
    return cast("DeltaRef", reference)


def counts_of(delta: DeltaRef) -> DeltaCounts:
    """Read the counts of a delta back from its reference."""
    # An older version may have made the delta, before an upgrade, without some of them.
    given = {name: cast("Any", delta)[name] for name in DeltaCounts.__dataclass_fields__ if name in delta}
    counted: Any = {name: Counter(count) if isinstance(count, dict) else count for name, count in given.items()}
    return DeltaCounts(**counted)


@dataclass
class _Staged:
    """What the delta holds so far.

    :param counts: of all partitions.
    :param partitions: those with any row.
    :param to_send: partition → people to send.
    """

    counts: DeltaCounts = field(default_factory=DeltaCounts)
    partitions: list[int] = field(default_factory=list)
    to_send: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Sides:
    """What every partition is compared with.

    :param seen: what other goals saw in the target.
    :param skipped: local file of people who were read but not mapped.
    :param identities: who of the ledger is who of the read; ``None`` where people have one identifier.
    :param later: maps the values of people whom the mapping recognised; ``None`` where it mapped everybody's.
    """

    ledger: Ledger
    seen: Sequence[Seen]
    skipped: Path
    identities: Identities | None
    later: MapLater | None


def _compare(
    workspace: Workspace,
    mapped: MappedRef,
    plan: DeltaPlan,
    ledger: Ledger,
    look: LookAtTarget,
    uri: str,
    mapping: Callable[[], MappingPlan] | None,
) -> _Staged:
    """Compare one partition after the other, and put each partition's delta into staging.

    :param uri: of the delta.
    :param mapping: see :func:`compute_staged_delta`.
    """
    staged = _Staged()
    with workspace.local("delta") as local:
        later = MappedLater(workspace, mapped, mapping, local / "later") if "mapping" in mapped else None
        sides = _both_sides(workspace, mapped, plan, ledger, look, local, later)
        for partition in range(plan.partitions):
            out = local / f"partition={partition}.parquet"
            counts = _compare_partition(workspace, mapped, plan, sides, partition, out)
            staged.counts += counts
            plan = replace(plan, missing=plan.missing - counts.spared)
            if out.exists():
                workspace.staging.upload_file(out, f"{uri}/{out.name}")
                out.unlink()
                staged.partitions.append(partition)
            if counts.to_send:
                staged.to_send[partition] = counts.to_send
    return staged


def _both_sides(
    workspace: Workspace,
    mapped: MappedRef,
    plan: DeltaPlan,
    ledger: Ledger,
    look: LookAtTarget,
    local: Path,
    later: MapLater | None,
) -> _Sides:
    """Fetch what is the same for all partitions.

    :param later: see :class:`_Sides`.
    :raises SyncError: if the ledger is gone.
    """
    seen = look(local / "seen")
    # A look that was made to see everybody fills a ledger that is not there: nothing is paid for twice then.
    if not ledger.exists and not any(one.whole for one in seen):
        refuse_lost_ledger(
            workspace,
            people=mapped["people"],
            data_points=mapped["people"] * len(plan.billable.intersection(plan.targets)),
            sums=[target for target in plan.targets if plan.merge(target) == "sum"],
        )
    skipped = local / "skipped.parquet"
    workspace.staging.download_file(f"{mapped['uri']}/skipped.parquet", skipped)
    records = fetch_folder(workspace.staging, identities_folder(mapped["uri"]), local / "records")
    identities = settle_identities(workspace.engine, records, ledger=ledger, plan=plan, folder=local / "identities")
    if identities is not None and identities.moved:
        log.info("%s: %s people have a new identifier; nothing is cleared under the old one",
                 workspace.folder.goal_id, f"{identities.moved:,}")  # fmt: skip
    return _Sides(ledger, seen, skipped, identities, later)


def _compare_partition(
    workspace: Workspace, mapped: MappedRef, plan: DeltaPlan, sides: _Sides, partition: int, out: Path
) -> DeltaCounts:
    files, people = (
        fetch_folder(workspace.staging, folder(mapped["uri"], partition), out.with_name(f"{name}-{partition}"))
        for name, folder in (("mapped", partition_folder), ("people", people_folder))
    )
    counts = compute_delta(
        workspace.engine,
        partition=partition,
        mapped=files,
        skipped=sides.skipped,
        ledger=sides.ledger,
        plan=plan,
        out=out,
        seen=sides.seen,
        identities=sides.identities,
        people=People(people, sides.later) if sides.later is not None else None,
    )
    for file in (*files, *people):
        file.unlink()
    return counts


def _settled_settings(workspace: Workspace, ledger: Ledger, settings: dict[str, int]) -> dict[str, int]:
    """Compare a goal's settings with those that its ledger knows, and say what a change of them sends once more.

    :raises SyncError: if the goal ran in the other direction before, so that its ledger knows other people, by other
        texts. Nothing is changed.
    """
    folder = workspace.folder
    # The ledger may not say it, and a goal that sends nothing this time does not.
    known, wanted = ledger.transaction(DIRECTION), settings.get(DIRECTION)
    if known is not None and wanted is not None and known != wanted:
        raise SyncError(
            f"{folder.goal_id}: give the goal another id. The ledger {folder.ledger}/ belongs to a goal in the "
            "other direction, with other people and values. Nothing was sent."
        )
    for sentence in ledger.doubts(settings).told():
        log.info("%s: %s", folder.goal_id, sentence)
    return settings


def _without_leavers(workspace: Workspace, plan: DeltaPlan) -> DeltaPlan:
    """Clear nothing for who is missing: under another name than before, everybody would seem to have left."""
    log.warning("%s: the goal's identifiers changed after the last complete read: people missing from this read "
                "are removed from the list, and nothing is sent for them", workspace.folder.goal_id)  # fmt: skip
    return replace(plan, leavers=None)


def _tell_spared(workspace: Workspace, people: int) -> None:
    if people:
        log.warning("%s: %s people are missing from this read, but the read may lack that many people of the "
                    "segment: nothing is sent for them", workspace.folder.goal_id, f"{people:,}")  # fmt: skip


def _new_fields(plan: DeltaPlan, known_columns: set[str]) -> list[str]:
    """Name the target fields that the ledger has no column for.

    A first run without anybody leaves a ledger that knows no field yet: then none of them is news. And without a
    delta the ledger learns no field: what nobody has a value for would be news every night.

    :param known_columns: those of the ledger, before this run.
    """
    if not any(name.startswith(FIELD_PREFIX) for name in known_columns):
        return []
    return [target for target in plan.targets if field_column(target) not in known_columns]
