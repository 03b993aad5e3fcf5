"""The extract of a Braze segment, which Braze writes to a bucket."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_braze_blueconic.exceptions import AccessError, GoalError, UnexpectedAnswer
from airflow_provider_braze_blueconic.operators.base import GoalOperator
from airflow_provider_braze_blueconic.operators.checks import (
    Checks,
    objective_problems,
    property_problems,
    unique_problems,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.hooks.braze import BrazeHook
    from airflow_provider_braze_blueconic.hooks.braze_api.definitions import BrazeSegment
    from airflow_provider_braze_blueconic.hooks.staging import StagingHook
    from airflow_provider_braze_blueconic.operators.segment_export.settings import SegmentExportSettings
    from airflow_provider_braze_blueconic.sync.store.references import SnapshotRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace
    from airflow_provider_braze_blueconic.triggers.segment_export import ExportEvent, ExportWait

__all__ = ["BrazeSegmentToS3Operator"]

_DEFER_SLACK = 900.0
"""Seconds that Airflow leaves the trigger beyond its own deadline: it ends by itself, unless no triggerer runs."""


class BrazeSegmentToS3Operator(GoalOperator):
    """Has Braze export a segment, waits for the files and reads them into Parquet files on S3 (``extract``).

    The operator checks segment, bucket, properties and objectives before it calls Braze, and reports all mistakes in
    one error. It requests one segment export per run: a retry, or a cleared task, waits for the running segment export
    or reads the finished one. It requests a new one only if no file arrived for ``wait_seconds``.

    ``complete`` in the result means that the files didn't change for ``quiet_seconds``, and that they have at least 90
    % of the people in Braze's estimate of the segment, if the key may read it (``segments.data_series``). Without an
    estimate, only the first condition counts.

    Braze exports a segment only as it is now, so each read is kept for a while. A run for a past date (a backfill, or a
    manual run with such a logical date) gets the snapshot kept for that date, and is skipped if no snapshot fits. The
    reason is pushed as ``skipped``, and the run doesn't call Braze.

    :param segment: id or exact name (templated).
    :param export: ``s3://bucket[/root]`` that Braze's Amazon S3 settings write to (templated).
    :param sources: paths to read of each user, or path → the place in the goal that names it.
    :param remaining: also read all other fields and custom attributes.
    :param excluded: paths that ``remaining`` leaves out.
    :param targets: BlueConic property id → place in the goal; these properties must exist.
    :param unique: the same; these must be unique identifiers.
    :param objectives: ids of objectives that must exist.
    :param export_aws_conn_id: connection of type ``aws`` for ``export``; ``None`` for ``aws_conn_id``.
    :param braze_conn_id: connection of type ``braze``.
    :param blueconic_conn_id: connection of type ``blueconic``; ``None`` skips the checks there.
    :param poll_seconds: seconds between two checks of the bucket.
    :param wait_seconds: seconds to wait in total, for other segment exports of this segment and for this one.
    :param quiet_seconds: seconds in which no file may be new or grow.
    :param broken_percent: share of the lines, in percent, that may be broken.
    :param timezone: IANA name; where the days of past dates begin.
    :param deferrable: wait in the triggerer. The default isn't Airflow's ``[operators] default_deferrable``, which is
        false for installations without a triggerer: a segment export takes up to an hour, and would occupy a worker
        slot for all that time. Set it to false if no triggerer runs.
    :return: :class:`~airflow_provider_braze_blueconic.sync.store.references.SnapshotRef`.
    """

    template_fields: Sequence[str] = (*GoalOperator.template_fields, "segment", "export")
    ui_color = "#ffedd5"

    _now: Callable[[], float] = staticmethod(time.time)
    _place = "source"
    """Path in the goal below which errors look for ``segment`` and ``export``."""
    _is_source = True
    """What is read is what the goal sends, so it can be replayed."""

    def __init__(
        self,
        *,
        segment: str,
        export: str,
        sources: Mapping[str, str] | Sequence[str],
        remaining: bool = False,
        excluded: Sequence[str] = (),
        targets: Mapping[str, str] | None = None,
        unique: Mapping[str, str] | None = None,
        objectives: Sequence[str] = (),
        export_aws_conn_id: str | None = None,
        braze_conn_id: str = "braze_default",
        blueconic_conn_id: str | None = None,
        poll_seconds: float = 10.0,
        wait_seconds: float = 3600.0,
        quiet_seconds: float = 60.0,
        broken_percent: float = 1.0,
        timezone: str = "UTC",
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.segment = segment
        self.export = export
        self.sources = sources
        self.remaining = remaining
        self.excluded = excluded
        self.targets = targets
        self.unique = unique
        self.objectives = objectives
        self.export_aws_conn_id = export_aws_conn_id
        self.braze_conn_id = braze_conn_id
        self.blueconic_conn_id = blueconic_conn_id
        self.poll_seconds = poll_seconds
        self.wait_seconds = wait_seconds
        self.quiet_seconds = quiet_seconds
        self.broken_percent = broken_percent
        self.timezone = timezone
        self.deferrable = deferrable
        # Plain attributes: Airflow copies operators, and a lock can't be copied.
        self._killed = False
        self._event: Any = None

    def on_kill(self) -> None:
        """Stop the read within a thousand lines. Airflow doesn't call this while the task is deferred."""
        self._killed = True

    def execute(self, context: Context) -> Any:
        """Check, request and wait; or read, if all files are already there."""
        self._event = None
        return super().execute(context)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Continue after a wait.

        :param event: :class:`~airflow_provider_braze_blueconic.triggers.segment_export.ExportEvent`. Everything else
            that has to survive the wait is in the run's marker in S3.
        """
        self._event = event or {}
        return self._run_in_workspace(context)

    def run_step(self, workspace: Workspace, context: Context) -> SnapshotRef:
        """Return the snapshot kept for a past date; otherwise check, request, wait, read and keep one."""
        from airflow_provider_braze_blueconic.operators.replay import replay_or_read
        from airflow_provider_braze_blueconic.sync.upkeep.replays import SnapshotNeeds

        if not self._is_source:
            return self._read(workspace)
        needs = SnapshotNeeds(self.segment, self.braze_conn_id, self._holds())
        # After a wait the run has decided to read.
        first = self._event is None
        return replay_or_read(workspace, context, needs, timezone=self.timezone, read=self._read, may_replay=first)

    def _holds(self) -> list[str]:
        """Name what is read of a user. All other fields are others where something else is named or left out."""
        named = sorted({*self.sources, *self.excluded})
        return [*self.sources, *([f"all fields beside {', '.join(named)}"] if self.remaining else [])]

    def _read(self, workspace: Workspace) -> SnapshotRef:
        from airflow_provider_braze_blueconic.hooks.braze import BrazeHook
        from airflow_provider_braze_blueconic.hooks.staging import StagingHook
        from airflow_provider_braze_blueconic.operators.segment_export.events import valid_event
        from airflow_provider_braze_blueconic.operators.segment_export.reading import SegmentExportReading
        from airflow_provider_braze_blueconic.operators.segment_export.run import SegmentExportRun

        bucket, braze = StagingHook(self._export_aws_conn_id), BrazeHook(self.braze_conn_id)
        found = self._check(workspace, bucket, braze) if self._event is None else None
        settings = self._settings()
        reading = SegmentExportReading(
            workspace,
            settings,
            campaign_names=lambda: self._campaign_names(braze),
            property_types=self._property_types,
            should_stop=lambda: self._killed,
            log=self.log,
        )
        run = SegmentExportRun(
            workspace, settings, bucket=bucket, braze=braze, reading=reading, now=self._now, log=self.log
        )
        step = run.begin(*found) if found is not None else run.go_on(valid_event(self._event))
        while not isinstance(step, dict):
            step = run.go_on(self._wait(step))
        return step

    def _wait(self, trigger: ExportWait) -> ExportEvent:
        from airflow_provider_braze_blueconic.operators.segment_export.events import first_event
        from airflow_provider_braze_blueconic.sync.sending.upload import Stopped

        if self.deferrable:
            left = max(0.0, trigger.deadline - self._now()) + _DEFER_SLACK
            self.wait_between_steps(left)
            self.defer(trigger=trigger, method_name="execute_complete", timeout=dt.timedelta(seconds=left))
        event = asyncio.run(first_event(trigger, lambda: self._killed))
        if event is None:
            raise Stopped(f"{self.goal_id}: stopped while waiting for the segment export; nothing was sent.")
        return event

    @property
    def _export_aws_conn_id(self) -> str:
        return self.export_aws_conn_id or self.aws_conn_id

    def _settings(self) -> SegmentExportSettings:
        from airflow_provider_braze_blueconic.operators.segment_export.settings import SegmentExportSettings
        from airflow_provider_braze_blueconic.sync.braze.segment_export_request import export_request

        return SegmentExportSettings(
            export=self.export,
            request=export_request(self.sources, remaining=self.remaining),
            paths=list(self.sources),
            remaining=self.remaining,
            excluded=self.excluded,
            aws_conn_id=self.aws_conn_id,
            export_aws_conn_id=self._export_aws_conn_id,
            braze_conn_id=self.braze_conn_id,
            poll_seconds=self.poll_seconds,
            wait_seconds=self.wait_seconds,
            quiet_seconds=self.quiet_seconds,
            broken_percent=self.broken_percent,
        )

    def _check(self, workspace: Workspace, bucket: StagingHook, braze: BrazeHook) -> tuple[BrazeSegment, int | None]:
        """Look up every place and name before Braze is asked for anything.

        :return: the segment, and how many people Braze estimates to be in it.
        :raises GoalError: with all that is wrong.
        """
        from airflow_provider_braze_blueconic.vendors.braze_paths import parse_path

        checks = Checks()
        checks.look_up("staging", lambda: workspace.staging.check_access(self.staging))  # type: ignore[attr-defined]
        checks.look_up(f"{self._place}.export", lambda: bucket.check_access(self.export, read_only=True))
        segment = checks.look_up(f"{self._place}.segment", lambda: braze.resolve_segment(self.segment))
        for path in self.sources:
            place = self.sources[path] if isinstance(self.sources, Mapping) else "sources"
            checks.look_up(place, partial(parse_path, path))
        if not checks.problems:
            checks.look_up("fields", lambda: self._campaign_names(braze))
        if self.blueconic_conn_id is not None:
            self._check_blueconic(checks, self.blueconic_conn_id)
        if segment is None or checks.problems:
            raise GoalError(checks.problems)
        return segment, self._estimate(braze, segment)

    def _check_blueconic(self, checks: Checks, conn_id: str) -> None:
        from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook

        hook = BlueConicHook(conn_id)
        found = checks.look_up("connections.blueconic", hook.list_profile_properties)
        if found is None:
            return
        properties = {entry.id: entry for entry in found}
        targets, unique = self.targets or {}, self.unique or {}
        checks.problems += property_problems({**targets, **unique}, properties)
        checks.problems += unique_problems(unique, properties)
        checks.problems += checks.look_up("objectives", lambda: objective_problems(self.objectives, hook)) or []

    def _estimate(self, braze: BrazeHook, segment: BrazeSegment) -> int | None:
        try:
            estimate = braze.segment_size(segment.id)
        except (AccessError, UnexpectedAnswer) as error:
            self.log.info(
                (
                    "%s: the size of the segment is unknown, so its segment export counts as complete once its "
                    "files stop changing. %s"
                ),
                self.goal_id,
                error,
            )
            return None
        return estimate

    def _property_types(self) -> dict[str, str]:
        from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook

        if self.blueconic_conn_id is None:
            return {}
        return {
            entry.id: entry.filter_type for entry in BlueConicHook(self.blueconic_conn_id).list_profile_properties()
        }

    def _campaign_names(self, braze: BrazeHook) -> dict[str, str] | None:
        """Return the names of all campaigns, if a path wants names."""
        from airflow_provider_braze_blueconic.vendors.braze_export_fields import CAMPAIGNS

        if CAMPAIGNS not in self.sources:
            return None
        return {campaign.id: campaign.name for campaign in braze.list_campaigns(include_archived=True)}
