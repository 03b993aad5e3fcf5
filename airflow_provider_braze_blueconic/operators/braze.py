"""Operators whose other end is Braze."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_braze_blueconic.exceptions import AccessError, GoalError, UnexpectedAnswer
from airflow_provider_braze_blueconic.operators.base import GoalOperator
from airflow_provider_braze_blueconic.operators.checks import (
    Checks,
    objective_problems,
    property_problems,
    unique_problems,
)
from airflow_provider_braze_blueconic.operators.upload import UploadOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.hooks.braze import BrazeHook, BrazeSegment
    from airflow_provider_braze_blueconic.hooks.staging import StagingHook
    from airflow_provider_braze_blueconic.operators.braze_export import ExportSettings
    from airflow_provider_braze_blueconic.sync.pacing import Rate
    from airflow_provider_braze_blueconic.sync.pipeline import Workspace
    from airflow_provider_braze_blueconic.sync.references import SnapshotRef, UploadRef
    from airflow_provider_braze_blueconic.sync.sending import BatchLimits
    from airflow_provider_braze_blueconic.triggers.braze_export import ExportEvent, ExportWait

__all__ = ["BrazeSegmentToS3Operator", "LookAtBrazeOperator", "S3ToBrazeUsersOperator", "track_limits", "track_rate"]


_DEFER_SLACK = 900.0
"""Seconds that Airflow leaves the trigger beyond its own deadline: it ends by itself, unless no triggerer runs."""


def track_limits(*, bulk: bool) -> BatchLimits:
    """Return what fits into one request of ``/users/track`` or ``/users/track/bulk``."""
    from airflow_provider_braze_blueconic.hooks.braze import TRACK_BULK_LIMITS, TRACK_LIMITS

    return TRACK_BULK_LIMITS if bulk else TRACK_LIMITS


def track_rate(*, bulk: bool, requests_per_second: float | None) -> Rate:
    """Return the cap of all workers together: Braze's, or the goal's or the installation's if that is lower."""
    from airflow_provider_braze_blueconic.hooks.braze import TRACK_BULK_RATE, TRACK_RATE
    from airflow_provider_braze_blueconic.hooks.settings import Settings

    rate = TRACK_BULK_RATE if bulk else TRACK_RATE
    return rate.lower(requests_per_second or Settings.load().requests_per_second)


