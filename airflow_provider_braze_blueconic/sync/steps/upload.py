"""The upload of one partition of a delta, record by record."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_braze_blueconic.sync.sending.delta_records import ObjectsSql, open_records
from airflow_provider_braze_blueconic.sync.sending.pacing import Pacing, Rate
from airflow_provider_braze_blueconic.sync.sending.rows import Rows
from airflow_provider_braze_blueconic.sync.sending.seam import Sender
from airflow_provider_braze_blueconic.sync.sending.settings import UploadSettings
from airflow_provider_braze_blueconic.sync.sending.tally import Tally
from airflow_provider_braze_blueconic.sync.sending.upload import Upload
from airflow_provider_braze_blueconic.sync.state.open_uploads import is_overtaken, mark_open
from airflow_provider_braze_blueconic.sync.state.part_receipts import PartReceipts
from airflow_provider_braze_blueconic.sync.steps.attempts import attempt, part_receipts, upload_ref
from airflow_provider_braze_blueconic.sync.steps.commit import recover_uploads
from airflow_provider_braze_blueconic.sync.store.fence import Fence
from airflow_provider_braze_blueconic.sync.store.paths import delta_file, receipts_folder
from airflow_provider_braze_blueconic.sync.store.references import DeltaRef, UploadRef
from airflow_provider_braze_blueconic.sync.store.staging import fetch_folder
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["upload_partition"]

log = logging.getLogger(__name__)


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
    began, quiet_since = dt.datetime.now(dt.UTC), time.monotonic()
    tally = Tally()
    with workspace.local("upload") as local:
        receipts = part_receipts(workspace, delta, partition, began, local / "receipts")
        with attempt(workspace, delta, {partition: tally}, began=began, receipts=lambda: len(receipts)) as fence:
            # What another run was told and never committed may be newer than this delta.
            recover_uploads(workspace, but=delta["delta_id"])
            if is_overtaken(workspace, delta):
                log.warning(
                    "%s: not sent, because another run was committed after this delta was computed", fence.label
                )
                return upload_ref(partition, tally, began)
            mark_open(workspace, delta)
            work = _fetch_work(workspace, delta, partition, objects_sql, fence, local)
            quiet_for = 0.0 if fence.has_older else time.monotonic() - quiet_since
            with closing(work.records):
                asyncio.run(
                    _send(work, fence, receipts, tally, sender, Pacing(rate, quiet_for=quiet_for), settings, on_start)
                )
    return upload_ref(partition, tally, began)


@dataclass(frozen=True)
class _Work:
    """What is to be sent.

    :param total: number of the records.
    :param sent_by_run: records that the whole run sends.
    """

    records: Generator[Rows]
    total: int
    sent_by_run: int


def _fetch_work(
    workspace: Workspace, delta: DeltaRef, partition: int, objects_sql: ObjectsSql, fence: Fence, local: Path
) -> _Work:
    file = local / f"partition={partition}.parquet"
    workspace.staging.download_file(delta_file(delta["uri"], partition), file)
    # Until then an earlier attempt may write some.
    fence.wait_for_older()
    settled = fetch_folder(workspace.staging, receipts_folder(delta["uri"], partition), local / "settled")
    total, records = open_records(workspace.engine, file, settled, objects_sql)
    return _Work(records, total, delta.get("to_send", total))


async def _send(
    work: _Work,
    fence: Fence,
    receipts: PartReceipts,
    tally: Tally,
    sender: AbstractAsyncContextManager[Sender],
    pacing: Pacing,
    settings: UploadSettings,
    on_start: Callable[[Upload], None],
) -> None:
    async with sender as opened:
        upload = Upload(
            opened,
            pacing,
            receipts,
            settings,
            label=fence.label,
            total=work.total,
            sent_by_run=work.sent_by_run,
            is_newest=fence.is_newest,
            tally=tally,
        )
        on_start(upload)
        await upload.run(work.records)
