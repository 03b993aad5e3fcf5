"""The two ends of an import goal: it reads Braze and writes to BlueConic."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from airflow_provider_braze_blueconic.dag_factory.ends import Ends, Settings, objective_places
from airflow_provider_braze_blueconic.dag_factory.literals import literal_partial, literal_task
from airflow_provider_braze_blueconic.goals.import_goal import CsvDelivery, ImportGoal
from airflow_provider_braze_blueconic.goals.import_rows import ImportField, ImportIdentifier
from airflow_provider_braze_blueconic.operators.braze_segment_to_s3 import BrazeSegmentToS3Operator
from airflow_provider_braze_blueconic.operators.s3_to_blueconic_profiles import S3ToBlueConicProfilesOperator
from airflow_provider_braze_blueconic.operators.s3_to_s3_csv import S3ToS3CsvOperator
from airflow_provider_braze_blueconic.sync.plans.import_links import export_sources

__all__ = ["import_ends"]


def import_ends(goal: ImportGoal) -> Ends:
    """Say what is particular to an import."""
    remaining, delivers = goal.remaining_fields, goal.deliver is not None
    sources = export_sources(goal.identifiers, goal.fields)
    targets, links = _targets(goal.fields), _links(goal.identifiers)
    return Ends(
        extract=partial(_extract, goal, sources),
        upload=partial(_upload, goal),
        places=(
            "source",
            "source.segment",
            "source.export",
            *sources.values(),
            *targets.values(),
            *links.values(),
            *(f"fields[{number}].merge" for number in range(len(goal.fields))),
            "remaining_fields",
            *objective_places(goal),
        ),
        mapping={
            "match": goal.match,
            "remaining_fields": remaining.model_dump(mode="json") if remaining is not None else None,
            "source_conn_id": goal.connections.braze,
            "target_conn_id": goal.connections.blueconic,
            "writes_at_once": not delivers,
        },
        delta={
            # In a file an empty cell is not "as it was", so a row has all values of its person.
            "send": "whole_profile" if delivers else "changed_fields",
            "policy": _policy(goal),
            # A file that was delivered and not read yet may still change what BlueConic holds.
            "target_conn_id": None if delivers else goal.connections.blueconic,
        },
        guard={"target": "s3_csv" if delivers else "blueconic"},
    )


def _targets(fields: Sequence[ImportField]) -> dict[str, str]:
    """Return the properties that are written → the first place in the goal that names each."""
    return {row.to: f"fields[{number}].to" for number, row in reversed(list(enumerate(fields)))}


def _links(identifiers: Sequence[ImportIdentifier]) -> dict[str, str]:
    """Return the properties by which people are found → the first place in the goal that names each."""
    return {link.blueconic: f"identifiers[{n}].blueconic" for n, link in reversed(list(enumerate(identifiers)))}


def _policy(goal: ImportGoal) -> Settings:
    """Give the settings that decide whether BlueConic takes a record, by name."""
    policy = goal.model_dump(
        mode="json",
        include={"allow_creation", "match", "legislation", "objectives", "domain_group", "identifiers"},
    )
    if goal.deliver is not None:
        # What can stand in a file: another separator makes a field that was left out worth a try.
        policy["multi_value_separator"] = goal.deliver.multi_value_separator
    return policy


def _extract(goal: ImportGoal, sources: dict[str, str], common: Settings) -> Any:
    remaining = goal.remaining_fields
    return literal_task(
        BrazeSegmentToS3Operator,
        task_id="extract",
        segment=goal.source.segment,
        export=goal.source.export,
        sources=sources,
        remaining=remaining is not None,
        excluded=remaining.exclude if remaining is not None else (),
        targets=_targets(goal.fields),
        unique=_links(goal.identifiers),
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


def _upload(goal: ImportGoal, settings: Settings, delta: Any, guard: Any, mapped: Any) -> Any:
    if goal.deliver is not None:
        return _upload_file(goal, goal.deliver, settings, delta, guard)
    return literal_partial(
        S3ToBlueConicProfilesOperator,
        task_id="upload",
        map_index_template="partition {{ task.partition }}",
        max_active_tis_per_dagrun=goal.upload.workers,
        delta=delta.output,
        new_properties=mapped.output["new_properties"],
        links=tuple(_links(goal.identifiers)),
        allow_creation=goal.allow_creation,
        legislation=goal.legislation,
        objectives=goal.objectives,
        domain_group=goal.domain_group,
        trigger_on_change=goal.trigger_on_change,
        workers=goal.upload.workers,
        blueconic_conn_id=goal.connections.blueconic,
        **settings,
    ).expand(partition=guard.output)


def _upload_file(goal: ImportGoal, deliver: CsvDelivery, settings: Settings, delta: Any, guard: Any) -> Any:
    return literal_task(
        S3ToS3CsvOperator,
        task_id="upload",
        delta=delta.output,
        partitions=guard.output,
        links=tuple(_links(goal.identifiers)),
        s3_csv=deliver.s3_csv,
        delimiter=deliver.delimiter,
        multi_value_separator=deliver.multi_value_separator,
        gzip=deliver.gzip,
        target_aws_conn_id=deliver.aws,
        **{name: value for name, value in settings.items() if name != "limits"},
    )
