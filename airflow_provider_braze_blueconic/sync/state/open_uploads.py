"""Open uploads: deltas that were sent, at least in part, but whose outcomes aren't in the ledger yet.

::

    <staging>/<goal id>/open/<run key>~<delta id>.json  the reference of the delta
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import NamedTuple

from airflow_provider_braze_blueconic.sync.state.acknowledged import delta_number
from airflow_provider_braze_blueconic.sync.state.goal_tables import open_ledger
from airflow_provider_braze_blueconic.sync.store.references import DeltaRef
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["OpenUpload", "is_overtaken", "mark_open", "open_uploads", "unmark"]


class OpenUpload(NamedTuple):
    """An upload that is open.

    :param mark: URI of its mark.
    :param delta: what it sends.
    """

    mark: str
    delta: DeltaRef


def mark_open(workspace: Workspace, delta: DeltaRef) -> None:
    """Mark, before anything is sent, that an upload is open: what it is told must be committed, whatever comes."""
    workspace.staging.write_bytes(
        workspace.folder.open_upload(delta["run_key"], delta["delta_id"]), json.dumps(delta).encode()
    )


def unmark(workspace: Workspace, delta: DeltaRef) -> None:
    """Remove the mark of an upload, once its outcomes are in the ledger."""
    workspace.staging.delete([workspace.folder.open_upload(delta["run_key"], delta["delta_id"])])


def open_uploads(workspace: Workspace) -> Iterator[OpenUpload]:
    """Read the marks of the goal's open uploads, each when its turn comes."""
    for staged in workspace.staging.list_objects(workspace.folder.open_uploads):
        yield OpenUpload(staged.uri, json.loads(workspace.staging.read_bytes(staged.uri)))


def is_overtaken(workspace: Workspace, delta: DeltaRef) -> bool:
    """Tell whether another run moved the ledger after this delta was made, or after its own last commit."""
    if "last_delta" in delta:
        return open_ledger(workspace).last_delta not in (delta["last_delta"], delta_number(delta["delta_id"]))
    known = [moment for moment in (delta["as_of"], delta.get("newest_as_of")) if moment]
    newest = open_ledger(workspace).newest_as_of()
    return newest is not None and newest > max(dt.datetime.fromisoformat(moment) for moment in known)
