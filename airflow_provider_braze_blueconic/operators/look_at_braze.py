"""The read of a reconcile: what Braze holds for a goal's people."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from airflow_provider_braze_blueconic.operators.braze_segment_to_s3 import BrazeSegmentToS3Operator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.sync.store.references import SnapshotRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["LookAtBrazeOperator"]


class LookAtBrazeOperator(BrazeSegmentToS3Operator):
    """Reads what Braze holds for a goal's people, to compare it with what Braze acknowledged (``look``).

    It starts only when the goal's last write is certain to show.
    """

    _place = "reconcile"
    _is_source = False

    def run_step(self, workspace: Workspace, context: Context) -> SnapshotRef:
        """Make sure that a read is reliable, then read."""
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.sync.observations.written import check_settled
        from airflow_provider_braze_blueconic.sync.steps.commit import recover_uploads

        if self._event is None:
            # What a killed run wrote counts as written when it is put into the ledger: better before the look.
            recover_uploads(workspace)
            check_settled(
                workspace.staging,
                workspace.folder,
                "braze",
                settles_in=Settings.load().settles_in,
                at=dt.datetime.fromtimestamp(self._now(), dt.UTC),
            )
        return super().run_step(workspace, context)
