"""Operators whose other end is BlueConic."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_braze_blueconic.exceptions import GoalError, Problem
from airflow_provider_braze_blueconic.operators.base import GoalOperator, is_true

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook, Segment
    from airflow_provider_braze_blueconic.sync.pipeline import Workspace
    from airflow_provider_braze_blueconic.sync.references import SnapshotRef

__all__ = ["BlueConicSegmentToS3Operator"]


class BlueConicSegmentToS3Operator(GoalOperator):
    """Reads a BlueConic segment into Parquet files on S3 (``extract``).

    Segment, properties and objectives are checked before anything is read; all mistakes come in one error.

    :param segment: id or exact name (templated).
    :param properties: ids of the properties to read, or id → the place in the goal that names it.
    :param expand: ``permissions`` and ``segments``, if their columns are wanted.
    :param interaction_names: also write the names of viewed dialogues.
    :param objectives: ids of objectives that must exist.
    :param read: ``full``, or ``modified`` since the last run that had everybody accepted.
    :param full: read everything this time, whatever ``read`` says (templated).
    :param mapping_hash: a changed one makes a modified read a full one, since it would miss values.
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
        mapping_hash: str = "",
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
        self.mapping_hash = mapping_hash
        self.blueconic_conn_id = blueconic_conn_id
        # A plain flag: Airflow copies operators, and a lock can't be copied.
        self._killed = False

    def on_kill(self) -> None:
        """Let the read end after the page in hand."""
        self._killed = True

    def run_step(self, workspace: Workspace, context: Context) -> SnapshotRef:  # noqa: ARG002
        """Check, read, write."""
        from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook, modified_between
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.sync.snapshot import write_snapshot
        from airflow_provider_braze_blueconic.sync.upload import Stopped

        workspace.staging.check_access(self.staging)  # type: ignore[attr-defined]
        hook = BlueConicHook(self.blueconic_conn_id)
        segment, types = self._check(hook)
        # The data are as old as the start of the read: what changes meanwhile is seen by the next one.
        as_of = dt.datetime.now(dt.UTC)
        since = self._modified_since(workspace)
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
            )
        if self._killed:
            raise Stopped(f"{self.goal_id}: stopped while reading the segment; nothing was sent.")
        self.log.info("%s: %s profiles read from %s", self.goal_id, f"{counts.profiles:,}", segment.name)
        return {
            "uri": uri,
            "profiles": counts.profiles,
            "segment_id": segment.id,
            "segment_name": segment.name,
            "segment_size": counts.announced if counts.announced is not None else segment.profile_count,
            "read": "modified" if since else "full",
            "complete": counts.complete and since is None,
            "as_of": as_of.isoformat(),
            "bytes": counts.bytes,
            "property_types": types,
        }

    def _check(self, hook: BlueConicHook) -> tuple[Segment, dict[str, str]]:
        """Look up every name before anything is read.

        :return: the segment, and property id → BlueConic's type.
        :raises GoalError: with all names that BlueConic does not have.
        """
        from airflow_provider_braze_blueconic.sync.near_names import nearest

        problems: list[Problem] = []
        segment = None
        try:
            segment = hook.resolve_segment(self.segment)
        except GoalError as error:
            problems += error.problems
        types = {entry.id: entry.filter_type for entry in hook.list_profile_properties()}
        for property_id in self.properties:
            where = self.properties[property_id] if isinstance(self.properties, Mapping) else "properties"
            if property_id not in types and where:
                near = nearest(property_id, types)
                problems.append(Problem(where, f'BlueConic has no property "{property_id}".{near}'))
        if self.objectives:
            objectives = [objective.id for objective in hook.list_objectives()]
            for number, objective in enumerate(self.objectives):
                if objective not in objectives:
                    near = nearest(objective, objectives)
                    problems.append(
                        Problem(f"objectives[{number}]", f'BlueConic has no objective "{objective}".{near}')
                    )
        if problems or segment is None:
            raise GoalError(problems)
        return segment, {property_id: types[property_id] for property_id in self.properties if property_id in types}

    def _modified_since(self, workspace: Workspace) -> dt.datetime | None:
        from airflow_provider_braze_blueconic.hooks.blueconic import MODIFIED_OVERLAP
        from airflow_provider_braze_blueconic.sync.runs import RunTable

        if self.read != "modified" or is_true(self.full):
            return None
        last = RunTable(workspace.folder.runs, workspace.staging.storage_options()).last_good_read()
        if last is None or last[1] != self.mapping_hash:
            self.log.info("%s: reading the whole segment: first run, or another mapping", self.goal_id)
            return None
        return last[0] - MODIFIED_OVERLAP
