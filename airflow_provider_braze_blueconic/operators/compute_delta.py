"""The step from a mapped snapshot to what must be sent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow_provider_braze_blueconic.operators.base import GoalOperator
from airflow_provider_braze_blueconic.operators.flags import is_true
from airflow_provider_braze_blueconic.operators.goal_rows import Direction, export_rows, import_rows
from airflow_provider_braze_blueconic.operators.target_looks import TargetLooks

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.goals.export_rows import ExportField, ExportIdentifier
    from airflow_provider_braze_blueconic.goals.import_rows import ImportIdentifier
    from airflow_provider_braze_blueconic.sync.delta.seen import Seen
    from airflow_provider_braze_blueconic.sync.mapping.plan import MappingPlan
    from airflow_provider_braze_blueconic.sync.plans.import_targets import ImportTarget
    from airflow_provider_braze_blueconic.sync.store.references import DeltaRef, MappedRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["ComputeDeltaOperator"]


class ComputeDeltaOperator(GoalOperator):
    """Compares the mapped snapshot with the ledger, field by field (``compute_delta``).

    :param mapped: what ``MapFieldsOperator`` returned (templated).
    :param fields: field rows, as in a goal file.
    :param identifiers: identifier links, as in a goal file; needed only with ``target_conn_id``.
    :param direction: ``export`` (to Braze) or ``import`` (to BlueConic).
    :param send: ``changed_fields`` or ``whole_profile``.
    :param leavers: for an export goal: ``keep``, ``clear_fields`` or target → value.
    :param allow_stale: send rows that are older than the ledger (templated).
    :param allow_creation: for an export goal: whether the upload creates people whom Braze doesn't know. Braze silently
        drops others, so what it acknowledged for them is in doubt once this becomes true.
    :param confirms: the read contains everybody in the source, changed or not; ``False`` for files with changes only.
    :param policy: for an import goal: settings that decide whether BlueConic accepts a record; when one changes, the
        run retries the people who weren't accepted.
    :param max_attempts: number of refusals of the same values after which a person is quarantined until a value
        changes.
    :param retry_held: also retry quarantined and waiting people, and send values again that didn't stick (templated).
    :param looked: for an export goal: what ``LookAtBrazeOperator`` returned (templated). The delta sends again what
        Braze no longer holds, and leaves out what it already holds.
    :param target_conn_id: connection of the target. If given, the delta leaves out what other goals with the same
        ``staging`` prefix saw there.
    :param settings: for an export goal that reads changes: the ``settings`` of ``extract``. If the goal changed between
        the two steps, no later read of changes starts from this run.
    :return: :class:`~airflow_provider_braze_blueconic.sync.store.references.DeltaRef`.
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
            "%s: %s people to send (%s new, %s changed, %s left), %s fields, %s unchanged, %s already in the "
            "target, %s held, %s stale",
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
        from airflow_provider_braze_blueconic.sync.plans.exported import exported_pairs, exported_routes
        from airflow_provider_braze_blueconic.sync.plans.observed_users import observable_sources, observed_users
        from airflow_provider_braze_blueconic.sync.plans.to_braze import delta_plan
        from airflow_provider_braze_blueconic.sync.steps.compute_delta import compute_staged_delta

        as_of = dt.datetime.fromisoformat(mapped["as_of"])
        identifiers, fields = export_rows(self.identifiers, self.fields)
        plan = delta_plan(
            fields,
            partitions=mapped["partitions"],
            as_of=as_of,
            send=self.send,
            leavers=self.leavers,
            complete=mapped["complete"],
            allow_stale=is_true(self.allow_stale),
            max_attempts=None if is_true(self.retry_held) else self.max_attempts,
            identifiers=identifiers,
            allow_creation=self.allow_creation,
        )
        plan = replace(plan, confirms=self.confirms, missing=mapped.get("missing", 0), target=self.target_conn_id)
        looks = TargetLooks(
            workspace,
            "braze",
            self.target_conn_id,
            plans=partial(observed_users, identifiers, fields, mapped["property_types"]),
            pairs=exported_pairs(fields),
            routes=exported_routes(fields, mapped["property_types"]),
        )

        def look(local: Path) -> Sequence[Seen]:
            again = looks.again(local, self.looked, columns=tuple(observable_sources(identifiers, fields)))
            return [*again, *looks.by_others(local, read_at=as_of)]

        return compute_staged_delta(
            workspace,
            mapped,
            plan,
            look=look,
            decides=self.settings,
            mapping=partial(_export_mapping, identifiers, fields, mapped),
        )

    def _import_delta(self, workspace: Workspace, mapped: MappedRef) -> DeltaRef:
        from airflow_provider_braze_blueconic.sync.plans.import_targets import read_targets
        from airflow_provider_braze_blueconic.sync.plans.imported import imported_pairs, imported_routes
        from airflow_provider_braze_blueconic.sync.plans.observed_profiles import observed_profiles
        from airflow_provider_braze_blueconic.sync.plans.to_blueconic import import_delta_plan, import_policy
        from airflow_provider_braze_blueconic.sync.steps.compute_delta import compute_staged_delta
        from airflow_provider_braze_blueconic.sync.steps.target_fields import read_fields

        as_of = dt.datetime.fromisoformat(mapped["as_of"])
        identifiers, _ = import_rows(self.identifiers, ())
        rows = read_fields(workspace, mapped["uri"])
        targets = read_targets(rows)
        plan = import_delta_plan(
            targets,
            partitions=mapped["partitions"],
            as_of=as_of,
            send=self.send,
            complete=mapped["complete"],
            allow_stale=is_true(self.allow_stale),
            policy=import_policy(self.policy or {}),
            max_attempts=self.max_attempts,
            retry_held=is_true(self.retry_held),
        )
        plan = replace(plan, target=self.target_conn_id)
        looks = TargetLooks(
            workspace,
            "blueconic",
            self.target_conn_id,
            plans=partial(observed_profiles, identifiers, targets, mapped["property_types"], sums=True),
            pairs=imported_pairs(targets),
            routes=imported_routes(targets),
        )
        return compute_staged_delta(
            workspace,
            mapped,
            plan,
            look=partial(looks.by_others, read_at=as_of),
            rows=rows,
            mapping=partial(_import_mapping, identifiers, targets, mapped),
        )


def _export_mapping(
    identifiers: Sequence[ExportIdentifier], fields: Sequence[ExportField], mapped: MappedRef
) -> MappingPlan:
    """Plan the mapping of an export goal as ``map_fields`` did."""
    from airflow_provider_braze_blueconic.sync.plans.to_braze import mapping_plan

    mapped_by = mapped["mapped_by"]
    return mapping_plan(
        identifiers,
        fields,
        property_types=mapped["property_types"],
        clear_missing=mapped_by["when_missing"] == "clear",
        objectives=mapped_by["objectives"],
        partitions=mapped["partitions"],
    )


def _import_mapping(
    identifiers: Sequence[ImportIdentifier], targets: Sequence[ImportTarget], mapped: MappedRef
) -> MappingPlan:
    """Plan the mapping of an import goal as ``map_fields`` did."""
    from airflow_provider_braze_blueconic.sync.plans.to_blueconic import import_mapping_plan

    return import_mapping_plan(
        identifiers,
        targets,
        match_all=mapped["mapped_by"]["match"] == "all",
        property_types=mapped["property_types"],
        partitions=mapped["partitions"],
    )
