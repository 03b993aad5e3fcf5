"""The two ends of an export goal: it reads BlueConic and writes to Braze."""

from __future__ import annotations

from functools import partial
from typing import Any

from airflow_provider_braze_blueconic.dag_factory.ends import Ends, Settings, objective_places
from airflow_provider_braze_blueconic.dag_factory.literals import Template, literal_partial, literal_task
from airflow_provider_braze_blueconic.goals.export_goal import ExportGoal, LeaversSet
from airflow_provider_braze_blueconic.goals.export_source import CsvSource, SegmentSource
from airflow_provider_braze_blueconic.goals.segment_export import Reconcile
from airflow_provider_braze_blueconic.operators.blueconic_segment_to_s3 import BlueConicSegmentToS3Operator
from airflow_provider_braze_blueconic.operators.look_at_braze import LookAtBrazeOperator
from airflow_provider_braze_blueconic.operators.s3_csv_to_s3 import S3CsvToS3Operator
from airflow_provider_braze_blueconic.operators.s3_to_braze_users import S3ToBrazeUsersOperator
from airflow_provider_braze_blueconic.sync.plans.export_reads import expansions, properties_to_read
from airflow_provider_braze_blueconic.sync.plans.observed_users import observable_sources

__all__ = ["export_ends", "what_decides"]

_FULL = Template("{{ params.full or params.retry_held }}")
"""Who rests did not change in BlueConic, so only a whole read meets them."""


def export_ends(goal: ExportGoal, reconcile: Reconcile | None) -> Ends:
    """Say what is particular to an export.

    :param reconcile: look at what Braze holds first, and put right what differs.
    """
    needed = properties_to_read(goal.identifiers, goal.fields)
    return Ends(
        extract=partial(_extract, goal, reconcile, needed),
        upload=partial(_upload, goal),
        look=partial(_look, goal, reconcile) if reconcile is not None else None,
        places=(
            "reconcile.segment",
            "reconcile.export",
            "source.segment",
            "source.read",
            "source.s3_csv",
            *needed.values(),
            *objective_places(goal),
        ),
        mapping=_mapping(goal),
        delta=_delta(goal),
        guard={"leavers": _leavers(goal), "bulk": goal.upload.bulk},
        report={"done_aws_conn_id": _done_connection(goal)},
    )


def what_decides(goal: ExportGoal) -> dict[str, Any]:
    """Give the settings that decide who is read and what is said of them, by name: see :mod:`~.windows`."""
    return goal.model_dump(
        mode="json",
        by_alias=True,
        include={
            "identifiers", "fields", "connections", "objectives", "when_missing", "leavers", "send", "allow_creation",
            "max_attempts",
        },
    )  # fmt: skip


def _extract(goal: ExportGoal, reconcile: Reconcile | None, needed: dict[str, str], common: Settings) -> Any:
    source = goal.source
    if isinstance(source, CsvSource):
        return _extract_files(goal, source, needed, common)
    return _extract_segment(goal, source, reconcile, needed, common)


def _extract_files(goal: ExportGoal, source: CsvSource, needed: dict[str, str], common: Settings) -> Any:
    return literal_task(
        S3CsvToS3Operator,
        task_id="extract",
        s3_csv=source.s3_csv,
        columns={name: place for name, place in needed.items() if place},
        delimiter=source.delimiter,
        multi_value_separator=source.multi_value_separator,
        required=source.required,
        broken_percent=source.broken_percent,
        timezone=goal.timezone,
        full=_FULL,
        source_aws_conn_id=source.aws,
        **common,
    )


def _extract_segment(
    goal: ExportGoal, source: SegmentSource, reconcile: Reconcile | None, needed: dict[str, str], common: Settings
) -> Any:
    return literal_task(
        BlueConicSegmentToS3Operator,
        task_id="extract",
        segment=source.segment,
        properties=needed,
        expand=expansions(goal.fields),
        interaction_names=any(row.kind == "interactions" and row.written_as == "names" for row in goal.fields),
        objectives=goal.objectives,
        read=source.read,
        full=_FULL if reconcile is None else True,
        settings=what_decides(goal),
        timezone=goal.timezone,
        replay=reconcile is None,
        blueconic_conn_id=goal.connections.blueconic,
        **common,
    )


def _upload(goal: ExportGoal, settings: Settings, delta: Any, guard: Any, _: Any) -> Any:
    return literal_partial(
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


def _look(goal: ExportGoal, reconcile: Reconcile, common: Settings) -> Any:
    return literal_task(
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


def _mapping(goal: ExportGoal) -> Settings:
    return {
        "when_missing": goal.when_missing,
        "objectives": goal.objectives,
        # A file tells what BlueConic held when it was written, not what it holds.
        "source_conn_id": None if isinstance(goal.source, CsvSource) else goal.connections.blueconic,
        "target_conn_id": goal.connections.braze,
    }


def _delta(goal: ExportGoal) -> Settings:
    reads_files = isinstance(goal.source, CsvSource)
    return {
        "send": goal.send,
        "leavers": _leavers(goal),
        "confirms": not reads_files,
        "allow_creation": goal.allow_creation,
        "target_conn_id": goal.connections.braze,
        "settings": None if reads_files else what_decides(goal),
    }


def _leavers(goal: ExportGoal) -> Any:
    return dict(goal.leavers.set) if isinstance(goal.leavers, LeaversSet) else goal.leavers


def _done_connection(goal: ExportGoal) -> str | None:
    """Return the connection for the names of files that were read, if they are to say so."""
    source = goal.source
    return (source.aws or goal.connections.aws) if isinstance(source, CsvSource) and source.done else None
