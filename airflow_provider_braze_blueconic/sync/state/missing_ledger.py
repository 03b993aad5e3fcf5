"""A missing ledger: the run stops before it sends and pays for everything again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.exceptions import SyncError
from airflow_provider_braze_blueconic.sync.state.receipt_table import ReceiptTable
from airflow_provider_braze_blueconic.sync.state.runs import RunTable

if TYPE_CHECKING:
    from airflow_provider_braze_blueconic.sync.store.paths import GoalFolder
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["refuse_lost_ledger", "refuse_vanished_ledger"]


def refuse_lost_ledger(workspace: Workspace, *, people: int, data_points: int, sums: Sequence[str]) -> None:
    """Stop before everything is sent and paid for again because the ledger is gone.

    A goal that never committed a run is healthy without one: a first run, a dry run, a run that the guard stopped, and
    a first run that was killed leave neither receipts nor a successful run, or an open upload that is committed first.

    :param people: in the mapped snapshot.
    :param data_points: that sending everything to all of them costs.
    :param sums: targets that are added to.
    :raises SyncError: if receipts or runs show that there was a ledger.
    """
    folder = workspace.folder
    proof = _proof(workspace)
    if proof is None:
        return
    cost = [f"all {people:,} people"]
    if data_points:
        cost.append(f"about {data_points:,} data points")
    again = f", and add to {', '.join(sums)} what was added before" if sums else ""
    raise SyncError(
        f"{folder.goal_id}: the ledger {folder.ledger}/ is gone, but {proof}. Without it this run would send "
        f"{' and '.join(cost)} again{again}. Nothing was sent. {_ways_out(folder)}"
    )


def refuse_vanished_ledger(folder: GoalFolder) -> None:
    """Stop where a ledger was there when the delta was made: a new one would know only the people of this delta.

    :raises SyncError: always. The receipts are in their table by then, and the upload stays open, so nothing is lost.
    """
    raise SyncError(
        f"{folder.goal_id}: the ledger {folder.ledger}/ disappeared after this delta was computed. The target's "
        f"answers are kept in {folder.receipts}/. {_ways_out(folder)}"
    )


def _proof(workspace: Workspace) -> str | None:
    """Say what shows that there was a ledger; ``None`` if nothing does."""
    folder, options = workspace.folder, workspace.staging.storage_options()
    if ReceiptTable(folder.receipts, options).exists:
        return f"{folder.receipts}/ shows what was sent"
    if any(RunTable(folder.runs, options).reads()["committed"].to_pylist()):
        return f"{folder.runs}/ shows committed runs"
    return None


def _ways_out(folder: GoalFolder) -> str:
    return (
        "Run `braze-blueconic recover <goal file>` to rebuild the ledger from the receipts. For an export goal, a "
        "reconcile (`reconcile:` in the goal file) can fill it from what Braze holds instead. To send everything "
        f"again, remove {folder.receipts}/ and {folder.runs}/."
    )
