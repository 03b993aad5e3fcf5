"""The extract of a BlueConic segment."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_braze_blueconic.exceptions import GoalError
from airflow_provider_braze_blueconic.operators.base import GoalOperator
from airflow_provider_braze_blueconic.operators.checks import Checks, objective_problems, property_problems
from airflow_provider_braze_blueconic.operators.flags import is_true
from airflow_provider_braze_blueconic.sync.state.goal_tables import open_ledger, open_runs

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook
    from airflow_provider_braze_blueconic.hooks.blueconic_api.definitions import Segment
    from airflow_provider_braze_blueconic.sync.blueconic.snapshot import SnapshotCounts
    from airflow_provider_braze_blueconic.sync.store.references import SnapshotRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["BlueConicSegmentToS3Operator"]


class BlueConicSegmentToS3Operator(GoalOperator):
    """Reads a BlueConic segment into Parquet files on S3 (``extract``).

    The operator checks segment, properties and objectives before it reads anything, and reports all mistakes in one
    error.

    A segment can be read only as it is now, so each read is kept for a while. A run for a past date (a backfill, or a
    manual run with such a logical date) gets the snapshot kept for that date, and is skipped if no snapshot fits. The
    reason is pushed as ``skipped``.

    :param segment: id or exact name (templated).
    :param properties: ids of the properties to read, or id → the place in the goal that names it.
    :param expand: ``permissions`` and ``segments``, to read these columns too.
    :param interaction_names: also write the names of viewed dialogues.
    :param objectives: ids of objectives that must exist.
    :param read: ``full``, or ``modified`` since the last run in which everybody was accepted.
    :param full: read everything this time, whatever ``read`` says (templated).
    :param settings: other settings, by name, that decide who is read and which values they get. If one changed, a
        ``modified`` read becomes a full one, because it would miss people. Segment, tenant and property types always
        count.
    :param timezone: IANA name of the time zone in which past dates begin.
    :param replay: ``False`` always reads the current data, whatever the date; a comparison with the target needs that.
    :param blueconic_conn_id: connection of type ``blueconic``.
    :return: :class:`~airflow_provider_braze_blueconic.sync.store.references.SnapshotRef`.
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
        """Stop the read after the current page."""
        self._killed = True

    def run_step(self, workspace: Workspace, context: Context) -> SnapshotRef:
        """Return the snapshot kept for a past date; otherwise check, read, write and keep one."""
        from airflow_provider_braze_blueconic.operators.replay import replay_or_read
        from airflow_provider_braze_blueconic.sync.upkeep.replays import SnapshotNeeds

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
        from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook
        from airflow_provider_braze_blueconic.sync.sending.upload import Stopped

        workspace.staging.check_access(self.staging)  # type: ignore[attr-defined]
        hook = BlueConicHook(self.blueconic_conn_id)
        segment, types = self._check(hook)
        # The data are as old as the start of the read: what changes meanwhile is seen by the next one.
        as_of = dt.datetime.now(dt.UTC)
        decides = self._decides(hook, segment, types)
        since = self._modified_since(workspace, decides)
        uri = workspace.folder.step(workspace.run_key, "snapshot")
        counts = self._write(workspace, hook, segment, uri, since=since, as_of=as_of)
        if self._killed:
            raise Stopped(f"{self.goal_id}: stopped during the read of the segment; nothing was sent.")
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

    def _decides(self, hook: BlueConicHook, segment: Segment, types: Mapping[str, str]) -> Mapping[str, str]:
        """Give what decides who is read and what is said of them, by name."""
        from airflow_provider_braze_blueconic.sync.state.windows import fingerprint

        return fingerprint(
            {
                **(self.settings or {}),
                "segment": segment.id,
                "tenant": hook.get_conn().site.base_url,
                "property types": types,
            }
        )

    def _write(
        self,
        workspace: Workspace,
        hook: BlueConicHook,
        segment: Segment,
        uri: str,
        *,
        since: dt.datetime | None,
        as_of: dt.datetime,
    ) -> SnapshotCounts:
        """Read the profiles, and write them to S3 as they come.

        :param since: only what changed since then.
        """
        from airflow_provider_braze_blueconic.hooks.blueconic_api.profile_pages import modified_between
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.sync.blueconic.profile_columns import ProfileColumns
        from airflow_provider_braze_blueconic.sync.blueconic.snapshot import write_rows

        columns = ProfileColumns(list(self.properties), hook.interaction_names() if self.interaction_names else None)
        with workspace.local("snapshot") as local:
            return write_rows(
                hook.iter_segment_rows(
                    segment.id,
                    columns,
                    folder=local / "page",
                    expand=self.expand,
                    refinement=modified_between(since, as_of) if since else None,
                    page_size=Settings.load().page_size,
                ),
                columns,
                as_of=as_of,
                folder=local,
                publish=lambda path: workspace.staging.upload_file(path, f"{uri}/{path.name}"),
                label=self.goal_id,
                should_stop=lambda: self._killed,
                profile_count=segment.profile_count if since is None else None,
            )

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
        from airflow_provider_braze_blueconic.hooks.blueconic_api.profile_pages import MODIFIED_OVERLAP
        from airflow_provider_braze_blueconic.sync.state.windows import next_window

        if self.read != "modified" or is_true(self.full):
            return None
        last = open_runs(workspace).last_good_read()
        window = next_window(last, decides, released=open_ledger(workspace).released_at if last else None)
        if window.since is None:
            self.log.info("%s: reading the whole segment: %s", self.goal_id, window.why)
            return None
        return window.since - MODIFIED_OVERLAP

    def _tell(self, counts: SnapshotCounts, segment: Segment, since: dt.datetime | None) -> None:
        self.log.info("%s: %s profiles read from %s", self.goal_id, f"{counts.profiles:,}", segment.name)
        if since is None and not counts.complete:
            self.log.warning(
                "%s: this run ignores leavers: the read isn't complete. BlueConic sent %s profiles of a segment of %s",
                self.goal_id, f"{counts.profiles:,}", f"{counts.size:,}" if counts.size else "unknown size",
            )  # fmt: skip
        elif since is not None and not counts.has_all:
            self.log.warning(
                "%s: the next run reads these changes again. BlueConic sent %s of the %s that it announced",
                self.goal_id, f"{counts.profiles:,}", "unknown number" if counts.announced is None
                else f"{counts.announced:,}",
            )  # fmt: skip
