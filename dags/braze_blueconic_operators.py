"""A hand-written dag: the operators alone, without a goal file.

It does what the goal files' DAGs do, for a small segment and two fields. Write one like it when the pipeline is part of
something bigger: after a task that prepares the segment, say, or with a check of your own between plan and upload.
"""

from airflow.sdk import DAG, Param

from airflow_provider_braze_blueconic.operators.blueconic_segment_to_s3 import BlueConicSegmentToS3Operator
from airflow_provider_braze_blueconic.operators.clean_up import CleanUpOperator
from airflow_provider_braze_blueconic.operators.commit_ledger import CommitLedgerOperator
from airflow_provider_braze_blueconic.operators.compute_delta import ComputeDeltaOperator
from airflow_provider_braze_blueconic.operators.guard import GuardOperator
from airflow_provider_braze_blueconic.operators.map_fields import MapFieldsOperator
from airflow_provider_braze_blueconic.operators.s3_to_braze_users import S3ToBrazeUsersOperator
from airflow_provider_braze_blueconic.operators.sync_report import SyncReportOperator

# The state of this sync lies in <staging>/<goal id>/: no two DAGs may share it.
goal = {"goal_id": "newsletter_by_hand", "staging": "s3://sandbox-sync/braze-blueconic"}

# Rows as in a goal file.
identifiers = [{"blueconic": "crm_id", "braze": "external_id"}]
fields = [
    {"from": "property.newsletter", "to": "newsletter", "type": "boolean"},
    {"value": "blueconic", "to": "newsletter_source"},
]
limits = {"data_points": 50_000, "requests_per_second": 50, "rejected_percent": 1}

with DAG(
    dag_id="braze_blueconic_by_hand",
    description="The same pipeline as a goal's, task by task.",
    schedule=None,
    catchup=False,
    max_active_runs=1,  # two deltas of one ledger at once would each miss what the other sends
    default_args={"retries": 2},
    params={"dry_run": Param(False, type="boolean", title="Dry run", description="Plan only; send nothing.")},
    tags=["braze-blueconic", "by hand"],
):
    # Each task hands the next a small reference: a place in S3 and counts, never people.
    extract = BlueConicSegmentToS3Operator(
        task_id="extract",
        segment="Newsletter readers",
        # What identifiers and fields read; the date decides which of two profiles of one person is sent.
        properties=["crm_id", "newsletter", "lastmodifieddate"],
        **goal,
    )
    map_fields = MapFieldsOperator(
        task_id="map_fields", snapshot=extract.output, identifiers=identifiers, fields=fields, partitions=2, **goal
    )
    compute_delta = ComputeDeltaOperator(task_id="compute_delta", mapped=map_fields.output, fields=fields, **goal)
    guard = GuardOperator(
        task_id="guard", delta=compute_delta.output, limits=limits, plan_only="{{ params.dry_run }}", **goal
    )
    # The guard returns the partitions that have something to send: one upload task each, none in a dry run.
    upload = S3ToBrazeUsersOperator.partial(
        task_id="upload",
        delta=compute_delta.output,
        allow_creation=False,
        limits=limits,
        # As many as may run side by side: each keeps to its share of requests_per_second.
        workers=1,
        max_active_tis_per_dagrun=1,
        **goal,
    ).expand(partition=guard.output)
    # Whatever became of the uploads: what Braze acknowledged is kept, and the report says what was not.
    commit = CommitLedgerOperator(
        task_id="commit",
        delta=compute_delta.output,
        partitions=guard.output,
        plan_only="{{ params.dry_run }}",
        trigger_rule="all_done",
        **goal,
    )
    # Files of earlier runs go when they are old; the snapshots with which past dates can be run again go last.
    clean_up = CleanUpOperator(
        task_id="clean_up",
        retention={"work_days": 7, "snapshot_days": 30},
        trigger_rule="all_done",
        retries=0,  # what this leaves, the next run removes
        **goal,
    )
    report = SyncReportOperator(
        task_id="report",
        snapshot=extract.output,
        mapped=map_fields.output,
        delta=compute_delta.output,
        partitions=guard.output,
        uploads=upload.output,
        commit=commit.output,
        # Why the extract was skipped: of a past date there may be nothing to run again.
        skipped="{{ ti.xcom_pull(task_ids='extract', key='skipped') or '' }}",
        plan_only="{{ params.dry_run }}",
        limits=limits,
        trigger_rule="all_done",
        retries=0,  # it fails where the run did not do all it should: trying the report again changes nothing
        **goal,
    )
    upload >> commit >> clean_up >> report
