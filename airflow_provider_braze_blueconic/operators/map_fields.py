"""The step from a snapshot to a mapped snapshot."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow_provider_braze_blueconic.operators.base import GoalOperator
from airflow_provider_braze_blueconic.operators.goal_rows import Direction, export_rows, import_rows

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.goals.import_rows import RemainingFields
    from airflow_provider_braze_blueconic.sync.observations.observation import System
    from airflow_provider_braze_blueconic.sync.store.references import MappedRef, SnapshotRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["MapFieldsOperator"]


class MapFieldsOperator(GoalOperator):
    """Turns a snapshot into the mapped snapshot: a row for each person, with the target's values (``map_fields``).

    :param snapshot: what the extract returned (templated).
    :param identifiers: identifier links, as in a goal file.
    :param fields: field rows, as in a goal file.
    :param direction: ``export`` (to Braze) or ``import`` (to BlueConic).
    :param when_missing: for an export goal: ``keep`` or ``clear`` a field whose source is empty.
    :param objectives: for an export goal: only people who consented to one of these.
    :param match: for an import goal: ``any`` link is enough to find a profile, or ``all`` must agree.
    :param remaining_fields: for an import goal, as in a goal file: what to do with the fields that no row names.
    :param partitions: partitions of the ledger.
    :param source_conn_id: connection of the source. If given, goals that write there and share the ``staging`` prefix
        can use what this read saw.
    :param target_conn_id: connection of the target; with ``source_conn_id``.
    :param writes_at_once: an upload shows in the target soon after. ``False`` for a file that another system reads
        later: an older value in the target then never counts as a newer one.
    :return: :class:`~airflow_provider_braze_blueconic.sync.store.references.MappedRef`. The properties that an import
        goal needs and that BlueConic doesn't have yet are pushed as ``new_properties``, for
        ``S3ToBlueConicProfilesOperator``.
    """

    template_fields: Sequence[str] = (*GoalOperator.template_fields, "snapshot")
    ui_color = "#ede9fe"

    def __init__(
        self,
        *,
        snapshot: Any,
        identifiers: Sequence[Mapping[str, Any]],
        fields: Sequence[Mapping[str, Any]],
        direction: Direction = "export",
        when_missing: Literal["keep", "clear"] = "keep",
        objectives: Sequence[str] = (),
        match: Literal["any", "all"] = "any",
        remaining_fields: Mapping[str, Any] | None = None,
        partitions: int = 4,
        source_conn_id: str | None = None,
        target_conn_id: str | None = None,
        writes_at_once: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.snapshot = snapshot
        self.identifiers = identifiers
        self.fields = fields
        self.direction = direction
        self.when_missing = when_missing
        self.objectives = objectives
        self.match = match
        self.remaining_fields = remaining_fields
        self.partitions = partitions
        self.source_conn_id = source_conn_id
        self.target_conn_id = target_conn_id
        self.writes_at_once = writes_at_once

    def run_step(self, workspace: Workspace, context: Context) -> MappedRef:
        """Map."""
        map_snapshot = self._map_import if self.direction == "import" else self._map_export
        mapped = map_snapshot(workspace, cast("SnapshotRef", self.snapshot))
        context["ti"].xcom_push(key="new_properties", value=mapped.get("new_properties", {}))
        self.log.info(
            "%s: %s people mapped, skipped %s", self.goal_id, f"{mapped['people']:,}", mapped["skipped"] or "none"
        )
        return mapped

    def _map_export(self, workspace: Workspace, snapshot: SnapshotRef) -> MappedRef:
        from airflow_provider_braze_blueconic.sync.plans.export_reads import properties_to_read
        from airflow_provider_braze_blueconic.sync.plans.exported import exported_pairs
        from airflow_provider_braze_blueconic.sync.plans.to_braze import mapping_plan, warning_sources
        from airflow_provider_braze_blueconic.sync.steps.map_fields import map_staged_snapshot

        identifiers, fields = export_rows(self.identifiers, self.fields)
        plan = mapping_plan(
            identifiers,
            fields,
            property_types=snapshot["property_types"],
            clear_missing=self.when_missing == "clear",
            objectives=self.objectives,
            partitions=self.partitions,
        )
        mapped = map_staged_snapshot(
            workspace,
            snapshot,
            plan,
            warning_sources(plan),
            mapped_by=self._unless_seen(
                workspace, "braze", when_missing=self.when_missing, objectives=list(self.objectives)
            ),
        )
        self._publish(
            workspace,
            snapshot,
            "blueconic",
            columns=tuple(properties_to_read(identifiers, fields)),
            pairs=tuple(exported_pairs(fields).values()),
            # Each property as it is, whatever becomes of it on its way.
            routes=tuple(exported_pairs(fields).values()),
            writes=tuple(field.to for field in fields),
            mapped=mapped,
        )
        return mapped

    def _map_import(self, workspace: Workspace, snapshot: SnapshotRef) -> MappedRef:
        from airflow_provider_braze_blueconic.sync.plans.import_links import unmapped_links
        from airflow_provider_braze_blueconic.sync.plans.imported import imported_pairs, imported_routes
        from airflow_provider_braze_blueconic.sync.plans.resolved_fields import resolve_fields
        from airflow_provider_braze_blueconic.sync.plans.to_blueconic import import_mapping_plan
        from airflow_provider_braze_blueconic.sync.plans.to_braze import warning_sources
        from airflow_provider_braze_blueconic.sync.steps.map_fields import map_staged_snapshot, read_snapshot_fields

        identifiers, fields = import_rows(self.identifiers, self.fields)
        sources, found = read_snapshot_fields(workspace, snapshot)
        remaining = self._remaining()
        if remaining is not None:
            # By these people are found, but no row says where they go.
            found = {**found, **{source: [] for source in unmapped_links(identifiers, fields, remaining)}}
        resolved = resolve_fields(
            fields,
            remaining,
            found=found,
            property_types=snapshot["property_types"],
            written_by=self._written_by_others(workspace),
            finds_people={link.blueconic for link in identifiers},
        )
        plan = import_mapping_plan(
            identifiers,
            resolved.targets,
            match_all=self.match == "all",
            property_types=snapshot["property_types"],
            partitions=self.partitions,
        )
        rows = [target.as_row() for target in resolved.targets]
        mapped = map_staged_snapshot(
            workspace,
            snapshot,
            plan,
            warning_sources(plan),
            rows=rows,
            mapped_by=self._unless_seen(workspace, "blueconic", match=self.match),
        )
        mapped["new_properties"] = {name: dict(settings) for name, settings in resolved.new_properties.items()}
        mapped["left_out"] = dict(resolved.left_out)
        self._publish(
            workspace,
            snapshot,
            "braze",
            columns=(*sources, *found),
            pairs=tuple(imported_pairs(resolved.targets).values()),
            routes=tuple((route.braze, route.blueconic) for route in imported_routes(resolved.targets).values()),
            writes=tuple(target.target for target in resolved.targets),
            mapped=mapped,
        )
        return mapped

    def _remaining(self) -> RemainingFields | None:
        from airflow_provider_braze_blueconic.goals.import_rows import RemainingFields

        return RemainingFields.model_validate(self.remaining_fields) if self.remaining_fields is not None else None

    def _written_by_others(self, workspace: Workspace) -> Mapping[str, str]:
        from airflow_provider_braze_blueconic.sync.observations.observation import fields_written_by_others

        if self.source_conn_id is None:
            return {}
        return fields_written_by_others(
            workspace.staging, workspace.folder, system="braze", connection=self.source_conn_id
        )

    def _unless_seen(self, workspace: Workspace, target: System, **mapped_by: Any) -> dict[str, Any] | None:
        """Give the settings that decide how records are mapped; ``None`` where everybody's values are needed."""
        from airflow_provider_braze_blueconic.sync.observations.observation import is_seen_by_others

        is_seen = self.target_conn_id is not None and is_seen_by_others(
            workspace.staging, workspace.folder, system=target, connection=self.target_conn_id
        )
        return None if is_seen else mapped_by

    def _publish(
        self,
        workspace: Workspace,
        snapshot: SnapshotRef,
        system: System,
        *,
        columns: tuple[str, ...],
        pairs: tuple[tuple[str, str], ...],
        routes: tuple[tuple[str, str], ...],
        writes: tuple[str, ...],
        mapped: MappedRef,
    ) -> None:
        from airflow_provider_braze_blueconic.sync.observations.observation import Observation, publish_observation

        if self.source_conn_id is None:
            return
        observation = Observation(
            goal_id=self.goal_id,
            system=system,
            connection=self.source_conn_id,
            as_of=dt.datetime.fromisoformat(snapshot["as_of"]),
            uri=snapshot["uri"],
            columns=columns,
            pairs=pairs if self.writes_at_once else (),
            target=self.target_conn_id or "",
            writes=writes,
            mapped=mapped["uri"],
            routes=routes,
        )
        publish_observation(workspace.staging, workspace.folder, observation)