class BrazeSegmentToS3Operator(GoalOperator):
    """Has Braze export a segment, waits for the files and reads them into Parquet files on S3 (``extract``).

    Segment, bucket, properties and objectives are checked before Braze is asked for anything; all mistakes come in one
    error. Braze is asked once a run: a retry, or the task cleared, waits for the export that runs and reads the one
    that is there. Only if nothing of it came for ``wait_seconds`` a new one is asked for.

    ``complete`` in the result means that the files were still for ``quiet_seconds`` and hold no fewer people than 90 %
    of Braze's estimate of the segment, where the key may read it (``segments.data_series``); without an estimate
    stillness alone has to do.

    Braze exports a segment only as it is now. Each read is kept for a while; a run that asks for a past date (a
    backfill, or a manual run with such a logical date) gets the snapshot that was kept of it, as old as it is, and is
    skipped where there is none that fits. The reason is pushed as ``skipped``, and Braze is not asked.

    :param segment: id or exact name (templated).
    :param export: ``s3://bucket[/root]`` that Braze's Amazon S3 settings write to (templated).
    :param sources: paths to read of each user, or path → the place in the goal that names it.
    :param remaining: also read every other field and custom attribute.
    :param excluded: paths that ``remaining`` leaves out.
    :param targets: BlueConic property id → place in the goal; they have to exist.
    :param unique: the same; they have to be unique identifiers.
    :param objectives: ids of objectives that must exist.
    :param export_aws_conn_id: connection of type ``aws`` for ``export``; ``None`` for ``aws_conn_id``.
    :param braze_conn_id: connection of type ``braze``.
    :param blueconic_conn_id: connection of type ``blueconic``; ``None`` checks nothing there.
    :param poll_seconds: between two looks into the bucket.
    :param wait_seconds: for everything: other people's exports of the segment, and ours.
    :param quiet_seconds: for how long nothing may be new or grow.
    :param broken_percent: share of the lines, in percent, that may be broken.
    :param timezone: IANA name; where the days of past dates begin.
    :param deferrable: wait in the triggerer. The default is not Airflow's ``[operators] default_deferrable``, which is
        false for the sake of installations without a triggerer: an export takes up to an hour, and a worker slot for
        each segment that waits is what this operator is there to avoid. Set it to false where no triggerer runs.
    :return: :class:`~airflow_provider_braze_blueconic.sync.references.SnapshotRef`.
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
        """Let the read end within a thousand lines. Airflow does not call this while the task is deferred."""
        self._killed = True

    def execute(self, context: Context) -> Any:
        """Check, ask, and wait; or read, where all is there already."""
        self._event = None
        return super().execute(context)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Go on after a wait.

        :param event: :class:`~airflow_provider_braze_blueconic.triggers.braze_export.ExportEvent`. All else that has
            to outlive the wait is in the run's marker in S3.
        """
        self._event = event or {}
        return self._run_in_workspace(context)

    def run_step(self, workspace: Workspace, context: Context) -> SnapshotRef:
        """Hand on what was kept of a past date; else check, ask, wait, read, and keep."""
        from airflow_provider_braze_blueconic.operators.replay import replay_or_read
        from airflow_provider_braze_blueconic.sync.kept_snapshots import SnapshotNeeds

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
        from airflow_provider_braze_blueconic.operators.braze_export import ExportRun

        bucket, braze = StagingHook(self._export_aws_conn_id), BrazeHook(self.braze_conn_id)
        found = self._check(workspace, bucket, braze) if self._event is None else None
        run = ExportRun(
            workspace,
            self._settings(),
            bucket=bucket,
            braze=braze,
            campaign_names=lambda: self._campaign_names(braze),
            property_types=self._property_types,
            should_stop=lambda: self._killed,
            now=self._now,
        )
        step = run.begin(*found) if found is not None else run.go_on(_valid(self._event))
        while not isinstance(step, dict):
            step = run.go_on(self._wait(step))
        return step

    def _wait(self, trigger: ExportWait) -> ExportEvent:
        from airflow_provider_braze_blueconic.sync.upload import Stopped

        if self.deferrable:
            left = max(0.0, trigger.deadline - self._now()) + _DEFER_SLACK
            self.wait_between_steps(left)
            self.defer(trigger=trigger, method_name="execute_complete", timeout=dt.timedelta(seconds=left))
        event = asyncio.run(_first_event(trigger, lambda: self._killed))
        if event is None:
            raise Stopped(f"{self.goal_id}: stopped while waiting for Braze's export; nothing was sent.")
        return event

    @property
    def _export_aws_conn_id(self) -> str:
        return self.export_aws_conn_id or self.aws_conn_id

    def _settings(self) -> ExportSettings:
        from airflow_provider_braze_blueconic.operators.braze_export import ExportSettings
        from airflow_provider_braze_blueconic.sync.export_request import export_request

        return ExportSettings(
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
        from airflow_provider_braze_blueconic.sync.braze_paths import parse_path

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
                "%s: the size of the segment is not known, so its export counts as complete when it is still. %s",
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
        from airflow_provider_braze_blueconic.sync.braze_paths import CAMPAIGNS

        if CAMPAIGNS not in self.sources:
            return None
        return {campaign.id: campaign.name for campaign in braze.list_campaigns(include_archived=True)}


def _valid(event: Any) -> ExportEvent:
    if not isinstance(event, dict) or not {"state", "files", "bytes", "deadline", "short", "error"} <= event.keys():
        raise UnexpectedAnswer("The wait for Braze's export ended with an event that no rule covers. Clear the task.")
    return cast("ExportEvent", event)


async def _first_event(trigger: ExportWait, should_stop: Callable[[], bool]) -> ExportEvent | None:
    """Wait here for what the triggerer would wait for; ``None`` if it was told to stop."""
    waiting = asyncio.ensure_future(anext(aiter(trigger.run())))
    try:
        while not waiting.done():
            if should_stop():
                return None
            await asyncio.wait({waiting}, timeout=1.0)
        return _valid(waiting.result().payload)
    finally:
        waiting.cancel()


class LookAtBrazeOperator(BrazeSegmentToS3Operator):
    """Reads what Braze holds of a goal's people, so that it can be compared with what it acknowledged (``look``).

    Begins only when what the goal wrote last is sure to show.
    """

    _place = "reconcile"
    _is_source = False

    def run_step(self, workspace: Workspace, context: Context) -> SnapshotRef:
        """Make sure that a read can tell, then read."""
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.sync.observations import check_settled
        from airflow_provider_braze_blueconic.sync.pipeline import recover_uploads

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


class S3ToBrazeUsersOperator(UploadOperator):
    """Sends one partition of a delta to Braze's ``/users/track`` (``upload``), to be mapped over partitions.

    A retry reads the receipts of the attempts before it and sends only the rest.

    :param delta: what ``ComputeDeltaOperator`` returned (templated).
    :param partition: number of the partition (templated).
    :param allow_creation: create people whom Braze does not know.
    :param workers: tasks that run side by side; each keeps to its share of the cap.
    :param limits: ``requests_per_second``, ``rejected_percent``, as in a goal file.
    :param bulk: use ``/users/track/bulk``, which Braze must have opened for the account.
    :param braze_conn_id: connection of type ``braze``.
    :return: :class:`~airflow_provider_braze_blueconic.sync.references.UploadRef`.
    """

    def __init__(
        self,
        *,
        allow_creation: bool = False,
        bulk: bool = False,
        braze_conn_id: str = "braze_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.allow_creation = allow_creation
        self.bulk = bulk
        self.braze_conn_id = braze_conn_id

    def run_step(self, workspace: Workspace, context: Context) -> UploadRef:  # noqa: ARG002
        """Send."""
        from airflow_provider_braze_blueconic.hooks.braze import BrazeHook
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.sync.braze_objects import BODY_AFTER, BODY_BEFORE, attributes_sql
        from airflow_provider_braze_blueconic.sync.upload import UploadSettings

        limits = self.limits or {}
        in_flight = Settings.load().max_in_flight
        return self.send_partition(
            workspace,
            objects_sql=lambda source, columns: attributes_sql(source, columns, allow_creation=self.allow_creation),
            sender=BrazeHook(self.braze_conn_id).track_sender(bulk=self.bulk, max_in_flight=in_flight),
            rate=track_rate(bulk=self.bulk, requests_per_second=limits.get("requests_per_second")),
            settings=UploadSettings(
                limits=track_limits(bulk=self.bulk),
                before=BODY_BEFORE,
                after=BODY_AFTER,
                max_in_flight=in_flight,
                rejected_percent=limits.get("rejected_percent"),
            ),
        )
