"""Attempts to send partitions of a delta: how one begins, how it ends, and what a kill leaves."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_braze_blueconic.exceptions import SyncError
from airflow_provider_braze_blueconic.sync.sending.tally import Tally
from airflow_provider_braze_blueconic.sync.state.open_uploads import mark_open
from airflow_provider_braze_blueconic.sync.state.part_receipts import PartReceipts
from airflow_provider_braze_blueconic.sync.store.attempts import Superseded
from airflow_provider_braze_blueconic.sync.store.fence import Fence
from airflow_provider_braze_blueconic.sync.store.paths import fresh_id, receipts_folder
from airflow_provider_braze_blueconic.sync.store.references import DeltaRef, UploadRef
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["attempt", "part_receipts", "upload_ref"]

log = logging.getLogger(__name__)


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
       mark sees that somebody has begun anew (:func:`~.commit.commit_uploads`);
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
            log.warning("%s: the end of an attempt couldn't be recorded, so the attempt counts as killed. %s",
                        fence.label, other)  # fmt: skip
        raise
    end()


def part_receipts(
    workspace: Workspace, delta: DeltaRef, partition: int, began: dt.datetime, folder: Path
) -> PartReceipts:
    """Open the part receipts of an attempt at one partition.

    :param began: when the step began.
    :param folder: local folder.
    """
    uri = receipts_folder(delta["uri"], partition)
    return PartReceipts(
        folder,
        attempt=f"{began:%Y%m%dT%H%M%S}-{fresh_id()}",
        publish=lambda path: workspace.staging.upload_file(path, f"{uri}/{path.name}"),
    )


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
