"""The tables of a goal, opened with a task's access."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_braze_blueconic.sync.state.ledger import Ledger
from airflow_provider_braze_blueconic.sync.state.receipt_table import ReceiptTable
from airflow_provider_braze_blueconic.sync.state.runs import RunTable
from airflow_provider_braze_blueconic.sync.store.tables import Table
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["check_tables", "open_ledger", "open_receipts", "open_runs", "open_tables"]


def open_ledger(workspace: Workspace) -> Ledger:
    """Open what the target acknowledged."""
    return Ledger(workspace.folder.ledger, workspace.staging.storage_options(), staging=workspace.staging)


def open_receipts(workspace: Workspace) -> ReceiptTable:
    """Open the permanent receipts."""
    return ReceiptTable(workspace.folder.receipts, workspace.staging.storage_options(), staging=workspace.staging)


def open_runs(workspace: Workspace) -> RunTable:
    """Open the reports of the goal's runs."""
    return RunTable(workspace.folder.runs, workspace.staging.storage_options())


def open_tables(workspace: Workspace) -> Iterator[Table]:
    """Open all tables of the goal, each with access of its own: that of an assumed role ends after a while."""
    kinds: tuple[tuple[type[Table], str], ...] = (
        (Ledger, workspace.folder.ledger),
        (ReceiptTable, workspace.folder.receipts),
        (RunTable, workspace.folder.runs),
    )
    for kind, uri in kinds:
        yield kind(uri, workspace.staging.storage_options())


def check_tables(workspace: Workspace) -> Ledger:
    """Make sure before an upload that what the target answers can be kept after it.

    :return: the ledger, opened: it tells what it held at this moment.
    :raises BrokenTable: a table of the goal can't be read.
    :raises UnsupportedTable: a table of the goal has a feature that this package can't use.
    """
    ledger = open_ledger(workspace)
    receipts = ReceiptTable(workspace.folder.receipts, workspace.staging.storage_options())
    for table in (ledger, receipts, open_runs(workspace)):
        table.open()
    return ledger
