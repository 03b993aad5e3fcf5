"""The middle of the pipeline, the same for both directions: map, delta, guard, commit, report."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow_provider_braze_blueconic.exceptions import SyncError
from airflow_provider_braze_blueconic.operators.base import GoalOperator, is_true

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.goals.models import (
        ExportField,
        ExportIdentifier,
        ImportField,
        ImportIdentifier,
    )
    from airflow_provider_braze_blueconic.sync.delta import Seen
    from airflow_provider_braze_blueconic.sync.mapping import MappingPlan
    from airflow_provider_braze_blueconic.sync.observations import Observation, Route, System
    from airflow_provider_braze_blueconic.sync.pacing import Rate
    from airflow_provider_braze_blueconic.sync.pipeline import Workspace
    from airflow_provider_braze_blueconic.sync.references import DeltaRef, MappedRef, SnapshotRef, UploadRef

__all__ = [
    "CommitLedgerOperator",
    "ComputeDeltaOperator",
    "GuardOperator",
    "MapFieldsOperator",
    "SyncReportOperator",
]


Direction = Literal["export", "import"]
"""``export``: BlueConic to Braze, ``import``: Braze to BlueConic. It decides the two ends; the rest is the same."""


def _export_rows(
    identifiers: Sequence[Mapping[str, Any]], fields: Sequence[Mapping[str, Any]]
) -> tuple[list[ExportIdentifier], list[ExportField]]:
    from airflow_provider_braze_blueconic.goals.models import ExportField, ExportIdentifier

    return (
        [ExportIdentifier.model_validate(row) for row in identifiers],
        [ExportField.model_validate(row) for row in fields],
    )


def _import_rows(
    identifiers: Sequence[Mapping[str, Any]], fields: Sequence[Mapping[str, Any]]
) -> tuple[list[ImportIdentifier], list[ImportField]]:
    from airflow_provider_braze_blueconic.goals.models import ImportField, ImportIdentifier

    return (
        [ImportIdentifier.model_validate(row) for row in identifiers],
        [ImportField.model_validate(row) for row in fields],
    )


class MapFieldsOperator(GoalOperator):
    """Turns a snapshot into the mapped snapshot: a row a person, values as the target will get them (``map_fields``).

    :param snapshot: what the extract returned (templated).
    :param identifiers: identifier links, as in a goal file.
    :param fields: field rows, as in a goal file.
    :param direction: ``export`` (to Braze) or ``import`` (to BlueConic).
    :param when_missing: of an export: ``keep`` or ``clear`` a field whose source is empty.
    :param objectives: of an export: only people who consented to one of these.
    :param match: of an import: ``any`` link is enough to find a profile, or ``all`` have to agree.
    :param remaining_fields: of an import, as in a goal file: what to do with the fields that no row names.
    :param partitions: partitions of the ledger.
    :param source_conn_id: connection of the system that was read. If given, goals that write there and share the
        ``staging`` prefix know from now on what this read saw.
    :param target_conn_id: connection of the system that will be written to; with ``source_conn_id``.
    :param writes_at_once: what is uploaded shows in the target soon after. ``False`` for a file that somebody else
        reads when it suits them: an older value there is then never taken for a newer one.
    :return: :class:`~airflow_provider_braze_blueconic.sync.references.MappedRef`. What properties an import needs that
        BlueConic does not have yet is pushed as ``new_properties``, for ``S3ToBlueConicProfilesOperator``.
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
        from airflow_provider_braze_blueconic.sync.export_plan import (
            exported_pairs,
            mapping_plan,
            properties_to_read,
            warning_sources,
        )
        from airflow_provider_braze_blueconic.sync.pipeline import map_staged_snapshot

        identifiers, fields = _export_rows(self.identifiers, self.fields)
        plan = mapping_plan(
            identifiers,
            fields,
            property_types=snapshot["property_types"],
            clear_missing=self.when_missing == "clear",
            objectives=self.objectives,
            partitions=self.partitions,
        )
        mapped = map_staged_snapshot(workspace, snapshot, plan, warning_sources(plan))
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
        from airflow_provider_braze_blueconic.goals.models import RemainingFields
        from airflow_provider_braze_blueconic.sync.export_plan import warning_sources
        from airflow_provider_braze_blueconic.sync.import_plan import (
            import_mapping_plan,
            imported_pairs,
            imported_routes,
            resolve_fields,
            unmapped_links,
        )
        from airflow_provider_braze_blueconic.sync.observations import fields_written_by_others
        from airflow_provider_braze_blueconic.sync.pipeline import map_staged_snapshot, read_snapshot_fields

        identifiers, fields = _import_rows(self.identifiers, self.fields)
        sources, found = read_snapshot_fields(workspace, snapshot)
        remaining = RemainingFields.model_validate(self.remaining_fields) if self.remaining_fields is not None else None
        if remaining is not None:
            # By these people are found, but no row says where they go.
            found = {**found, **{source: [] for source in unmapped_links(identifiers, fields, remaining)}}
        written_by = {}
        if self.source_conn_id is not None:
            written_by = fields_written_by_others(
                workspace.staging, workspace.folder, system="braze", connection=self.source_conn_id
            )
        resolved = resolve_fields(
            fields,
            remaining,
            found=found,
            property_types=snapshot["property_types"],
            written_by=written_by,
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
        mapped = map_staged_snapshot(workspace, snapshot, plan, warning_sources(plan), rows=rows)
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
        from airflow_provider_braze_blueconic.sync.observations import Observation, publish_observation

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


class ComputeDeltaOperator(GoalOperator):
    """Compares the mapped snapshot with the ledger, field by field (``compute_delta``).

    :param mapped: what ``MapFieldsOperator`` returned (templated).
    :param fields: field rows, as in a goal file.
    :param identifiers: identifier links, as in a goal file; needed with ``target_conn_id`` only.
    :param direction: ``export`` (to Braze) or ``import`` (to BlueConic).
    :param send: ``changed_fields`` or ``whole_profile``.
    :param leavers: of an export: ``keep``, ``clear_fields`` or target → value.
    :param allow_stale: send rows that are older than what the ledger knows (templated).
    :param allow_creation: of an export: whether the upload creates people whom Braze does not know; it drops others in
        silence, so that what it acknowledged of them is in doubt once this is true.
    :param confirms: the read tells of everybody in the source, changed or not; ``False`` for files of changes.
    :param policy: of an import: settings that decide whether BlueConic takes a record; who was not taken is tried
        again when one of them changes.
    :param max_attempts: after so many refusals of the same values a person rests until they change.
    :param retry_held: also try who rests, and put right again what did not stick (templated).
    :param looked: of an export: what ``LookAtBrazeOperator`` returned (templated). What Braze no longer holds is sent
        again, and what it holds already is not.
    :param target_conn_id: connection of the system that is written to. If given, what other goals with the same
        ``staging`` prefix saw there is not sent again.
    :param settings: of an export that reads changes: the ``settings`` of ``extract``. If they are others by now, since
        the goal changed between the two, no read of changes begins at this run.
    :return: :class:`~airflow_provider_braze_blueconic.sync.references.DeltaRef`.
    """

    template_fields: Sequence[str] = (*GoalOperator.template_fields, "mapped", "allow_stale", "retry_held", "looked")
    ui_color = "#ede9fe"

    def __init__(
        self,
        *,
        mapped: Any,
        fields: Sequence[Mapping[str, Any]],
        identifiers: Sequence[Mapping[str, Any]] = (),
        direction: Direction = "export",
        send: Literal["changed_fields", "whole_profile"] = "changed_fields",
        leavers: str | Mapping[str, object] = "keep",
        allow_stale: bool | str = False,
        allow_creation: bool = False,
        confirms: bool = True,
        policy: Mapping[str, object] | None = None,
        max_attempts: int = 5,
        retry_held: bool | str = False,
        looked: Any = None,
        target_conn_id: str | None = None,
        settings: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mapped = mapped
        self.fields = fields
        self.identifiers = identifiers
        self.direction = direction
        self.send = send
        self.leavers = leavers
        self.allow_stale = allow_stale
        self.allow_creation = allow_creation
        self.confirms = confirms
        self.policy = policy
        self.max_attempts = max_attempts
        self.retry_held = retry_held
        self.looked = looked
        self.target_conn_id = target_conn_id
        self.settings = settings

    def run_step(self, workspace: Workspace, context: Context) -> DeltaRef:  # noqa: ARG002
        """Compare."""
        compute_delta = self._import_delta if self.direction == "import" else self._export_delta
        delta = compute_delta(workspace, cast("MappedRef", self.mapped))
        self.log.info(
            "%s: %s people to send (%s new, %s changed, %s left), %s fields, %s unchanged, %s seen there already, "
            "%s held, %s stale",
            self.goal_id,
            *(
                f"{delta[name]:,}"
                for name in (
                    "to_send", "inserts", "changes", "leavers", "fields", "unchanged", "seen", "held", "stale",
                )
            ),
        )  # fmt: skip
        return delta

    def _export_delta(self, workspace: Workspace, mapped: MappedRef) -> DeltaRef:
        from airflow_provider_braze_blueconic.sync.export_plan import (
            delta_plan,
            exported_pairs,
            exported_routes,
            observable_sources,
            observed_users,
        )
        from airflow_provider_braze_blueconic.sync.pipeline import compute_staged_delta

        identifiers, fields = _export_rows(self.identifiers, self.fields)
        plan = delta_plan(
            fields,
            partitions=mapped["partitions"],
            as_of=dt.datetime.fromisoformat(mapped["as_of"]),
            send=self.send,
            leavers=self.leavers,
            complete=mapped["complete"],
            allow_stale=is_true(self.allow_stale),
            max_attempts=None if is_true(self.retry_held) else self.max_attempts,
            identifiers=identifiers,
            allow_creation=self.allow_creation,
        )
        plan = replace(plan, confirms=self.confirms, missing=mapped.get("missing", 0), target=self.target_conn_id)
        plans = partial(observed_users, identifiers, fields, mapped["property_types"])
        pairs, routes = exported_pairs(fields), exported_routes(fields, mapped["property_types"])

        def look(local: Path) -> Sequence[Seen]:
            again = self._look_again(workspace, tuple(observable_sources(identifiers, fields)), plans, pairs, local)
            return [*again, *self._look(workspace, mapped, "braze", plans, pairs, routes, local)]

        return compute_staged_delta(workspace, mapped, plan, look=look, decides=self.settings)

    def _import_delta(self, workspace: Workspace, mapped: MappedRef) -> DeltaRef:
        from airflow_provider_braze_blueconic.sync.import_plan import (
            import_delta_plan,
            import_policy,
            imported_pairs,
            imported_routes,
            observed_profiles,
            read_targets,
        )
        from airflow_provider_braze_blueconic.sync.pipeline import compute_staged_delta, read_fields

        identifiers, _ = _import_rows(self.identifiers, ())
        rows = read_fields(workspace, mapped["uri"])
        targets = read_targets(rows)
        plan = import_delta_plan(
            targets,
            partitions=mapped["partitions"],
            as_of=dt.datetime.fromisoformat(mapped["as_of"]),
            send=self.send,
            complete=mapped["complete"],
            allow_stale=is_true(self.allow_stale),
            policy=import_policy(self.policy or {}),
            max_attempts=self.max_attempts,
            retry_held=is_true(self.retry_held),
        )
        plan = replace(plan, target=self.target_conn_id)
        plans = partial(observed_profiles, identifiers, targets, mapped["property_types"], sums=True)
        return compute_staged_delta(
            workspace,
            mapped,
            plan,
            look=partial(
                self._look, workspace, mapped, "blueconic", plans, imported_pairs(targets), imported_routes(targets)
            ),
            rows=rows,
        )

    def _look(
        self,
        workspace: Workspace,
        mapped: MappedRef,
        system: System,
        plans: Callable[[Observation], Sequence[MappingPlan]],
        pairs: Mapping[str, tuple[str, str]],
        routes: Mapping[str, Route],
        local: Path,
    ) -> Sequence[Seen]:
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.sync.observations import look_at_target

        if self.target_conn_id is None:
            return ()
        return look_at_target(
            workspace.engine,
            workspace.staging,
            workspace.folder,
            local,
            system=system,
            connection=self.target_conn_id,
            read_at=dt.datetime.fromisoformat(mapped["as_of"]),
            plans=plans,
            pairs=pairs,
            routes=routes,
            settles_in=Settings.load().settles_in,
        )

    def _look_again(
        self,
        workspace: Workspace,
        columns: tuple[str, ...],
        plans: Callable[[Observation], Sequence[MappingPlan]],
        pairs: Mapping[str, tuple[str, str]],
        local: Path,
    ) -> Sequence[Seen]:
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.sync.observations import Observation, look_again

        if self.looked is None:
            return ()
        snapshot = cast("SnapshotRef", self.looked)
        observation = Observation(
            goal_id=self.goal_id,
            system="braze",
            connection=self.target_conn_id or "",
            as_of=dt.datetime.fromisoformat(snapshot["as_of"]),
            uri=snapshot["uri"],
            columns=columns,
            pairs=(),
            target="",
            writes=(),
            mapped="",
        )
        return look_again(
            workspace.engine,
            workspace.staging,
            workspace.folder,
            local,
            observation=observation,
            plans=plans,
            pairs=pairs,
            settles_in=Settings.load().settles_in,
        )


class GuardOperator(GoalOperator):
    """Says what the run will take, and stops it where a limit of the goal would be broken (``guard``).

    It also stops a run that may have been meant as a dry run without knowing it: Airflow before 3.2.2 forgets the
    params of a backfill that runs a date again. See ``[braze_blueconic] reprocessed_runs_send``.

    :param delta: what ``ComputeDeltaOperator`` returned (templated).
    :param limits: ``data_points``, ``leavers_percent``, ``clears_percent``, ``requests_per_second``, as in a goal file.
    :param leavers: the goal's policy; the leavers' share is only checked when they are acted upon.
    :param target: where the upload goes: ``braze``, ``blueconic``, or ``s3_csv`` for one file.
    :param bulk: the upload to Braze uses ``/users/track/bulk``.
    :param plan_only: plan only: no upload follows (templated).
    :return: the partitions to upload, so that an upload can be mapped over it (Airflow maps over return values alone);
        empty in a dry run. The whole :class:`~airflow_provider_braze_blueconic.sync.references.PlanRef` is pushed as
        ``plan``.
    """

    template_fields: Sequence[str] = (*GoalOperator.template_fields, "delta", "plan_only")
    ui_color = "#fef3c7"

    def __init__(
        self,
        *,
        delta: Any,
        limits: Mapping[str, Any] | None = None,
        leavers: str | Mapping[str, object] = "keep",
        target: Literal["braze", "blueconic", "s3_csv"] = "braze",
        bulk: bool = False,
        plan_only: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.delta = delta
        self.limits = limits
        self.leavers = leavers
        self.target = target
        self.bulk = bulk
        self.plan_only = plan_only

    def run_step(self, workspace: Workspace, context: Context) -> list[int]:
        """Estimate and check."""
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.operators.reprocessed import may_have_lost_params, refuse_to_send
        from airflow_provider_braze_blueconic.sync.guard import GuardLimits
        from airflow_provider_braze_blueconic.sync.pipeline import guard_delta

        limits = self.limits or {}
        objects, rate = self._pace(limits.get("requests_per_second"))
        plan = guard_delta(
            workspace,
            cast("DeltaRef", self.delta),
            limits=GuardLimits(limits.get("data_points"), limits.get("leavers_percent"), limits.get("clears_percent")),
            acts_on_leavers=self.leavers != "keep",
            dry_run=is_true(self.plan_only),
            objects=objects,
            rate=rate,
        )
        self.log.info(
            "%s: %s people, %s%s data points, %s requests, about %.1f minutes%s",
            self.goal_id,
            f"{plan['people']:,}",
            "" if plan["proven"] else "at most ",
            f"{plan['data_points']:,}",
            f"{plan['requests']:,}",
            plan["minutes"],
            f"; dry run, nothing is sent. The plan: {plan['plan_uri']}" if plan["dry_run"] else "",
        )
        context["ti"].xcom_push(key="plan", value=dict(plan))
        if plan["partitions"] and may_have_lost_params(context) and not Settings.load().reprocessed_runs_send:
            raise refuse_to_send(self.goal_id)
        return plan["partitions"]

    def _pace(self, requests_per_second: float | None) -> tuple[int, Rate]:
        """Return the records of one request, and the cap of all workers together."""
        from airflow_provider_braze_blueconic.operators.blueconic import profiles_limits, profiles_rate
        from airflow_provider_braze_blueconic.operators.braze import track_limits, track_rate
        from airflow_provider_braze_blueconic.sync.pacing import Rate

        match self.target:
            case "braze":
                rate = track_rate(bulk=self.bulk, requests_per_second=requests_per_second)
                return track_limits(bulk=self.bulk).objects, rate
            case "blueconic":
                return profiles_limits().objects, profiles_rate(requests_per_second=requests_per_second)
            case "s3_csv":
                return sys.maxsize, Rate(1, 1.0)


class CommitLedgerOperator(GoalOperator):
    """Puts what the target acknowledged into the receipts table and the ledger (``commit``).

    Runs whatever became of the uploads: what they achieved before they failed is kept.

    :param delta: what ``ComputeDeltaOperator`` returned; ``None`` if there is none (templated).
    :param partitions: what ``GuardOperator`` returned; ``None`` if it did not let the run pass (templated).
    :param plan_only: nothing was sent, so there is nothing to commit (templated).
    :return: ``{"committed": bool, "receipts": int}``.
    """

    template_fields: Sequence[str] = (*GoalOperator.template_fields, "delta", "partitions", "plan_only")
    ui_color = "#dcfce7"

    def __init__(self, *, delta: Any, partitions: Any, plan_only: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delta = delta
        self.partitions = partitions
        self.plan_only = plan_only

    def run_step(self, workspace: Workspace, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """Commit."""
        from airflow_provider_braze_blueconic.sync.pipeline import commit_uploads

        if self.delta is None or self.partitions is None or is_true(self.plan_only):
            self.log.info("%s: this try of the run sent nothing, so there is nothing to commit", self.goal_id)
            return {"committed": False, "receipts": 0}
        summary = commit_uploads(workspace, cast("DeltaRef", self.delta))
        self.log.info("%s: %s receipts committed, %s", self.goal_id, f"{summary.receipts:,}", dict(summary.outcomes))
        return {"committed": True, "receipts": summary.receipts}


class SyncReportOperator(GoalOperator):
    """Writes the run's report, and fails where the run did not do all it should (``report``).

    It runs whatever became of the other tasks, and is the DAG's last one: its state is the run's state. With it the run
    has ended, and another one of the goal may begin.

    What a task returned is ``None`` here if the task did not happen.

    :param snapshot: what the extract returned (templated).
    :param mapped: what ``MapFieldsOperator`` returned (templated).
    :param delta: what ``ComputeDeltaOperator`` returned (templated).
    :param partitions: what ``GuardOperator`` returned (templated).
    :param plan_only: the run only planned (templated).
    :param uploads: what the uploads returned (templated).
    :param commit: what ``CommitLedgerOperator`` returned (templated).
    :param skipped: why the extract was skipped, its XCom ``skipped``; nothing if it was not (templated). The run then
        did all that it could.
    :param limits: ``rejected_percent``, as in a goal file.
    :param done_aws_conn_id: connection for files that were read, if their names are to end in ``.done`` once everything
        in them was acknowledged; ``None`` leaves the names alone.
    :return: :class:`~airflow_provider_braze_blueconic.sync.report.Report`.
    """

    template_fields: Sequence[str] = (
        *GoalOperator.template_fields,
        "snapshot",
        "mapped",
        "delta",
        "partitions",
        "plan_only",
        "uploads",
        "commit",
        "skipped",
    )
    ui_color = "#f1f5f9"
    ends_run = True

    def __init__(
        self,
        *,
        snapshot: Any,
        mapped: Any,
        delta: Any,
        partitions: Any,
        uploads: Any,
        commit: Any,
        plan_only: bool | str = False,
        skipped: str | None = "",
        limits: Mapping[str, Any] | None = None,
        done_aws_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.snapshot = snapshot
        self.mapped = mapped
        self.delta = delta
        self.partitions = partitions
        self.plan_only = plan_only
        self.uploads = uploads
        self.commit = commit
        self.skipped = skipped
        self.limits = limits
        self.done_aws_conn_id = done_aws_conn_id

    def run_step(self, workspace: Workspace, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """Report."""
        from airflow_provider_braze_blueconic.sync.pipeline import report_run
        from airflow_provider_braze_blueconic.sync.rejections import too_many_rejected
        from airflow_provider_braze_blueconic.sync.report import describe_stop, describe_warnings, render

        uploads = [cast("UploadRef", upload) for upload in self.uploads or () if upload]
        report = report_run(
            workspace,
            snapshot=cast("SnapshotRef | None", self.snapshot),
            mapped=cast("MappedRef | None", self.mapped),
            delta=cast("DeltaRef | None", self.delta),
            passed=self.partitions is not None,
            dry_run=is_true(self.plan_only),
            uploads=uploads,
            committed=bool(self.commit and self.commit["committed"]),
            skipped_because=self.skipped or "",
        )
        lines = "\n".join(f"  {label:<24} {value}" for label, value in render(report))
        self.log.info("%s: report of the run\n%s", self.goal_id, lines)
        for warning in describe_warnings(report):
            self.log.warning("%s: values left out: %s", self.goal_id, warning)
        if report["status"] == "stopped":
            raise SyncError(f"{self.goal_id}: {describe_stop(report)}")
        if report["status"] == "incomplete":
            raise SyncError(
                f"{self.goal_id}: {report['accepted']:,} of {report['to_send']:,} people were sent. "
                "The rest stays in the delta and goes with the next run, or with this one from compute_delta on."
            )
        if report["status"] == "success" and not report["dry_run"] and report["not_accepted"] == 0:
            self._finish_files(workspace)
        resting = report["not_found"] + report["no_consent"]
        problem = too_many_rejected(
            self.goal_id,
            rejected=report["not_accepted"] - report["unsent"] - report["unknown"] - resting,
            unknown=report["unknown"],
            sent=report["to_send"],
            percent=(self.limits or {}).get("rejected_percent"),
        )
        if problem is not None:
            raise problem
        return dict(report)

    def _finish_files(self, workspace: Workspace) -> None:
        from airflow_provider_braze_blueconic.hooks.staging import StagingHook
        from airflow_provider_braze_blueconic.sync.csv_files import mark_files_finished

        source = StagingHook(self.done_aws_conn_id) if self.done_aws_conn_id is not None else None
        finished = mark_files_finished(
            workspace, cast("SnapshotRef", self.snapshot), source=source, done=source is not None
        )
        if finished:
            self.log.info("%s: everything in %s files was acknowledged", self.goal_id, finished)
