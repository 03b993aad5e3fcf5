"""The clean-up of the files that runs leave in S3."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.operators.base import GoalOperator
from airflow_provider_braze_blueconic.operators.flags import is_true

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
    from airflow_provider_braze_blueconic.sync.upkeep.retention import CleanedUp

__all__ = ["CleanUpOperator"]


class CleanUpOperator(GoalOperator):
    """Removes files older than the goal's retention and compacts its tables (``clean_up``), about once a day.

    It keeps what is still needed, whatever its age: the files of this run, the deltas of uploads that aren't committed
    yet, and the goal's newest read, which other goals use.

    :param retention: ``work_days``, ``snapshot_days``, ``history_days``, as in a goal file; ``None`` for its defaults.
    :param always: clean up even if the last clean-up is less than a day ago (templated).
    :return: :class:`~airflow_provider_braze_blueconic.sync.upkeep.retention.CleanedUp`.
    """

    template_fields: Sequence[str] = (*GoalOperator.template_fields, "always")
    ui_color = "#f1f5f9"

    def __init__(
        self, *, retention: Mapping[str, int] | None = None, always: bool | str = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.retention = retention
        self.always = always

    def run_step(self, workspace: Workspace, context: Context) -> CleanedUp:  # noqa: ARG002
        """Clean up."""
        from airflow_provider_braze_blueconic.goals.sections import Retention
        from airflow_provider_braze_blueconic.sync.upkeep.retention import RetentionDays, clean_up

        retention = Retention.model_validate(self.retention or {})
        cleaned = clean_up(
            workspace,
            RetentionDays(retention.work_days, retention.snapshot_days, retention.history_days),
            now=dt.datetime.now(dt.UTC),
            always=is_true(self.always),
        )
        if cleaned["due"]:
            self.log.info(
                "%s: removed %s kept snapshots, %s work files (%s bytes) and %s table files; compacted %s table files",
                self.goal_id,
                *(f"{cleaned[name]:,}" for name in ("snapshots", "files", "bytes", "table_files", "compacted_files")),
            )
        else:
            self.log.info("%s: nothing to do, the last clean-up was less than a day ago", self.goal_id)
        return cleaned
