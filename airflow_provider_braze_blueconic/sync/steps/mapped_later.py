"""Values that are mapped when the delta needs them: of people whom the mapping recognised, but who are not quiet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from airflow_provider_braze_blueconic.exceptions import SyncError
from airflow_provider_braze_blueconic.sync.mapping.fingerprints import mapping_fingerprint
from airflow_provider_braze_blueconic.sync.mapping.plan import MappingPlan
from airflow_provider_braze_blueconic.sync.mapping.snapshot import map_rows
from airflow_provider_braze_blueconic.sync.store.references import MappedRef
from airflow_provider_braze_blueconic.sync.store.staging import fetch_folder
from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["MappedLater"]


class MappedLater:
    """Maps records of a snapshot by their rows; the snapshot is fetched once, when the first of them is needed.

    :param mapped: the mapped snapshot.
    :param mapping: tells how it was mapped.
    :param folder: gets the snapshot.
    """

    def __init__(
        self, workspace: Workspace, mapped: MappedRef, mapping: Callable[[], MappingPlan] | None, folder: Path
    ) -> None:
        self._workspace = workspace
        self._mapped = mapped
        self._mapping = mapping
        self._folder = folder

    def __call__(self, rows: Path, folder: Path) -> Sequence[Path]:
        """Map the records of some rows.

        :param rows: Parquet file with their ``row``.
        :param folder: gets the files.
        :raises SyncError: if the goal maps them otherwise by now, or their snapshot has expired.
        """
        return map_rows(self._workspace.engine, self._parts, self._plan, rows, folder)

    @cached_property
    def _plan(self) -> MappingPlan:
        plan = self._mapping() if self._mapping is not None else None
        if plan is None or mapping_fingerprint(plan) != self._mapped.get("mapping"):
            raise SyncError(
                f"{self._workspace.folder.goal_id}: the goal, or this package, was changed after map_fields, so what "
                "that left does not fit any more. Nothing was sent. Clear map_fields and the tasks after it."
            )
        return plan

    @cached_property
    def _parts(self) -> Sequence[Path]:
        parts = fetch_folder(self._workspace.staging, self._mapped.get("snapshot", ""), self._folder)
        if not parts:
            raise SyncError(
                f"{self._workspace.folder.goal_id}: the files of this run's snapshot have expired. Nothing was sent. "
                "Clear the run from its first task on to read again."
            )
        return parts
