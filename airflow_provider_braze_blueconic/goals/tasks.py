"""The tasks of a goal: one pipeline, whose two ends the direction decides.

::

    extract → map_fields → compute_delta → guard → upload (a task a partition) → commit → clean_up → report

A reconcile is the same after a look at what Braze holds::

    look → extract → map_fields → …
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from airflow_provider_braze_blueconic.goals.literals import Template, literal
from airflow_provider_braze_blueconic.goals.loading import Origin
from airflow_provider_braze_blueconic.goals.models import CsvSource, ExportGoal, ImportGoal, LeaversSet, Reconcile
from airflow_provider_braze_blueconic.operators.blueconic import (
    BlueConicSegmentToS3Operator,
    S3ToBlueConicProfilesOperator,
)
from airflow_provider_braze_blueconic.operators.braze import (
    BrazeSegmentToS3Operator,
    LookAtBrazeOperator,
    S3ToBrazeUsersOperator,
)
from airflow_provider_braze_blueconic.operators.clean_up import CleanUpOperator
from airflow_provider_braze_blueconic.operators.s3_csv import S3CsvToS3Operator, S3ToS3CsvOperator
from airflow_provider_braze_blueconic.operators.sync import (
    CommitLedgerOperator,
    ComputeDeltaOperator,
    GuardOperator,
    MapFieldsOperator,
    SyncReportOperator,
)
from airflow_provider_braze_blueconic.sync.export_plan import (
    expansions,
    observable_sources,
    properties_to_read,
)
from airflow_provider_braze_blueconic.sync.import_plan import export_sources

__all__ = ["goal_tasks", "what_decides"]

_Settings = dict[str, Any]


@dataclass(frozen=True)
class _Ends:
    """What the direction decides of a goal's tasks.

    :param extract: makes the task that reads the source.
    :param upload: (delta, guard, map_fields) → makes the task that writes to the target, after these.
    :param places: paths of the goal that errors of the first task can name.
    :param mapping: settings of ``map_fields``.
    :param delta: settings of ``compute_delta``.
    :param guard: settings of ``guard``.
    :param report: settings of ``report``.
    :param look: makes the task that reads what the target holds, if that is asked for.
    """

    extract: Callable[[_Settings], Any]
    upload: Callable[[_Settings, Any, Any, Any], Any]
    places: tuple[str, ...]
    mapping: _Settings
    delta: _Settings
    guard: _Settings = field(default_factory=dict)
    report: _Settings = field(default_factory=dict)
    look: Callable[[_Settings], Any] | None = None


def goal_tasks(goal: ExportGoal | ImportGoal, origin: Origin, *, reconcile: Reconcile | None = None) -> None:
    """Make the tasks of a goal in the DAG at hand.

    :param reconcile: look at what Braze holds first, and put right what differs.
    """
    ends = _import_ends(goal) if isinstance(goal, ImportGoal) else _export_ends(goal, reconcile)
    # Only what is written: the guard is more careful with a limit of the goal's own than with the default.
    limits = goal.limits.model_dump(exclude_none=True, exclude_unset=True)
    places = ("id", "renamed_from", *ends.places)
    common: _Settings = {
        "goal_id": goal.id,
        "staging": goal.staging,
        "aws_conn_id": goal.connections.aws,
        "run_prefix": "reconcile-" if reconcile else "",
        "renamed_from": goal.renamed_from,
        "origin": {"file": origin.file, "lines": {place: origin.line(place) for place in places if place}},
    }
    identifiers = [link.model_dump(mode="json", by_alias=True, exclude_none=True) for link in goal.identifiers]
    fields = [row.model_dump(mode="json", by_alias=True, exclude_unset=True) for row in goal.fields]
    look = ends.look(common) if ends.look else None
    extract = ends.extract(common)
    if look is not None:
        look >> extract
    map_fields = _task(
        MapFieldsOperator,
        task_id="map_fields",
        snapshot=extract.output,
        identifiers=identifiers,
        fields=fields,
        partitions=goal.partitions,
        direction=goal.goal,
        **ends.mapping,
        **common,
    )
    compute_delta = _task(
        ComputeDeltaOperator,
        task_id="compute_delta",
        mapped=map_fields.output,
        identifiers=identifiers,
        fields=fields,
        direction=goal.goal,
        allow_stale=Template("{{ params.allow_stale }}"),
        max_attempts=goal.max_attempts,
        retry_held=Template("{{ params.retry_held }}"),
        looked=look.output if look is not None else None,
        **ends.delta,
        **common,
    )
    guard = _task(
        GuardOperator,
        task_id="guard",
        delta=compute_delta.output,
        limits=limits,
        plan_only=Template("{{ params.dry_run }}"),
        **ends.guard,
        **common,
    )
    upload = ends.upload({"limits": limits, **common}, compute_delta, guard, map_fields)
    commit = _task(
        CommitLedgerOperator,
        task_id="commit",
        delta=compute_delta.output,
        partitions=guard.output,
        plan_only=Template("{{ params.dry_run }}"),
        # What was acknowledged is kept whatever became of the rest.
        trigger_rule="all_done",
        **common,
    )
    clean_up = _task(
        CleanUpOperator,
        task_id="clean_up",
        retention=goal.retention.model_dump(),
        # Personal data go in time also where the goal fails for long. What this leaves, the next run removes: no retry.
        trigger_rule="all_done",
        **{**common, "retries": 0},
    )
    report = _task(
        SyncReportOperator,
        task_id="report",
        snapshot=extract.output,
        mapped=map_fields.output,
        delta=compute_delta.output,
        partitions=guard.output,
        plan_only=Template("{{ params.dry_run }}"),
        uploads=upload.output,
        commit=commit.output,
        # Not extract.output["skipped"]: where nothing was pushed, Airflow can't resolve that.
        skipped=Template("{{ ti.xcom_pull(task_ids='extract', key='skipped') or '' }}"),
        limits=limits,
        trigger_rule="all_done",
        **ends.report,
        **{**common, "retries": 0},
    )
    upload >> commit >> clean_up >> report


def _task(operator: type[Any], **settings: Any) -> Any:
    """Make a task whose settings come from a goal: in a templated field they are taken literally."""
    return operator(**_literal_fields(operator, settings))


def _partial(operator: type[Any], **settings: Any) -> Any:
    """Begin a mapped task as :func:`_task` makes one."""
    return operator.partial(**_literal_fields(operator, settings))


def _literal_fields(operator: type[Any], settings: _Settings) -> _Settings:
    return {name: literal(value) if name in operator.template_fields else value for name, value in settings.items()}


def what_decides(goal: ExportGoal) -> dict[str, Any]:
    """Give the settings that decide who is read and what is said of them, by name: see :mod:`~.sync.windows`."""
    return goal.model_dump(
        mode="json",
        by_alias=True,
        include={
            "identifiers", "fields", "connections", "objectives", "when_missing", "leavers", "send", "allow_creation",
            "max_attempts",
        },
    )  # fmt: skip


def _export_ends(goal: ExportGoal, reconcile: Reconcile | None) -> _Ends:
    leavers = dict(goal.leavers.set) if isinstance(goal.leavers, LeaversSet) else goal.leavers
    needed = properties_to_read(goal.identifiers, goal.fields)

    def extract(common: _Settings) -> Any:
        source = goal.source
        if isinstance(source, CsvSource):
            return _task(
                S3CsvToS3Operator,
                task_id="extract",
                s3_csv=source.s3_csv,
                columns={name: place for name, place in needed.items() if place},
                delimiter=source.delimiter,
                multi_value_separator=source.multi_value_separator,
                required=source.required,
                broken_percent=source.broken_percent,
                timezone=goal.timezone,
                full=Template("{{ params.full or params.retry_held }}"),
                source_aws_conn_id=source.aws,
                **common,
            )
        return _task(
            BlueConicSegmentToS3Operator,
            task_id="extract",
            segment=source.segment,
            properties=needed,
            expand=expansions(goal.fields),
            interaction_names=any(row.kind == "interactions" and row.written_as == "names" for row in goal.fields),
            objectives=goal.objectives,
            read=source.read,
            # Who rests did not change in BlueConic, so only a whole read meets them.
            full=Template("{{ params.full or params.retry_held }}") if reconcile is None else True,
            settings=what_decides(goal),
            timezone=goal.timezone,
            replay=reconcile is None,
            blueconic_conn_id=goal.connections.blueconic,
            **common,
        )

    def upload(settings: _Settings, delta: Any, guard: Any, _: Any) -> Any:
        return _partial(
            S3ToBrazeUsersOperator,
            task_id="upload",
            map_index_template="partition {{ task.partition }}",
            max_active_tis_per_dagrun=goal.upload.workers,
            delta=delta.output,
            allow_creation=goal.allow_creation,
            workers=goal.upload.workers,
            bulk=goal.upload.bulk,
            braze_conn_id=goal.connections.braze,
            **settings,
        ).expand(partition=guard.output)

    reads_files = isinstance(goal.source, CsvSource)
    return _Ends(
        extract,
        upload,
        look=partial(_look, goal, reconcile) if reconcile is not None else None,
        places=(
            "reconcile.segment",
            "reconcile.export",
            "source.segment",
            "source.read",
            "source.s3_csv",
            *needed.values(),
            *_objectives(goal),
        ),
        mapping={
            "when_missing": goal.when_missing,
            "objectives": goal.objectives,
            # A file tells what BlueConic held when it was written, not what it holds.
            "source_conn_id": None if reads_files else goal.connections.blueconic,
            "target_conn_id": goal.connections.braze,
        },
        delta={
            "send": goal.send,
            "leavers": leavers,
            "confirms": not reads_files,
            "allow_creation": goal.allow_creation,
            "target_conn_id": goal.connections.braze,
            "settings": None if reads_files else what_decides(goal),
        },
        guard={"leavers": leavers, "bulk": goal.upload.bulk},
        report={
            "done_aws_conn_id": (goal.source.aws or goal.connections.aws)
            if isinstance(goal.source, CsvSource) and goal.source.done
            else None,
        },
    )


def _look(goal: ExportGoal, reconcile: Reconcile, common: _Settings) -> Any:
    return _task(
        LookAtBrazeOperator,
        task_id="look",
        segment=reconcile.segment,
        export=reconcile.export,
        sources=observable_sources(goal.identifiers, goal.fields),
        export_aws_conn_id=reconcile.aws,
        braze_conn_id=goal.connections.braze,
        poll_seconds=reconcile.poll_seconds,
        wait_seconds=60 * reconcile.wait_minutes,
        quiet_seconds=reconcile.quiet_seconds,
        broken_percent=reconcile.broken_percent,
        **common,
    )


def _import_ends(goal: ImportGoal) -> _Ends:
    sources = export_sources(goal.identifiers, goal.fields)
    remaining = goal.remaining_fields
    deliver = goal.deliver
    targets = {row.to: f"fields[{number}].to" for number, row in reversed(list(enumerate(goal.fields)))}
    links = {link.blueconic: f"identifiers[{n}].blueconic" for n, link in reversed(list(enumerate(goal.identifiers)))}
    policy = goal.model_dump(
        mode="json",
        include={"allow_creation", "match", "legislation", "objectives", "domain_group", "identifiers"},
    )
    if deliver is not None:
        # What can stand in a file: another separator makes a field that was left out worth a try.
        policy["multi_value_separator"] = deliver.multi_value_separator

    def extract(common: _Settings) -> Any:
        return _task(
            BrazeSegmentToS3Operator,
            task_id="extract",
            segment=goal.source.segment,
            export=goal.source.export,
            sources=sources,
            remaining=remaining is not None,
            excluded=remaining.exclude if remaining is not None else (),
            targets=targets,
            unique=links,
            objectives=goal.objectives,
            export_aws_conn_id=goal.source.aws,
            braze_conn_id=goal.connections.braze,
            blueconic_conn_id=goal.connections.blueconic,
            poll_seconds=goal.source.poll_seconds,
            wait_seconds=60 * goal.source.wait_minutes,
            quiet_seconds=goal.source.quiet_seconds,
            broken_percent=goal.source.broken_percent,
            timezone=goal.timezone,
            **common,
        )

    def upload(settings: _Settings, delta: Any, guard: Any, mapped: Any) -> Any:
        if deliver is not None:
            return _task(
                S3ToS3CsvOperator,
                task_id="upload",
                delta=delta.output,
                partitions=guard.output,
                links=tuple(links),
                s3_csv=deliver.s3_csv,
                delimiter=deliver.delimiter,
                multi_value_separator=deliver.multi_value_separator,
                gzip=deliver.gzip,
                target_aws_conn_id=deliver.aws,
                **{name: value for name, value in settings.items() if name != "limits"},
            )
        return _partial(
            S3ToBlueConicProfilesOperator,
            task_id="upload",
            map_index_template="partition {{ task.partition }}",
            max_active_tis_per_dagrun=goal.upload.workers,
            delta=delta.output,
            new_properties=mapped.output["new_properties"],
            links=tuple(links),
            allow_creation=goal.allow_creation,
            legislation=goal.legislation,
            objectives=goal.objectives,
            domain_group=goal.domain_group,
            trigger_on_change=goal.trigger_on_change,
            workers=goal.upload.workers,
            blueconic_conn_id=goal.connections.blueconic,
            **settings,
        ).expand(partition=guard.output)

    return _Ends(
        extract,
        upload,
        places=(
            "source",
            "source.segment",
            "source.export",
            *sources.values(),
            *targets.values(),
            *links.values(),
            *(f"fields[{number}].merge" for number in range(len(goal.fields))),
            "remaining_fields",
            *_objectives(goal),
        ),
        mapping={
            "match": goal.match,
            "remaining_fields": remaining.model_dump(mode="json") if remaining is not None else None,
            "source_conn_id": goal.connections.braze,
            "target_conn_id": goal.connections.blueconic,
            "writes_at_once": deliver is None,
        },
        delta={
            # In a file an empty cell is not "as it was", so a row has all values of its person.
            "send": "changed_fields" if deliver is None else "whole_profile",
            "policy": policy,
            # A file that was delivered and not read yet may still change what BlueConic holds.
            "target_conn_id": goal.connections.blueconic if deliver is None else None,
        },
        guard={"target": "blueconic" if deliver is None else "s3_csv"},
    )


def _objectives(goal: ExportGoal | ImportGoal) -> Mapping[str, None]:
    return dict.fromkeys(f"objectives[{number}]" for number in range(len(goal.objectives)))
