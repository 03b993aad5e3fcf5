"""Operators whose other end is BlueConic."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow_provider_braze_blueconic.exceptions import GoalError, SyncError
from airflow_provider_braze_blueconic.operators.base import GoalOperator, is_true
from airflow_provider_braze_blueconic.operators.checks import Checks, objective_problems, property_problems
from airflow_provider_braze_blueconic.operators.upload import UploadOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook, Segment
    from airflow_provider_braze_blueconic.hooks.blueconic_profiles import SumWord
    from airflow_provider_braze_blueconic.sync.pacing import Rate
    from airflow_provider_braze_blueconic.sync.pipeline import Workspace
    from airflow_provider_braze_blueconic.sync.references import DeltaRef, SnapshotRef, UploadRef
    from airflow_provider_braze_blueconic.sync.sending import BatchLimits
    from airflow_provider_braze_blueconic.sync.snapshot import SnapshotCounts

__all__ = ["BlueConicSegmentToS3Operator", "S3ToBlueConicProfilesOperator", "profiles_limits", "profiles_rate"]


def profiles_limits() -> BatchLimits:
    """Return what fits into one request of ``PUT /profiles``."""
    from airflow_provider_braze_blueconic.hooks.blueconic import PROFILES_LIMITS

    return PROFILES_LIMITS


def profiles_rate(requests_per_second: float | None) -> Rate:
    """Return the cap of all workers together: the goal's, else a careful one, or the installation's if that is lower.

    BlueConic publishes no rate, so a goal may ask for more than the careful one.
    """
    from airflow_provider_braze_blueconic.hooks.blueconic import PROFILES_RATE
    from airflow_provider_braze_blueconic.hooks.settings import Settings
    from airflow_provider_braze_blueconic.sync.pacing import Rate

    if requests_per_second:
        return Rate(requests_per_second, 1.0)
    return PROFILES_RATE.lower(Settings.load().requests_per_second)


class BlueConicSegmentToS3Operator(GoalOperator):
    """Reads a BlueConic segment into Parquet files on S3 (``extract``).

    Segment, properties and objectives are checked before anything is read; all mistakes come in one error.

    A segment can only be read as it is now. Each read is kept for a while; a run that asks for a past date (a backfill,
    or a manual run with such a logical date) gets the snapshot that was kept of it, as old as it is, and is skipped
    where there is none that fits. The reason is pushed as ``skipped``.

    :param segment: id or exact name (templated).
    :param properties: ids of the properties to read, or id → the place in the goal that names it.
    :param expand: ``permissions`` and ``segments``, if their columns are wanted.
    :param interaction_names: also write the names of viewed dialogues.
    :param objectives: ids of objectives that must exist.
    :param read: ``full``, or ``modified`` since the last run that had everybody accepted.
    :param full: read everything this time, whatever ``read`` says (templated).
    :param settings: what else decides who is read and what is said of them, by name: where one changed, a modified read
        is a full one, since it would miss people. Segment, tenant and property types are looked at anyway.
    :param timezone: IANA name; where the days of past dates begin.
    :param replay: ``False`` reads what there is now whatever the date, as a comparison with the target needs it.
    :param blueconic_conn_id: connection of type ``blueconic``.
    :return: :class:`~airflow_provider_braze_blueconic.sync.references.SnapshotRef`.
    """

    template_fields: Sequence[str] = (*GoalOperator.template_fields, "segment", "full")
    ui_color = "#dbeafe"

    def __init__(
        self,
        *,
        segment: str,
        properties: Mapping[str, str] | Sequence[str],
        expand: Sequence[Literal["permissions", "segments"]] = (),
        interaction_names: bool = False,
        objectives: Sequence[str] = (),
        read: Literal["full", "modified"] = "full",
        full: bool | str = False,
        settings: Mapping[str, object] | None = None,
        timezone: str = "UTC",
        replay: bool = True,
        blueconic_conn_id: str = "blueconic_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.segment = segment
        self.properties = properties
        self.expand = expand
        self.interaction_names = interaction_names
        self.objectives = objectives
        self.read = read
        self.full = full
        self.settings = settings
        self.timezone = timezone
        self.replay = replay
        self.blueconic_conn_id = blueconic_conn_id
        # A plain flag: Airflow copies operators, and a lock can't be copied.
        self._killed = False

    def on_kill(self) -> None:
        """Let the read end after the page in hand."""
        self._killed = True

    def run_step(self, workspace: Workspace, context: Context) -> SnapshotRef:
        """Hand on what was kept of a past date; else check, read, write, and keep."""
        from airflow_provider_braze_blueconic.operators.replay import replay_or_read
        from airflow_provider_braze_blueconic.sync.kept_snapshots import SnapshotNeeds

        needs = SnapshotNeeds(self.segment, self.blueconic_conn_id, self._holds(), whole=is_true(self.full))
        return replay_or_read(
            workspace, context, needs, timezone=self.timezone, read=self._read, may_replay=self.replay
        )

    def _holds(self) -> list[str]:
        """Name what is read of a profile."""
        return [
            *(f"property {name}" for name in self.properties),
            *self.expand,
            *(["names of interactions"] if self.interaction_names else []),
        ]

    def _read(self, workspace: Workspace) -> SnapshotRef:
        from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook, modified_between
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.sync.snapshot import write_snapshot
        from airflow_provider_braze_blueconic.sync.upload import Stopped
        from airflow_provider_braze_blueconic.sync.windows import fingerprint

        workspace.staging.check_access(self.staging)  # type: ignore[attr-defined]
        hook = BlueConicHook(self.blueconic_conn_id)
        segment, types = self._check(hook)
        # The data are as old as the start of the read: what changes meanwhile is seen by the next one.
        as_of = dt.datetime.now(dt.UTC)
        decides = fingerprint(
            {
                **(self.settings or {}),
                "segment": segment.id,
                "tenant": hook.get_conn().site.base_url,
                "property types": types,
            }
        )
        since = self._modified_since(workspace, decides)
        uri = workspace.folder.step(workspace.run_key, "snapshot")
        with workspace.local("snapshot") as local:
            counts = write_snapshot(
                hook.iter_segment_profiles(
                    segment.id,
                    properties=list(self.properties),
                    expand=self.expand,
                    refinement=modified_between(since, as_of) if since else None,
                    page_size=Settings.load().page_size,
                ),
                properties=list(self.properties),
                interaction_names=hook.interaction_names() if self.interaction_names else None,
                as_of=as_of,
                folder=local,
                publish=lambda path: workspace.staging.upload_file(path, f"{uri}/{path.name}"),
                label=self.goal_id,
                should_stop=lambda: self._killed,
                profile_count=segment.profile_count if since is None else None,
            )
        if self._killed:
            raise Stopped(f"{self.goal_id}: stopped while reading the segment; nothing was sent.")
        self._tell(counts, segment, since)
        reference: SnapshotRef = {
            "uri": uri,
            "profiles": counts.profiles,
            "segment_id": segment.id,
            "segment_name": segment.name,
            "segment_size": counts.size if since is None else segment.profile_count,
            "read": "modified" if since else "full",
            "complete": counts.complete and since is None,
            "whole": counts.has_all and (counts.complete or since is not None),
            "fingerprint": json.dumps(decides),
            "as_of": as_of.isoformat(),
            "bytes": counts.bytes,
            "property_types": types,
            "repeated_pages": hook.repeated_pages,
        }
        if counts.repaired:
            reference["repaired"] = counts.repaired
        return reference

    def _check(self, hook: BlueConicHook) -> tuple[Segment, dict[str, str]]:
        """Look up every name before anything is read.

        :return: the segment, and property id → BlueConic's type.
        :raises GoalError: with all names that BlueConic does not have.
        """
        checks = Checks()
        segment = checks.look_up("source.segment", lambda: hook.resolve_segment(self.segment))
        properties = {entry.id: entry for entry in hook.list_profile_properties()}
        checks.problems += property_problems(self.properties, properties)
        checks.problems += objective_problems(self.objectives, hook)
        if segment is None or checks.problems:
            raise GoalError(checks.problems)
        types = {name: properties[name].filter_type for name in self.properties if name in properties}
        return segment, types

    def _modified_since(self, workspace: Workspace, decides: Mapping[str, str]) -> dt.datetime | None:
        from airflow_provider_braze_blueconic.hooks.blueconic import MODIFIED_OVERLAP
        from airflow_provider_braze_blueconic.sync.runs import RunTable
        from airflow_provider_braze_blueconic.sync.windows import next_window

        if self.read != "modified" or is_true(self.full):
            return None
        last = RunTable(workspace.folder.runs, workspace.staging.storage_options()).last_good_read()
        window = next_window(last, decides, released=workspace.ledger().released_at if last else None)
        if window.since is None:
            self.log.info("%s: reading the whole segment: %s", self.goal_id, window.why)
            return None
        return window.since - MODIFIED_OVERLAP

    def _tell(self, counts: SnapshotCounts, segment: Segment, since: dt.datetime | None) -> None:
        self.log.info("%s: %s profiles read from %s", self.goal_id, f"{counts.profiles:,}", segment.name)
        if since is None and not counts.complete:
            self.log.warning(
                "%s: nobody counts as gone in this run. BlueConic sent %s profiles of a segment of %s",
                self.goal_id, f"{counts.profiles:,}", f"{counts.size:,}" if counts.size else "unknown size",
            )  # fmt: skip
        elif since is not None and not counts.has_all:
            self.log.warning(
                "%s: the next run reads these changes once more. BlueConic sent %s of the %s that it announced",
                self.goal_id, f"{counts.profiles:,}", "unknown number" if counts.announced is None
                else f"{counts.announced:,}",
            )  # fmt: skip


class S3ToBlueConicProfilesOperator(UploadOperator):
    """Writes one partition of a delta to BlueConic's profiles (``upload``), to be mapped over partitions.

    A retry reads the receipts of the attempts before it and sends only the rest. What is added to a number is never
    sent twice: where it is not known whether it was added, it is held and reported.

    :param delta: what ``ComputeDeltaOperator`` returned (templated).
    :param partition: number of the partition (templated).
    :param merges: property id → how its value meets what the profile holds; ``None`` for what ``ComputeDeltaOperator``
        wrote beside the delta.
    :param new_properties: profile properties to create before the first profile is written, if they are missing: id →
        ``name`` and ``filter_type`` (templated).
    :param links: properties by which profiles are looked for; a profile that is created gets them.
    :param allow_creation: create profiles for people whom BlueConic does not know.
    :param legislation: privacy legislation zone of the profiles that are created.
    :param objectives: ids of objectives; people who consented to none of them are left alone.
    :param domain_group: where BlueConic looks for profiles and creates them; ``None`` for its default.
    :param trigger_on_change: let a changed property set off what BlueConic has configured for it, such as webhooks.
    :param workers: tasks that run side by side; each keeps to its share of the cap.
    :param limits: ``requests_per_second``, ``rejected_percent``, as in a goal file.
    :param blueconic_conn_id: connection of type ``blueconic``.
    :return: :class:`~airflow_provider_braze_blueconic.sync.references.UploadRef`.
    """

    template_fields: Sequence[str] = (*UploadOperator.template_fields, "new_properties")

    def __init__(
        self,
        *,
        merges: Mapping[str, str] | None = None,
        new_properties: Any = None,
        links: Sequence[str] = (),
        allow_creation: bool = False,
        legislation: str | None = None,
        objectives: Sequence[str] = (),
        domain_group: str | None = None,
        trigger_on_change: bool = False,
        blueconic_conn_id: str = "blueconic_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.merges = merges
        self.new_properties = new_properties
        self.links = links
        self.allow_creation = allow_creation
        self.legislation = legislation
        self.objectives = objectives
        self.domain_group = domain_group
        self.trigger_on_change = trigger_on_change
        self.blueconic_conn_id = blueconic_conn_id

    def run_step(self, workspace: Workspace, context: Context) -> UploadRef:  # noqa: ARG002
        """Create properties, send, and remember which word for adding BlueConic takes."""
        from airflow_provider_braze_blueconic.hooks.blueconic import PROFILES_IN_FLIGHT, BlueConicHook
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.sync.blueconic_objects import (
            BODY_AFTER,
            BODY_BEFORE,
            BODY_SHOWN_KEYS,
            profiles_sql,
        )
        from airflow_provider_braze_blueconic.sync.upload import UploadSettings

        hook = BlueConicHook(self.blueconic_conn_id)
        created = hook.create_missing_properties(self.new_properties or {})
        if created:
            self.log.info("%s: created in BlueConic: %s", self.goal_id, ", ".join(created))
        merges = self._merges(workspace)
        limits = self.limits or {}
        in_flight = min(Settings.load().max_in_flight, max(1, PROFILES_IN_FLIGHT // self.workers))
        sums = self._recall_word(workspace) if "sum" in merges.values() else None
        try:
            return self.send_partition(
                workspace,
                objects_sql=lambda source, columns: profiles_sql(
                    source,
                    columns,
                    merges=merges,
                    creates=self.allow_creation,
                    links=self.links,
                    legislation=self.legislation,
                    domain_group=self.domain_group,
                    trigger_on_change=self.trigger_on_change,
                ),
                sender=hook.profiles_sender(objectives=self.objectives, max_in_flight=in_flight, sums=sums),
                rate=profiles_rate(limits.get("requests_per_second")),
                settings=UploadSettings(
                    limits=profiles_limits(),
                    before=BODY_BEFORE,
                    after=BODY_AFTER,
                    shown_keys=BODY_SHOWN_KEYS,
                    max_in_flight=in_flight,
                    rejected_percent=limits.get("rejected_percent"),
                ),
            )
        finally:
            if sums is not None:
                self._remember_word(workspace, sums)

    def _merges(self, workspace: Workspace) -> Mapping[str, str]:
        from airflow_provider_braze_blueconic.sync.pipeline import read_fields

        if self.merges is not None:
            return self.merges
        rows = read_fields(workspace, cast("DeltaRef", self.delta)["uri"])
        return {row["target"]: row["merge"] for row in rows}

    def _recall_word(self, workspace: Workspace) -> SumWord:
        from airflow_provider_braze_blueconic.hooks.blueconic import SumWord

        try:
            return SumWord(workspace.staging.read_bytes(_sum_word_uri(workspace)).decode(errors="replace"))
        except FileNotFoundError:
            return SumWord()

    def _remember_word(self, workspace: Workspace, sums: SumWord) -> None:
        # A word that is lost costs one refused request, so it is not worth failing for.
        if sums.was_learnt:
            with suppress(SyncError):
                workspace.staging.write_bytes(_sum_word_uri(workspace), sums.word.encode())


def _sum_word_uri(workspace: Workspace) -> str:
    return f"{workspace.folder.root}/sum-strategy"
